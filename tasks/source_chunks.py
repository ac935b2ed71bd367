"""Rows of sets that are stored in chunks for streaming, and still know their rows by number: litdata's, mosaic's.

Both are IterableDatasets of torch that also have `__getitem__`; read by number they are shuffled by this library's own
stream, seen once each whatever the workers and ranks, and resumed at once. Chunks that are read together are fetched
and kept by the set's own cache.
"""

from __future__ import annotations

import copy
import os
from typing import Any

from ..core.errors import DataError
from .source_rows import Convert, MapRows, Row


class ChunkRows(MapRows):
    """Rows by number of a set in chunks. Each process reads by a copy of its own, made before the first row was read.

    Their own lengths are a rank's share, so the chunks are counted (litdata: `region_of_interest`, the first and last
    row of each chunk; mosaic: `size`), and only then `len` is asked.
    """

    def __init__(self, data: Any, *, name: str, convert: Convert | None = None) -> None:
        super().__init__(copy.copy(data), name=name, convert=convert)
        self.untouched = data
        self.owner = os.getpid()
        self.count = rows_of(data)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Row:
        if self.owner != os.getpid():
            self.data, self.owner = copy.copy(self.untouched), os.getpid()
        try:
            return super().__getitem__(index)
        except IndexError as cause:
            if index >= self.count:
                raise
            raise DataError(f"{self.place(index)}: {cause}") from cause


def rows_of(data: Any) -> int:
    """The rows of a set in chunks, over all ranks."""
    chunks = getattr(data, "region_of_interest", None)
    if chunks:
        return sum(int(last) - int(first) for first, last in chunks)
    size = getattr(data, "size", None)
    return size if isinstance(size, int) else len(data)


def by_number(data: Any) -> bool:
    """Whether an IterableDataset knows its rows by number too: it has a length and a `__getitem__` of its own."""
    found = getattr(type(data), "__getitem__", None)
    inherited = any(getattr(base, "__getitem__", None) is found for base in type(data).__mro__ if _torch(base))
    return hasattr(type(data), "__len__") and found is not None and not inherited


def _torch(base: type) -> bool:
    return base.__module__.startswith("torch.utils.data")
