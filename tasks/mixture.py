"""A mixture: which task the next row comes from, as exact shares of a window of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from ..core.errors import ConfigError
from .task import Task

Strategy = Literal["weights", "proportional", "round_robin"]


@dataclass(frozen=True)
class Mixture:
    """Tasks that train together.

    Args:
        tasks: the tasks; names must differ.
        strategy: "weights" takes each task's `weight`; "proportional" multiplies it by the number of its rows;
            "round_robin" gives all tasks the same share.
        temperature: shares are raised to 1/temperature and normalised: above 1 flattens them.

    >>> a, b = (Task(n, "[TEXT:x] -> [TEXT:y]", weight=w) for n, w in (("a", 1.0), ("b", 3.0)))
    >>> Mixture([a, b]).shares({"a": 10, "b": 10})
    {'a': 0.25, 'b': 0.75}
    """

    tasks: Sequence[Task]
    _: KW_ONLY
    strategy: Strategy = "weights"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", tuple(self.tasks))
        names = [task.name for task in self.tasks]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ConfigError(f"task names must differ, but `{sorted(twice)[0]}` is given twice")
        if not names:
            raise ConfigError("a mixture needs at least one task")
        if self.strategy not in ("weights", "proportional", "round_robin"):
            raise ConfigError(f'strategy must be "weights", "proportional" or "round_robin", but is {self.strategy!r}')
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be above 0, but is {self.temperature!r}")

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    def shares(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """Each task's share of rows, given how many rows each has."""
        raw = {task.name: self._raw(task, sizes[task.name]) ** (1 / self.temperature) for task in self.tasks}
        total = sum(raw.values())
        return {name: value / total for name, value in raw.items()}

    def _raw(self, task: Task, size: int) -> float:
        if self.strategy == "round_robin":
            return 1.0
        return task.weight * size if self.strategy == "proportional" else task.weight


def mixture_of(tasks: Mixture | Task | Iterable[Task]) -> Mixture:
    """A mixture from what users pass: one task, several, or a mixture."""
    if isinstance(tasks, Mixture):
        return tasks
    return Mixture([tasks]) if isinstance(tasks, Task) else Mixture(list(tasks))
