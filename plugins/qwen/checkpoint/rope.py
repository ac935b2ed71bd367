"""The rotations of a `config.json`: `rope_parameters` of transformers 5, `rope_theta` and `rope_scaling` of 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....core.errors import BundleError
from ....core.json_values import Values
from ....core.settings import Value

SCALINGS = ("default", "mrope", "linear", "dynamic", "yarn", "llama3")
LENGTHS = ("dynamic", "yarn", "llama3")
"""Scalings that need the length of contexts in training."""

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "yarn": {"attention_factor": "rope_gain", "beta_fast": "rope_fast", "beta_slow": "rope_slow"},
    "llama3": {"low_freq_factor": "rope_low", "high_freq_factor": "rope_high"},
}
"""The entries of a scaling and the settings that they are."""


def read_rope(text: Values, *, theta: float, size: int) -> dict[str, Value]:
    """The settings of rotations.

    Args:
        text: the decoder's entries.
        theta: the base where none is written.
        size: of a head.

    Raises:
        BundleError: a scaling that is not known or lacks its factor, or sections that do not sum to half a head.
    """
    key = "rope_parameters" if text.get("rope_parameters") else "rope_scaling"
    rope = text.inner(key)
    if any(isinstance(value, dict) for value in rope.held.values()):
        raise BundleError(f"{rope.place} must be the same for all layers, but has one entry for each kind of layer")
    kind = str(rope.get("rope_type", rope.get("type", "default")))
    if kind not in SCALINGS:
        raise BundleError(f"{rope.place}: the rope type must be one of {', '.join(SCALINGS)}, but is {kind}")
    if (share := rope.get("partial_rotary_factor", text.get("partial_rotary_factor", 1.0))) != 1.0:
        raise BundleError(f"{rope.place}: `partial_rotary_factor` must be 1, but is {share}")
    made: dict[str, Value] = {"rope_base": rope.number("rope_theta", text.number("rope_theta", theta))}
    if kind not in ("default", "mrope"):
        made |= _scaling(kind, rope, text)
    if rope.get("mrope_section"):
        made["rope_sections"] = _sections(rope, size)
    elif kind == "mrope":
        raise BundleError(f"{rope.place} must have `mrope_section`, but has not")
    return made


def _scaling(kind: str, rope: Values, text: Values) -> dict[str, Value]:
    made: dict[str, Value] = {"rope_scaling": kind, "rope_factor": rope.number("factor")}
    if kind in LENGTHS:
        made["rope_original"] = _original(kind, rope, text)
    for entry, setting in OPTIONS.get(kind, {}).items():
        if rope.get(entry) is not None:
            made[setting] = rope.number(entry)
    for entry in ("mscale", "mscale_all_dim"):
        if rope.get(entry) is not None:
            raise BundleError(f"{rope.place}: `{entry}` cannot be read; give `attention_factor`")
    if kind == "yarn" and not rope.flag("truncate", True):
        made["rope_whole"] = False
    return made


def _original(kind: str, rope: Values, text: Values) -> int:
    longest = text.whole("max_position_embeddings", 32_768)
    return longest if kind == "dynamic" else rope.whole("original_max_position_embeddings", longest)


def _sections(rope: Values, size: int) -> tuple[str, ...]:
    found = rope.wholes("mrope_section")
    if len(found) != 3 or sum(found) != size // 2:
        raise BundleError(
            f"{rope.place}: `mrope_section` must be three numbers that sum to half a head's size, {size // 2}, but is "
            f"{list(found)}"
        )
    return tuple(str(number) for number in found)


def rope_entries(settings: Mapping[str, Value]) -> dict[str, Any]:
    """`rope_parameters` of settings, the other way round.

    >>> rope_entries({"rope_base": 1e6, "rope_scaling": "none"})
    {'rope_theta': 1000000.0, 'rope_type': 'default'}
    """
    kind = settings.get("rope_scaling") or "none"
    made: dict[str, Any] = {
        "rope_theta": settings.get("rope_base", 10_000.0),
        "rope_type": "default" if kind == "none" else kind,
    }
    if kind != "none":
        made["factor"] = settings["rope_factor"]
    if kind in LENGTHS and kind != "dynamic":
        made["original_max_position_embeddings"] = settings["rope_original"]
    for entry, setting in OPTIONS.get(str(kind), {}).items():
        if settings.get(setting) is not None:
            made[entry] = settings[setting]
    if settings.get("rope_whole") is False:
        made["truncate"] = False
    sections = settings.get("rope_sections")
    if isinstance(sections, tuple) and sections:
        made["mrope_section"] = [int(number) for number in sections]
    return made
