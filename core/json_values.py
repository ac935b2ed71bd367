"""JSON of a checkpoint's folder, and values out of it, each checked where it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BundleError

NEEDED = object()


def read_json(path: Path) -> dict[str, Any]:
    """The object that a file holds.

    Raises:
        BundleError: no such file, no JSON, or no object.
    """
    if not path.is_file():
        raise BundleError(f"{path.parent} has no {path.name}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as cause:
        raise BundleError(f"{path} cannot be read: {cause}") from cause
    if not isinstance(found, dict):
        raise BundleError(f"{path} must hold a JSON object, but holds a {type(found).__name__}")
    return found


def read_json_if_any(path: Path) -> dict[str, Any]:
    """The object that a file holds; empty when there is no such file."""
    return read_json(path) if path.exists() else {}


@dataclass(frozen=True, slots=True)
class Values:
    """The entries of a JSON object, with the place that errors name.

    >>> Values({"width": 8}, "config.json").whole("width")
    8
    """

    held: Mapping[str, Any]
    place: str

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it is; None counts as not there."""
        found = self.held.get(key)
        return default if found is None else found

    def _needed(self, key: str, default: Any) -> Any:
        found = self.get(key, default)
        if found is NEEDED:
            raise BundleError(f"{self.place} must have `{key}`, but has not")
        return found

    def whole(self, key: str, default: Any = NEEDED, *, least: int = 1) -> int:
        """A whole number, `least` or more."""
        found = self._needed(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or found < least:
            raise BundleError(f"{self.place}: `{key}` must be a whole number of at least {least}, but is {found!r}")
        return found

    def number(self, key: str, default: Any = NEEDED) -> float:
        """A number that is not negative."""
        found = self._needed(key, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not found >= 0:
            raise BundleError(f"{self.place}: `{key}` must be a number of at least 0, but is {found!r}")
        return float(found)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        found = self.get(key, default)
        if not isinstance(found, bool):
            raise BundleError(f"{self.place}: `{key}` must be true or false, but is {found!r}")
        return found

    def text(self, key: str, default: Any = NEEDED) -> str:
        """A text."""
        found = self._needed(key, default)
        if not isinstance(found, str):
            raise BundleError(f"{self.place}: `{key}` must be a text, but is {found!r}")
        return found

    def wholes(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """A list of whole numbers; one alone counts as a list of one."""
        found = self._needed(key, NEEDED if default is None else default)
        found = [found] if isinstance(found, int) else found
        if not isinstance(found, list | tuple) or not all(isinstance(v, int) and v >= 0 for v in found):
            raise BundleError(f"{self.place}: `{key}` must be a list of whole numbers, but is {found!r}")
        return tuple(found)

    def inner(self, key: str, *, needed: bool = False) -> Values:
        """The object below a key; an empty one where there is none, unless it is needed."""
        found = self._needed(key, NEEDED if needed else {})
        if not isinstance(found, dict):
            raise BundleError(f"{self.place}: `{key}` must be an object, but is {found!r}")
        return Values(found, f"{self.place}: `{key}`")
