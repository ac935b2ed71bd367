"""A modality: what a slot's type names, and the adapter that serves it on each side when none is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """A slot type.

    Attributes:
        source: name of the default adapter on the source side, None when it cannot be read.
        target: name of the default adapter on the target side, None when it cannot be made.
        timed: its values have a duration, so `sync=` may name or carry it.
        help: one phrase.
    """

    source: str | None = None
    target: str | None = None
    timed: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True)
class Tokens:
    """How many tokens a value takes: at least, at most (None: no most).

    `Tokens(196)` is exactly 196, `Tokens(1, None)` any number.
    """

    least: int
    most: int | None = -1

    def __post_init__(self) -> None:
        if self.most == -1:
            object.__setattr__(self, "most", self.least)
        if self.least < 0 or (self.most is not None and self.most < self.least):
            raise ValueError(f"tokens must be 0 <= least <= most, but are {self.least} and {self.most}")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that a codec makes: its name, dtype and shape, where a word stands for a length known when read."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}[{', '.join(map(str, self.shape))}]"
