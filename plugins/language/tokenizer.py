"""Tokenizers: text to token ids and back. One serves a whole model, so all that is written as text shares one port.

Two kinds: bytes, which needs no file, and any `tokenizer.json` of the tokenizers library, which `train_bpe` makes from
texts. Both are plain content (`to_json`, `from_json`), picklable, and remember what they cut lately, because a text is
measured, encoded and often stands on both sides of an instruction.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ConfigError
from ...core.inventory import Inventory
from .inventories import inventory_of
from .pieces import (
    WORD,
    PieceTable,
    load_pieces,
    loose_marks,
    marks_of,
    piece_table,
    splits_at_blanks,
    trained_bpe,
    utf8_of,
    with_special_marks,
)
from .recent import Recent

Ids = NDArray[np.int64]
FORMAT = 1


class Tokenizer(ABC):
    """Text to ids and back.

    Attributes:
        vocabulary: how many ids there are, the two marks included.
        end: the id that ends a value on the target side.
        mask: the id that stands for hidden words.
        stops: other ids that end a value when it is found; a checkpoint may name several.
        marks: the names of all marks that are one token, see `special`.
        inventory: what each id writes; a ValueError where that depends on its neighbours.
    """

    vocabulary: int
    end: int
    stops: tuple[int, ...] = ()
    marks: Collection[str] = ()

    def __init__(self) -> None:
        self._recent: Recent[Ids] = Recent()

    @property
    @abstractmethod
    def mask(self) -> int:
        """See above."""

    @abstractmethod
    def _cut(self, text: str) -> Ids: ...

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of these ids; marks are left out, and bytes that are no UTF-8 become the replacement character."""

    @abstractmethod
    def to_json(self) -> str:
        """The tokenizer's whole content; `from_json` makes an equal one."""

    @property
    @abstractmethod
    def starts(self) -> NDArray[np.bool_]:
        """bool [vocabulary]: whether a token begins a word; all of them where words are not known."""

    @property
    @abstractmethod
    def plain(self) -> Ids:
        """The ids that stand for text."""

    @abstractmethod
    def _inventory(self) -> Inventory: ...

    inventory: cached_property[Inventory] = cached_property(lambda self: self._inventory())

    def array(self, text: str) -> Ids:
        """The ids of a text, int64 [n], remembered: not to be written to.

        Raises:
            ValueError: the text holds half of a surrogate pair.
        """
        found = self._recent.get(text)
        if found is None:
            found = self._cut(text)
            found.flags.writeable = False
            self._recent.put(text, found)
        return found

    def literal(self, text: str) -> Ids:
        """The ids of a text in which whatever spells a mark is text, int64 [n]: not to be written to.

        `array` leaves out the marks that the tokenizer calls special, and reads others, such as "<think>", as it is
        told to; here no mark comes out of a text.

        Raises:
            ValueError: the text holds half of a surrogate pair.
        """
        return self.array(text)

    def special(self, name: str) -> int | None:
        """The id of a mark that is one token, such as "<|im_start|>"; None when there is none of that name."""
        return None

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without marks.

        >>> ByteTokenizer().encode("hi!")
        [104, 105, 33]
        """
        return [int(i) for i in self.array(text)]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """The ids of several texts."""
        return [self.encode(text) for text in texts]

    @staticmethod
    def from_json(text: str) -> Tokenizer:
        """The tokenizer of what `to_json` wrote, or of the content of any `tokenizer.json`.

        Raises:
            ConfigError: not JSON, another format, or not a tokenizer.
        """
        return _read(text)

    @staticmethod
    def from_file(path: str | Path) -> Tokenizer:
        """The tokenizer of a file, see `from_json`.

        Raises:
            ConfigError: no such file, or its content is no tokenizer.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as cause:
            raise ConfigError(f"the tokenizer file {str(path)!r} cannot be read: {cause}") from cause
        try:
            return _read(text)
        except ConfigError as cause:
            raise ConfigError(f"the tokenizer file {str(path)!r}: {cause}") from cause

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __getstate__(self) -> dict[str, Any]:
        kept = ((name, value) for name, value in self.__dict__.items() if not isinstance(value, Inventory))
        return {name: None if isinstance(value, Recent) else value for name, value in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: Recent() if value is None else value for name, value in state.items()})


class ByteTokenizer(Tokenizer):
    """UTF-8 bytes, then the end mark (256) and the mask (257).

    >>> ByteTokenizer().decode([104, 105, 256])
    'hi'
    """

    vocabulary, end, mask = 258, 256, 257

    def _cut(self, text: str) -> Ids:
        return np.frombuffer(utf8_of(text), dtype=np.uint8).astype(np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(i for i in ids if i < 256).decode("utf-8", errors="replace")

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, "kind": "bytes"})

    @cached_property
    def starts(self) -> NDArray[np.bool_]:
        """White space begins the word after it; so do characters of three bytes and more, mostly scripts without it."""
        ids = np.arange(self.vocabulary)
        return np.isin(ids, [9, 10, 13, 32]) | ((ids >= 0xE0) & (ids < 256))

    @cached_property
    def plain(self) -> Ids:
        return np.arange(256)

    def _inventory(self) -> Inventory:
        return Inventory((*(bytes([byte]) for byte in range(256)), b"", b""), end=self.end)


