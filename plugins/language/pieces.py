"""What is asked of the tokenizers library: load, train, and tell which pieces begin a word."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from ...core.errors import ConfigError

END_NAMES = ("<end>", "</s>", "<eos>", "[EOS]", "<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "[SEP]")
MASK_NAMES = ("<mask>", "[MASK]")
BYTE_BLANKS = tuple(chr(256 + byte) for byte in (9, 10, 13, 32))
"""How byte-level pieces spell tab, newline, return and space; printable bytes spell themselves."""

BLANK = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
WORD = re.compile(f"[{BLANK}]+(?![^{BLANK}])| ?[^{BLANK}]+|[{BLANK}]")
"""Runs that byte-level tokenizers never join: a word with the space before it, or other white space."""


MARK = re.compile(r"<[^<>\s]+>")
"""What an added token that is no special one must look like to be a mark and no piece of text."""


class PieceTable(NamedTuple):
    """What the library is asked once: sizes, marks, and two tables.

    `known` counts the library's own ids, `starts` is bool [vocabulary], `plain` are the ids of text; `mask` is None
    where no id is left for it.
    """

    vocabulary: int
    end: int
    mask: int | None
    known: int
    starts: NDArray[np.bool_]
    plain: NDArray[np.int64]


def load_pieces(content: str) -> tokenizers.Tokenizer:
    """The library's tokenizer of the content of a `tokenizer.json`, made deterministic and free of marks.

    Raises:
        ConfigError: the library cannot read it.
    """
    try:
        inner = tokenizers.Tokenizer.from_str(content)
    except Exception as cause:
        raise ConfigError(f"the tokenizers library cannot read this tokenizer: {cause}") from cause
    inner.no_truncation()
    inner.no_padding()
    inner.encode_special_tokens = True
    if getattr(inner.model, "dropout", None):
        inner.model.dropout = None
    return inner


def piece_table(inner: tokenizers.Tokenizer, end: int | None = None, vocabulary: int | None = None) -> PieceTable:
    """Sizes, marks and word beginnings of a tokenizer.

    Args:
        inner: of the library.
        end: the id that ends a value; by default that of a mark of one of the usual names, else a new one.
        vocabulary: how many ids there are in all, for a table of words that a checkpoint has; by default those of the
            library and the marks that it lacks.

    Raises:
        ConfigError: its vocabulary is empty or larger than `vocabulary`, which leaves no id for the end.
    """
    ids: dict[str, int] = inner.get_vocab(with_added_tokens=True)
    if not ids:
        raise ConfigError("a tokenizer must have a vocabulary, but this one's is empty")
    special = {token.content: id for id, token in inner.get_added_tokens_decoder().items() if token.special}
    known = max(ids.values()) + 1
    if vocabulary is not None and known > vocabulary:
        raise ConfigError(f"a tokenizer of {vocabulary} ids must have none above them, but has {known - 1}")
    given, mask = _named(special, END_NAMES) if end is None else end, _named(special, MASK_NAMES)
    spare = (id for id in itertools.count(known) if id != given)
    end = next(spare) if given is None else given
    mask = next(spare) if mask is None else mask
    if vocabulary is None:
        vocabulary = max(known, end + 1, mask + 1)
    if end >= vocabulary:
        raise ConfigError(
            f"a tokenizer of {vocabulary} ids must have a special token that ends a text, such as {END_NAMES[4]}, but "
            "has none"
        )
    starts = np.ones(vocabulary, dtype=np.bool_)
    begins = _word_test(json.loads(inner.to_str()), ids)
    for piece, id in ids.items():
        starts[id] = begins(piece)
    plain = np.array(sorted(set(ids.values()) - set(special.values())), dtype=np.int64)
    return PieceTable(vocabulary, end, mask if mask < vocabulary else None, known, starts, plain)


def _named(special: Mapping[str, int], names: Sequence[str]) -> int | None:
    return next((special[name] for name in names if name in special), None)


def marks_of(inner: tokenizers.Tokenizer) -> list[tuple[int, str, bool]]:
    """The marks of a tokenizer: ids, names, and whether it calls them special.

    Some, "<think>" and "<|fim_prefix|>" of Qwen's, are not called so and come out of any text that spells them.
    """
    added = inner.get_added_tokens_decoder().items()
    return [(id, t.content, bool(t.special)) for id, t in added if t.special or MARK.fullmatch(t.content)]


def loose_marks(inner: tokenizers.Tokenizer) -> re.Pattern[str] | None:
    """Finds the marks that a tokenizer reads in texts, those that it does not call special; None where none are."""
    names = [re.escape(name) for _, name, special in marks_of(inner) if not special]
    return re.compile("|".join(names)) if names else None


def with_special_marks(inner: tokenizers.Tokenizer) -> str:
    """The content of a tokenizer, all its marks called special."""
    content = json.loads(inner.to_str())
    names = {name for _, name, _ in marks_of(inner)}
    for token in content["added_tokens"]:
        token["special"] = token["special"] or token["content"] in names
    return json.dumps(content, ensure_ascii=False)


def _word_test(content: dict[str, Any], ids: dict[str, int]) -> Any:
    """Whether a piece begins a word, from how this kind of tokenizer marks white space."""
    model = content.get("model") or {}
    if model.get("type") == "WordPiece":
        inside = model.get("continuing_subword_prefix") or "##"
        return lambda piece: not piece.startswith(inside)
    if '"ByteLevel"' in json.dumps([content.get("pre_tokenizer"), content.get("decoder")]):
        return lambda piece: piece[:1] in BYTE_BLANKS or "\xe0" <= piece[:1] <= "\xff"
    if any(piece.startswith("\u2581") for piece in ids):
        return lambda piece: piece.startswith("\u2581")
    return lambda piece: True


def splits_at_blanks(inner: tokenizers.Tokenizer) -> bool:
    """Whether the pieces of a text are those of its `WORD`s, so that words can be remembered one by one."""
    content = json.loads(inner.to_str())
    before = content.get("pre_tokenizer") or {}
    return bool(
        content.get("normalizer") is None
        and before.get("type") == "ByteLevel"
        and before.get("use_regex", True)
        and not before.get("add_prefix_space")
        and content["model"]["type"] == "BPE"
        and all(token.special for token in inner.get_added_tokens_decoder().values())
    )


def trained_bpe(texts: Iterable[str], size: int) -> str:
    """The content of a `tokenizer.json`: byte-level BPE of at most `size` pieces, counted over the texts.

    Raises:
        ConfigError: there is no text.
    """
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size, special_tokens=[], initial_alphabet=sorted(alphabet), show_progress=False
    )
    counted = 0

    def each() -> Iterator[str]:
        nonlocal counted
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"a BPE vocabulary is trained on strings, but one text is {type(text).__name__}")
            counted += bool(text)
            yield text

    with _one_thread():
        inner.train_from_iterator(each(), trainer=trainer)
    if not counted:
        raise ConfigError("a BPE vocabulary must be trained on at least one text, but there is none")
    return str(inner.to_str())


def utf8_of(text: str) -> bytes:
    """The bytes of a text.

    Raises:
        ValueError: it holds half of a surrogate pair.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as cause:
        raise ValueError(
            f"the text must be valid Unicode, but character {cause.start} is half of a surrogate pair "
            f"({text[cause.start]!r})"
        ) from cause


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train without the library's threads: once they ran, it warns at every fork of a loader worker."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
