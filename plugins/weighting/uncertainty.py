"""Weights from uncertainty: what is hard to predict weighs less."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Uncertainty(nn.Module):
    """Learns a log-variance s of each objective and descends the sum of exp(-s) loss + s / 2.

    After Kendall, Gal and Cipolla (2018, arXiv:1705.07115), whose weight of a classification is 1 / sigma^2 and whose
    regularisation log sigma.
    """

    def __init__(self, *, keys: Sequence[str]) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(len(keys)))

    def factors(self) -> Tensor:
        """exp(-s) of each objective [keys], without a gradient."""
        return (-self.log_variance.detach()).exp()

    def loss(self, means: Tensor, share: Tensor) -> Tensor:
        """What s learns from: exp(-s) times the losses [keys], and `share` [keys] of s / 2."""
        return ((-self.log_variance).exp() * means + 0.5 * self.log_variance * share).sum()

    def observe(self, sizes: Tensor) -> None:
        """It needs no gradients."""
