"""The named sizes of the family, from the tables of its reports and the configurations that were released.

Each is the settings of a decoder. Vocabularies are no setting of a backbone: `VOCABULARY` holds the rows of the table
of words, padding included, as checkpoints of that size have them.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...core.senses import written_sense
from ...core.settings import Value
from .vision_plugin import TOWERS

Size = dict[str, Value]

SMALL, LARGE = 151_936, 152_064
"""Rows of the table of words: of small checkpoints, and of those whose layers were cut over many devices."""


def dense(width: int, ffn: int, layers: int, heads: int, shared: int, **more: Value) -> Size:
    """A decoder of Qwen2 and Qwen2.5: heads of the width's share, biases of queries, keys and values."""
    made: Size = {"width": width, "ffn": ffn, "layers": layers, "heads": heads, "key_heads": shared}
    common: Size = {"positions": 32_768, "rope_base": 1e6, "qkv_bias": True, "prefix": "causal", "typed": False}
    return {**made, **common, **more}


def normed(width: int, ffn: int, layers: int, heads: int, shared: int, **more: Value) -> Size:
    """A decoder of Qwen3: heads of 128, normalised, without biases."""
    own: Size = {"head_size": 128, "qk_norm": True, "qkv_bias": False, "positions": 40_960}
    return dense(width, ffn, layers, heads, shared, **{**own, **more})


def experts(count: int, ffn: int, top: int, *, norm: bool, shared: int = 0) -> Size:
    """A mixture in every layer."""
    over = "batch" if shared else "step"  # Qwen3's report evens out whole steps
    own: Size = {"experts": count, "expert_ffn": ffn, "expert_top": top, "expert_norm": norm}
    return {**own, "shared_ffn": shared, "balance_over": over}


def seeing(size: Size, tower: str, *, rate: float, media: str = "vl", more: tuple[str, ...] = ()) -> Size:
    """A decoder with eyes: places in time, height and width, and the adapters of a tower."""
    clock: dict[str, Value] = {} if tower == "qwen2-vl" else {"clock": "seconds"}
    own = dict(TOWERS[tower])
    senses = (written_sense("qwen_image", own), written_sense("qwen_video", own | clock), *more)
    return {**size, "rope_sections": ("16", "24", "24"), "rope_rate": rate, "media": media, "brings": senses}


TIED: Size = {"untied": False}
APART: Size = {"untied": True}
LOOSE: Size = {"untied": True, "norm_eps": 1e-5}
"""Larger sizes of Qwen2.5 have a larger constant in their norms."""

LONG: Size = {
    "norm_eps": 1e-5,
    "rope_base": 1e7,
    "positions": 1_010_000,
    "dual_chunk": 262_144,
    "dual_chunk_local": 8192,
    "attention_temperature": 262_144,
}
"""What the sizes of Qwen2.5-1M change."""

TEXT_2: Mapping[str, Size] = {
    "0.5b": dense(896, 4864, 24, 14, 2, **TIED),
    "1.5b": dense(1536, 8960, 28, 12, 2, **TIED),
    "7b": dense(3584, 18_944, 28, 28, 4, **APART),
    "72b": dense(8192, 29_568, 80, 64, 8, **APART),
}
TEXT_25: Mapping[str, Size] = {
    "0.5b": TEXT_2["0.5b"],
    "1.5b": TEXT_2["1.5b"],
    "3b": dense(2048, 11_008, 36, 16, 2, **TIED),
    "7b": TEXT_2["7b"],
    "14b": dense(5120, 13_824, 48, 40, 8, **LOOSE),
    "32b": dense(5120, 27_648, 64, 40, 8, **LOOSE),
    "72b": dense(8192, 29_568, 80, 64, 8, **LOOSE),
}
HEARING = ("qwen_audio",)

QWEN15: dict[str, Size] = {
    "moe-a2.7b": dense(2048, 5632, 24, 16, 16, **APART, **experts(60, 1408, 4, norm=False, shared=5632)),
}
QWEN2: dict[str, Size] = {
    **TEXT_2,
    "57b-a14b": dense(3584, 18_944, 28, 28, 4, **APART, **experts(64, 2560, 8, norm=False, shared=20_480)),
    "vl-2b": seeing(TEXT_2["1.5b"], "qwen2-vl", rate=1.0),
    "vl-7b": seeing(TEXT_2["7b"], "qwen2-vl", rate=1.0),
    "vl-72b": seeing(TEXT_2["72b"] | {"norm_eps": 1e-6}, "qwen2-vl", rate=1.0),
}
QWEN25: dict[str, Size] = {
    **TEXT_25,
    **{f"coder-{name}": size for name, size in TEXT_25.items() if name != "72b"},
    **{f"{name}-1m": TEXT_25[name] | LONG for name in ("7b", "14b")},
    "vl-3b": seeing(TEXT_25["3b"], "qwen2.5-vl", rate=2.0),
    "vl-7b": seeing(TEXT_25["7b"], "qwen2.5-vl", rate=2.0),
    "vl-72b": seeing(TEXT_25["72b"] | {"norm_eps": 1e-6}, "qwen2.5-vl", rate=2.0),
    "omni-7b": seeing(TEXT_25["7b"], "qwen2.5-vl", rate=25.0, media="omni", more=HEARING),
}
QWEN3: dict[str, Size] = {
    "0.6b": normed(1024, 3072, 28, 16, 8, **TIED),
    "1.7b": normed(2048, 6144, 28, 16, 8, **TIED),
    "4b": normed(2560, 9728, 36, 32, 8, **TIED),
    "8b": normed(4096, 12_288, 36, 32, 8, **APART),
    "14b": normed(5120, 17_408, 40, 40, 8, **APART),
    "32b": normed(5120, 25_600, 64, 64, 8, **APART),
    "30b-a3b": normed(2048, 6144, 48, 32, 4, **APART, **experts(128, 768, 8, norm=True)),
    "235b-a22b": normed(4096, 12_288, 94, 64, 4, **APART, **experts(128, 1536, 8, norm=True)),
}
SIZES: Mapping[str, dict[str, Size]] = {"qwen1.5": QWEN15, "qwen2": QWEN2, "qwen2.5": QWEN25, "qwen3": QWEN3}

WIDE = ("7b", "14b", "32b", "72b")
VOCABULARY: Mapping[str, int] = {
    f"{family}-{name}": LARGE if family in ("qwen2", "qwen2.5") and set(WIDE) & set(name.split("-")) else SMALL
    for family, sizes in SIZES.items()
    for name in sizes
}
