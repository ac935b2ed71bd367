"""The denoising loss: how far the values that a network reads off noisy ones lie from the clean ones."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ...core.networks import Choices, LossRows
from ...core.port import Port


class DenoisingLoss(nn.Module):
    """The error of predicted clean values, as the port measures it (squared, averaged over each row's numbers).

    Clean values are predicted and not the noise (Ramesh et al., 2022; Tevet et al., 2023), so that a port can judge
    what follows from them. The noise itself was added in the loader, see `noise`; `steps`, `schedule` and `drop` act
    there.
    """

    def __init__(self, *, steps: int, schedule: str, drop: float) -> None:
        super().__init__()
        self.steps, self.schedule, self.drop = steps, schedule, drop

    def forward(
        self, hidden: Tensor, port: Port, labels: Mapping[str, Tensor], weights: Tensor, choices: Choices | None
    ) -> LossRows:
        """Hidden states [n, width] of noisy rows, labels "values" float [n, ...], weights [n].

        Raises:
            ValueError: the port's predictions have another shape than the labels.
        """
        predicted, clean = port.project(hidden).float(), labels["values"].float()
        if predicted.shape != clean.shape:
            raise ValueError(
                f"{type(port).__name__}.project must give the shape of the labels {list(clean.shape)}, but gives "
                f"{list(predicted.shape)}"
            )
        return LossRows.of(port.errors(predicted, clean), weights)
