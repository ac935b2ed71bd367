"""The names of an audio tower's weights: ours relative to the port, theirs relative to the tower (`audio_tower.`).

`{n}` is the number of a layer. The weights behind two names of a pair have one shape.
"""

from __future__ import annotations

Pairs = tuple[tuple[str, str], ...]


def _both(ours: str, theirs: str) -> Pairs:
    return tuple((f"{ours}.{part}", f"{theirs}.{part}") for part in ("weight", "bias"))


NAMES: Pairs = (
    *_both("first", "conv1"),
    *_both("second", "conv2"),
    *_both("layers.{n}.attention_in", "layers.{n}.self_attn_layer_norm"),
    *_both("layers.{n}.attention.q", "layers.{n}.self_attn.q_proj"),
    ("layers.{n}.attention.k.weight", "layers.{n}.self_attn.k_proj.weight"),
    *_both("layers.{n}.attention.v", "layers.{n}.self_attn.v_proj"),
    *_both("layers.{n}.attention.out", "layers.{n}.self_attn.out_proj"),
    *_both("layers.{n}.ffn_in", "layers.{n}.final_layer_norm"),
    *_both("layers.{n}.inner", "layers.{n}.fc1"),
    *_both("layers.{n}.outer", "layers.{n}.fc2"),
    *_both("norm", "ln_post"),
    *_both("out", "proj"),
    ("bounds", "audio_bos_eos_token.weight"),
)
"""The thinker of Qwen2.5-Omni."""
