"""What was made of texts lately, within a bound."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")
REMEMBERED = 1 << 20
"""Characters of text whose tokens are remembered, at most twice over."""


class Recent(Generic[T]):
    """What was made of recent texts: two generations, of which the older is dropped when the younger is full."""

    __slots__ = ("_old", "_room", "_young")

    def __init__(self) -> None:
        self._young: dict[str, T] = {}
        self._old: dict[str, T] = {}
        self._room = REMEMBERED

    def get(self, text: str) -> T | None:
        found = self._young.get(text)
        if found is None and (found := self._old.get(text)) is not None:
            self.put(text, found)
        return found

    def put(self, text: str, value: T) -> None:
        self._room -= len(text) + 64
        if self._room < 0:
            self._old, self._young, self._room = self._young, {}, REMEMBERED
        self._young[text] = value
