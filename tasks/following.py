"""What a target slot follows at predicting: a value of the source side, a given one, or one that was just made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..core.codec import UNREADABLE, Reading
from ..core.encoding import RowEncoder, SlotReader
from ..core.reader import Reader
from ..core.rows import is_absent, read_path
from .comparing import naming

Drawer = Callable[..., Path]


def leads_of(follower: SlotReader, row: Mapping[str, Any], reader: Reader, *, made: Callable[[int], Any]) -> list[Any]:
    """What each value that a slot follows says of itself; one that is made is seen as it is.

    Args:
        follower: the slot that follows.
        row: as it is given.
        reader: of the instruction; its first wording counts.
        made: the values of a slot that is predicted, nested as its groups are; None when it is not.

    Raises:
        DataError: a value that is followed cannot be read.
    """
    if follower.follows < 0:
        return []
    wording = reader.wordings[0]
    leader = wording.slots[follower.follows]
    if leader.slot.side == "target":
        value = read_path(row, leader.slot.path) if leader.slot.given else made(leader.slot.index)
        return [_lead(leader, one) for one in _flat(value, leader.slot.depth) if not is_absent(one)]
    source = wording.unroller.side(wording.wording.source, row, target=False)[0]
    encoder = RowEncoder(reader=wording, prompts=reader.prompts, tries=reader.tries, mode="predict")
    among = encoder.beside({"source": source})
    return [among.lead(placed.item, follower) for placed in among.among.get(follower.follows, [])]


def drawers_of(
    slots: Iterable[int], row: Mapping[str, Any], reader: Reader, made: Mapping[str, Any]
) -> dict[str, Drawer]:
    """What draws slots' values on the one value that they follow; of those that follow none, or several, nothing.

    Args:
        slots: indexes of what was found.
        row: as it is given.
        reader: of the instruction; its first wording counts.
        made: what was found, by slot.
    """
    found: dict[str, Drawer] = {}
    readers = reader.wordings[0].slots
    wording = reader.wordings[0].wording
    for follower in (readers[index] for index in slots if readers[index].follows >= 0):
        slot = readers[follower.follows].slot
        value = made.get(slot.name) if slot.side == "target" and not slot.given else read_path(row, slot.path)
        if hasattr(follower.codec, "draw") and not slot.depth and not is_absent(value):
            beside = naming(wording, follower.slot)
            names = made.get(beside.name) if beside else None
            found[follower.slot.name] = partial(follower.codec.draw, picture=value, names=names)
    return found


def _flat(value: Any, depth: int) -> list[Any]:
    if depth and isinstance(value, list):
        return [one for item in value for one in _flat(item, depth - 1)]
    return [value]


def _lead(leader: SlotReader, value: Any) -> Any:
    try:
        return leader.codec.lead(value, Reading(side="target", mode="predict"))  # type: ignore[attr-defined]
    except UNREADABLE as cause:
        raise leader.blame(cause) from cause
