"""What the text of a slot must be, as its codec says it: symbols one after another, either or, and times.

A pattern is small and regular: numbers between brackets, a label. A symbol is a byte, or a mark of the tokenizer. What
is left of a pattern behind a symbol is its derivative (Brzozowski, 1964).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

MARK = 256
"""The mark with the id `i` is the symbol `MARK + i`; what is below is a byte."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these symbols."""

    symbols: frozenset[int]


@dataclass(frozen=True, slots=True)
class Then:
    """One after another; nothing when there are none."""

    parts: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of these; impossible when there are none."""

    parts: frozenset[Pattern]


@dataclass(frozen=True, slots=True)
class Times:
    """The same between `least` and `most` times (None: no most)."""

    part: Pattern
    least: int
    most: int | None


Pattern = OneOf | Then | Either | Times
NOTHING = Then(())
IMPOSSIBLE = Either(frozenset())


class Patterned(Protocol):
    """What a codec offers whose texts are of one pattern, which every search over tokens then keeps to."""

    @property
    def pattern(self) -> Pattern:
        """What every text of the codec is."""
        ...


def text(word: str) -> Pattern:
    """This very text."""
    return then(*(OneOf(frozenset([byte])) for byte in word.encode()))


def mark(id: int) -> Pattern:
    """A token of the tokenizer's that stands for itself."""
    return OneOf(frozenset([MARK + id]))


def among(*ranges: tuple[int, int]) -> Pattern:
    """One byte of these ranges, ends included."""
    return OneOf(frozenset(byte for first, last in ranges for byte in range(first, last + 1)))


def then(*parts: Pattern) -> Pattern:
    """One after another."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Then) else (part,))]
    if IMPOSSIBLE in flat:
        return IMPOSSIBLE
    return flat[0] if len(flat) == 1 else Then(tuple(flat))


def either(*parts: Pattern) -> Pattern:
    """One of these."""
    flat = frozenset(inner for part in parts for inner in (part.parts if isinstance(part, Either) else (part,)))
    return next(iter(flat)) if len(flat) == 1 else Either(flat)


def times(part: Pattern, least: int, most: int | None) -> Pattern:
    """The same again and again."""
    return NOTHING if most == 0 else Times(part, least, most)


def maybe(part: Pattern) -> Pattern:
    """This or nothing."""
    return times(part, 0, 1)


def may_be_empty(pattern: Pattern) -> bool:
    """Whether nothing is of the pattern."""
    if isinstance(pattern, OneOf):
        return False
    if isinstance(pattern, Then):
        return all(may_be_empty(part) for part in pattern.parts)
    if isinstance(pattern, Either):
        return any(may_be_empty(part) for part in pattern.parts)
    return pattern.least == 0 or may_be_empty(pattern.part)


def behind(pattern: Pattern, symbol: int) -> Pattern:
    """What is left of a pattern behind a symbol.

    >>> behind(text("ab"), ord("a")) == text("b"), behind(text("ab"), ord("b")) == IMPOSSIBLE
    (True, True)
    """
    if isinstance(pattern, OneOf):
        return NOTHING if symbol in pattern.symbols else IMPOSSIBLE
    if isinstance(pattern, Either):
        return either(*(behind(part, symbol) for part in pattern.parts))
    if isinstance(pattern, Times):
        most = None if pattern.most is None else pattern.most - 1
        return then(behind(pattern.part, symbol), times(pattern.part, max(pattern.least - 1, 0), most))
    if not pattern.parts:
        return IMPOSSIBLE
    first, rest = pattern.parts[0], then(*pattern.parts[1:])
    found = then(behind(first, symbol), rest)
    return either(found, behind(rest, symbol)) if may_be_empty(first) else found


def sets_of(pattern: Pattern) -> Iterator[frozenset[int]]:
    """The sets of symbols among which a pattern chooses."""
    if isinstance(pattern, OneOf):
        yield pattern.symbols
        return
    parts: Iterable[Pattern] = (pattern.part,) if isinstance(pattern, Times) else pattern.parts
    for part in parts:
        yield from sets_of(part)
