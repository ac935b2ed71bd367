"""The stream of training batches as a pure function of (seed, window, step, rank).

A window is a fixed number of rows. Its plan is made from lengths alone, so every worker and every rank can make the
whole of it and encode only its own batches; a position in the stream is a few numbers and costs nothing to reach. A
row that cannot be read leaves a hole and never shifts what follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import get_worker_info

from ..core.batch import Batch
from ..core.errors import ConfigError, DataError
from ..core.example import Example, RowId
from ..core.packing import pack
from ..core.reader import Reader
from ..core.seeding import mix
from .binding import Bound
from .drawing import WINDOW, Draws, Filled, Position
from .filling import fill, void_share
from .ledger import Failure
from .lengths import Lengths, Size
from .shares import Curve, Leaf, Shares

PAYS = 0.05
"""Packing is left where a padded batch would have less than this share of void rows."""


class Drawn(NamedTuple):
    """A row of a window: what it is, the wording drawn for it, and the rows of the layout that it takes."""

    id: RowId
    wording: int
    size: Size


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """The batches of one window, of all ranks; rank r takes numbers r, r + ranks, ...; and the rows left out."""

    at: Position
    batches: tuple[tuple[Drawn, ...], ...]
    bad: tuple[RowId, ...]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The endless stream of batches of a mixture. Picklable.

    Attributes:
        tasks: the bound tasks by name.
        readers: a reader for each.
        shares: each task's share of rows, constant or over steps.
        seed: of every draw.
        batch_tokens: most tokens of a batch, source and target together; a longer row stands alone.
        batch_rows: most rows of a batch, None for no limit.
        padded: padded layouts instead of packed ones, the budget then counts void rows too; None for packed ones but
            where padding would cost less than 5%.
        ranks: how many processes share the stream.
        window: rows a window draws.
        accumulate: batches of an optimiser step.
        rounds: whether every batch has rows of all tasks.
        lengths: what is known of the rows' sizes.
    """

    tasks: Mapping[str, Bound]
    readers: Mapping[str, Reader]
    shares: Shares | Mapping[str, float]
    seed: int = 0
    batch_tokens: int = 4096
    batch_rows: int | None = None
    padded: bool | None = False
    ranks: int = 1
    window: float = WINDOW
    accumulate: int = 1
    rounds: bool = False
    lengths: Lengths = field(default_factory=lambda: Lengths({}))
    _latest: dict[Position, WindowPlan] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "draws"} | {"_latest": {}}

    @cached_property
    def draws(self) -> Draws:
        """The rows of every window."""
        shares = self.shares if isinstance(self.shares, Shares) else fixed(self.shares)
        return Draws(
            tasks=self.tasks,
            shares=shares,
            seed=self.seed,
            window=self.window,
            accumulate=self.accumulate,
            rounds=self.rounds,
        )

    def plan(self, at: Position) -> WindowPlan:
        """Measure a window's rows and pack them into batches.

        Raises:
            DataError: a row cannot be read and its task does not skip.
        """
        units = self.draws.rows(at)
        sizes: dict[int, list[Drawn]] = {}
        bad: list[RowId] = []
        info = get_worker_info()
        first = len(units) * info.id // info.num_workers if info else 0  # other workers begin elsewhere
        for number in (*range(first, len(units)), *range(first)):
            sizes[number] = [drawn for drawn in map(self._drawn, units[number]) if isinstance(drawn, Drawn)]
            found = {drawn.id for drawn in sizes[number]}
            bad += [id for id in units[number] if id not in found]
        order = np.random.Generator(np.random.SFC64(mix(self.seed, "order", at.window))).permutation(len(units))
        rows = [sizes[i] for i in order if sizes[i]]
        if self.rounds and not at.until:
            self._refuse_long_rounds(rows)
        ways = [*at.cut, self.filled]
        batches = _batched(rows, ways[0])
        for way, then in pairwise(ways):
            batches = _even(batches, way.ranks)[way.ranks * way.steps :]
            if way[1:4] != then[1:4]:
                batches = _batched([[row] for batch in batches for row in batch], then)
        return WindowPlan(at=at, batches=tuple(map(tuple, _even(batches, self.ranks))), bad=tuple(sorted(bad)))

    def _refuse_long_rounds(self, rounds: list[list[Drawn]]) -> None:
        """A round stays in one batch: when none fits, it is too many rows of one task to one of another.

        Raises:
            ConfigError: each is longer than a batch.
        """
        sizes = [sum(row.size.tokens for row in unit) for unit in rounds]
        many = max(map(len, rounds), default=0)
        if sizes and min(sizes) > self.batch_tokens and many > len(self.tasks):
            raise ConfigError(
                f'a round of the strategy "all" takes {min(sizes):,} tokens and more ({many:,} rows, one of the rarest '
                f"task), but a batch {self.batch_tokens:,}: bring the weights nearer together, or raise batch_tokens"
            )

    @property
    def filled(self) -> Filled:
        """How its windows are filled into batches."""
        return Filled(self.ranks, self.batch_tokens, self.batch_rows, bool(self.padded))

    def batches(self, start: Position, rank: int = 0, *, worker: int = 0, workers: int = 1) -> Iterator[Batch]:
        """This rank's batches from a position on; with several loader workers, every `workers`-th of them."""
        at, first, number = start._replace(step=0), start.step, 0
        while True:
            plan = self.planned(at)
            steps = len(plan.batches) // self.ranks
            for step in range(first, steps):
                if number % workers == worker:
                    yield self._batch(plan, step, rank, last=step == steps - 1)
                number += 1
            at, first = self.draws.following(at, steps), 0

    def planned(self, at: Position) -> WindowPlan:
        """The plan of a window, kept while it is the latest: over few rows every epoch begins in the same window."""
        if at not in self._latest:
            plan = self.plan(at)
            self._latest.clear()
            self._latest[at] = plan
        return self._latest[at]

    def _batch(self, plan: WindowPlan, step: int, rank: int, *, last: bool) -> Batch:
        examples: list[Example] = []
        failures = self._left_out(plan) if step == 0 and rank == 0 else []
        rows = plan.batches[step * self.ranks + rank]
        for row in rows:
            try:
                examples.append(self._example(row))
            except DataError as cause:
                failures.append(self._failed(row.id, cause))
        padded = void_share([row.size for row in rows]) < PAYS if self.padded is None else self.padded
        batch = pack(examples, self.readers, padded=padded)
        after = self.draws.following(plan.at, len(plan.batches) // self.ranks) if last else None
        return replace(
            batch,
            position=(plan.at.window, step),
            after=after or plan.at._replace(step=step + 1),
            failures=tuple(failures),
            budget=self.batch_tokens,
        )

    def _left_out(self, plan: WindowPlan) -> list[Failure]:
        """Why rows of a window were left out; they are read again for their causes."""
        failures = []
        for id in plan.bad:
            try:
                self._measured(id, self.readers[id.task].draw(id, self.seed, "train"))
                cause = DataError("it could not be read when its window was planned, but can be now")
            except DataError as found:
                cause = found
            failures.append(self._failed(id, cause))
        return failures

    def _drawn(self, id: RowId) -> Drawn | None:
        """The row with its size; None when it cannot be read and its task skips such rows."""
        wording = self.readers[id.task].draw(id, self.seed, "train")
        known = self.lengths.get(id.task, id.row, wording)
        if known is not None:
            return Drawn(id, wording, known)
        try:
            if self.lengths.known_bad(id.task, id.row, wording):
                return None
            size = self._measured(id, wording)
        except DataError as cause:
            self._failed(id, cause)
            self.lengths.put(id.task, id.row, wording, None)
            return None
        self.lengths.put(id.task, id.row, wording, size)
        return Drawn(id, wording, size)

    def _measured(self, id: RowId, wording: int) -> Size:
        sketch, _ = self.readers[id.task].sketch(self.tasks[id.task].read("train", id.row), wording)
        return Size(*sketch.rows())

    def _example(self, row: Drawn) -> Example:
        reader = self.readers[row.id.task]
        sketch, _ = reader.sketch(self.tasks[row.id.task].read("train", row.id.row), row.wording)
        return reader.encode(sketch, row.id, wording=row.wording, seed=self.seed)

    def _failed(self, id: RowId, cause: DataError) -> Failure:
        bound = self.tasks[id.task]
        if bound.task.on_error == "raise":
            raise bound.placed("train", id.row, cause) from cause
        return Failure.of(id, bound.rows["train"].place(id.row), cause)


def _batched(units: list[list[Drawn]], way: Filled) -> list[list[Drawn]]:
    """Batches of units."""
    sized = [(unit, [row.size for row in unit]) for unit in units]
    filled = fill(sized, tokens=way.tokens, rows=way.rows, padded=way.padded)
    return [[row for unit in batch for row in unit] for batch in filled]


def _even(batches: list[list[Drawn]], ranks: int) -> list[list[Drawn]]:
    """A multiple of the ranks: the largest batches are halved; with too few rows some batches stay empty."""
    out = list(batches)
    while len(out) % ranks or not out:
        largest = max(range(len(out)), key=lambda i: len(out[i]), default=None)
        if largest is None or len(out[largest]) < 2:
            out.append([])
            continue
        whole = out[largest]
        out[largest] = whole[: len(whole) // 2]
        out.append(whole[len(whole) // 2 :])
    return out


def fixed(shares: Mapping[str, float]) -> Shares:
    """Constant shares."""
    return Shares(
        parts=tuple(Leaf(name=n, weight=Curve.of(v, f"the share of `{n}`"), rows=1) for n, v in shares.items())
    )
