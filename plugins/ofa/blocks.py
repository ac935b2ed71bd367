"""The blocks of `ofa`: attention to the own side, to the source, feed-forward blocks, shared or one per kind."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.cache_step import Step
from ...core.layers import Linear, drop_path, dropout
from ...core.layout import Layout, View
from ...core.relative_bias import RelativeBias, RelativePlan


class Kinds(NamedTuple):
    """Rows sorted by kind: the sorting, its inverse, and how many rows there are of each kind."""

    order: Tensor
    back: Tensor
    counts: list[int]


def sort_kinds(kinds: Tensor, count: int) -> Kinds:
    """Sort rows of `kinds`, int64 [rows], of which there are `count`."""
    order = torch.argsort(kinds, stable=True)
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return Kinds(order, back, torch.bincount(kinds, minlength=count).tolist())


class Side(NamedTuple):
    """What the layers of one side share: its layout, bias plan, sorted kinds and the stream of each row."""

    view: View
    layout: Layout
    plan: RelativePlan | None = None
    kinds: Kinds | None = None
    part: Tensor | None = None


class SelfAttention(nn.Module):
    """Attention of one side to itself.

    Args:
        width: size of a row.
        heads: attention heads.
        kinds: how many ports there are, for the bias.
        source: for the source side.
        relative_bias: learn a bias by relative place.
        head_scale: learn a factor for each head (Shleifer et al., 2021).
        dropout: share of attention to drop in training.
    """

    def __init__(
        self, width: int, heads: int, kinds: int, *, source: bool, relative_bias: bool, head_scale: bool, dropout: float
    ) -> None:
        super().__init__()
        self.heads, self.size, self.dropout = heads, width // heads, dropout
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)
        self.bias = RelativeBias(heads, kinds, source=source) if relative_bias else None
        self.head_scale = nn.Parameter(torch.ones(heads, 1)) if head_scale else None

    def forward(self, x: Tensor, side: Side) -> Tensor:
        """[rows, width] of one side."""
        q, k, v = self._project(x)
        bias = self.bias(side.plan) if self.bias is not None and side.plan is not None else None
        drop = self.dropout if self.training else 0.0
        return _leave(side.layout.attend(q, k, v, side.view, bias, drop), self.head_scale, self.out)

    def step(self, x: Tensor, step: Step, layer: int, index: Tensor | None) -> Tensor:
        """New rows [slots, count, width] towards what their streams have."""
        q, k, v = self._project(x)
        bias = self.bias.looking_back(index) if self.bias is not None and index is not None else None
        return _leave(step.attend_own(layer, q, k, v, bias), self.head_scale, self.out)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, self.size)).unbind(-3)
        return q, k, v


class CrossAttention(nn.Module):
    """Attention of target rows to their source; arguments as in `SelfAttention`."""

    def __init__(self, width: int, heads: int, *, head_scale: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.size, self.dropout = heads, width // heads, dropout
        self.q = Linear(width, width)
        self.kv = Linear(width, 2 * width)
        self.out = Linear(width, width)
        self.head_scale = nn.Parameter(torch.ones(heads, 1)) if head_scale else None

    def forward(self, x: Tensor, memory: Tensor, side: Side) -> Tensor:
        """Target rows [rows, width] towards source rows `memory`."""
        k, v = self.remember(memory)
        drop = self.dropout if self.training else 0.0
        q = self.q(x).unflatten(-1, (self.heads, self.size))
        return _leave(side.layout.attend(q, k, v, "cross", None, drop), self.head_scale, self.out)

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [rows, heads, size] of source rows [rows, width]."""
        k, v = self.kv(memory).unflatten(-1, (2, self.heads, self.size)).unbind(1)
        return k, v

    def step(self, x: Tensor, step: Step, layer: int) -> Tensor:
        """New rows [slots, count, width] towards their source."""
        q = self.q(x).unflatten(-1, (self.heads, self.size))
        return _leave(step.attend_memory(layer, q), self.head_scale, self.out)


def _leave(x: Tensor, head_scale: Tensor | None, out: Linear) -> Tensor:
    """[..., heads, size] through the heads' factors and the output layer."""
    if head_scale is not None:
        x = x * head_scale
    left: Tensor = out(x.flatten(-2))
    return left


class FeedForward(nn.Module):
    """Two linear layers with GELU between, and a LayerNorm inside when `norm`."""

    def __init__(self, width: int, ffn: int, *, norm: bool) -> None:
        super().__init__()
        self.up = Linear(width, ffn)
        self.down = Linear(ffn, width)
        self.norm = nn.LayerNorm(ffn) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """[rows, width]."""
        inner = F.gelu(self.up(x))
        out: Tensor = self.down(inner if self.norm is None else self.norm(inner))
        return out


class Experts(nn.Module):
    """One feed-forward block per kind of row; each runs once over all its rows."""

    def __init__(self, width: int, ffn: int, kinds: int, *, norm: bool) -> None:
        super().__init__()
        self.each = nn.ModuleList(FeedForward(width, ffn, norm=norm) for _ in range(kinds))

    def forward(self, x: Tensor, kinds: Kinds) -> Tensor:
        """[rows, width]; with several ranks, kinds that are absent here run on no rows, so that ranks stay in step."""
        parts = x.index_select(0, kinds.order).split(kinds.counts)
        always = torch.distributed.is_available() and torch.distributed.is_initialized()
        found = [expert(part) for expert, part in zip(self.each, parts, strict=True) if len(part) or always]
        return torch.cat(found).index_select(0, kinds.back) if found else x


class Residual(nn.Module):
    """The way back into the stream of rows: an optional LayerNorm, dropout, and streams that skip the block."""

    def __init__(self, width: int, *, norm: bool, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else None
        self.dropout, self.drop_path = dropout, drop_path

    def forward(self, x: Tensor, branch: Tensor, side: Side | None = None) -> Tensor:
        """`x` plus what a block made of it."""
        if self.norm is not None:
            branch = self.norm(branch)
        branch = dropout(branch, self.dropout, self.training)
        if side is not None and side.part is not None:
            branch = drop_path(branch, side.part, side.layout.streams, self.drop_path, self.training)
        return x + branch
