"""Encoder and decoder layers of `ofa`, pre-LN."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ...core.cache_step import Step
from .blocks import CrossAttention, Experts, FeedForward, Kinds, Residual, SelfAttention, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What all layers of a network have in common; the fields are the backbone's settings."""

    width: int
    heads: int
    ffn: int
    kinds: int
    dropout: float
    attention_dropout: float
    relative_bias: bool
    head_scale: bool
    attention_norm: bool
    ffn_norm: bool
    modality_experts: bool

    def self_attention(self, *, source: bool) -> SelfAttention:
        return SelfAttention(
            self.width,
            self.heads,
            self.kinds,
            source=source,
            relative_bias=self.relative_bias,
            head_scale=self.head_scale,
            dropout=self.attention_dropout,
        )

    def cross_attention(self) -> CrossAttention:
        return CrossAttention(self.width, self.heads, head_scale=self.head_scale, dropout=self.attention_dropout)

    def feed_forward(self) -> FeedForward | Experts:
        if self.modality_experts:
            return Experts(self.width, self.ffn, self.kinds, norm=self.ffn_norm)
        return FeedForward(self.width, self.ffn, norm=self.ffn_norm)

    def residual(self, *, norm: bool, drop_path: float) -> Residual:
        return Residual(self.width, norm=norm, dropout=self.dropout, drop_path=drop_path)


class EncoderLayer(nn.Module):
    """Attention and a feed-forward block over source rows."""

    def __init__(self, shape: Shape, drop_path: float) -> None:
        super().__init__()
        self.attention_in = nn.LayerNorm(shape.width)
        self.attention = shape.self_attention(source=True)
        self.attention_out = shape.residual(norm=shape.attention_norm, drop_path=drop_path)
        self.ffn_in = nn.LayerNorm(shape.width)
        self.ffn = shape.feed_forward()
        self.ffn_out = shape.residual(norm=False, drop_path=drop_path)

    def forward(self, x: Tensor, side: Side) -> Tensor:
        """[source rows, width]."""
        x = self.attention_out(x, self.attention(self.attention_in(x), side), side)
        out: Tensor = self.ffn_out(x, _run(self.ffn, self.ffn_in(x), side.kinds), side)
        return out


class DecoderLayer(nn.Module):
    """Attention to the target, to the source, and a feed-forward block over target rows."""

    def __init__(self, shape: Shape, drop_path: float) -> None:
        super().__init__()
        self.attention_in = nn.LayerNorm(shape.width)
        self.attention = shape.self_attention(source=False)
        self.attention_out = shape.residual(norm=shape.attention_norm, drop_path=drop_path)
        self.cross_in = nn.LayerNorm(shape.width)
        self.cross = shape.cross_attention()
        self.cross_out = shape.residual(norm=shape.attention_norm, drop_path=drop_path)
        self.ffn_in = nn.LayerNorm(shape.width)
        self.ffn = shape.feed_forward()
        self.ffn_out = shape.residual(norm=False, drop_path=drop_path)

    def forward(self, x: Tensor, memory: Tensor, side: Side) -> Tensor:
        """[target rows, width], with source rows `memory`."""
        x = self.attention_out(x, self.attention(self.attention_in(x), side), side)
        x = self.cross_out(x, self.cross(self.cross_in(x), memory, side), side)
        out: Tensor = self.ffn_out(x, _run(self.ffn, self.ffn_in(x), side.kinds), side)
        return out

    def step(self, x: Tensor, step: Step, layer: int, index: Tensor | None, kinds: Kinds | None) -> Tensor:
        """New rows [slots, count, width]; `index` are the bias entries, see `RelativeBias.looking_back`."""
        x = self.attention_out(x, self.attention.step(self.attention_in(x), step, layer, index))
        x = self.cross_out(x, self.cross.step(self.cross_in(x), step, layer))
        flat = self.ffn_in(x).flatten(0, 1)
        out: Tensor = self.ffn_out(x, _run(self.ffn, flat, kinds).view(x.shape))
        return out


def _run(ffn: nn.Module, x: Tensor, kinds: Kinds | None) -> Tensor:
    out: Tensor = ffn(x) if kinds is None else ffn(x, kinds)
    return out
