"""Noise levels of rows: what tells a network how noisy a value is that it is asked to clean, and how long it is."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .layers import Linear
from .lengths import Lengths

LEVEL = "level"
"""The tensor of an encoded value that holds its rows' noise levels, float32 [rows]; ports never see it."""
NO_LEVEL = -1.0
"""Level of rows that belong to no denoised value."""
WAVES = 32
FASTEST = 1000.0


class Levels(nn.Module):
    """Embeddings of noise levels in 0 (clean) to 1 (noise alone): sines and cosines, then two linear layers.

    The last layer starts at zero, so that at first a level adds nothing.

    Args:
        width: the backbone's.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = Linear(2 * WAVES, width)
        self.outer = Linear(width, width)
        self.lengths = Lengths(width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, level: Tensor) -> Tensor:
        """[rows, width] of levels [rows]; zeros where there is `NO_LEVEL`."""
        waves = torch.linspace(0.0, math.log(FASTEST), WAVES, device=level.device).exp()
        angle = level.float()[:, None] * waves
        out: Tensor = self.outer(nn.functional.silu(self.inner(torch.cat([angle.sin(), angle.cos()], 1))))
        return out * (level >= 0)[:, None]

    def idle(self, hidden: Tensor) -> Tensor:
        """Nought [], made by all weights, so that ranks without a noisy value stay in step; `hidden` [n, width]."""
        nought: Tensor = self(hidden.new_zeros(0)).sum() + self.lengths.out(hidden[:0]).sum()
        return nought
