"""A mixture: which task the next row comes from, as exact shares of rows, constant or changing over the steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from ..core.errors import ConfigError
from .shares import STRATEGIES, Curve, Leaf, Shares, Strategy, Weight
from .task import Task


@dataclass(frozen=True)
class Mixture:
    """Tasks that train together.

    Args:
        tasks: tasks and inner mixtures; the names of all tasks must differ.
        strategy: "weights" takes each task's `weight`; "proportional" multiplies it by the number of its rows;
            "round_robin" gives all the same share; "all" is "weights" with rows of every task in every batch (in each
            batch whole rounds, in which the rarest task has one row), as OFASys trains.
        temperature: shares are raised to 1/temperature and normalised: above 1 flattens them.
        weight: its own, inside another mixture; a number, or a mapping from optimiser step to number.

    Raises:
        ConfigError: two tasks of one name, no task, or a wrong setting.

    >>> a, b = (Task(n, "[TEXT:x] -> [TEXT:y]", weight=w) for n, w in (("a", 1.0), ("b", 3.0)))
    >>> Mixture([a, b]).shares({"a": 10, "b": 10})
    {'a': 0.25, 'b': 0.75}
    >>> c = Task("c", "[TEXT:x] -> [TEXT:y]")
    >>> Mixture([Mixture([a, b]), c]).shares({"a": 10, "b": 10, "c": 10})
    {'a': 0.125, 'b': 0.375, 'c': 0.5}
    """

    tasks: Sequence[Task | Mixture]
    _: KW_ONLY
    strategy: Strategy = "weights"
    temperature: float = 1.0
    weight: Weight = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", tuple(self.tasks))
        Curve.of(self.weight, "the weight of a mixture")
        if self.strategy not in STRATEGIES:
            known = ", ".join(f'"{name}"' for name in STRATEGIES)
            raise ConfigError(f"strategy must be one of {known}, but is {self.strategy!r}")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be above 0, but is {self.temperature!r}")
        for part in self.tasks:
            if isinstance(part, Mixture) and part.strategy == "all":
                raise ConfigError('the strategy "all" is for a whole mixture, not for one inside another')
        names = [task.name for task in self]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ConfigError(f"task names must differ, but `{sorted(twice)[0]}` is given twice")
        if not names:
            raise ConfigError("a mixture needs at least one task")

    def __iter__(self) -> Iterator[Task]:
        for part in self.tasks:
            if isinstance(part, Mixture):
                yield from part
            else:
                yield part

    def tree(self, sizes: Mapping[str, int]) -> Shares:
        """The shares over steps of the tasks that have rows, given how many."""
        found: list[Leaf | Shares] = []
        for part in self.tasks:
            if isinstance(part, Mixture):
                inner = part.tree(sizes)
                found += [inner] if inner.parts else []
            elif part.name in sizes:
                found.append(
                    Leaf(
                        name=part.name,
                        weight=Curve.of(part.weight, f"the weight of task `{part.name}`"),
                        rows=sizes[part.name],
                        since=part.since,
                        until=part.until,
                    )
                )
        own = Curve.of(self.weight, "the weight of a mixture")
        return Shares(parts=tuple(found), weight=own, strategy=self.strategy, temperature=self.temperature)

    def shares(self, sizes: Mapping[str, int], *, step: int = 0) -> dict[str, float]:
        """Each task's share of rows at an optimiser step, given how many rows each has; 0 for one without a part."""
        found = self.tree(sizes).at(step)
        return {name: found.get(name, 0.0) for name in sizes}


def mixture_of(tasks: Mixture | Task | Iterable[Task | Mixture]) -> Mixture:
    """A mixture from what users pass: one task, several, or a mixture."""
    if isinstance(tasks, Mixture):
        return tasks
    return Mixture([tasks]) if isinstance(tasks, Task) else Mixture(list(tasks))
