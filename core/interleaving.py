"""Two values of one recording laid out by time: pieces of a clip and of its sound in turn, on one clock.

A frame asks for it by `interleave`. A slot that is synced to another, with nothing but white space between the two, is
then laid out with it: the marks of both, pieces of so many seconds that take turns, the followed slot's first, and the
closing marks. So are the parts of a conversation that say one clock, a clip in a turn with its sound. Each value is
still one value of its port: its first piece carries all its tensors, so that a tower sees it whole, and only its rows
are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from .codec import Encoded
from .encoding import SlotReader
from .example import Piece
from .sketch import Item

ROUNDING = 1e-4
"""Seconds that a time in float32 may lack of where a piece ends."""


def pairs(items: Sequence[Item], fit: Callable[[Item, Item], bool]) -> Iterator[tuple[Item, ...]]:
    """The items in order, one by one, but those that fit as a pair: the followed one, then its follower.

    White space between the two is dropped.

    Args:
        items: of one side.
        fit: whether the second item goes with the first.

    >>> clip, space, sound = Item(slot=0), Item(text=" "), Item(slot=1)
    >>> [len(run) for run in pairs([clip, space, sound, clip], lambda a, b: (a.slot, b.slot) == (0, 1))]
    [2, 1]
    """
    at = 0
    while at < len(items):
        step = 2 if at + 2 < len(items) and _blank(items[at + 1]) else 1
        if at + step < len(items):
            one, two = items[at], items[at + step]
            if one.slot >= 0 and two.slot >= 0 and (fit(one, two) or fit(two, one)):
                yield (one, two) if fit(one, two) else (two, one)
                at += step + 1
                continue
        yield (items[at],)
        at += 1


def _blank(item: Item) -> bool:
    return item.text is not None and not item.marked and not item.text.strip()


def synced(leader: Item, follower: Item, slots: Sequence[SlotReader]) -> bool:
    """Whether one item is synced to the other, of another port, and in the same repetition of a group."""
    lead, follow = slots[leader.slot], slots[follower.slot]
    asked = follow.slot.sync is not None and follow.follows == leader.slot
    return asked and lead.kind != follow.kind and leader.group[1] == follower.group[1]


def woven(pieces: Sequence[Piece], seconds: float) -> list[Piece]:
    """The pieces with the values of each clock cut at multiples of `seconds` of their own time, and put in turn."""
    out: list[Piece] = []
    at = 0
    while at < len(pieces):
        end = at + 1
        if _timed(pieces[at]):
            while end < len(pieces) and pieces[end].clock == pieces[at].clock and _timed(pieces[end]):
                end += 1
            runs = [run for piece in pieces[at:end] for run in _runs(piece, seconds)]
            out += [piece for _, piece in sorted(runs, key=lambda run: run[0])]
        else:
            out.append(pieces[at])
        at = end
    return out


def _timed(piece: Piece) -> bool:
    """Whether a piece takes turns with its neighbours on one clock; the marks around them do not."""
    if piece.clock < 0:
        return False
    return piece.slot >= 0 if piece.encoded.clock < 0 else piece.encoded.grid is not None


def _runs(piece: Piece, seconds: float) -> Iterator[tuple[int, Piece]]:
    """A value cut by time, each run with the number of its piece; what has no grid stands in the first."""
    encoded = piece.encoded
    if encoded.grid is None or not encoded.rows:
        yield 0, piece
        return
    numbers = np.maximum.accumulate(
        np.floor_divide(np.asarray(encoded.grid)[:, 0] + ROUNDING, seconds).astype(np.int64)
    )
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), encoded.rows]
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        yield int(numbers[first]), piece._replace(encoded=_run(encoded, first, last))


def _run(encoded: Encoded, first: int, last: int) -> Encoded:
    """Rows of a value; the first of its runs carries its tensors."""
    assert encoded.grid is not None
    return replace(
        encoded,
        rows=last - first,
        tensors=encoded.tensors if first == 0 else {name: x[:0] for name, x in encoded.tensors.items()},
        labels={},
        roles=None if encoded.roles is None else encoded.roles[first:last],
        grid=encoded.grid[first:last],
    )
