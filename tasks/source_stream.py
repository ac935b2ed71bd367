"""Rows of a source that can only be read from its beginning: an IterableDataset, a streamed set, a re-iterable."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..core.errors import ConfigError, DataError
from .source_rows import Convert, Row, Rows, kind_of

KEPT = 1024
"""Rows that stay at hand behind the last one read: those of two windows."""


class StreamRows(Rows):
    """Rows of a re-iterable, by number: row `j` is row `j % n` of pass `j // n`, where `n` is found when a pass ends.

    Reading moves forward; the last 1,024 rows are kept so that the rows of a window may be asked for again, and an
    older row starts the source afresh. Every worker reads all rows: while the source is read, torch's worker is hidden
    from it, so that it does not keep rows back for other workers.

    >>> rows = StreamRows([{"n": 0}, {"n": 1}], name="numbers")
    >>> [rows[j]["n"] for j in (0, 1, 2, 5, 0)], rows.place(5)
    ([0, 1, 0, 1, 0], 'row 1 of pass 2')
    """

    finite = False

    def __init__(self, data: Any, *, name: str, convert: Convert | None = None, kept: int = KEPT) -> None:
        super().__init__(name)
        self.data = data
        self.convert = convert
        self.kept = kept
        self.count: int | None = None
        self._forget()

    def _forget(self, at: int = 0) -> None:
        self._owner, self._left = os.getpid(), getattr(self, "_iterator", None)
        self._iterator: Iterator[Any] | None = None
        self._at = at
        self._start = at
        self._recent: deque[Row | DataError] = deque(maxlen=self.kept)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("name", "data", "convert", "kept", "count")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._forget()

    def __len__(self) -> int:
        raise TypeError(f"{self.name}: a stream has no length")

    def again(self) -> Any:
        """The first row of a new pass."""
        with alone():
            return next(iter(self.data), None)

    def ends_within(self, most: int) -> int | None:
        """How many rows a pass has, if no more than `most`: so many are read and kept at most."""
        if self.count is None:
            self[most]
        return self.count if self.count is not None and self.count <= most else None

    def __iter__(self) -> Iterator[Row]:
        index = 0
        while self.count is None or index < self.count:
            row = self[index]
            if self.count is None or index < self.count:
                yield row
            index += 1

    def __getitem__(self, index: int) -> Row:
        if index < 0:
            raise IndexError(f"{self.name}: the row must be at least 0, but is {index}")
        if self._owner != os.getpid():  # forked: what is open here is open elsewhere too, and neither read nor closed
            self._forget()
        if index < self._at - len(self._recent):
            self._forget(self._beginning(index))
        while self._at <= index:
            if self._beginning(index) > self._at:
                self._forget(self._beginning(index))
            self._advance()
        found = self._recent[index - self._at]
        if isinstance(found, DataError):
            raise DataError(str(found)) from found.__cause__
        return found

    def place(self, index: int) -> str:
        if self.count is None or index < self.count:
            return f"row {index}"
        return f"row {index % self.count} of pass {index // self.count}"

    def _beginning(self, index: int) -> int:
        return index // self.count * self.count if self.count else 0

    def _advance(self) -> None:
        """Read the next row, or note why it cannot be read; at the end of a pass, end it."""
        found: Any
        try:
            with alone():
                if self._iterator is None:
                    self._iterator = iter(self.data)
                    self._start = self._at
                found = next(self._iterator, self)
            if found is not self:
                found = self.mapping(found, self._at)
                found = found if self.convert is None else self.convert(found)
        except (OSError, ValueError) as cause:
            found = DataError(str(cause) or type(cause).__name__)
            found.__cause__ = cause
        if found is self:
            self._end_pass(self._at - self._start)
            return
        self._recent.append(found)
        self._at += 1

    def _end_pass(self, rows: int) -> None:
        self._iterator = None
        if not rows:
            raise DataError(f"{self.name}: the source has no rows")
        last = self._recent[-1] if self._recent else None
        if isinstance(last, DataError) and last.__cause__ is not None and not isinstance(last.__cause__, DataError):
            raise ConfigError(
                f"{self.name}: the source ended with an error in row {self._at - 1}, so that no row behind it can be "
                f"read: {last}; let its iterator go on behind such a row, or pass a source with __getitem__"
            )
        if self.count is not None and rows != self.count:
            raise DataError(
                f"{self.name}: every pass over the source must give the same rows, but the first gave {self.count} "
                f"and this one {rows}; shuffle in the Task instead"
            )
        self.count = rows


@contextmanager
def alone() -> Iterator[None]:
    """Hides torch's loader worker from a source, which would else give each worker a share of its rows."""
    workers = sys.modules.get("torch.utils.data._utils.worker")
    hidden = getattr(workers, "_worker_info", None)
    if workers is None or hidden is None:
        yield
        return
    workers._worker_info = None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        workers._worker_info = hidden  # type: ignore[attr-defined]


def refuse_spent(data: Any, name: str) -> None:
    """A generator or an iterator gives its rows once, so that a second worker or a second pass finds nothing.

    Raises:
        DataError: `data` is its own iterator.
    """
    if hasattr(data, "__next__"):
        raise DataError(
            f"{name}: the source must be readable more than once, but is {kind_of(data)}, which gives its rows once; "
            "pass a list, or an object whose __iter__ starts anew"
        )
