"""What a mixture came to: each task's share of rows, tokens and supervised tokens, and what batches wasted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..core.batch import Batch

KINDS = ("rows", "tokens", "supervised")


class Realised:
    """Counts over the batches since they were last taken.

    Args:
        tasks: the names of all tasks; one alone has no shares to tell.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)
        self._forget()

    def _forget(self) -> None:
        self._counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self._void = self._rows = self._budget = 0

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        for id in batch.ids:
            self._counts["rows"][id.task] += 1
        self._counts["tokens"].update(batch.tokens)
        for key, count in batch.counts.items():
            self._counts["supervised"][key.rpartition("/")[0]] += count
        real = sum(batch.tokens.values())
        self._void += batch.layout.rows - real
        self._rows += batch.layout.rows
        self._budget += max(batch.budget, batch.layout.rows)

    def take(self) -> dict[str, float]:
        """Shares by name, and zero the counts.

        `share/TASK/rows`, `share/TASK/tokens` and `share/TASK/supervised` sum to 1 over the tasks; `padding` is the
        share of void rows in what was computed, `unfilled` that of the token budget which stayed empty.
        """
        found: dict[str, float] = {}
        if len(self.tasks) > 1:
            for kind, counts in self._counts.items():
                total = max(sum(counts.values()), 1)
                found |= {f"share/{task}/{kind}": counts[task] / total for task in self.tasks}
        found["padding"] = self._void / max(self._rows, 1)
        found["unfilled"] = 1 - self._rows / max(self._budget, 1)
        self._forget()
        return found
