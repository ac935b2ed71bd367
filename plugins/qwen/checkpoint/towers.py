"""The towers of a checkpoint: the adapters that read pictures, clips and sounds, and the names of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....core.errors import BundleError
from ....core.senses import written_sense
from ....core.settings import Value
from .. import audio_names, vision_names
from .config import Recipe
from .names import Rule, plain
from .tokens import read_preprocessing
from .values import Values

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
SCALINGS: Mapping[tuple[float, ...], str] = {
    CLIP_MEAN: "clip",
    (0.485, 0.456, 0.406): "imagenet",
    (0.5, 0.5, 0.5): "half",
}
"""The means that pictures are scaled by, and the setting that names them."""


def port_slots(recipe: Recipe) -> tuple[str, ...]:
    """Slots whose ports have weights in the folder."""
    seen = ("[IMAGE]",) if recipe.vision else ()
    return (*seen, "[AUDIO]") if recipe.audio else seen


def tower_rules(recipe: Recipe) -> tuple[Rule, ...]:
    """The names of the towers' weights."""
    rules: list[Rule] = []
    if recipe.vision:
        for ours, theirs in vision_names.NAMES[_design(recipe)]:
            rules.append(_vision_rule(f"ports.vision.{ours}", f"visual.{theirs}", apart=recipe.family.audio))
    if recipe.audio:
        rules += plain(*((f"ports.audio.{ours}", f"audio_tower.{theirs}") for ours, theirs in audio_names.NAMES))
    return tuple(rules)


def _vision_rule(ours: str, theirs: str, *, apart: bool) -> Rule:
    """The rule of one pair; Omni's towers hold queries, keys and values `apart`."""
    if apart and ".qkv." in theirs:
        return Rule(ours, tuple(theirs.replace(".qkv.", f".{part}.") for part in "qkv"), theirs)
    return Rule(ours, (theirs,))


def tower_senses(recipe: Recipe, folder: Path) -> tuple[str, ...]:
    """The adapters that a checkpoint brings, with its settings.

    Raises:
        BundleError: an entry is missing or of the wrong type, or pictures are scaled in a way that is not known.
    """
    senses: list[str] = []
    if recipe.vision:
        tower = _vision(recipe, folder)
        image, video = (_pixels(folder, kind) for kind in ("image", "video"))
        clock = "seconds" if recipe.times else "index"
        senses.append(written_sense("qwen_image", {**tower, **image}))
        senses.append(written_sense("qwen_video", {**tower, **video, "clock": clock}))
    if recipe.audio:
        senses.append(written_sense("qwen_audio", _audio(recipe, folder)))
    return tuple(senses)


def _design(recipe: Recipe) -> str:
    return "full" if recipe.family.vision == "qwen2" else "window"


def _vision(recipe: Recipe, folder: Path) -> dict[str, Value]:
    held = Values(recipe.vision, f"{folder / 'config.json'}: vision_config")
    full = recipe.family.vision == "qwen2"
    width = held.whole("embed_dim" if full else "hidden_size")
    made: dict[str, Value] = {
        "design": _design(recipe),
        "depth": held.whole("depth"),
        "tower_width": width,
        "heads": held.whole("num_heads"),
        "ffn": int(width * held.number("mlp_ratio", 4.0)) if full else held.whole("intermediate_size"),
        "patch": held.whole("patch_size", 14),
        "merge": held.whole("spatial_merge_size", 2),
        "temporal_patch": held.whole("temporal_patch_size", 2),
        "normalise": _scaling(folder),
    }
    if not full:
        made["window"] = held.whole("window_size", 112)
        made["full_layers"] = tuple(str(number) for number in held.wholes("fullatt_block_indexes", (7, 15, 23, 31)))
    return made


def _scaling(folder: Path) -> str:
    mean: Any = read_preprocessing(folder).get("image_mean", CLIP_MEAN)
    known = SCALINGS.get(tuple(round(value, 8) for value in mean), "")
    if not known:
        raise BundleError(f"{folder}: `image_mean` must be one of {list(SCALINGS)}, but is {list(mean)}")
    return known


def _pixels(folder: Path, kind: str) -> dict[str, Value]:
    found = read_preprocessing(folder, kind)
    return {key: found[key] for key in ("min_pixels", "max_pixels") if key in found}


def _audio(recipe: Recipe, folder: Path) -> dict[str, Value]:
    held = Values(recipe.audio, f"{folder / 'config.json'}: audio_config")
    return {
        "bands": held.whole("num_mel_bins", 128),
        "channels": held.whole("d_model"),
        "heads": held.whole("encoder_attention_heads"),
        "ffn": held.whole("encoder_ffn_dim"),
        "layers": held.whole("encoder_layers"),
        "block": 2 * held.whole("n_window", 100),
    }
