"""The tokenizer and the smaller files of a checkpoint's folder: what ends a text, how its pictures are prepared, how it
is sampled from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....core.checkpoint_files import (
    GENERATION,
    PREPROCESSOR,
    TOKENIZER,
    named_end,
    pieces,
    template_of,
    token_ids,
    tokens_in,
)
from ....core.errors import BundleError
from ....core.json_values import Values, read_json_if_any
from .config import Recipe

SYSTEMS = (
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "You are a helpful assistant.",
)
"""What the system says in the families' templates when no system turn is given, the longest first."""


def read_tokenizer(folder: Path, recipe: Recipe) -> str:
    """The content of a tokenizer as `omniline` keeps it: pieces, the id that ends a text, and how many ids there are.

    The end is the first that `generation_config.json` names, else `config.json`, else the tokenizer's own; a text that
    is found ends with any of those that are named.

    Raises:
        BundleError: no `tokenizer.json`, more tokens than the table of words has rows, or an end that is none of them.
    """
    content, ids = tokens_in(folder, recipe.vocabulary)
    stops = [id for id in ends_of(folder, recipe) if id < recipe.vocabulary]
    return pieces(content, recipe.vocabulary, end=end_of(folder, recipe, ids), stops=stops)


def ends_of(folder: Path, recipe: Recipe) -> tuple[int, ...]:
    """The ids that end a text as the folder says, the first one first; empty when it does not."""
    values = Values(read_json_if_any(folder / GENERATION), str(folder / GENERATION))
    return values.wholes("eos_token_id") if values.get("eos_token_id") is not None else recipe.ends


def end_of(folder: Path, recipe: Recipe, ids: Mapping[str, int]) -> int | None:
    """The id that ends a text; None when the folder says nothing of it.

    Raises:
        BundleError: it is none of the ids.
    """
    found = ends_of(folder, recipe)
    if found:
        if found[0] >= recipe.vocabulary:
            if recipe.family.vision:  # the defaults of these classes are ids of the released vocabulary
                return named_end(folder, ids)
            raise BundleError(
                f"{folder}: `eos_token_id` must be below the {recipe.vocabulary} rows of the table of words, but is "
                f"{found[0]}"
            )
        return found[0]
    return named_end(folder, ids)


def frame_of(folder: Path, recipe: Recipe, kept: Mapping[str, str]) -> dict[str, str]:
    """The settings of the frame: chat turns where a chat template is there and turns end a text, else nothing.

    Raises:
        BundleError: a token that the frame needs is missing.
    """
    ids = token_ids(json.loads(kept[TOKENIZER]), folder / TOKENIZER)
    template = template_of(kept)
    ends = {ids.get("<|im_end|>")} & set(ends_of(folder, recipe))
    made = {"marks": "plain", "media": _media(recipe)}
    if template and "<|im_start|>" in template and ends:
        made |= {"marks": "chatml", "system": next((text for text in SYSTEMS if text in template), "")}
    start = next((name for name in ("<|endoftext|>", "<s>") if name in ids), "")
    made["opening"] = start
    needed = ["<|im_start|>", "<|im_end|>"] if made["marks"] == "chatml" else []
    lost = [name for name in needed if name not in ids]
    if lost:
        raise BundleError(f"{folder / TOKENIZER} lacks the special tokens {', '.join(f'`{name}`' for name in lost)}")
    return made


def _media(recipe: Recipe) -> str:
    return "omni" if recipe.family.audio else "vl" if recipe.family.vision else "bare"


def read_preprocessing(folder: Path, kind: str = "image") -> dict[str, Any]:
    """How pictures or clips are prepared: `min_pixels`, `max_pixels`, patch sizes, means and deviations, by our names;
    of clips also `fps`, `min_frames` and `max_frames`.

    transformers 5 writes the pixels as the edges of a size; both spellings are read.

    Args:
        folder: of the checkpoint.
        kind: "image" or "video"; clips fall back on what pictures have.

    Raises:
        BundleError: an entry of the wrong type.
    """
    values = preprocessor(folder, kind)
    size = values.inner("size") if isinstance(values.get("size"), dict) else Values({}, values.place)
    found: dict[str, Any] = {}
    for ours, edge in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge")):
        pixels = values.get(ours, size.get(ours, size.get(edge)))
        if pixels is not None:
            found[ours] = Values({ours: pixels}, values.place).whole(ours)
    for key in ("patch_size", "temporal_patch_size", "merge_size"):
        if values.get(key) is not None:
            found[key] = values.whole(key)
    for key in ("image_mean", "image_std"):
        if values.get(key) is not None:
            found[key] = tuple(float(number) for number in values.get(key))
    return found | (_frames(values) if kind == "video" else {})


def _frames(values: Values) -> dict[str, Any]:
    """Which frames of a clip are read, as far as the preprocessor says it.

    Raises:
        BundleError: an entry of the wrong type, or more frames at least than at most.
    """
    found: dict[str, Any] = {key: values.whole(key) for key in ("min_frames", "max_frames") if values.get(key)}
    if values.get("fps") is not None:
        found["fps"] = values.number("fps")
        if not found["fps"]:
            raise BundleError(f"{values.place}: `fps` must be above 0, but is 0")
    if found.get("min_frames", 0) > found.get("max_frames", found.get("min_frames", 0)):
        raise BundleError(
            f"{values.place}: `min_frames` must be at most `max_frames`, but is {found['min_frames']} of "
            f"{found['max_frames']}"
        )
    return found


def preprocessor(folder: Path, kind: str) -> Values:
    """The entries on how values of a kind are prepared: "image", "video" or "audio"; empty where a folder has none.

    Raises:
        BundleError: a file that cannot be read.
    """
    whole = Values(read_json_if_any(folder / "processor_config.json"), str(folder / "processor_config.json"))
    own = whole.inner("feature_extractor" if kind == "audio" else f"{kind}_processor")
    if own.held:
        return own
    files = ("video_preprocessor_config.json", PREPROCESSOR) if kind == "video" else (PREPROCESSOR,)
    for file in files:
        held = read_json_if_any(folder / file)
        if held:
            return Values(held, str(folder / file))
    return Values({}, str(folder / PREPROCESSOR))
