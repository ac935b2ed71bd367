"""The names of a vision tower's weights: ours relative to the port, theirs relative to the tower (`visual.`).

`{n}` is the number of a layer. The weights behind two names of a pair have one shape.
"""

from __future__ import annotations

from collections.abc import Mapping

Pairs = tuple[tuple[str, str], ...]


def _both(ours: str, theirs: str, parts: tuple[str, ...] = ("weight", "bias")) -> Pairs:
    return tuple((f"{ours}.{part}", f"{theirs}.{part}") for part in parts)


_PATCHES: Pairs = (("patches.weight", "patch_embed.proj.weight"),)
_ATTENTION: Pairs = (
    *_both("blocks.{n}.attention.qkv", "blocks.{n}.attn.qkv"),
    *_both("blocks.{n}.attention.out", "blocks.{n}.attn.proj"),
)
_MERGER: Pairs = (*_both("merger.inner", "merger.mlp.0"), *_both("merger.outer", "merger.mlp.2"))

FULL: Pairs = (
    *_PATCHES,
    *_ATTENTION,
    *_both("blocks.{n}.attention_in", "blocks.{n}.norm1"),
    *_both("blocks.{n}.ffn_in", "blocks.{n}.norm2"),
    *_both("blocks.{n}.inner", "blocks.{n}.mlp.fc1"),
    *_both("blocks.{n}.outer", "blocks.{n}.mlp.fc2"),
    *_both("merger.norm", "merger.ln_q"),
    *_MERGER,
)
"""Qwen2-VL."""

WINDOW: Pairs = (
    *_PATCHES,
    *_ATTENTION,
    *_both("blocks.{n}.attention_in", "blocks.{n}.norm1", ("weight",)),
    *_both("blocks.{n}.ffn_in", "blocks.{n}.norm2", ("weight",)),
    *_both("blocks.{n}.gate", "blocks.{n}.mlp.gate_proj"),
    *_both("blocks.{n}.up", "blocks.{n}.mlp.up_proj"),
    *_both("blocks.{n}.down", "blocks.{n}.mlp.down_proj"),
    *_both("merger.norm", "merger.ln_q", ("weight",)),
    *_MERGER,
)
"""Qwen2.5-VL, and the thinker of Qwen2.5-Omni."""

NAMES: Mapping[str, Pairs] = {"full": FULL, "window": WINDOW}
"""By the setting `design` of the adapter."""
