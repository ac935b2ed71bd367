"""Which share of rows each task has, as a function of the optimiser step: a tree of weights that may change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ..core.errors import ConfigError

Strategy = Literal["weights", "proportional", "round_robin", "all"]
STRATEGIES: tuple[Strategy, ...] = ("weights", "proportional", "round_robin", "all")
Weight = float | Mapping[int, float]
"""A number, or numbers at optimiser steps with straight lines between them."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A value over steps: straight lines between points, flat before the first and after the last.

    >>> Curve.of({0: 1.0, 100: 0.0}, "weight").at(25)
    0.75
    """

    points: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, weight: Weight, what: str) -> Curve:
        """From a number or a mapping.

        Raises:
            ConfigError: no points, a negative step or value, or nothing above 0.
        """
        points = weight.items() if isinstance(weight, Mapping) else [(0, weight)]
        try:
            found = tuple(sorted((int(step), float(value)) for step, value in points))
        except (TypeError, ValueError) as cause:
            raise ConfigError(f"{what} must be a number, or a mapping from step to number: {cause}") from cause
        fits = all(step >= 0 and 0 <= value < float("inf") for step, value in found)
        if not found or not fits or not any(value > 0 for _, value in found):
            raise ConfigError(f"{what} must be above 0 at some step and never below, but is {weight!r}")
        return cls(found)

    @property
    def constant(self) -> bool:
        """Whether it is the same at every step."""
        return len({value for _, value in self.points}) == 1

    def at(self, step: int) -> float:
        """The value at a step."""
        before = self.points[0]
        for point in self.points:
            if point[0] >= step:
                gap = point[0] - before[0]
                return point[1] if not gap else before[1] + (point[1] - before[1]) * (step - before[0]) / gap
            before = point
        return before[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A task in the tree: its weight, its rows, and the steps, `since` included and `until` not, that it takes part."""

    name: str
    weight: Curve
    rows: int
    since: int = 0
    until: int | None = None

    @property
    def constant(self) -> bool:
        return self.weight.constant and self.since == 0 and self.until is None

    @property
    def size(self) -> int:
        return self.rows

    def active(self, step: int) -> bool:
        """Whether it takes part at a step."""
        return self.since <= step and (self.until is None or step < self.until)

    def steps(self) -> Iterator[int]:
        """Steps at which something changes."""
        yield from (
            self.since,
            *([] if self.until is None else [self.until]),
            *(step for step, _ in self.weight.points),
        )

    def at(self, step: int) -> dict[str, float]:
        return {self.name: 1.0} if self.active(step) and self.weight.at(step) > 0 else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Tasks and inner mixtures with how they are weighed against each other."""

    parts: tuple[Leaf | Shares, ...]
    weight: Curve = Curve(((0, 1.0),))
    strategy: Strategy = "weights"
    temperature: float = 1.0

    @property
    def constant(self) -> bool:
        """Whether shares never change."""
        return self.weight.constant and all(part.constant for part in self.parts)

    @property
    def size(self) -> int:
        """Rows of all tasks in it."""
        return sum(part.size for part in self.parts)

    def steps(self) -> Iterator[int]:
        """Steps at which something changes."""
        yield from (step for step, _ in self.weight.points)
        for part in self.parts:
            yield from part.steps()

    def at(self, step: int = 0) -> dict[str, float]:
        """Each task's share at a step; tasks that take no part are left out, and an empty mixture has none.

        >>> a, b = (Leaf(name=n, weight=Curve.of(w, "weight"), rows=10) for n, w in (("a", 1), ("b", 3)))
        >>> Shares(parts=(a, b)).at(0)
        {'a': 0.25, 'b': 0.75}
        """
        inner = [part.at(step) for part in self.parts]
        raw = [self._raw(part, step) if found else 0.0 for part, found in zip(self.parts, inner, strict=True)]
        total = sum(raw)
        if not total:
            return {}
        return {
            name: share * value / total
            for found, value in zip(inner, raw, strict=True)
            if value
            for name, share in found.items()
        }

    def _raw(self, part: Leaf | Shares, step: int) -> float:
        if self.strategy == "round_robin":
            return 1.0
        value = part.weight.at(step) * (part.size if self.strategy == "proportional" else 1)
        return float(value ** (1 / self.temperature))

    def __str__(self) -> str:
        """Strategy, tasks and weights in a line, without the numbers of rows.

        >>> print(Shares(parts=(Leaf(name="a", weight=Curve.of({0: 1, 9: 2}, ""), rows=9, until=5),), temperature=2))
        weights, temperature 2 (a {0: 1, 9: 2} until 5)
        """
        flat = "" if self.temperature == 1 else f", temperature {self.temperature:g}"
        return f"{self.strategy}{flat} ({', '.join(_told(part) for part in self.parts)})"

    def checked(self) -> Shares:
        """The same, when some task takes part at every step.

        Raises:
            ConfigError: at some step there is none.
        """
        for step in sorted({0, *self.steps()}):
            if not self.at(step):
                raise ConfigError(f"no task takes part at step {step}: look at `since`, `until` and `weight`")
        return self


def _told(part: Leaf | Shares) -> str:
    points = part.weight.points
    numbers = ", ".join(f"{step}: {value:g}" for step, value in points)
    weight = f"{points[0][1]:g}" if len(points) == 1 else f"{{{numbers}}}"
    if isinstance(part, Shares):
        return f"{part} {weight}"
    since = f" since {part.since}" if part.since else ""
    return f"{part.name} {weight}{since}" + ("" if part.until is None else f" until {part.until}")


def rounds(shares: Mapping[str, float]) -> dict[str, int]:
    """Rows of each task in one round of the strategy "all": the rarest has one, the others in proportion.

    >>> rounds({"a": 0.25, "b": 0.5, "c": 0.25})
    {'a': 1, 'b': 2, 'c': 1}
    """
    least = min(shares.values())
    return {name: max(1, round(share / least)) for name, share in shares.items()}
