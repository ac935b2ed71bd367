"""Whether a run can be restored exactly: what each source means for it, and what a checkpoint was made with."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.errors import DataError
from .drawing import Filled, Position
from .source_rows import MapRows, Rows
from .source_stream import StreamRows
from .stream import Stream

LOOKED_AT = 2
"""Rows of each source that are read twice."""
UNTOLD = (DataError, OSError, EOFError, ValueError, TypeError, AttributeError, pickle.PicklingError)
"""What keeps two rows from being read or compared."""


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
    except UNTOLD:
        return False


def said(sentences: Iterable[str]) -> str:
    """What a run says at its start."""
    reasons = list(sentences)
    if not reasons:
        return "restorable: exactly, from any checkpoint at an optimiser step, with any number of workers\n"
    return "".join(f"restorable: {reason}\n" for reason in reasons)


def inside_window(batches: int) -> str:
    """What is said of a checkpoint behind so many batches of an optimiser step."""
    return (
        f"this checkpoint lies inside an accumulation window: the gradients of {batches} batches are not kept, so "
        "a run that resumes from it differs a little; save at optimiser steps (every_n_train_steps=)"
    )


def recorded(stream: Stream, at: Position, *, steps: int, prints: Mapping[str, str]) -> dict[str, Any]:
    """Where a stream stands and what it is made of, as plain values for a checkpoint.

    Args:
        stream: of the run.
        at: the next batch.
        steps: of the optimiser so far.
        prints: of each task, `print_of` its rows.
    """
    before, after = stream.draws.ends(at)
    return {
        "window": at.window,
        "step": at.step,
        "began": at.began,
        "drawn": list(at.drawn),
        "cut": [list(way) for way in at.cut],
        "until": list(at.until),
        "before": dict(zip(stream.draws.names, before, strict=True)),
        "after": dict(zip(stream.draws.names, after, strict=True)),
        "steps": steps,
        "seed": stream.seed,
        "made": made_of(stream) | {"prints": dict(prints)},
    }


def made_of(stream: Stream) -> dict[str, Any]:
    """What a stream is a function of besides its seed."""
    return {
        "batch_tokens": stream.batch_tokens,
        "batch_rows": stream.batch_rows,
        "padded": stream.padded,
        "ranks": stream.ranks,
        "accumulate_grad_batches": stream.accumulate,
        "mixture": str(stream.shares),
        "rows": {name: bound.size("train") for name, bound in stream.tasks.items()},
    }


def taken_up(state: Mapping[str, Any], stream: Stream) -> Position:
    """The place where a run goes on.

    A window that was begun is ended as it was begun, with its rows and, as far as it was trained, its batches; what
    has changed counts from there on. Where its rows cannot be told any more it is begun anew.
    """
    made, now = state["made"], made_of(stream)
    cut = tuple(Filled(*way) for way in state["cut"])
    at = Position(state["window"], state["step"], state["began"], tuple(state["drawn"]), cut, tuple(state["until"]))
    if made["mixture"] != now["mixture"] or made["rows"] != now["rows"]:
        kept = all(now["rows"].get(name) == rows for name, rows in made["rows"].items())
        at = _moved(at, state, stream, whole=kept and not made["mixture"].startswith("all"))
    elif at.drawn and made["accumulate_grad_batches"] != stream.accumulate:
        at = at._replace(began=at.began // made["accumulate_grad_batches"] * stream.accumulate)
    before = Filled(made["ranks"], made["batch_tokens"], made["batch_rows"], bool(made["padded"]))
    return at.refilled(before, stream.filled)


def _moved(at: Position, state: Mapping[str, Any], stream: Stream, *, whole: bool) -> Position:
    """A place under other shares or sizes: every task goes on behind the rows that it has drawn."""
    began = max(0, state["steps"] - at.step // state["made"]["accumulate_grad_batches"]) * stream.accumulate
    before, after = (tuple(state[key].get(name, 0.0) for name in stream.draws.names) for key in ("before", "after"))
    if whole and (at.step or at.cut):
        return at._replace(began=began, drawn=before, until=after)
    return Position(at.window, 0, began, before)


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a stream is made of that is no longer as it was.

    >>> changed({"batch_tokens": 256, "rows": {"a": 10}}, {"batch_tokens": 512, "rows": {"a": 12}})
    ['batch_tokens was 256 and is 512', 'the rows of task `a` were 10 and are 12']
    """
    plain = [key for key in now if key not in ("rows", "prints")]
    found = [f"{key} was {before[key]} and is {now[key]}" for key in plain if before[key] != now[key]]
    old, new = before["rows"], now["rows"]
    for task in sorted({*old, *new}):
        if old.get(task) != new.get(task):
            found.append(f"the rows of task `{task}` were {old.get(task, 0)} and are {new.get(task, 0)}")
        elif _others(before, now, task):
            found.append(f"the rows of task `{task}` are as many as they were, but others")
    return found


def _others(before: Mapping[str, Any], now: Mapping[str, Any], task: str) -> bool:
    old, new = (made.get("prints", {}).get(task, "") for made in (before, now))
    return bool(old and new and old != new)


def print_of(rows: Rows) -> str:
    """A hash of some rows of a source, the same in every process, to tell it from another.

    Empty for a source that cannot be read, or that is another at every reading.
    """
    first = (0, len(rows) // 2, len(rows) - 1) if rows.finite else (0,)
    try:
        found, again = (b"".join(_bytes_of(rows[index]) for index in first) for _ in range(2))
    except UNTOLD:
        return ""
    return hashlib.blake2b(found, digest_size=8).hexdigest() if found == again else ""


def _bytes_of(value: Any) -> bytes:
    """What a value holds; of a kind that is not known its name alone."""
    if isinstance(value, Mapping):
        return b"".join(_bytes_of(str(key)) + _bytes_of(value[key]) for key in sorted(value, key=str))
    if isinstance(value, list | tuple):
        return b"[" + b"".join(map(_bytes_of, value)) + b"]"
    if isinstance(value, str | bytes | int | float | None):
        return repr(value).encode("utf-8", "surrogatepass")
    if hasattr(value, "numpy") and hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    made = getattr(value, "tobytes", None)
    held = callable(made) and str(getattr(value, "dtype", "")) != "object"
    return bytes(made()) if made is not None and held else type(value).__name__.encode()
