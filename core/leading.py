"""Values that follow others: a box its picture through every crop and flip, a sound the clip that it goes with.

The followed slot's codec says by `lead(raw, reading)` what a follower must know (how a picture was framed, which
seconds of a clip are read); it reaches the follower's codec as `Reading.leader`, and as `leader=` in the `decode` of
a codec whose class sets `follows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .adapter import Adapter
from .errors import ConfigError
from .near import nearest
from .plan import Alternative, Side, SlotPlan, uses
from .sketch import Item


class Placed(NamedTuple):
    """An item with the side that it stands on and its place there, of which its reading's seed is made."""

    item: Item
    side: Side
    place: int


Candidates = dict[int, list[Placed]]
"""The items of each followed slot, by the slot's index."""


def followed_slot(slot: SlotPlan, wording: Alternative, adapter: Adapter) -> int:
    """The index of the slot that this one follows; -1 for none.

    It is what `sync=` names; else, for an adapter that follows other modalities, what its setting names, or the nearest
    such slot before it in reading order, or the first after it.

    Raises:
        ConfigError: the setting names no such slot.
    """
    if slot.sync is not None:
        return slot.sync
    if not adapter.follows:
        return -1
    order = [index for side in (wording.source, wording.target) for index in uses(side)]
    fits = [index for index in dict.fromkeys(order) if wording.slots[index].modality in adapter.follows]
    wanted = adapter.settings().get(adapter.follows_by)
    if wanted is None and not adapter.follows_nearest:
        return -1
    if wanted is not None:
        named = [index for index in fits if wording.slots[index].name == wanted]
        if not named:
            names = [wording.slots[index].name for index in fits]
            near = nearest(str(wanted), names)
            hint = f"; did you mean `{near}`?" if near else f" (there is {', '.join(names) or 'none'})"
            raise ConfigError(
                f"slot `{slot.name}`: `{adapter.follows_by}={wanted}` must name a slot of "
                f"{' or '.join(adapter.follows)}{hint}"
            )
        return named[0]
    before = [index for index in fits if order.index(index) < order.index(slot.index)]
    return before[-1] if before else fits[0] if fits else -1


def candidates(followed: Sequence[int], sides: Iterable[tuple[Side, Sequence[Item]]]) -> Candidates:
    """The items of the followed slots, in order."""
    found: Candidates = {index: [] for index in followed if index >= 0}
    for side, items in sides:
        for place, item in enumerate(items):
            if item.slot in found:
                found[item.slot].append(Placed(item, side, place))
    return found


def leader_of(follower: Item, followed: int, among: Candidates) -> Placed | None:
    """The item that another follows: the only one, or the one of the same repetition; None when it is absent.

    >>> one, two = (Placed(Item(slot=0, group=(0, i)), "source", i) for i in range(2))
    >>> leader_of(Item(slot=1, group=(5, 1)), 0, {0: [one, two]}).place
    1
    """
    found = among.get(followed, [])
    if len(found) > 1 and follower.group[1] >= 0:
        same = [placed for placed in found if placed.item.group[1] == follower.group[1]]
        return same[-1] if same else None
    return found[-1] if found else None


def leaders_of(answers: Any, leads: Sequence[Any]) -> Any:
    """The lead of each answer, nested as the answers are: the only one, or that of the outermost repetition."""
    if isinstance(answers, list) and len(leads) == len(answers) and len(leads) > 1:
        return [_spread(answer, lead) for answer, lead in zip(answers, leads, strict=True)]
    return _spread(answers, leads[-1] if leads else None)


def _spread(answers: Any, lead: Any) -> Any:
    return [_spread(answer, lead) for answer in answers] if isinstance(answers, list) else lead
