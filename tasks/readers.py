"""The readers of a model, kept: a closed set becomes a trie once, not at every question."""

from __future__ import annotations

from collections.abc import Callable

from ..core.plan import Plan
from ..core.reader import Reader
from .binding import Bound

KEPT = 8
"""Lines whose readers are kept."""


class Readers:
    """One reader for each task, and those of the lines that were asked last."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[Bound, Reader]] = {}
        self._lines: dict[str, tuple[Plan, Reader]] = {}

    def of_task(self, bound: Bound, make: Callable[[], Reader]) -> Reader:
        """The reader of a task's rows."""
        held = self._tasks.get(bound.task.name)
        if held is None or held[0] is not bound:
            held = self._tasks[bound.task.name] = bound, make()
        return held[1]

    def of_line(self, plan: Plan, make: Callable[[], Reader]) -> Reader:
        """The reader of a line; the one that was not asked for longest goes when there are too many."""
        held = self._lines.pop(plan.text, None)
        if held is None or held[0] != plan:
            held = plan, make()
        self._lines[plan.text] = held
        while len(self._lines) > KEPT:
            del self._lines[next(iter(self._lines))]
        return held[1]

    def clear(self) -> None:
        """Forget all, as when the ports are others."""
        self._tasks.clear()
        self._lines.clear()
