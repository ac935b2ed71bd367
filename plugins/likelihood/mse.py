"""Squared error of values."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ...core.networks import Choices, LossRows
from ...core.port import Port


class MeanSquaredErrorLoss(nn.Module):
    """The squared error of each row's values, averaged over the numbers of the row."""

    def forward(
        self, hidden: Tensor, port: Port, labels: Mapping[str, Tensor], weights: Tensor, choices: Choices | None
    ) -> LossRows:
        """Hidden states [n, width], labels "values" float [n, ...], weights [n].

        Raises:
            ValueError: the port's predictions have another shape than the labels.
        """
        predicted, wanted = port.project(hidden).float(), labels["values"].float()
        if predicted.shape != wanted.shape:
            raise ValueError(
                f"{type(port).__name__}.project must give the shape of the labels {list(wanted.shape)}, but gives "
                f"{list(predicted.shape)}"
            )
        each = (
            (predicted - wanted).square().flatten(1).mean(1) if predicted.dim() > 1 else (predicted - wanted).square()
        )
        return LossRows.of(each, weights)
