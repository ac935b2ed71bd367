"""The loss of mel frames: how far they are before and after the postnet, and where a sound stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from ...core.networks import Choices, LossRows
from ...core.port import Port


class MelLoss(nn.Module):
    """Absolute and squared error of each row's frames, and the cross-entropy of its stop.

    The loss of Tacotron 2 (Shen et al., 2018, arXiv:1712.05884): errors are summed before and after what the port's
    `refine` makes of all frames of a sound, where it has one. The absolute error is added as in later work, since it
    blurs less. The one last row among many others counts `positive` times in the stop.
    """

    def __init__(self, *, stop_weight: float = 1.0, positive: float = 5.0) -> None:
        super().__init__()
        self.stop_weight, self.positive = stop_weight, positive

    def forward(
        self, hidden: Tensor, port: Port, labels: Mapping[str, Tensor], weights: Tensor, choices: Choices | None
    ) -> LossRows:
        """Hidden states [n, width], labels `values` [n, ...] and, where the port stops, `stop` [n], weights [n].

        Raises:
            ValueError: the port's predictions have another shape than the labels.
        """
        predicted, wanted = port.project(hidden).float(), labels["values"].float()
        if predicted.shape != wanted.shape:
            raise ValueError(
                f"{type(port).__name__}.project must give the shape of the labels {list(wanted.shape)}, but gives "
                f"{list(predicted.shape)}"
            )
        each = _error(predicted, wanted)
        logits, stop = port.stop(hidden), labels.get("stop")
        if logits is not None and stop is not None:
            refine: Any = getattr(port, "refine", None)
            if refine is not None:
                each = each + _error(refine(predicted, _lengths(stop)).float(), wanted)
            factor = logits.new_tensor(self.positive).float()
            each = each + self.stop_weight * F.binary_cross_entropy_with_logits(
                logits.float(), stop.float(), pos_weight=factor, reduction="none"
            )
        return LossRows.of(each, weights)


def _error(predicted: Tensor, wanted: Tensor) -> Tensor:
    """[n]"""
    away = (predicted - wanted).flatten(1)
    return away.abs().mean(1) + away.square().mean(1)


def _lengths(stop: Tensor) -> Tensor:
    """The rows of each value, int64, from the marks of their last rows [n].

    >>> import torch
    >>> _lengths(torch.tensor([0.0, 1.0, 1.0])).tolist()
    [2, 1]
    """
    ends = stop.nonzero()[:, 0] + 1
    return ends.diff(prepend=ends.new_zeros(1))
