"""An example: one row laid out as pieces on two sides of one or more streams, every value encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .codec import Encoded


class RowId(NamedTuple):
    """Where a row came from: task, place in its source, and the pass over the source."""

    task: str
    row: int
    epoch: int = 0


class Piece(NamedTuple):
    """A run of rows made by one value, prompt or mark.

    `role` holds for all rows unless `encoded.roles` says otherwise; `slot` is the slot's index in its wording, -1 for
    prompts and marks; `nodes` are the closed set's states before each row, global to the reader's `tries`. Pieces of
    one `clock` stand side by side in time, see `Segment`.
    """

    kind: int
    encoded: Encoded
    role: int
    slot: int = -1
    nodes: np.ndarray | None = None
    trie: int = -1
    clock: int = -1


class Stream(NamedTuple):
    """What a backbone sees as one sequence."""

    source: list[Piece]
    target: list[Piece]

    def sizes(self) -> tuple[int, int]:
        """Rows of each side."""
        return sum(p.encoded.rows for p in self.source), sum(p.encoded.rows for p in self.target)


@dataclass(frozen=True, slots=True)
class Example:
    """A row, laid out. `wording` is the alternative that was drawn."""

    id: RowId
    wording: int
    streams: Sequence[Stream]

    def rows(self) -> int:
        """Rows of all streams."""
        return sum(sum(stream.sizes()) for stream in self.streams)


def rows_within(wanted: Sequence[int], room: int) -> list[int]:
    """Limits for values that want so many rows and share `room`: equal shares, what one leaves goes to the others.

    >>> rows_within([3, 50, 50], 43)
    [3, 20, 20]
    """
    limits = [0] * len(wanted)
    left, order = max(room, 0), sorted(range(len(wanted)), key=lambda i: wanted[i])
    for place, index in enumerate(order):
        share = left // (len(order) - place)
        limits[index] = min(wanted[index], share)
        left -= limits[index]
    return limits
