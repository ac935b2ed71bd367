"""What a text must be, as one grammar of the library llguidance: a pattern, a JSON schema, or a grammar in Lark's way.

The library walks a grammar and the bytes of a vocabulary together (Earley's parser over derivatives of regular
expressions) and says at each step which tokens may follow.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import ConfigError
from ...core.extras import needed
from ...core.inventory import Inventory

Ints = np.ndarray[Any, np.dtype[np.int32]]
STARTS = re.compile(r"\bstart\s*(?:\[[^\]]*\])?\s*:")
"""What a grammar has and a path has not."""
BLANKS = " ?"
"""What may stand between the parts of JSON; more of it would let a model write blanks for ever."""
DIGITS = "d"
r"""Of a pattern: `\d` is 0 to 9, not every script's digits."""
BODY = "body"
KEPT = 8
"""Vocabularies and grammars that are remembered."""


def grammar_of(*, regex: str | None = None, json_schema: str | None = None, grammar: str | None = None) -> str | None:
    """The library's grammar of what a text must be; None when it may be anything.

    Args:
        regex: matched by the whole text.
        json_schema: a schema's text, or the path of a file that holds it.
        grammar: a grammar's text, which has a rule `start`, or the path of a file that holds it.

    Raises:
        ConfigError: the library is missing, a file cannot be read, or the library refuses what it says.
    """
    if regex is not None:
        name, made = "regex", f"start: /{_library().regex_to_lark(regex, DIGITS)}/" if regex else 'start: ""'
    elif json_schema is not None:
        name, made = "json_schema", _of_schema(_schema(json_schema))
    elif grammar is not None:
        text = grammar if STARTS.search(grammar) else _read("grammar", grammar, "a grammar with a rule `start`")
        name, made = "grammar", _library().LLMatcher.grammar_from_lark(text)
    else:
        return None
    wrong = _library().LLMatcher.validate_grammar(made)
    if wrong and not wrong.startswith("WARNING"):
        raise ConfigError(f"`{name}` cannot be used: {sentence(wrong)}")
    return str(made)


def sentence(words: str) -> str:
    r"""What the library says in lines, as one: behind "error:" where it says so, else its first.

    >>> sentence("at 1(8): invalid regex\n    (\n    ^\nerror: unclosed group\n")
    'unclosed group'
    """
    lines = [line.strip() for line in words.splitlines() if line.strip()] or [""]
    said = next((line.removeprefix("error:").strip() for line in lines if line.startswith("error:")), "")
    return said or re.sub(r"^(at )?\d+\(\d+\): ", "", lines[0]).split("; following")[0]


class Parse:
    """Where a text stands in a grammar; see `constraint.Matcher`."""

    __slots__ = ("inner",)

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    @property
    def may_end(self) -> bool:
        return bool(self.inner.is_accepting())

    @property
    def wrong(self) -> str:
        return sentence(self.inner.get_error()) if self.inner.is_error() else ""

    def fill(self, row: Ints) -> None:
        self.inner.unsafe_compute_mask_ptr(row.ctypes.data, row.nbytes)

    def take(self, token: int) -> bool:
        return bool(self.inner.try_consume_tokens([token]))

    def copy(self) -> Parse:
        return Parse(self.inner.deep_copy())


def start(grammar: str, inventory: Inventory, *, opens: bool) -> Parse:
    """The start of a text of a grammar, cheap as a copy of one that is kept.

    Args:
        grammar: see `grammar_of`.
        inventory: what the tokens write.
        opens: nothing stands before the text, which then opens with what is lost when it is read.

    Raises:
        ConfigError: the grammar names a mark that the vocabulary lacks, or is too large.
    """
    return Parse(_started(grammar, inventory, opens and bool(inventory.drops)).deep_copy())


@lru_cache(maxsize=KEPT)
def _started(grammar: str, inventory: Inventory, opens: bool) -> Any:
    whole = _whole(grammar, inventory.drops if opens else b"")
    matcher = _library().LLMatcher(_vocabulary(inventory), whole, log_level=0)
    if matcher.is_error():
        why = sentence(matcher.get_error())
        raise ConfigError(f"what the answer must be cannot be said with this tokenizer: {why}")
    return matcher


def _whole(grammar: str, drops: bytes) -> str:
    """The grammar behind some bytes, by which every way to cut a text into tokens may follow: where only one text can
    follow, the library would else have it cut as the tokenizer cuts it."""
    parts = json.loads(grammar)["grammars"] if grammar.startswith("{") else [{"lark_grammar": grammar}]
    parts[0]["name"] = BODY
    first = f'%llguidance {{"no_forcing": true}}\nstart: {json.dumps(drops.decode()) if drops else ""} @{BODY}'
    return json.dumps({"grammars": [{"lark_grammar": first}, *parts]})


class Words:
    """An inventory as the library wants to be told it."""

    bos_token_id = None

    def __init__(self, inventory: Inventory) -> None:
        names = {id: name for name, id in inventory.marks.items()}
        names.setdefault(inventory.end, "<|end of text|>")
        self.eos_token_id = inventory.end
        self.special_token_ids = sorted(names)
        self.tokens = [names[id].encode() if id in names else token for id, token in enumerate(inventory.tokens)]

    def __call__(self, text: bytes | str) -> list[int]:
        """The tokens of a text; never asked for, as no text is forced (see `_whole`)."""
        return []


@lru_cache(maxsize=KEPT)
def _vocabulary(inventory: Inventory) -> Any:
    return _library().LLTokenizer(_library().TokenizerWrapper(Words(inventory)), n_vocab=len(inventory.tokens))


def _library() -> Any:
    return needed("llguidance", "constraints", "`regex`, `json_schema` and `grammar`")


def _schema(written: str) -> dict[str, Any]:
    text = written if written.lstrip()[:1] in ("{", "[", "") else _read("json_schema", written, "a schema's JSON")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise ConfigError(f"`json_schema` must be JSON, but: {cause}") from cause
    if not isinstance(schema, dict):
        raise ConfigError(f"`json_schema` must be a JSON object, but is {type(schema).__name__}")
    return schema


def _of_schema(schema: dict[str, Any]) -> Any:
    return _library().LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_pattern": BLANKS})


def _read(name: str, path: str, what: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as cause:
        shown = path if len(path) <= 60 else path[:57] + "..."
        raise ConfigError(f"`{name}` must be {what}, or the path of a file that holds it, but is {shown!r}") from cause
