"""What stands around texts: the token that a tokenizer begins them with, and the turns of a folder's chat template."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ...core.chat_program import chat_program
from ...core.checkpoint_files import TOKENIZER, TOKENIZER_CONFIG, named_end, template_of
from ...core.errors import BundleError

ASKED, ANSWERED = "@@asked@@", "@@answered@@"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What stands before a source, between the sides and where nothing else stands; and the id that ends a target.

    `plain_before` and `plain_end` are those without turns.
    """

    plain_before: str = ""
    plain_end: int | None = None
    before: str = ""
    between: str = ""
    opening: str = ""
    end: int | None = None


def turns_of(folder: Path, kept: Mapping[str, str], content: Mapping[str, Any], ends: tuple[int, ...]) -> Turns:
    """How the texts of a folder's decoder stand.

    Args:
        folder: for errors.
        kept: its files.
        content: of `config.json`.
        ends: the ids that end a text, the first one first.

    Raises:
        BundleError: the tokenizer cannot be read.
    """
    tokenizer = _tokenizer(folder, kept)
    first = [tokenizer.id_to_token(token) for token in tokenizer.encode("").ids[:1]]
    begin = _token(kept, "bos_token") or _known(tokenizer, content.get("bos_token_id"))
    starts = first[0] if first and first[0] == begin else ""
    end = ends[0] if ends else named_end(folder, tokenizer.get_vocab())
    plain = Turns(plain_before=starts, plain_end=end, before=starts, opening=begin or _known(tokenizer, end), end=end)
    template = template_of(kept)
    return _talking(folder, tokenizer, template, kept, ends, plain) or plain if template else plain


def _tokenizer(folder: Path, kept: Mapping[str, str]) -> Any:
    if TOKENIZER not in kept:
        raise BundleError(
            f"{folder} has no {TOKENIZER}: write one with transformers, AutoTokenizer.from_pretrained(...)."
            "save_pretrained(...)"
        )
    try:
        return Tokenizer.from_str(kept[TOKENIZER])
    except Exception as cause:
        raise BundleError(f"{folder / TOKENIZER} cannot be read: {cause}") from cause


def _known(tokenizer: Any, token: Any) -> str:
    """The text of a token's id; empty where there is none."""
    return (tokenizer.id_to_token(token) or "") if isinstance(token, int) and token >= 0 else ""


def _token(kept: Mapping[str, str], name: str) -> str:
    """A special token that the tokenizer's files name; empty when they name none."""
    for file in (TOKENIZER_CONFIG, "special_tokens_map.json"):
        try:
            found = json.loads(kept[file]).get(name) if file in kept else None
        except (ValueError, AttributeError) as cause:
            raise BundleError(f"{file} must hold a JSON object, but does not: {cause}") from cause
        found = found.get("content") if isinstance(found, dict) else found
        if isinstance(found, str):
            return found
    return ""


def _talking(
    folder: Path, tokenizer: Any, template: str, kept: Mapping[str, str], ends: tuple[int, ...], plain: Turns
) -> Turns | None:
    """The turns of a template, where one of the ids that end a text ends an answer; None where none does."""
    marks = {name: _token(kept, name) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    asks, answers = {"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}
    try:
        program = chat_program(template)
        asked = str(program.render(messages=[asks], add_generation_prompt=True, **marks))
        whole = str(program.render(messages=[asks, answers], add_generation_prompt=False, **marks))
    except Exception as cause:
        text = " ".join(str(cause).split())
        warnings.warn(
            f"{folder}: its chat template cannot be used, so that texts stand without turns: {text}",
            UserWarning,
            stacklevel=2,
        )
        return None
    before, found, between = asked.partition(ASKED)
    if not found or ANSWERED not in whole:
        return None
    behind = tokenizer.encode(whole.partition(ANSWERED)[2], add_special_tokens=False).ids
    end = behind[0] if behind else None
    if end not in ends:
        return None
    if plain.before and not before.startswith(plain.before):
        before = plain.before + before
    return replace(plain, before=before, between=between, end=end)
