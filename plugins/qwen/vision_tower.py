"""The layers of Qwen's vision towers: patches in, tokens out.

`full`: Qwen2-VL (2409.12191): LayerNorm, QuickGELU, every patch sees its whole frame. `window`: Qwen2.5-VL
(2502.13923): RMSNorm, SwiGLU, most layers see windows. Both turn queries and keys by row and column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.attention import attend_groups
from ...core.attention_groups import Group
from ...core.layers import Linear, RMSNorm
from .rotary import Rotary, Turn, rotate

Design = Literal["full", "window"]
EPS = 1e-6
QUICK = 1.702
"""Factor of QuickGELU, x * sigmoid(1.702 x) (Hendrycks and Gimpel, 2016)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerShape:
    """What all layers of a tower have in common.

    Raises:
        ValueError: the heads do not divide the width into sizes of whole quarters, which rows and columns turn by.
    """

    design: Design
    width: int
    heads: int
    ffn: int

    def __post_init__(self) -> None:
        if self.width % (4 * self.heads):
            raise ValueError(
                f"a tower's width must be a multiple of four times its heads, but is {self.width} for {self.heads}"
            )

    @property
    def head_size(self) -> int:
        """Numbers of a head."""
        return self.width // self.heads


def turn_plane(places: Tensor, size: int) -> Turn:
    """Rotations of patches at rows and columns `places` [n, 2]: half of a head's pairs turn by each (RoPE-2D).

    >>> turn_plane(torch.tensor([[0, 3]]), 8).sin.flatten().abs().gt(0).tolist()
    [False, False, True, True]
    """
    speeds = Rotary(size=size // 2).speeds().to(places.device)
    angle = (places[..., None].float() * speeds).flatten(-2)[:, None]
    return Turn(angle.cos(), angle.sin())


class PatchEmbedding(nn.Module):
    """Patches of pixels to rows: a convolution over time, height and width whose steps are its own size."""

    def __init__(self, *, width: int, frames: int, patch: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, 3, frames, patch, patch))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, pixels: Tensor) -> Tensor:
        """Rows [n, width] of patches [n, frames, 3 * patch * patch]; with one frame it stands for all of them."""
        weight = self.weight
        if pixels.shape[1] == 1:
            # A still picture: what it is times the kernel's sum over time. Half the products, the same result.
            kernel = weight.float().sum(2).flatten(1).to(weight.dtype)
        else:
            kernel = weight.transpose(1, 2).flatten(1)
        return F.linear(pixels.flatten(1).to(weight.dtype), kernel)


class PlaneAttention(nn.Module):
    """Attention within frames or windows, turned by row and column."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = Linear(shape.width, 3 * shape.width)
        self.out = Linear(shape.width, shape.width)

    def forward(self, x: Tensor, groups: Sequence[Group], by: Turn) -> Tensor:
        """Rows [n, width] of rows [n, width]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)
        q, k = (rotate(rows.float(), by).to(v.dtype) for rows in (q, k))
        out: Tensor = self.out(attend_groups(q, k, v, groups).flatten(1))
        return out


class FullBlock(nn.Module):
    """A layer of Qwen2-VL's tower."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.attention_in = nn.LayerNorm(shape.width, eps=EPS)
        self.attention = PlaneAttention(shape)
        self.ffn_in = nn.LayerNorm(shape.width, eps=EPS)
        self.inner = Linear(shape.width, shape.ffn)
        self.outer = Linear(shape.ffn, shape.width)

    def forward(self, x: Tensor, groups: Sequence[Group], by: Turn) -> Tensor:
        """Rows [n, width] of rows [n, width]."""
        x = x + self.attention(self.attention_in(x), groups, by)
        inner = self.inner(self.ffn_in(x))
        out: Tensor = x + self.outer(inner * torch.sigmoid(QUICK * inner))
        return out


class WindowBlock(nn.Module):
    """A layer of Qwen2.5-VL's tower."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.attention_in = RMSNorm(shape.width, EPS)
        self.attention = PlaneAttention(shape)
        self.ffn_in = RMSNorm(shape.width, EPS)
        self.gate = Linear(shape.width, shape.ffn)
        self.up = Linear(shape.width, shape.ffn)
        self.down = Linear(shape.ffn, shape.width)

    def forward(self, x: Tensor, groups: Sequence[Group], by: Turn) -> Tensor:
        """Rows [n, width] of rows [n, width]."""
        x = x + self.attention(self.attention_in(x), groups, by)
        inner = self.ffn_in(x)
        out: Tensor = x + self.down(F.silu(self.gate(inner)) * self.up(inner))
        return out


class Merger(nn.Module):
    """Neighbouring patches to one token: a norm of each, then two layers over all of them."""

    def __init__(self, shape: TowerShape, *, group: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shape.width, eps=EPS) if shape.design == "full" else RMSNorm(shape.width, EPS)
        self.inner = Linear(group * shape.width, group * shape.width)
        self.outer = Linear(group * shape.width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [n, width] of patches [n * group, tower's width]."""
        grouped = self.norm(x).reshape(-1, self.inner.in_features)
        out: Tensor = self.outer(F.gelu(self.inner(grouped)))
        return out
