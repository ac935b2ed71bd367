"""Filling batches to a token budget: best fit over units of rows that stay together."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from .lengths import Size

Unit = TypeVar("Unit")


@dataclass
class _Bin:
    """A batch while it fills: its units, its rows and tokens, and its longest parts."""

    units: list[int] = field(default_factory=list)
    rows: int = 0
    tokens: int = 0
    source: int = 0
    target: int = 0

    def add(self, unit: int, sizes: Sequence[Size]) -> None:
        self.units.append(unit)
        self.rows += len(sizes)
        for size in sizes:
            self.tokens += size.tokens
            self.source, self.target = max(self.source, size.source), max(self.target, size.target)

    def padded_with(self, sizes: Sequence[Size] = ()) -> int:
        """Rows that it takes when padded, with one more unit of these sizes."""
        source = max([self.source, *(size.source for size in sizes)])
        target = max([self.target, *(size.target for size in sizes)])
        return (self.rows + len(sizes)) * (source + target)


def fill(
    units: Iterable[tuple[Unit, Sequence[Size]]], *, tokens: int, rows: int | None = None, padded: bool = False
) -> list[list[Unit]]:
    """Batches of units, in the order in which they were opened.

    Each unit goes to the fullest batch that still has room for it; one that is longer than the budget stands alone.

    Args:
        units: each with the sizes of its rows.
        tokens: most tokens of a batch; of void ones too when padded.
        rows: most rows of a batch.
        padded: whether batches are filled up to their longest rows.

    >>> fill([(name, [Size(n, 0)]) for name, n in (("a", 6), ("b", 5), ("c", 4), ("d", 5))], tokens=10)
    [['a', 'c'], ['b', 'd']]
    """
    held = list(units)
    bins: list[_Bin] = []
    open_bins: list[tuple[int, int]] = []
    for index, (_, sizes) in enumerate(held):
        wanted = sum(size.tokens for size in sizes)
        at = None
        for place in range(0 if padded else bisect_left(open_bins, (wanted, -1)), len(open_bins)):
            found = bins[open_bins[place][1]]
            crowded = rows is not None and found.rows + len(sizes) > rows
            if not crowded and (not padded or found.padded_with(sizes) <= tokens):
                at = place
                break
        number = len(bins) if at is None else open_bins.pop(at)[1]
        if at is None:
            bins.append(_Bin())
        bins[number].add(index, sizes)
        if rows is None or bins[number].rows < rows:
            used = bins[number].padded_with() if padded else bins[number].tokens
            insort(open_bins, (tokens - used, number))
    return [[held[index][0] for index in found.units] for found in bins]


def void_share(sizes: Sequence[Size]) -> float:
    """The share of void rows of a padded batch.

    >>> void_share([Size(4, 0), Size(2, 0)])
    0.25
    """
    if not sizes:
        return 0.0
    whole = len(sizes) * (max(size.source for size in sizes) + max(size.target for size in sizes))
    return 1 - sum(size.tokens for size in sizes) / whole if whole else 0.0
