"""The backbone `ofa`: an encoder-decoder with the sizes of OFA and OFASys."""

from __future__ import annotations

from typing import ClassVar

from ...core.backbone import Backbone
from ...core.settings import setting
from ..hookspecs import hookimpl

Size = dict[str, int | float | bool | str]


def _size(width: int, heads: int, ffn: int, encoder: int, decoder: int) -> Size:
    return {"width": width, "heads": heads, "ffn": ffn, "encoder_layers": encoder, "decoder_layers": decoder}


class Ofa(Backbone):
    """Transformer encoder and decoder (pre-LN, GELU) with learned places and a relative bias per kind of row."""

    build = "omniline.plugins.ofa.network:OfaNetwork"
    encodes = True
    mutual = True
    sizes: ClassVar[dict[str, Size]] = {
        "tiny": _size(256, 4, 1024, 4, 4),
        "medium": _size(512, 8, 2048, 4, 4),
        "base": _size(768, 12, 3072, 6, 6),
        "large": _size(1024, 16, 4096, 12, 12),
        "huge": _size(1280, 16, 5120, 24, 12),
        "asr_small": _size(256, 4, 2048, 12, 6),
        "asr_base": _size(768, 12, 3072, 12, 6),
        "6b": _size(2560, 32, 10240, 36, 24),
        "8b": _size(2560, 32, 10240, 48, 36),
        "10b": _size(2816, 32, 11264, 48, 36),
    }

    width: int = setting(256, at_least=8, help="size of a token's embedding")
    heads: int = setting(4, at_least=1, help="attention heads; must divide the width")
    ffn: int = setting(1024, at_least=1, help="inner size of the feed-forward blocks")
    encoder_layers: int = setting(4, at_least=0, help="layers that read the source")
    decoder_layers: int = setting(4, at_least=1, help="layers that make the target")
    positions: int = setting(1024, at_least=2, help="most tokens on each side")
    dropout: float = setting(0.1, at_least=0, at_most=0.99, help="share of activations to drop in training")
    attention_dropout: float = setting(0.0, at_least=0, at_most=0.99, help="share of attention to drop in training")
    drop_path: float = setting(0.0, at_least=0, at_most=0.99, help="share of streams that skip the last layer")
    relative_bias: bool = setting(True, help="learned bias of attention by distance, per kind of row")
    head_scale: bool = setting(False, help="a learned factor for each attention head")
    attention_norm: bool = setting(False, help="LayerNorm behind attention")
    ffn_norm: bool = setting(False, help="LayerNorm inside the feed-forward blocks")
    modality_experts: bool = setting(False, help="feed-forward blocks of their own for each kind of row")
    checkpoint: bool = setting(False, help="recompute layers in the backward pass instead of keeping them")

    def context(self) -> tuple[int, int]:
        """The most tokens on the source and on the target side."""
        return (self.positions, self.positions)


@hookimpl
def backbones() -> dict[str, type[Backbone]]:
    """The encoder-decoder."""
    return {"ofa": Ofa}
