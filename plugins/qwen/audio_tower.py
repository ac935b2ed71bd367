"""The layers of Qwen2.5-Omni's audio tower: the encoder of Whisper, on blocks of a sound (2503.20215, section 2.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.attention import attend_groups
from ...core.attention_groups import Group
from ...core.layers import Linear, products_dtype

SLOWEST = 10_000.0
"""Of the waves that tell places apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerShape:
    """What all layers of a tower have in common.

    Raises:
        ValueError: the heads do not divide the channels, or these are odd.
    """

    channels: int
    heads: int
    ffn: int

    def __post_init__(self) -> None:
        if self.channels % self.heads or self.channels % 2 or self.channels < 4:
            raise ValueError(
                "a tower's channels must be even, at least 4, and a multiple of its heads, but are "
                f"{self.channels} for {self.heads}"
            )


def waves(places: int, channels: int) -> Tensor:
    """float32 [places, channels]: sines, then cosines, of places 0, 1, ... (Vaswani et al., 2017, as Whisper has it).

    >>> waves(2, 4)[0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    step = math.log(SLOWEST) / (channels // 2 - 1)
    speeds = torch.exp(-step * torch.arange(channels // 2).float())
    angle = torch.arange(places)[:, None] * speeds
    return torch.cat([angle.sin(), angle.cos()], 1)


class Convolution(nn.Conv1d):
    """A convolution over time, of kernel 3, that obeys `products`."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        """[n, channels, frames] to [n, channels, ceil(frames / stride)]."""
        dtype = products_dtype()
        if dtype is None or dtype == input.dtype:
            return super().forward(input)
        assert self.bias is not None
        found = F.conv1d(input.to(dtype), self.weight.to(dtype), None, self.stride, self.padding)
        return found.to(input.dtype) + self.bias[:, None]


class Attention(nn.Module):
    """Attention within blocks; keys have no bias."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q = Linear(shape.channels, shape.channels)
        self.k = Linear(shape.channels, shape.channels, bias=False)
        self.v = Linear(shape.channels, shape.channels)
        self.out = Linear(shape.channels, shape.channels)

    def forward(self, x: Tensor, groups: Sequence[Group]) -> Tensor:
        """Rows [n, channels] of rows [n, channels]."""
        size = x.shape[1] // self.heads
        q, k, v = (layer(x).view(-1, self.heads, size) for layer in (self.q, self.k, self.v))
        out: Tensor = self.out(attend_groups(q, k, v, groups).flatten(1))
        return out


class TowerLayer(nn.Module):
    """Attention and a GELU block, each behind a LayerNorm."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.attention_in = nn.LayerNorm(shape.channels)
        self.attention = Attention(shape)
        self.ffn_in = nn.LayerNorm(shape.channels)
        self.inner = Linear(shape.channels, shape.ffn)
        self.outer = Linear(shape.ffn, shape.channels)

    def forward(self, x: Tensor, groups: Sequence[Group]) -> Tensor:
        """Rows [n, channels] of rows [n, channels]."""
        x = x + self.attention(self.attention_in(x), groups)
        out: Tensor = x + self.outer(F.gelu(self.inner(self.ffn_in(x))))
        return out
