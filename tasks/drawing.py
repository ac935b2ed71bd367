"""Which rows a window draws: exact shares in the long run, each task's pass a permutation of its rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..core.example import RowId
from ..core.seeding import mix, permuted
from .binding import Bound
from .shares import Shares, rounds

WINDOW = 512


class Filled(NamedTuple):
    """How a window is filled into batches: for how many ranks, to what budget; and the steps that were taken so."""

    ranks: int
    tokens: int
    rows: int | None
    padded: bool
    steps: int = 0


class Position(NamedTuple):
    """Where the stream stands: the next batch is number `step` of window `window`.

    Shares that change over steps depend on what came before; then the window's beginning is part of the position.

    Attributes:
        began: batches of this rank before the window.
        drawn: rows that each task, in the order of their names, should have drawn before the window; fractions are
            owed. Empty for shares that never changed.
        cut: for a window that was begun in other batches, by ranks or budget: how, and how far.
        until: for a window that was begun with another mixture: rows that each task should have drawn after it.
    """

    window: int = 0
    step: int = 0
    began: int = 0
    drawn: tuple[float, ...] = ()
    cut: tuple[Filled, ...] = ()
    until: tuple[float, ...] = ()

    def refilled(self, before: Filled, now: Filled) -> Position:
        """The same place for other batches: the rest of its window is dealt anew.

        >>> Position(3, 5).refilled(Filled(2, 99, None, False), Filled(3, 99, None, False)).cut
        (Filled(ranks=2, tokens=99, rows=None, padded=False, steps=5),)
        """
        if before == now or not self.step:
            return self
        return self._replace(step=0, cut=(*self.cut, before._replace(steps=self.step)))


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The rows of every window.

    Attributes:
        tasks: the bound tasks by name.
        shares: how often each comes.
        seed: of the shuffles.
        window: rows that a window draws; a fraction is owed to the next.
        accumulate: batches of an optimiser step, in which shares are told.
        rounds: whether rows come in rounds of all tasks.
    """

    tasks: Mapping[str, Bound]
    shares: Shares
    seed: int
    window: float = WINDOW
    accumulate: int = 1
    rounds: bool = False

    @property
    def names(self) -> list[str]:
        """The tasks in their order."""
        return sorted(self.tasks)

    def rows(self, at: Position) -> list[list[RowId]]:
        """The rows of a window in units that stay together: single rows, or rounds."""
        before, after = self.ends(at)
        drawn = {
            name: [self._row(name, draw) for draw in range(round_half(first), round_half(last))]
            for name, first, last in zip(self.names, before, after, strict=True)
        }
        if not self.rounds or at.until:
            return [[id] for ids in drawn.values() for id in ids]
        each = rounds(self.shares.at(at.began // self.accumulate))
        queues = {name: iter(drawn[name]) for name in each}
        count = len(next(iter(drawn[name] for name in each))) // next(iter(each.values()))
        return [[next(queues[name]) for name, rows in each.items() for _ in range(rows)] for _ in range(count)]

    def ends(self, at: Position) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Rows that each task should have drawn before a window and after it."""
        shares = self.shares.at(at.began // self.accumulate)
        added = [shares.get(name, 0.0) * self.window for name in self.names]
        if self.rounds:
            each = rounds(shares)
            count = max(1, round(self.window / sum(each.values())))
            added = [float(count * each.get(name, 0)) for name in self.names]
        if self.shares.constant and not at.drawn:
            return tuple(at.window * n for n in added), tuple((at.window + 1) * n for n in added)
        before = at.drawn or (0.0,) * len(added)
        return before, at.until or tuple(b + n for b, n in zip(before, added, strict=True))

    def following(self, at: Position, steps: int) -> Position:
        """The position after a window of so many batches of this rank."""
        if self.shares.constant and not at.drawn:
            return Position(at.window + 1)
        return Position(at.window + 1, 0, at.began + steps, self.ends(at)[1])

    def _row(self, name: str, draw: int) -> RowId:
        if not self.tasks[name].rows["train"].finite:
            return RowId(name, draw, 0)
        size = self.tasks[name].size("train")
        epoch, place = divmod(draw, size)
        return RowId(name, permuted(place, size, mix(self.seed, "shuffle", name, epoch)), epoch)


def whole_windows(sizes: Iterable[int | None]) -> float:
    """The rows of a window: about 512, and so many that a pass over all rows is whole windows.

    So rows of two passes, over one task or over tasks in proportion to their rows, never meet in a window.

    Args:
        sizes: of each task; None for one whose end is not known.

    >>> whole_windows([100]), whole_windows([1025]), whole_windows([10, None])
    (100.0, 341.6666666666667, 512.0)
    """
    total = 0
    for size in sizes:
        if size is None:
            return float(WINDOW)
        total += size
    return total / math.ceil(total / WINDOW)


def round_half(value: float) -> int:
    """The nearest whole number, halves up."""
    return int(value + 0.5)


def all_rows(units: list[list[RowId]]) -> Iterator[RowId]:
    """The rows of all units."""
    for unit in units:
        yield from unit
