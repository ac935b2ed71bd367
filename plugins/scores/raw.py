"""Reading raw values: references, lengths that must agree, texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def check_lengths(metric: str, predicted: Sequence[Any], truth: Sequence[Any]) -> None:
    """Both lists hold one entry a row.

    Raises:
        ValueError: they differ in length.
    """
    if len(predicted) != len(truth):
        raise ValueError(
            f"`{metric}` must get one truth for each prediction, but got {len(truth)} for {len(predicted)}"
        )


def check_any(metric: str, rows: Sequence[Any]) -> None:
    """A metric over no rows has no value.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError(f"`{metric}` must be updated before it is computed, but has seen no rows")


def as_text(metric: str, value: Any) -> str:
    """A text; a missing prediction is the empty one.

    Raises:
        TypeError: the value is of another type.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"`{metric}` must get texts, but got {type(value).__name__} {value!r:.80}")
    return value


def references(metric: str, truth: Any) -> list[str]:
    """The references of one row: one text, or a list of them.

    Raises:
        TypeError: they are no texts.
        ValueError: the list is empty.

    >>> references("bleu", "a cat")
    ['a cat']
    """
    if not isinstance(truth, list | tuple):
        return [as_text(metric, truth)]
    if not truth:
        raise ValueError(f"`{metric}` must get at least one reference a row, but got an empty list")
    return [as_text(metric, one) for one in truth]
