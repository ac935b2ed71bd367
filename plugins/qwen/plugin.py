"""The backbone `decoder`: decoder-only, with a prefix mask over the source."""

from __future__ import annotations

from typing import ClassVar

from ...core.backbone import Backbone
from ...core.settings import setting
from ..hookspecs import hookimpl

Size = dict[str, int | float | bool | str]


def _size(width: int, heads: int, shared: int, ffn: int, layers: int) -> Size:
    return {"width": width, "heads": heads, "key_heads": shared, "ffn": ffn, "layers": layers}


class DecoderOnly(Backbone):
    """One stack over source and target (RMSNorm, rotary places, SwiGLU); the source sees itself both ways."""

    build = "omniline.plugins.qwen.network:DecoderNetwork"
    mutual = True
    sizes: ClassVar[dict[str, Size]] = {
        "tiny": _size(256, 4, 4, 704, 4),
        "small": _size(512, 8, 4, 1408, 8),
        "medium": _size(768, 12, 4, 2048, 12),
        "base": _size(1024, 16, 4, 2816, 24),
        "large": _size(2048, 16, 4, 5632, 24),
    }

    width: int = setting(256, at_least=8, help="size of a token's embedding")
    heads: int = setting(4, at_least=1, help="attention heads")
    key_heads: int = setting(4, at_least=1, help="heads of keys and values; must divide the heads")
    head_size: int | None = setting(None, at_least=2, help="size of a head; by default the width over the heads")
    ffn: int = setting(704, at_least=1, help="inner size of the feed-forward blocks")
    layers: int = setting(4, at_least=1, help="layers")
    positions: int = setting(2048, at_least=2, help="most tokens of source and target together")
    rope_base: float = setting(10_000.0, at_least=1, help="slowest rotation of places, in tokens")
    dropout: float = setting(0.0, at_least=0, at_most=0.99, help="share of activations to drop in training")
    attention_dropout: float = setting(0.0, at_least=0, at_most=0.99, help="share of attention to drop in training")
    qk_norm: bool = setting(False, help="RMSNorm of each head's queries and keys")
    qkv_bias: bool = setting(False, help="biases in the projections to queries, keys and values")
    checkpoint: bool = setting(False, help="recompute layers in the backward pass instead of keeping them")

    def context(self) -> int:
        """The most tokens of source and target together."""
        return self.positions


@hookimpl
def backbones() -> dict[str, type[Backbone]]:
    """The plain decoder."""
    return {"decoder": DecoderOnly}
