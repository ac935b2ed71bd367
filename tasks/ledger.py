"""The ledger: what became of rows that could not be read. Each is located once, all are counted, and too many stop."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..core.errors import DataError
from ..core.example import RowId

JUDGED_FROM = 100
"""Rows that a share of unreadable ones is judged from."""


Key = tuple[str, str, int]


class Failure(NamedTuple):
    """A row that could not be read: which, where it lies (file and line, shard and member), slot, column, and why."""

    id: RowId
    place: str
    cause: str
    slot: str = ""
    column: str = ""
    split: str = "train"

    @property
    def key(self) -> Key:
        """What makes it the same row."""
        return (self.id.task, self.split, self.id.row)

    @classmethod
    def of(cls, id: RowId, place: str, cause: DataError, split: str = "train") -> Failure:
        """From the error that reading raised."""
        return cls(id, place, str(cause), cause.slot, cause.column, split)

    def as_dict(self) -> dict[str, str | int]:
        """As a line of the ledger's file."""
        return {
            "task": self.id.task,
            "split": self.split,
            "row": self.id.row,
            "place": self.place,
            "slot": self.slot,
            "column": self.column,
            "cause": self.cause,
        }


@dataclass(eq=False)
class Ledger:
    """Counts rows as they are seen.

    Attributes:
        limits: of each task that skips: the share of bad rows below 1, or how many in a row, that stop the run.
        path: takes one JSON line for each row that fails, at once, so that a run that dies has written what it knew.
        failures: each row that failed, once.
        seen: rows of each task that were read or failed, in training.
        bad: those that failed.
        running: bad rows of each task since the last good one.

    A file that is there already is gone on with: what it lists is not listed again.
    """

    limits: Mapping[str, float | int] = field(default_factory=dict)
    path: Path | None = None
    failures: list[Failure] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    running: Counter[str] = field(default_factory=Counter)
    _known: set[Key] = field(default_factory=set)
    _listed: set[Key] | None = None

    def note(self, failures: Sequence[Failure]) -> None:
        """List rows that failed; one that failed before is not listed again."""
        fresh = []
        for failure in failures:
            if failure.key not in self._known:
                self._known.add(failure.key)
                fresh.append(failure)
        self.failures += fresh
        if fresh and self.path is not None:
            self._write(self.path, fresh)

    def _write(self, path: Path, fresh: Sequence[Failure]) -> None:
        if self._listed is None:
            self._listed = listed(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            for failure in fresh:
                if failure.key not in self._listed:
                    file.write(json.dumps(failure.as_dict(), ensure_ascii=False) + "\n")

    def counts(self) -> dict[str, dict[str, int]]:
        """What `max_bad` is judged by, as plain values for a checkpoint."""
        return {"seen": dict(self.seen), "bad": dict(self.bad), "running": dict(self.running)}

    def take_up(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Go on from the counts of a checkpoint."""
        self.seen, self.bad, self.running = (Counter(counts.get(name, {})) for name in ("seen", "bad", "running"))

    def count(self, good: Mapping[str, int], bad: Mapping[str, int]) -> None:
        """Count the rows of one step, over all ranks.

        Raises:
            DataError: more rows of a task are unreadable than it allows.
        """
        for task in {*good, *bad}:
            self.seen[task] += good.get(task, 0) + bad.get(task, 0)
            self.bad[task] += bad.get(task, 0)
            self.running[task] = bad.get(task, 0) + (0 if good.get(task) else self.running[task])
        for task, limit in self.limits.items():
            if bad.get(task):
                self._judge(task, limit)

    def _judge(self, task: str, limit: float | int) -> None:
        in_a_row = isinstance(limit, int)
        share = self.bad[task] / max(self.seen[task], 1)
        if in_a_row and self.running[task] < limit:
            return
        if not in_a_row and (self.seen[task] < JUDGED_FROM or share <= limit):
            return
        found = f"{self.running[task]:,} rows in a row" if in_a_row else f"{share:.2%} of {self.seen[task]:,} rows"
        last = next((f for f in reversed(self.failures) if f.id.task == task), None)
        where = f"; the last: {last.place}: {last.cause}" if last else ""
        raise DataError(
            f"task `{task}`: {found} could not be read, more than max_bad={limit} allows{where}. Mend the rows, "
            "or raise max_bad of the task"
        )

    def summary(self) -> list[str]:
        """One line per task and cause, the most frequent first."""
        return summary(self.failures)


def listed(path: Path) -> set[Key]:
    """The rows that a ledger's file names; a last line that was cut short is ended."""
    if not path.is_file():
        return set()
    found: set[Key] = set()
    text = path.read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told = json.loads(line)
            found.add((str(told["task"]), str(told["split"]), int(told["row"])))
    if text and not text.endswith("\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    return found


def summary(failures: Iterable[Failure]) -> list[str]:
    """One line per task and cause, the most frequent first; what names the row alone does not make two causes."""
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], Failure] = {}
    for failure in failures:
        key = (failure.id.task, failure.cause)
        counts[key] += 1
        first.setdefault(key, failure)
    return [
        f"task `{task}`: {count} {'row' if count == 1 else 'rows'} skipped, first {_where(first[task, cause])}: {cause}"
        for (task, cause), count in counts.most_common()
    ]


def _where(failure: Failure) -> str:
    return failure.place if failure.split in ("train", "predict") else f"{failure.split} {failure.place}"


def report(ledger: Ledger) -> None:
    """Say on standard error what was skipped, if anything was."""
    lines = ledger.summary()
    shown = lines[:20]
    for line in shown:
        sys.stderr.write(f"skipped: {line}\n")
    if len(lines) > len(shown):
        more = f"; all are in {ledger.path}" if ledger.path else ""
        sys.stderr.write(f"skipped: {len(lines) - len(shown)} more causes{more}\n")
