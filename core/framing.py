"""Sides of a stream laid out within a frame: marks around values, turns around sides, and where a target goes on from.

A framed target has no learned mark at its start. It goes on from what stands between the sides, else from the last
token of the source, which then is the first row of the target; one that opens with given rows needs nothing before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .codec import FORCED, Encoded
from .conversing import continues
from .encoding import Prompts, WordingReader
from .errors import DataError
from .example import Piece, Stream
from .frame import Frame
from .interleaving import pairs, synced, woven
from .plan import Side
from .sketch import START, Item


@dataclass(frozen=True, slots=True)
class Framing:
    """One wording within a frame."""

    frame: Frame
    reader: WordingReader

    @property
    def speaks(self) -> bool:
        """Whether a slot writes its own turns, as a conversation does, so that none are put around the sides."""
        return any(continues(slot.codec) for slot in self.reader.slots)

    def source(self, items: Sequence[Item]) -> list[Item]:
        """A source side with its marks."""
        inner = list(self._around(items, "source"))
        turns = self.frame.before if inner and self.reader.wording.arrow == "->" and not self.speaks else ""
        return [marked(turns), *inner] if turns else inner

    def target(self, items: Sequence[Item], *, source: bool) -> list[Item]:
        """A target side with its marks and what it goes on from; `source` says whether there is a source side."""
        inner = list(self._around(items, "target"))
        if source and self.frame.between and not self.speaks:
            return [marked(self.frame.between), *inner]
        if not source and (not inner or self._opens(inner[0])):
            return inner
        return [Item(mark=START), *inner]

    def _opens(self, first: Item) -> bool:
        """Whether a target's first item is given, at least its first rows."""
        return first.text is not None or (
            first.slot >= 0 and (first.forced or continues(self.reader.slots[first.slot].codec))
        )

    def _around(self, items: Sequence[Item], side: Side) -> Iterator[Item]:
        slots, clock = self.reader.slots, 0
        weaves = side == "source" and self.frame.interleave > 0
        for run in pairs(items, lambda a, b: weaves and synced(a, b, slots)):
            marks = [self._marks(item, side) for item in run]
            opening = [marked(before, run[0].group) for before, _ in marks if before]
            closing = [marked(behind, run[0].group) for _, behind in reversed(marks) if behind]
            for item in (*opening, *run, *closing):
                yield item if len(run) == 1 else item._replace(clock=clock)
            clock += len(run) - 1

    def _marks(self, item: Item, side: Side) -> tuple[str, str]:
        """What stands before and behind an item."""
        slot = self.reader.slots[item.slot].slot if item.slot >= 0 else None
        read = slot is not None and (side == "source" or slot.given)
        return self.frame.around.get(slot.modality, ("", "")) if slot and read else ("", "")

    def woven(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces of a side with synced values in turns, where the frame asks for it."""
        return woven(pieces, self.frame.interleave) if self.frame.interleave else list(pieces)

    def go_on(self, stream: Stream, prompts: Prompts) -> Stream:
        """The stream whose target, where it opens with a mark, goes on from the source's last token instead."""
        if not stream.target or not _is_start(stream.target[0]):
            return stream
        source, first = last_token(stream.source, prompts.kind)
        return Stream(source, [first or self.start(prompts), *stream.target[1:]])

    def opened(self, source: Sequence[Piece], given: Sequence[Piece], prompts: Prompts) -> tuple[list[Piece], Piece]:
        """What is read before an answer is found, and the token that it goes on from, both sides as one.

        Args:
            source: the source side as it was laid out.
            given: what is given of the target side before its first value.
            prompts: what writes marks.
        """
        turns = bool(source) and bool(self.frame.between) and not self.speaks
        between = [Piece(prompts.kind, prompts.marked(self.frame.between), FORCED)] if turns else []
        rest, first = last_token([*source, *between, *given], prompts.kind)
        return rest, first or self.start(prompts)

    def given(self, pieces: Sequence[Piece], modality: str, prompts: Prompts) -> list[Piece]:
        """A value that is given on the target side, with its marks around it."""
        marks = self.frame.around.get(modality)
        if marks is None:
            return list(pieces)
        before, behind = (Piece(prompts.kind, prompts.marked(mark), FORCED) for mark in marks)
        return [before, *pieces, behind]

    def start(self, prompts: Prompts) -> Piece:
        """What a target goes on from when nothing stands before it.

        Raises:
            DataError: the frame knows nothing to start from.
        """
        if not self.frame.start:
            raise DataError("nothing stands before the target, and the backbone has no token to start from")
        return Piece(prompts.kind, prompts.marked(self.frame.start), FORCED)


def marked(text: str, group: tuple[int, int] = (-1, -1)) -> Item:
    """An item of a frame's own text."""
    return Item(text=text, marked=True, group=group)


def _is_start(piece: Piece) -> bool:
    return piece.kind == 0 and piece.slot < 0 and int(piece.encoded.tensors["tokens"][0]) == START


def last_token(pieces: Sequence[Piece], kind: int) -> tuple[list[Piece], Piece | None]:
    """Pieces without their last row, and that row as one that is forced; None when it is no token of the port `kind`.

    >>> import numpy as np
    >>> whole = Piece(1, Encoded(rows=3, tensors={"tokens": np.array([5, 6, 7])}), 0)
    >>> rest, last = last_token([whole], 1)
    >>> rest[0].encoded.rows, last.encoded.tensors["tokens"].tolist()
    (2, [7])
    """
    full = [piece for piece in pieces if piece.encoded.rows]
    if not full or full[-1].kind != kind or set(full[-1].encoded.tensors) != {"tokens"}:
        return list(pieces), None
    whole = full[-1].encoded
    tokens, roles = whole.tensors["tokens"], whole.roles
    rest = replace(
        whole,
        rows=whole.rows - 1,
        tensors={"tokens": tokens[:-1]},
        labels={},
        roles=None if roles is None else roles[:-1],
    )
    last = Encoded(rows=1, tensors={"tokens": tokens[-1:]})
    return [*full[:-1], full[-1]._replace(encoded=rest)], Piece(kind, last, FORCED, clock=full[-1].clock)
