"""Whether a run can be restored exactly: what each source means for it, and what a checkpoint was made with."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.errors import DataError
from .source_rows import MapRows, Rows
from .source_stream import StreamRows

LOOKED_AT = 2
"""Rows of each source that are read twice."""


def restorable(sources: Mapping[str, Rows]) -> list[str]:
    """One sentence for each task's source that is not read by row number, or not the same when it is read again."""
    found = {name: why_not(rows) for name, rows in sources.items()}
    return [f"task `{name}`: {reason}" for name, reason in found.items() if reason]


def why_not(rows: Rows) -> str:
    """Why a source can not be taken up exactly and at no cost; nothing for one that can.

    Every draw of a run is a function of its seed and its position, so what is left to say is about sources: one that
    draws by itself is another one when it is read again, and one that can only be read from its beginning costs the
    reading.
    """
    if isinstance(rows, StreamRows):
        if _differs(rows.again, rows.again):
            return "its rows are others at every pass: a run that resumes goes on with other rows; shuffle in the Task"
        return (
            "its rows can only be read from the beginning: a run that resumes reads up to its place again, and goes on "
            "exactly if every pass gives the same rows in the same order"
        )
    if isinstance(rows, MapRows) and not isinstance(rows.data, list):
        first = range(min(LOOKED_AT, len(rows)))
        if any(_differs(lambda: rows[index], lambda: rows[index]) for index in first):  # noqa: B023 - called at once
            return (
                "a row is another one when it is read again, as the source draws by itself: a run that resumes goes on "
                "with other rows"
            )
    return ""


def _differs(read: Any, again: Any) -> bool:
    """Whether two readings give two values; what cannot be read or compared does not differ."""
    try:
        return bool(pickle.dumps(read()) != pickle.dumps(again()))
    except (DataError, OSError, ValueError, TypeError, AttributeError, pickle.PicklingError):
        return False


def said(sentences: Iterable[str]) -> str:
    """What a run says at its start."""
    reasons = list(sentences)
    if not reasons:
        return "restorable: exactly, from any checkpoint at an optimiser step, with any number of workers\n"
    return "".join(f"restorable: {reason}\n" for reason in reasons)


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a stream is made of that is no longer as it was.

    >>> changed({"batch_tokens": 256, "rows": {"a": 10}}, {"batch_tokens": 512, "rows": {"a": 12}})
    ['batch_tokens was 256 and is 512', 'the rows of task `a` were 10 and are 12']
    """
    found = [f"{key} was {before[key]} and is {now[key]}" for key in now if key != "rows" and before[key] != now[key]]
    old, new = before["rows"], now["rows"]
    for task in sorted({*old, *new}):
        if old.get(task) != new.get(task):
            found.append(f"the rows of task `{task}` were {old.get(task, 0)} and are {new.get(task, 0)}")
    return found
