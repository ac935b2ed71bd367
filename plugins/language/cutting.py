"""Cutting structured values: whole rows from the end, then whole columns from the right, then text."""

from __future__ import annotations

from collections.abc import Callable

from .structures import Structure

Count = Callable[[str], int]


def fitted(value: Structure, room: int | None, count: Count) -> str:
    """The text of as many rows as fit; the head stays.

    Where not even the head and one row fit, as many columns of these as fit; where not one does, the whole text of the
    head, which is then cut as text is.

    Raises:
        ValueError: the value may not be cut.

    >>> from .signs import Signs
    >>> table = Structure(rows=[["a", "b"], ["1", "2"], ["3", "4"]], signs=Signs(), head=1, columns=True)
    >>> [fitted(table, room, len) for room in (30, 16, 5)]
    ['a : b | 1 : 2 | 3 : 4', 'a : b | 1 : 2', 'a | 1']
    """
    text = value.text()
    if room is None or count(text) <= room:
        return text
    if value.whole:
        raise ValueError(f"a grid is never cut: it takes {count(text)} tokens, but there is room for {room}")
    least = min(value.head + 1, len(value.rows))
    rows = _most(least, len(value.rows), lambda n: count(value.text(n)) <= room)
    if rows:
        return value.text(rows)
    if value.columns:
        width = max(map(len, value.rows[:least]))
        columns = _most(1, width, lambda n: count(value.text(least, n)) <= room)
        if columns:
            return value.text(least, columns)
    return value.text(least)


def _most(least: int, most: int, fits: Callable[[int], bool]) -> int:
    """The largest number from `least` to `most` that fits, when less fits wherever more does; 0 for none."""
    low, high = least - 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low if low >= least else 0