class PieceTokenizer(Tokenizer):
    """Any tokenizer of the tokenizers library. Marks that it lacks follow after its vocabulary.

    Special tokens that are written out in a text are read as the characters they are.

    Args:
        content: of a `tokenizer.json`.
        end: the id that ends a value; by default that of a mark with one of the usual names.
        vocabulary: how many ids there are, when a checkpoint's table of words has more rows than there are tokens.
        stops: other ids that end a value when it is found.

    Raises:
        ConfigError: the library cannot read it, it is empty, or its ids do not fit the vocabulary.
    """

    def __init__(
        self, content: str, *, end: int | None = None, vocabulary: int | None = None, stops: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self._inner = load_pieces(content)
        table: PieceTable = piece_table(self._inner, end, vocabulary)
        self.vocabulary, self.end, self._mask = table.vocabulary, table.end, table.mask
        self.stops = tuple(dict.fromkeys(stop for stop in stops if stop != self.end))
        if any(not 0 <= stop < self.vocabulary for stop in self.stops):
            raise ConfigError(
                f"the ids that end a text must be below the {self.vocabulary} of the vocabulary, but are {self.stops}"
            )
        given = (("end", end), ("vocabulary", vocabulary), ("stops", list(self.stops) or None))
        self._own = {name: value for name, value in given if value is not None}
        self._known, self._starts, self._plain = table.known, table.starts, table.plain
        self.marks = tuple(name for _, name, _ in marks_of(self._inner))
        self._loose = loose_marks(self._inner)
        self._by_word = splits_at_blanks(self._inner)
        self._words: Recent[list[int]] = Recent()

    def _cut(self, text: str) -> Ids:
        utf8_of(text)
        if not self._by_word:
            return np.array(self._pieces(text), dtype=np.int64)
        ids: list[int] = []
        for word in WORD.findall(text):
            known = self._words.get(word)
            if known is None:
                known = self._pieces(word)
                self._words.put(word, known)
            ids += known
        return np.array(ids, dtype=np.int64)

    def _pieces(self, text: str) -> list[int]:
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        marks = (self.end, self._mask, *self.stops)
        return str(self._inner.decode([int(i) for i in ids if i < self._known and i not in marks]))

    def literal(self, text: str) -> Ids:
        if self._loose is None or not self._loose.search(text):
            return self.array(text)
        return self._strict.array(text)

    @property
    def mask(self) -> int:
        """The id that stands for hidden words.

        Raises:
            ValueError: it has no such mark, and no id is left for one.
        """
        if self._mask is None:
            raise ValueError(
                f"the tokenizer must have a mark for hidden words, such as <mask>, but has none, and all "
                f"{self.vocabulary} ids are taken"
            )
        return self._mask

    def special(self, name: str) -> int | None:
        return self._special.get(name)

    @cached_property
    def _special(self) -> dict[str, int]:
        return {name: id for id, name, _ in marks_of(self._inner)}

    @cached_property
    def _strict(self) -> PieceTokenizer:
        """The same tokenizer with all its marks special, made when a text first spells one."""
        return PieceTokenizer(with_special_marks(self._inner))

    def to_json(self) -> str:
        return self._content

    @cached_property
    def _content(self) -> str:
        content = json.loads(self._inner.to_str())
        return json.dumps({"format": FORMAT, "kind": "pieces", "content": content, **self._own}, ensure_ascii=False)

    @property
    def starts(self) -> NDArray[np.bool_]:
        return self._starts

    @property
    def plain(self) -> Ids:
        return self._plain

    def _inventory(self) -> Inventory:
        return inventory_of(self._inner, ends=(self.end, *self.stops), vocabulary=self.vocabulary)


def train_bpe(texts: Iterable[str], *, size: int = 8192) -> PieceTokenizer:
    """A byte-level BPE tokenizer of these texts; every text has tokens, whatever its script.

    Args:
        texts: what to count.
        size: most entries of the vocabulary, 256 bytes and the two marks included.

    Raises:
        ConfigError: no text, or a size below 258.

    >>> tokenizer = train_bpe(["the cat and the dog and the bird"] * 9, size=270)
    >>> tokenizer.decode(tokenizer.encode("the dog, naïve")), tokenizer.vocabulary
    ('the dog, naïve', 270)
    """
    if size < ByteTokenizer.vocabulary:
        raise ConfigError(f"the size of a BPE vocabulary must be at least {ByteTokenizer.vocabulary}, but is {size}")
    return PieceTokenizer(trained_bpe(texts, size - 2))


def _read(text: str) -> Tokenizer:
    try:
        data = json.loads(text)
    except (ValueError, TypeError, RecursionError) as cause:
        raise ConfigError(f"a tokenizer must be JSON, but its text is broken: {cause}") from cause
    if not isinstance(data, dict):
        raise ConfigError(f"a tokenizer must be a JSON object, but is {type(data).__name__}")
    if "kind" not in data:
        return PieceTokenizer(text)
    if data.get("format") != FORMAT:
        raise ConfigError(f"the tokenizer's format must be {FORMAT}, but is {data.get('format')!r}")
    if data["kind"] == "bytes":
        return ByteTokenizer()
    if data["kind"] == "pieces" and isinstance(data.get("content"), dict):
        end, vocabulary = data.get("end"), data.get("vocabulary")
        if not all(value is None or isinstance(value, int) for value in (end, vocabulary)):
            raise ConfigError(f"a tokenizer's end and vocabulary must be numbers, but are {end!r} and {vocabulary!r}")
        stops = data.get("stops", [])
        if not isinstance(stops, list) or not all(isinstance(stop, int) for stop in stops):
            raise ConfigError(f"a tokenizer's stops must be a list of numbers, but are {stops!r}")
        return PieceTokenizer(json.dumps(data["content"]), end=end, vocabulary=vocabulary, stops=stops)
    raise ConfigError(f'the tokenizer\'s kind must be "bytes" or "pieces" with its content, but is {data["kind"]!r}')
