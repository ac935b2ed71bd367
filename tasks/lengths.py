"""The tokens that rows take, measured once and shared by all loader workers, so that no pass measures again.

A window's plan needs the length of each of its rows. Workers begin at different places of the window and skip what
another has measured meanwhile; nobody waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from .binding import Bound

MOST_ROWS = 1 << 20
"""Rows of the longest source whose lengths are kept; 8 bytes each."""
UNKNOWN = -1
UNREADABLE = -2


class Size(NamedTuple):
    """Source and target rows over all streams of an example."""

    source: int
    target: int

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.source + self.target


class Lengths:
    """A table: for each row and wording of finite sources its size; `shared` puts it into shared memory."""

    def __init__(self, tasks: Mapping[str, Bound], *, shared: bool = False) -> None:
        self.tables: dict[str, torch.Tensor] = {}
        for name, bound in tasks.items():
            if bound.rows["train"].finite and bound.size("train") <= MOST_ROWS:
                shape = (bound.size("train"), len(bound.plan.alternatives), 2)
                table = torch.full(shape, UNKNOWN, dtype=torch.int32)
                self.tables[name] = table.share_memory_() if shared else table

    def get(self, task: str, row: int, wording: int) -> Size | None:
        """The size of a row; None when nobody has measured it, or it could not be read."""
        table = self.tables.get(task)
        if table is None:
            return None
        source, target = table[row, wording].tolist()
        return Size(source, target) if source >= 0 and target >= 0 else None

    def known_bad(self, task: str, row: int, wording: int) -> bool:
        """Whether it was found unreadable."""
        table = self.tables.get(task)
        return table is not None and int(table[row, wording, 0]) == UNREADABLE

    def put(self, task: str, row: int, wording: int, size: Size | None) -> None:
        """Note a size, or None for a row that cannot be read."""
        table = self.tables.get(task)
        if table is not None:
            source, target = (UNREADABLE, 0) if size is None else size
            table[row, wording, 1] = target
            table[row, wording, 0] = source
