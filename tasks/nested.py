"""Answers in the lists of their groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def each(answer: Any, change: Callable[[Any], Any]) -> Any:
    """The same nesting with every answer changed.

    >>> each([1, [2]], str)
    ['1', ['2']]
    """
    return [each(item, change) for item in answer] if isinstance(answer, list) else change(answer)


def both(answer: Any, beside: Any, change: Callable[[Any, Any], Any]) -> Any:
    """The same nesting with every answer changed, each with what stands at its place in `beside`."""
    if isinstance(answer, list):
        return [both(a, b, change) for a, b in zip(answer, beside, strict=True)]
    return change(answer, beside)


def first(values: Any) -> Any:
    """The one value of a group that has one or none."""
    return values[0] if values else None
