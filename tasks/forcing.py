"""What is given of target slots at predicting: values of slots with `no_loss`, and what comes before an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core.codec import FORCED, UNREADABLE, Reading
from ..core.conversing import continues
from ..core.encoding import SlotReader
from ..core.errors import DataError
from ..core.example import Example, Piece, Stream
from ..core.generation import Answer
from ..core.generation_given import leaves, parts_of, value_at
from ..core.generation_program import Decode, Forced, Given
from ..core.reader import Reader
from ..core.rows import entries, is_absent, is_list, missing_column, read_slot
from .following import leads_of

ALL = 1 << 20
"""What a continued value wants of a room that it need not share."""


def continued_step(found: Decode, reader: SlotReader) -> Decode | tuple[Forced, Decode]:
    """A slot's steps: of one that is continued its opening, and then the answer, which ends as its codec says."""
    codec = reader.codec
    if not continues(codec):
        return found
    return forced_step(reader), replace(found, end=codec.end, thoughts=getattr(codec, "thoughts", None))


def forced_step(reader: SlotReader) -> Forced:
    """The step that feeds what is given of a slot."""
    return Forced(key=reader.slot.index, kind=reader.kind, held=reader.held)


def rows_of(given: Iterable[Given]) -> int:
    """The rows of a row's given values, however nested."""
    return sum(value.rows for one in given for value in leaves(one))


def answer_room(total: int, most: int) -> int:
    """What an answer may take of a value's room: `most`, or half when that is less.

    >>> answer_room(1000, 256), answer_room(100, 256)
    (256, 50)
    """
    return min(most, max(total // 2, 1))


def forced(row: Mapping[str, Any], reader: SlotReader, *, depth: int, whole: Reader) -> Given:
    """The value of a slot with `no_loss`, nested as its groups are; None where an optional one is absent.

    It is seen as what it follows is; what is not made yet it cannot follow. `whole` reads the instruction.

    Raises:
        DataError: it is missing or cannot be read.
    """
    value = read_slot(row, reader.slot.path, reader.slot.modality)
    if is_absent(value):
        if reader.slot.optional:
            return None
        raise DataError(
            f"slot `{reader.slot.name}` has `no_loss`, so its value must be given: "
            + missing_column(reader.slot.path, tuple(row))
        )
    leads = leads_of(reader, row, whole, made=lambda index: None) if reader.follows >= 0 else []
    try:
        return _forced(value, reader, depth, leads)
    except DataError:
        raise
    except UNREADABLE as cause:
        raise reader.blame(cause) from cause


def _forced(value: Any, reader: SlotReader, depth: int, leads: Sequence[Any]) -> Given:
    if depth and is_list(value):
        each = len(leads) == len(value)
        return [
            _forced(item, reader, depth - 1, leads[n : n + 1] if each else leads[-1:])
            for n, item in enumerate(entries(value))
        ]
    leader = leads[-1] if leads else None
    reading = Reading(side="target", mode="predict", limit=reader.slot.limit, leader=leader)
    encoded = reader.codec.encode(reader.checked(value), reading)
    return replace(encoded, labels={})


def opening(row: Mapping[str, Any], reader: SlotReader, *, depth: int, limit: int) -> Given:
    """The rows that come before a row's answer, nested as its groups are.

    Raises:
        DataError: the value to continue is missing or cannot be read.
    """
    value = read_slot(row, reader.slot.path, reader.slot.modality)
    if is_absent(value):
        raise DataError(
            f"slot `{reader.slot.name}`: what is to be continued must be given: "
            + missing_column(reader.slot.path, tuple(row))
        )
    try:
        return _opening(value, reader, depth, limit)
    except UNREADABLE as cause:
        raise reader.blame(cause) from cause


def _opening(value: Any, reader: SlotReader, depth: int, limit: int) -> Given:
    if depth and is_list(value):
        return [_opening(item, reader, depth - 1, limit) for item in entries(value)]
    found: Given = reader.codec.opening(value, Reading(side="target", mode="predict", limit=limit))  # type: ignore[attr-defined]
    return found


def opened(example: Example, lead: Sequence[Forced], given: dict[int, Given], *, key: int, reader: Reader) -> Example:
    """An example within a frame, with all that is given before its first answer but the token that this goes on from.

    Args:
        example: its source side.
        lead: the steps that give.
        given: their values, which are taken away; the token to go on from is put in under `key`.
        key: see `Program.first`.
        reader: what read the row.
    """
    framing, prompts = reader.framing(0), reader.prompts
    assert framing is not None
    pieces: list[Piece] = []
    for step in lead:
        parts = parts_of(value_at(given.pop(step.key), ()), step)
        own = framing.woven([Piece(kind, part, FORCED, clock=part.clock) for kind, part in parts])
        modality = framing.reader.slots[step.key].slot.modality if step.key >= 0 else ""
        pieces += framing.given(own, modality, prompts)
    source, first = framing.opened(example.streams[0].source, pieces, prompts)
    given[key] = first.encoded
    if framing.frame.interleave:
        refuse_late_clips(given)
    return replace(example, streams=(Stream(source, []),))


def refuse_late_clips(given: Mapping[int, Given]) -> None:
    """Refuse conversations behind an answer whose clips have their sound beside them: these are not laid out by time.

    Raises:
        DataError: there is one.
    """
    if any(part.clock >= 0 for value in given.values() for one in leaves(value) for _, part in one.parts):
        raise DataError(
            "a conversation in which a clip has its sound beside it must stand before what is found first: put it on "
            "the source side, or write use_audio_in_video=false"
        )


def continued(answer: Any, value: Any, reader: SlotReader, depth: int, decode: Callable[[Answer], Any]) -> Any:
    """The whole values: what was given, each with the answer that was found for it."""
    if isinstance(answer, list):
        inner = value if depth else [value] * len(answer)
        return [continued(a, v, reader, max(depth - 1, 0), decode) for a, v in zip(answer, inner, strict=True)]
    return reader.codec.continued(value, decode(answer))  # type: ignore[attr-defined]
