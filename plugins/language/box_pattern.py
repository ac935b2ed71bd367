"""What the texts of boxes and points are, so that whatever is found is one."""

from __future__ import annotations

from typing import Literal

from ...core.pattern import Pattern, among, either, mark, maybe, text, then, times
from .tokenizer import Tokenizer

LONGEST = 32
"""Characters of a label."""
DIGIT, FIRST = among((0x30, 0x39)), among((0x31, 0x39))
BLANKS = times(among((0x20, 0x20), (0x0A, 0x0A), (0x09, 0x09)), 0, 2)
"""What may stand between the parts of JSON: a space, or a new line and a step to the right."""
INNER = among((0x80, 0xBF))
WIDE = either(
    then(among((0xC2, 0xDF)), INNER),
    then(among((0xE0, 0xE0)), among((0xA0, 0xBF)), INNER),
    then(among((0xE1, 0xEC), (0xEE, 0xEF)), INNER, INNER),
    then(among((0xED, 0xED)), among((0x80, 0x9F)), INNER),
    then(among((0xF0, 0xF0)), among((0x90, 0xBF)), INNER, INNER),
    then(among((0xF1, 0xF3)), INNER, INNER, INNER),
    then(among((0xF4, 0xF4)), among((0x80, 0x8F)), INNER, INNER),
)
"""A character of several bytes, see RFC 3629."""
QUOTED = either(WIDE, among((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E)))
BARE = either(WIDE, among((0x20, 0x27), (0x2A, 0x7E)))
BEGINS = either(WIDE, among((0x21, 0x27), (0x2A, 0x2B), (0x2D, 0x7E)))
"""Of a label before pairs, which brackets end and commas part from what stands before."""


def number(digits: int) -> Pattern:
    """A whole number of at most so many digits, none of them in front for nothing."""
    return either(text("0"), then(FIRST, times(DIGIT, 0, digits - 1)))


def json_pattern(key: str, *, count: int, several: bool) -> Pattern:
    """A list of objects, one unless there may be several: `count` numbers under a key, and perhaps a label."""
    comma = then(BLANKS, text(","), BLANKS)
    pixel = number(5)
    numbers = then(text("["), BLANKS, pixel, times(then(comma, pixel), count - 1, count - 1), BLANKS, text("]"))
    colon = then(BLANKS, text(":"), BLANKS)
    label = then(comma, text('"label"'), colon, text('"'), times(QUOTED, 0, LONGEST), text('"'))
    one = then(text("{"), BLANKS, text(f'"{key}"'), colon, numbers, maybe(label), BLANKS, text("}"))
    inner = maybe(then(one, times(then(comma, one), 0, None))) if several else one
    return then(text("["), BLANKS, inner, BLANKS, text("]"))


def pairs_pattern(
    tokenizer: Tokenizer, *, count: int, several: bool, around: tuple[tuple[str, str], tuple[str, str]]
) -> Pattern:
    """Pairs of numbers in brackets with perhaps a label before them, each between its marks where there are such."""
    part = number(3)
    pair = then(text("("), part, text(","), part, text(")"))
    numbers = then(pair, text(","), pair) if count == 4 else pair
    label = then(BEGINS, times(BARE, 0, LONGEST - 1))
    said, placed = (_between(tokenizer, marks, inner) for marks, inner in zip(around, (label, numbers), strict=True))
    one = then(maybe(said), placed)
    return times(one, 0, None) if several else one


def box_pattern(
    tokenizer: Tokenizer,
    *,
    style: Literal["json", "pairs"],
    key: str,
    count: int,
    several: bool,
    around: tuple[tuple[str, str], tuple[str, str]],
) -> Pattern:
    """The texts of one way to write places.

    Args:
        tokenizer: the model's.
        style: see `BoxText`.
        key: under which JSON has the numbers.
        count: how many of them.
        several: whether it is a list of places.
        around: the marks of labels and of places.
    """
    if style == "json":
        return json_pattern(key, count=count, several=several)
    return pairs_pattern(tokenizer, count=count, several=several, around=around)


def _between(tokenizer: Tokenizer, marks: tuple[str, str], inner: Pattern) -> Pattern:
    first, last = (tokenizer.special(name) for name in marks)
    return inner if first is None or last is None else then(mark(first), inner, mark(last))
