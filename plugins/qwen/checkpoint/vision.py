"""The vision tower of a checkpoint: the adapters that read its pictures and clips, and the names of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isclose
from pathlib import Path
from typing import Any

from ....core.errors import BundleError
from ....core.json_values import Values
from ....core.opening.pictures import STATISTICS
from ....core.senses import written_sense
from ....core.settings import Value
from ..vision_names import NAMES
from .config import Recipe
from .names import Rule
from .tokens import read_preprocessing

Settings = dict[str, Value]

PLACE = "config.json: `vision_config`"
RATES = {"qwen2_5_vl": 4.0, "qwen2_5_omni_thinker": 25.0, "qwen2_5_omni": 25.0}
"""Places of a second where the configuration does not say it, as transformers has them."""
ACTIVATIONS = {"full": "quick_gelu", "window": "silu"}


def vision_senses(recipe: Recipe, folder: Path) -> tuple[str, ...]:
    """`qwen_image` and `qwen_video` with a folder's settings.

    Raises:
        BundleError: an entry that is missing or not supported.
    """
    tower = tower_settings(recipe)
    seconds: Settings = {} if recipe.family.vision == "qwen2" else {"clock": "seconds"}
    image = tower | _pixels(folder, "image", tower)
    video = tower | _pixels(folder, "video", tower) | seconds
    if recipe.family.audio:  # Omni's processor has limits of its own for clips: those that the adapter starts from
        video = {key: value for key, value in video.items() if key not in ("min_pixels", "max_pixels")}
    return written_sense("qwen_image", image), written_sense("qwen_video", video)


def tower_settings(recipe: Recipe) -> Settings:
    """What shapes the tower's weights.

    Raises:
        BundleError: see `vision_senses`.
    """
    values = Values(recipe.vision, PLACE)
    design = "full" if recipe.family.vision == "qwen2" else "window"
    if (act := values.text("hidden_act", ACTIVATIONS[design])) != ACTIVATIONS[design]:
        raise BundleError(f"{PLACE}: `hidden_act` must be {ACTIVATIONS[design]}, but is {act}")
    if (channels := values.whole("in_channels", values.get("in_chans", 3))) != 3:
        raise BundleError(f"{PLACE}: `in_channels` must be 3, but is {channels}")
    made: Settings = {
        "design": design,
        "depth": values.whole("depth", 32),
        "heads": values.whole("num_heads", 16),
        "patch": values.whole("patch_size", 14),
        "merge": values.whole("spatial_merge_size", 2),
        "temporal_patch": values.whole("temporal_patch_size", 2),
    }
    if design == "full":
        width = values.whole("embed_dim", 1280)
        return made | {"tower_width": width, "ffn": int(width * values.number("mlp_ratio", 4))}
    full = values.wholes("fullatt_block_indexes", (7, 15, 23, 31))
    return made | {
        "tower_width": values.whole("hidden_size", 3584),
        "ffn": values.whole("intermediate_size", 3420),
        "window": values.whole("window_size", 112),
        "full_layers": tuple(str(number) for number in full if number < int(str(made["depth"]))),
    }


def vision_rules(recipe: Recipe) -> tuple[Rule, ...]:
    """The names of the tower's weights; Omni models hold queries, keys and values apart."""
    pairs = NAMES["full" if recipe.family.vision == "qwen2" else "window"]
    return tuple(_rule(f"ports.vision.{ours}", f"visual.{theirs}", apart=recipe.family.audio) for ours, theirs in pairs)


def _rule(ours: str, theirs: str, *, apart: bool) -> Rule:
    if apart and ".qkv." in theirs:
        return Rule(ours, tuple(theirs.replace(".qkv.", f".{part}.") for part in "qkv"), theirs)
    return Rule(ours, (theirs,))


def rule_after(recipe: Recipe) -> str:
    """Where a text goes on behind a clip: as in the library that wrote the checkpoint.

    transformers changed it with version 5; who trained a checkpoint with it trained with the new rule. Omni models and
    all that is older follow the reports.
    """
    version = str(recipe.content.get("transformers_version", ""))
    major = version.partition(".")[0]
    new = major.isdecimal() and int(major) >= 5
    return "sides" if new and recipe.family.vision and not recipe.family.audio else "largest"


def rate_of(recipe: Recipe) -> float:
    """Places for each second of a clip or a sound; 1 where time is counted in pairs of frames."""
    for key in ("position_id_per_seconds", "tokens_per_second"):
        if key in recipe.times:
            return recipe.times[key]
    return RATES.get(recipe.architecture, 1.0)


def _pixels(folder: Path, kind: str, tower: Mapping[str, Value]) -> Settings:
    """How pictures or clips are resized and scaled.

    Raises:
        BundleError: another patch than the tower's, or a scale that has no name.
    """
    found = read_preprocessing(folder, kind)
    for theirs, ours in (("patch_size", "patch"), ("temporal_patch_size", "temporal_patch"), ("merge_size", "merge")):
        if found.get(theirs, tower[ours]) != tower[ours]:
            raise BundleError(
                f"{folder}: the preprocessor's `{theirs}` must be that of the vision tower, {tower[ours]}, but is "
                f"{found[theirs]}"
            )
    read = ("min_pixels", "max_pixels", "fps", "min_frames", "max_frames")
    made: Settings = {key: found[key] for key in read if key in found}
    return made | {"normalise": _scale(folder, found)}


def _scale(folder: Path, found: Mapping[str, Any]) -> str:
    """The name of the means and deviations; those of CLIP where nothing is said."""
    wanted = [found.get(key, known) for key, known in zip(("image_mean", "image_std"), STATISTICS["clip"], strict=True)]
    for name, known in STATISTICS.items():
        if all(_near(own, other) for own, other in zip(wanted, known, strict=True)):
            return name
    raise BundleError(
        f"{folder}: `image_mean` and `image_std` must be those of {', '.join(STATISTICS)}, but are {wanted[0]} and "
        f"{wanted[1]}"
    )


def _near(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(isclose(a, b, abs_tol=1e-6) for a, b in zip(one, other, strict=True))
