"""Layers of a decoder-only network: rotary places, attention with shared key heads, SwiGLU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...core.cache_step import Step
from ...core.kernels.choosing import swiglu
from ...core.layers import Linear, RMSNorm, dropout
from ...core.layout import Layout, View
from .experts import Experts, Mixture, Routed
from .long_cache import attend_chunks
from .long_context import Turns
from .routing import Way


class Blocks(NamedTuple):
    """What of a layer may run compiled: `Attention.project` and `DecoderLayer.dense`, for all layers the same."""

    project: Callable[..., Any]
    dense: Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What all layers of a network have in common; the fields are the backbone's settings."""

    width: int
    heads: int
    key_heads: int
    head_size: int
    ffn: int
    dropout: float
    attention_dropout: float
    qk_norm: bool
    qkv_bias: bool
    out_bias: bool
    ffn_bias: bool
    norm_eps: float
    view: View


class Attention(nn.Module):
    """Attention of the joined view, rotary places and shared key heads."""

    blocks: Blocks | None = None

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q = Linear(shape.width, shape.heads * shape.head_size, bias=shape.qkv_bias)
        self.k = Linear(shape.width, shape.key_heads * shape.head_size, bias=shape.qkv_bias)
        self.v = Linear(shape.width, shape.key_heads * shape.head_size, bias=shape.qkv_bias)
        self.out = Linear(shape.heads * shape.head_size, shape.width, bias=shape.out_bias)
        self.q_norm = RMSNorm(shape.head_size, shape.norm_eps) if shape.qk_norm else None
        self.k_norm = RMSNorm(shape.head_size, shape.norm_eps) if shape.qk_norm else None

    def project(self, x: Tensor, by: Turns) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Versions of the queries, keys and values [..., heads, head size] of rows [..., width], places applied."""
        size = self.shape.head_size
        q = self.q(x).view(*x.shape[:-1], self.shape.heads, size)
        k, v = (layer(x).view(*x.shape[:-1], self.shape.key_heads, size) for layer in (self.k, self.v))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        return *by.turn(q, k), v

    def forward(self, x: Tensor, layout: Layout, by: Turns) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Rows [joined rows, width], and their keys and values."""
        if self.blocks is not None and torch.is_grad_enabled():
            queries, k, v = self.blocks.project(self, x, by)
        else:
            queries, k, v = self.project(x, by)
        drop = self.shape.attention_dropout if self.training else 0.0
        if by.reader is not None:
            found = by.reader.attend(queries, k, v, drop)
        else:
            found = layout.attend(queries[0], k, v, self.shape.view, None, drop)
        return self.out(found.flatten(-2)), (k, v)

    def step(self, x: Tensor, step: Step, layer: int, by: Turns) -> Tensor:
        """New rows [slots, count, width] towards all that their streams have."""
        queries, k, v = self.project(x, by)
        if by.dual is not None:
            found = attend_chunks(step, layer, queries, k, v, by.dual)
        else:
            found = step.attend_both(layer, queries[0], k, v)
        out: Tensor = self.out(found.flatten(-2))
        return out


class DecoderLayer(nn.Module):
    """Attention and a SwiGLU block (Shazeer, 2020) or a mixture of them, each behind an RMSNorm."""

    blocks: Blocks | None = None

    def __init__(self, shape: Shape, mixture: Mixture | None = None) -> None:
        super().__init__()
        self.dropout = shape.dropout
        self.attention_in = RMSNorm(shape.width, shape.norm_eps)
        self.attention = Attention(shape)
        self.ffn_in = RMSNorm(shape.width, shape.norm_eps)
        if mixture is not None:
            self.experts = Experts(mixture)
            return
        self.gate = Linear(shape.width, shape.ffn, bias=shape.ffn_bias)
        self.up = Linear(shape.width, shape.ffn, bias=shape.ffn_bias)
        self.down = Linear(shape.ffn, shape.width, bias=shape.ffn_bias)

    @property
    def mixed(self) -> bool:
        """Whether it has a mixture of experts."""
        return hasattr(self, "experts")

    def forward(
        self, x: Tensor, layout: Layout, by: Turns, way: Way | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Routed | None]:
        """Rows [joined rows, width], their keys and values, and where a mixture sent them."""
        found, memory = self.attention(self.attention_in(x), layout, by)
        out, routed = self._feed(x, dropout(found, self.dropout, self.training), way)
        return out, memory, routed

    def step(
        self, x: Tensor, step: Step, layer: int, by: Turns, way: Way | None = None
    ) -> tuple[Tensor, Routed | None]:
        """New rows [slots, count, width], and where a mixture sent them."""
        found = self.attention.step(self.attention_in(x), step, layer, by)
        if not self.mixed:
            return self._feed(x, found)
        out, routed = self._feed(x.flatten(0, -2), found.flatten(0, -2), way)
        return out.view(x.shape), routed

    def dense(self, x: Tensor, attended: Tensor) -> Tensor:
        """The feed-forward block of a layer without a mixture, behind what attention found."""
        inner, x = self.ffn_in.add(x, attended)
        found = self.down(swiglu(self.gate(inner), self.up(inner)))
        return x + dropout(found, self.dropout, self.training)

    def _feed(self, x: Tensor, attended: Tensor, way: Way | None = None) -> tuple[Tensor, Routed | None]:
        if self.mixed:
            inner, x = self.ffn_in.add(x, attended)
            found, routed = self.experts(inner, way)
            return x + dropout(found, self.dropout, self.training), routed
        if self.blocks is not None and torch.is_grad_enabled():
            return self.blocks.dense(self, x, attended), None
        return self.dense(x, attended), None
