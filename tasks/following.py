"""What a target slot follows at predicting: a value of the source side, a given one, or one that was just made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..core.codec import UNREADABLE, Reading
from ..core.encoding import RowEncoder, SlotReader
from ..core.reader import Reader
from ..core.rows import is_absent, read_path

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


def drawer_of(follower: SlotReader, row: Mapping[str, Any], reader: Reader, made: Mapping[str, Any]) -> Drawer | None:
    """What draws a slot's values on the one value that they follow; None where they follow none, or several.

    Args:
        follower: the slot.
        row: as it is given.
        reader: of the instruction; its first wording counts.
        made: what was found, by slot.
    """
    if follower.follows < 0 or not hasattr(follower.codec, "draw"):
        return None
    slot = reader.wordings[0].slots[follower.follows].slot
    found = made.get(slot.name) if slot.side == "target" and not slot.given else read_path(row, slot.path)
    if slot.depth or is_absent(found):
        return None
    return partial(follower.codec.draw, picture=found)


def _flat(value: Any, depth: int) -> list[Any]:
    if depth and isinstance(value, list):
        return [one for item in value for one in _flat(item, depth - 1)]
    return [value]


def _lead(leader: SlotReader, value: Any) -> Any:
    try:
        return leader.codec.lead(value, Reading(side="target", mode="predict"))  # type: ignore[attr-defined]
    except UNREADABLE as cause:
        raise leader.blame(cause) from cause
