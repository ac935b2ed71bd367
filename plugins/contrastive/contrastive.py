"""Symmetric contrastive loss (InfoNCE) between the two sides of a row."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.networks import LossRows

SHARPEST = 100.0
"""The largest inverse temperature, as in CLIP."""


class ContrastiveLoss(nn.Module):
    """The mean of two cross-entropies: each left side finds its right side, each right side its left side.

    van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018; symmetric and with a
    learned temperature as in Radford et al., "Learning Transferable Visual Models", 2021. The rows of one batch on one
    rank compete; a row's only match is itself, also where another row reads the same.
    """

    def __init__(self, *, width: int, temperature: float = 0.07, learned: bool = True, dimension: int = 256) -> None:
        super().__init__()
        self.projection = nn.Linear(width, dimension, bias=False)
        start = torch.tensor(-math.log(temperature))
        if learned:
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start, persistent=False)

    def forward(self, left: Tensor, right: Tensor, weights: Tensor) -> LossRows:
        """Pooled sides [n, width] each, weights [n]."""
        scores = self.similarity(left, right) * self.log_scale.exp().clamp(max=SHARPEST)
        if not len(left):
            return LossRows(scores.sum() * self.log_scale, weights.new_zeros(0))
        own = torch.arange(len(left), device=left.device)
        each = F.cross_entropy(scores, own, reduction="none") + F.cross_entropy(scores.t(), own, reduction="none")
        return LossRows.of(each / 2, weights)

    def similarity(self, left: Tensor, right: Tensor) -> Tensor:
        """Cosines [n, m] of pooled sides [n, width] and [m, width], -1 to 1."""
        return self.embedding(left) @ self.embedding(right).t()

    def embedding(self, pooled: Tensor) -> Tensor:
        """Unit vectors [n, dimension] of pooled sides [n, width]; both sides share the projection."""
        return F.normalize(self.projection(pooled).float(), dim=-1)
