"""The files beside the weights of a folder in the format of transformers: which are kept, and what they say of tokens,
of a chat template and of sampling."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import BundleError
from .json_values import Values, read_json, read_json_if_any

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
GENERATION, PREPROCESSOR = "generation_config.json", "preprocessor_config.json"
KEPT = (
    "config.json",
    TOKENIZER,
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    GENERATION,
    PREPROCESSOR,
    "video_preprocessor_config.json",
    "processor_config.json",
)
"""Files that a model keeps as they are, so that they are written again."""


def kept_files(folder: Path) -> dict[str, str]:
    """The contents of the files in `KEPT` that the folder has.

    Raises:
        BundleError: one of them is no text.
    """
    found: dict[str, str] = {}
    for name in KEPT:
        if (folder / name).is_file():
            try:
                found[name] = (folder / name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as cause:
                raise BundleError(f"{folder / name} cannot be read: {cause}") from cause
    return found


def tokens_in(folder: Path, vocabulary: int) -> tuple[dict[str, Any], dict[str, int]]:
    """The content of a folder's `tokenizer.json`, and all its tokens with their ids.

    Raises:
        BundleError: no such file, or a token beyond the rows of the table of words, `vocabulary`.
    """
    path = folder / TOKENIZER
    if not path.is_file():
        raise BundleError(
            f"{folder} has no {TOKENIZER}: write one with transformers, AutoTokenizer.from_pretrained(...)."
            "save_pretrained(...)"
        )
    content = read_json(path)
    ids = token_ids(content, path)
    if ids and max(ids.values()) >= vocabulary:
        name = max(ids, key=lambda token: ids[token])
        raise BundleError(
            f"{path}: the token `{name}` has the id {ids[name]}, but the table of words has {vocabulary} rows"
        )
    return content, ids


def pieces(content: Mapping[str, Any], vocabulary: int, *, end: int | None, stops: Iterable[int] = ()) -> str:
    """A tokenizer as `omniline` keeps it: the content of `tokenizer.json`, how many ids there are, which ends a text,
    and which others end one that is found."""
    made: dict[str, Any] = {"format": 1, "kind": "pieces", "content": content, "vocabulary": vocabulary}
    made |= {} if end is None else {"end": end}
    others = [stop for stop in stops if stop != end]
    return json.dumps(made | ({"stops": others} if others else {}), ensure_ascii=False)


def token_ids(content: Mapping[str, Any], path: Path) -> dict[str, int]:
    """All tokens of a `tokenizer.json` with their ids.

    Raises:
        BundleError: it has no vocabulary.
    """
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    added = content.get("added_tokens") or []
    if isinstance(vocabulary, list):  # unigram models list pieces with their scores
        vocabulary = {str(pair[0]): number for number, pair in enumerate(vocabulary)}
    if not isinstance(vocabulary, dict) or not isinstance(added, list):
        raise BundleError(f"{path} must hold a model with a vocabulary, but holds none")
    return {**vocabulary, **{token["content"]: token["id"] for token in added}}


def named_end(folder: Path, ids: Mapping[str, int]) -> int | None:
    """The id of the token that the tokenizer's own files name as the end of a text; None when they name none.

    Raises:
        BundleError: the tokenizer does not have it.
    """
    for file in (TOKENIZER_CONFIG, "special_tokens_map.json"):
        token = read_json_if_any(folder / file).get("eos_token")
        name = token.get("content") if isinstance(token, dict) else token
        if name is None:
            continue
        if name not in ids:
            raise BundleError(f"{folder / file}: `eos_token` is `{name}`, which {TOKENIZER} does not have")
        return ids[name]
    return None


def template_of(kept: Mapping[str, str]) -> str:
    """The chat template of a folder's files; empty when there is none.

    Raises:
        BundleError: a file that should hold it is broken.
    """
    if "chat_template.jinja" in kept:
        return kept["chat_template.jinja"]
    for file in ("chat_template.json", TOKENIZER_CONFIG):
        try:
            found = json.loads(kept[file]).get("chat_template") if file in kept else None
        except (ValueError, AttributeError) as cause:
            raise BundleError(f"{file} must hold a JSON object, but does not: {cause}") from cause
        if isinstance(found, list):  # several by name
            found = next((item.get("template") for item in found if item.get("name") == "default"), None)
        if isinstance(found, str):
            return found
    return ""


def read_sampling(folder: Path) -> dict[str, float | int | bool]:
    """The sampling settings of `generation_config.json`: do_sample, temperature, top_p, top_k, repetition_penalty.

    Raises:
        BundleError: one of them is no number.
    """
    values = Values(read_json_if_any(folder / GENERATION), str(folder / GENERATION))
    found: dict[str, float | int | bool] = {}
    if values.get("do_sample") is not None:
        found["do_sample"] = values.flag("do_sample")
    for key in ("temperature", "top_p", "repetition_penalty"):
        if values.get(key) is not None:
            found[key] = values.number(key)
    if values.get("top_k") is not None:
        found["top_k"] = values.whole("top_k", least=0)
    return found


def pretty(value: Any) -> str:
    """JSON as files of this kind have it."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
