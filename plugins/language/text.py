"""The codec of TEXT: strings to tokens and back."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ...core.codec import FORCED, SUPERVISED, Encoded, Reading
from .filling import Filling
from .masking import Ids, add_noise, hide_spans
from .tokenizer import Tokenizer

MARKED = r"<\|[^<>|\s]+\|>|<s>|</s>"
MOST_CHARACTERS = 1 << 24
"""Of one value: what is longer is no text, and would fill the memory of a worker before it is cut."""


class Punctuation(dict[int, int | None]):
    """A table for `str.translate` that drops punctuation, filled as characters are met."""

    def __missing__(self, point: int) -> int | None:
        mark = chr(point)
        drop = mark in string.punctuation or unicodedata.category(mark).startswith("P")
        self[point] = None if drop else point
        return self[point]


class TextCodec:
    """Strings to tokens and back, without loss where the tokenizer has none.

    On the target side the clean tokens and the end mark are the labels; a limit cuts the text and never the mark. With
    `fim` its values are documents, see `filling`: all their tokens but the first are labels, and what is found of one
    continues it, or fills its gap.

    Raises:
        ValueError: `fim` of a tokenizer without its marks, or beside settings that change the text.
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        uncased: bool = False,
        no_punctuation: bool = False,
        mask_ratio: float = 0.0,
        noise_ratio: float = 0.0,
        fim: float = 0.0,
    ) -> None:
        if fim and (uncased or no_punctuation or mask_ratio or noise_ratio):
            raise ValueError("`fim` writes texts as they stand: leave out what changes them")
        self.tokenizer = tokenizer
        self.uncased = uncased
        self.mask_ratio = mask_ratio
        self.noise_ratio = noise_ratio
        self.filling = Filling(tokenizer, fim) if fim else None
        self._drop = Punctuation() if no_punctuation else None

    @property
    def continues(self) -> bool:
        """Whether what is found continues what is given, see `core.conversing`."""
        return self.filling is not None

    @property
    def end(self) -> int:
        """The token that ends what is found."""
        return self.tokenizer.end

    @property
    def stops(self) -> tuple[int, ...]:
        """Other tokens that end it."""
        return self.filling.stops if self.filling else self.tokenizer.stops

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens of the clean text, with its end mark on the target side; hiding spans only takes some away."""
        if self.filling:
            return self.filling.measure(raw, reading)
        rows = len(self._tokens(raw)) + (reading.side == "target")
        return rows if reading.limit is None else min(rows, reading.limit)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a string.

        Raises:
            TypeError: not a string.
            ValueError: not valid Unicode, no room for the end mark, or a target with `mask_ratio`.
        """
        if self.filling:
            return _document(self.filling.encode(raw, reading))
        target = reading.side == "target"
        clean = self._tokens(raw)[: room(reading)]
        given = self._corrupted(clean, reading) if reading.corrupts else clean
        if not target:
            return Encoded(rows=len(given), tensors={"tokens": given.copy() if given is clean else given})
        end = self.tokenizer.end
        return Encoded(
            rows=len(clean) + 1,
            tensors={"tokens": np.append(given, end)},
            labels={"tokens": np.append(clean, end)},
        )

    def opening(self, raw: Any, reading: Reading) -> Encoded:
        """What comes before the answer: a document up to its gap, or to its end where it has none.

        Raises:
            TypeError, ValueError: no document.
        """
        assert self.filling is not None, "asked of documents alone"
        tokens = self.filling.opening(raw, reading.limit)
        return Encoded(rows=len(tokens), tensors={"tokens": tokens})

    def continued(self, raw: Any, found: str) -> str:
        """What was found, alone: what fills the gap, or goes on."""
        return found

    def compared(self, value: Any) -> Any:
        """What metrics compare: of a document with a gap what fills it."""
        return value["middle"] if isinstance(value, Mapping) and "middle" in value else value

    def marked(self, text: str) -> Encoded:
        """A frame's text, in which what spells a special token is that token.

        Raises:
            ValueError: a special token that the tokenizer lacks.
        """
        ids = marked_ids(text, self.tokenizer)
        return Encoded(rows=len(ids), tensors={"tokens": ids})

    def lead(self, raw: Any, reading: Reading) -> str:
        """The text itself: a database looks for its words among its cells."""
        return str(raw)

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> str:
        """The text of predicted tokens."""
        return self.tokenizer.decode(predicted["tokens"].tolist())

    def spell(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return self.tokenizer.decode(tokens)

    def _tokens(self, raw: Any) -> Ids:
        if not isinstance(raw, str):
            raise TypeError(_not_text(raw))
        if len(raw) > MOST_CHARACTERS:
            raise ValueError(f"a text must have at most {MOST_CHARACTERS:,} characters, but has {len(raw):,}")
        text = raw.lower() if self.uncased else raw
        if self._drop is not None:
            text = " ".join(text.translate(self._drop).split())
        return self.tokenizer.array(text)

    def _corrupted(self, ids: Ids, reading: Reading) -> Ids:
        if self.noise_ratio:
            ids = add_noise(ids, self.tokenizer.plain, ratio=self.noise_ratio, random=reading.random("noise"))
        if not self.mask_ratio:
            return ids
        if reading.side == "target":
            raise ValueError(
                "`mask_ratio` hides what is read and cannot hide what is written: use it on the source side, and "
                "`noise_ratio` on the target side"
            )
        return hide_spans(
            ids,
            self.tokenizer.starts[ids],
            mask=self.tokenizer.mask,
            ratio=self.mask_ratio,
            random=reading.random("mask"),
        )


def marked_ids(text: str, tokenizer: Tokenizer) -> Ids:
    """The ids of a text in which `<|name|>`, and whatever spells a special token, is a mark of the tokenizer.

    Raises:
        ValueError: it has no such mark.
    """
    found: list[Ids] = []
    names = sorted((name for name in tokenizer.marks if name in text), key=len, reverse=True)
    known = re.compile("(" + "|".join([*map(re.escape, names), MARKED]) + ")")
    for part in known.split(text):
        if known.fullmatch(part):
            id = tokenizer.special(part)
            if id is None:
                raise ValueError(f"the tokenizer must have the special token `{part}`, but has no such token")
            found.append(np.array([id], dtype=np.int64))
        elif part:
            found.append(tokenizer.array(part))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _document(tokens: Ids) -> Encoded:
    """A document's tokens, all learnt but the first, which nothing stands before."""
    roles = np.full(len(tokens), SUPERVISED, np.uint8)
    roles[:1] = FORCED
    return Encoded(rows=len(tokens), tensors={"tokens": tokens}, labels={"tokens": tokens.copy()}, roles=roles)


def room(reading: Reading) -> int | None:
    """How many tokens of the text itself fit the reading.

    Raises:
        ValueError: not even the end mark fits.
    """
    if reading.limit is None:
        return None
    left = reading.limit - (reading.side == "target")
    if left < 0:
        raise ValueError(f"a limit must leave room for the end mark, 1 token, but is {reading.limit}")
    return left


def _not_text(raw: Any) -> str:
    shown = repr(raw)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    fix = ""
    if isinstance(raw, bytes | bytearray):
        fix = '; decode it, raw.decode("utf-8")'
    elif isinstance(raw, int | float | np.number) or hasattr(raw, "isoformat"):
        fix = f"; convert the column to text, str({raw!r:.40})"
    elif isinstance(raw, list | tuple):
        fix = '; join it, " ".join(...), or put the slot into a group, ( [TEXT:name] )*'
    return f"text must be a string, but is {type(raw).__name__} {shown}{fix}"
