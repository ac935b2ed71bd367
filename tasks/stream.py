"""The stream of training batches as a pure function of (seed, window, step, rank).

A window is a fixed number of rows. Its plan is made from lengths alone, so every worker and every rank can make the
whole of it and encode only its own batches; a position in the stream is two integers and costs nothing to reach. A
row that cannot be read leaves a hole and never shifts what follows.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..core.batch import Batch
from ..core.errors import DataError
from ..core.example import Example, RowId
from ..core.packing import pack
from ..core.reader import Reader
from ..core.seeding import mix, permuted
from ..core.sketch import Sketch
from .binding import Bound

WINDOW = 512


class Position(NamedTuple):
    """Where the stream stands: the next batch is number `step` of window `window`."""

    window: int = 0
    step: int = 0


class Failure(NamedTuple):
    """A row that could not be read: which, where it lies, and the sentence that says why."""

    id: RowId
    place: str
    cause: str


class Drawn(NamedTuple):
    """A row of a window: what it is, the wording drawn for it, its sketch, and the tokens it takes."""

    id: RowId
    wording: int
    sketch: Sketch
    tokens: int


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """The batches of one window, of all ranks; rank r takes numbers r, r + ranks, ..."""

    batches: tuple[tuple[Drawn, ...], ...]
    failures: tuple[Failure, ...]


@dataclass
class _Bin:
    """A batch while it fills."""

    rows: list[Drawn] = field(default_factory=list)
    tokens: int = 0
    source: int = 0
    target: int = 0

    def add(self, row: Drawn, size: tuple[int, int]) -> None:
        self.rows.append(row)
        self.tokens += row.tokens
        self.source, self.target = max(self.source, size[0]), max(self.target, size[1])

    def padded_with(self, size: tuple[int, int] = (0, 0)) -> int:
        """Rows that it takes when padded, with one more row of that size."""
        count = len(self.rows) + (size != (0, 0))
        return count * (max(self.source, size[0]) + max(self.target, size[1]))


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The endless stream of batches of a mixture. Picklable.

    Attributes:
        tasks: the bound tasks by name.
        readers: a reader for each.
        shares: each task's share of rows.
        seed: of every draw.
        batch_tokens: most tokens of a batch, source and target together; a longer row stands alone.
        batch_rows: most rows of a batch, None for no limit.
        padded: padded layouts instead of packed ones; the budget then counts void rows too.
        ranks: how many processes share the stream.
        window: rows a window draws.
    """

    tasks: Mapping[str, Bound]
    readers: Mapping[str, Reader]
    shares: Mapping[str, float]
    seed: int = 0
    batch_tokens: int = 4096
    batch_rows: int | None = None
    padded: bool = False
    ranks: int = 1
    window: int = WINDOW
    _latest: dict[int, WindowPlan] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_latest": {}}

    def rows(self, window: int) -> Iterator[RowId]:
        """The rows that a window draws: exact shares in the long run, each task's pass a permutation of its rows."""
        for name in sorted(self.tasks):
            share = self.shares[name] * self.window
            size = self.tasks[name].size("train")
            for draw in range(int(window * share + 0.5), int((window + 1) * share + 0.5)):
                epoch, place = divmod(draw, size)
                if self.tasks[name].rows["train"].finite:
                    place = permuted(place, size, mix(self.seed, "shuffle", name, epoch))
                else:
                    epoch, place = 0, draw
                yield RowId(name, place, epoch)

    def plan(self, window: int) -> WindowPlan:
        """Measure a window's rows and pack them into batches.

        Raises:
            DataError: a row cannot be read and its task does not skip.
        """
        drawn, failures = [], []
        for id in self.rows(window):
            try:
                drawn.append(self._drawn(id))
            except DataError as cause:
                failures.append(self._failed(id, cause))
        order = np.random.Generator(np.random.SFC64(mix(self.seed, "order", window))).permutation(len(drawn))
        batches = self._packed([drawn[i] for i in order])
        return WindowPlan(batches=tuple(map(tuple, self._even(batches))), failures=tuple(failures))

    def batches(self, start: Position, rank: int = 0, *, worker: int = 0, workers: int = 1) -> Iterator[Batch]:
        """This rank's batches from a position on; with several loader workers, every `workers`-th of them."""
        window, first, number = start.window, start.step, 0
        while True:
            plan = self.planned(window)
            steps = len(plan.batches) // self.ranks
            for step in range(first, steps):
                if number % workers == worker:
                    yield self._batch(plan, window, step, rank, last=step == steps - 1)
                number += 1
            window, first = window + 1, 0

    def planned(self, window: int) -> WindowPlan:
        """The plan of a window, kept while it is the latest: over few rows every epoch begins in the same window."""
        if window not in self._latest:
            plan = self.plan(window)
            self._latest.clear()
            self._latest[window] = plan
        return self._latest[window]

    def _batch(self, plan: WindowPlan, window: int, step: int, rank: int, *, last: bool) -> Batch:
        examples: list[Example] = []
        failures = list(plan.failures) if step == 0 and rank == 0 else []
        for row in plan.batches[step * self.ranks + rank]:
            try:
                examples.append(self._example(row))
            except DataError as cause:
                failures.append(self._failed(row.id, cause))
        batch = pack(examples, self.readers, padded=self.padded)
        after = Position(window + 1, 0) if last else Position(window, step + 1)
        return replace(batch, position=(window, step), after=(after.window, after.step), failures=tuple(failures))

    def _drawn(self, id: RowId) -> Drawn:
        reader, bound = self.readers[id.task], self.tasks[id.task]
        row = bound.read("train", id.row)
        wording = reader.draw(id, self.seed, "train")
        sketch, _ = reader.sketch(row, wording)
        return Drawn(id, wording, sketch, sum(sketch.rows()))

    def _example(self, row: Drawn) -> Example:
        return self.readers[row.id.task].encode(row.sketch, row.id, wording=row.wording, seed=self.seed)

    def _failed(self, id: RowId, cause: DataError) -> Failure:
        bound = self.tasks[id.task]
        if bound.task.on_error == "raise":
            raise bound.placed("train", id.row, cause) from cause
        return Failure(id, bound.rows["train"].place(id.row), str(cause))

    def _packed(self, rows: list[Drawn]) -> list[list[Drawn]]:
        """Best fit in the drawn order: each row goes to the fullest batch that still has room for it."""
        bins: list[_Bin] = []
        open_bins: list[tuple[int, int]] = []
        for row in rows:
            size = row.sketch.rows()
            if self.padded:
                fits = (i for i, (_, n) in enumerate(open_bins) if bins[n].padded_with(size) <= self.batch_tokens)
                at = next(fits, None)
            else:
                found = bisect_left(open_bins, (row.tokens, -1))
                at = found if found < len(open_bins) else None
            number = len(bins) if at is None else open_bins.pop(at)[1]
            if at is None:
                bins.append(_Bin())
            bins[number].add(row, size)
            if self.batch_rows is None or len(bins[number].rows) < self.batch_rows:
                used = bins[number].padded_with() if self.padded else bins[number].tokens
                insort(open_bins, (self.batch_tokens - used, number))
        return [b.rows for b in bins]

    def _even(self, batches: list[list[Drawn]]) -> list[list[Drawn]]:
        """A multiple of the ranks: the largest batches are halved; with too few rows some batches stay empty."""
        while len(batches) % self.ranks or not batches:
            largest = max(range(len(batches)), key=lambda i: len(batches[i]), default=None)
            if largest is None or len(batches[largest]) < 2:
                batches.append([])
                continue
            whole = batches[largest]
            batches[largest], half = whole[: len(whole) // 2], whole[len(whole) // 2 :]
            batches.append(half)
        return batches
