"""What `config.json` says of a decoder before transformers is asked: whether one can be read at all, its width, its
context. Nothing here imports torch or transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...core.errors import BundleError, ConfigError
from ...core.json_values import read_json

INSTALL = "pip install 'omniline[hf]'"
WIDTHS = ("word_embed_proj_dim", "hidden_size", "n_embd", "d_model", "n_embed", "dim")
"""Entries that hold the size of a token's embedding, the first that is there."""
CONTEXTS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length", "seq_length")
"""Entries that hold the most tokens, the first that is there."""
UNSAID = 2048
"""The most tokens of a decoder whose configuration does not say, as with places that are distances alone."""
TOWERS = ("vision_config", "audio_config", "text_config")


def has_library() -> bool:
    """Whether transformers is installed."""
    return find_spec("transformers") is not None


def place_of(path: str) -> Path:
    """The folder that a path means, `~` being the user's own.

    Raises:
        ConfigError: there is none.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is none"
        raise ConfigError(f"the backbone `hf:{path}` must name a folder with a config.json, but {folder} {what}")
    if not (folder / "config.json").is_file():
        raise ConfigError(f"the backbone `hf:{path}` must name a folder with a config.json, but {folder} has none")
    return folder


def read_content(folder: Path) -> dict[str, Any]:
    """What a folder's `config.json` says, judged.

    Raises:
        BundleError: see `judge`, or no JSON object.
    """
    content = read_json(folder / "config.json")
    judge(content, str(folder / "config.json"))
    return content


def judge(content: Mapping[str, Any], place: str) -> None:
    """Refuse what is no decoder of text, or would run code of its own.

    Raises:
        BundleError: it says so itself.
    """
    kind = content.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise BundleError(f"{place} must have `model_type`, but has not")
    if content.get("auto_map"):
        raise BundleError(
            f"{place} has `auto_map`: the architecture `{kind}` is code in that folder or elsewhere, which is never run"
        )
    if content.get("is_encoder_decoder"):
        raise BundleError(f"{place}: `{kind}` is an encoder-decoder, but the backbone `hf` needs a decoder alone")
    if content.get("quantization_config"):
        raise BundleError(f"{place} has `quantization_config`, but the backbone `hf` needs weights of floating point")
    towers = [name for name in TOWERS if isinstance(content.get(name), Mapping)]
    if towers:
        raise BundleError(
            f"{place}: `{kind}` has `{towers[0]}`, but the backbone `hf` needs a decoder of text alone; images and "
            "sounds come in by ports of the line"
        )
    if not has_library():
        raise ConfigError(f"the architecture `{kind}` needs the library transformers: {INSTALL}")


def width_of(content: Mapping[str, Any]) -> int:
    """The size of a token's embedding.

    Raises:
        BundleError: no entry says it.
    """
    found = _first(content, WIDTHS)
    if found is None:
        raise BundleError(f"config.json must have `hidden_size`, but has none of {', '.join(WIDTHS)}")
    return found


def context_of(content: Mapping[str, Any]) -> int:
    """The most tokens of source and target together."""
    found = _first(content, CONTEXTS)
    return UNSAID if found is None else found


def grows(content: Mapping[str, Any]) -> bool:
    """Whether rotations change with the number of tokens, so that keys depend on what comes later.

    >>> grows({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}})
    True
    """
    found = (content.get(name) for name in ("rope_parameters", "rope_scaling"))
    held = [inner for ropes in found if isinstance(ropes, Mapping) for inner in (ropes, *ropes.values())]
    kinds = {ropes.get("rope_type", ropes.get("type")) for ropes in held if isinstance(ropes, Mapping)}
    return bool(kinds & {"dynamic", "longrope", "su"})


def _first(content: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = content.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def parsed(config: str) -> dict[str, Any]:
    """The object that a text of `config.json` holds.

    Raises:
        ConfigError: it holds none.
    """
    try:
        found = json.loads(config)
    except ValueError as cause:
        raise ConfigError(f"the setting `config` of the backbone `hf` must be JSON, but is none: {cause}") from cause
    if not isinstance(found, dict):
        raise ConfigError(f"the setting `config` of the backbone `hf` must be a JSON object, but is {config[:40]!r}")
    return found
