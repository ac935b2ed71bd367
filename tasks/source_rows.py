"""Rows: what every source becomes once it is opened, and rows that are held in memory.

Rows are read by number, so that every loader worker can name the same row; they pickle without open files, so that a
worker that is spawned opens its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any, ClassVar

from ..core.errors import ConfigError, DataError
from ..core.rows import read_path

Row = Mapping[str, Any]
Convert = Callable[[Any], Any]


class Rows(ABC):
    """A source of rows, opened.

    Attributes:
        name: what errors call it.
        finite: whether it has a length; a stream has none and goes round for ever.
    """

    finite: ClassVar[bool] = True

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def __len__(self) -> int:
        """The number of rows.

        Raises:
            TypeError: a stream has none.
            DataError: a file cannot be read.
        """

    @abstractmethod
    def __getitem__(self, index: int) -> Row:
        """Row `index`, from 0.

        Raises:
            IndexError: a finite source has no such row.
            DataError: it cannot be read, or is no mapping from column to value.
        """

    @abstractmethod
    def place(self, index: int) -> str:
        """Where row `index` stands, for errors: `emoji.jsonl line 12`, `rows[12]`."""

    def __iter__(self) -> Iterator[Row]:
        """The rows of a finite source, once."""
        for index in range(len(self)):
            yield self[index]

    def columns(self) -> tuple[str, ...]:
        """The columns of the first row.

        Raises:
            DataError: there is no row, or it cannot be read.
        """
        if self.finite and not len(self):
            raise DataError(f"{self.name}: the source has no rows")
        return tuple(self[0])

    def read(self, index: int) -> Row:
        """Row `index`, where all that keeps it from being read is a DataError.

        Raises:
            DataError: it cannot be read. ConfigError: neither can any behind it.
        """
        try:
            return self[index]
        except ConfigError:  # the source as a whole cannot be read: no row to skip
            raise
        except (OSError, EOFError, ValueError) as cause:
            raise DataError(str(cause) or type(cause).__name__) from cause

    def readable(self, most: int | None = None, *, skip: bool = False) -> Iterator[Row]:
        """The first `most` rows, in order; with `skip` without those that cannot be read.

        Raises:
            DataError: without `skip`, a row cannot be read.
        """
        count = len(self) if self.finite else most
        assert count is not None, "the rows of a stream are counted by who asks"
        for index in range(count if most is None else min(most, count)):
            try:
                yield self.read(index)
            except DataError:
                if not skip:
                    raise

    def values(self, path: str, most: int | None = None, *, skip: bool = False) -> Iterator[Any]:
        """What a column or path holds in `readable` rows, in order; MISSING where absent.

        A dataset that offers `column(name)` is asked for it, so that rows that are dear to make are not made.
        """
        for row in self.readable(most, skip=skip):
            yield read_path(row, path)

    def refuse_wrong(self) -> None:  # noqa: B027 - most sources find out when a row is read
        """Read the first row that the index found to be wrong, if it found one, so that it is told at once.

        Raises:
            DataError: there is one.
        """

    def checked(self, index: int) -> int:
        """The index itself, if a finite source has such a row."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name}: the row must be in 0..{len(self) - 1}, but is {index}")
        return index

    def mapping(self, row: Any, index: int) -> Row:
        """The row itself, if it maps columns to values."""
        if isinstance(row, Mapping):
            return row
        hint = "; return {'img': ..., 'name': ...} instead" if isinstance(row, tuple | list) else ""
        raise DataError(f"{self.place(index)} must be a mapping from column to value, but is {kind_of(row)}{hint}")


class MapRows(Rows):
    """Rows of anything that has `len(data)` and `data[index]`: a list of mappings, a torch map-style Dataset.

    >>> rows = MapRows([{"text": "a cat"}, {"text": "a dog"}], name="pets")
    >>> len(rows), rows[1], rows.columns(), rows.place(1)
    (2, {'text': 'a dog'}, ('text',), 'rows[1]')
    """

    def __init__(self, data: Any, *, name: str, convert: Convert | None = None) -> None:
        super().__init__(name)
        self.data = data
        self.convert = convert
        self._count: int | None = None

    def __len__(self) -> int:
        """As it was first asked for: a run has planned with it."""
        if self._count is None:
            self._count = len(self.data)
        return self._count

    def __getitem__(self, index: int) -> Row:
        try:
            found = self.data[self.checked(index)]
        except IndexError as cause:
            if index >= len(self) or len(self.data) == len(self):
                raise
            raise DataError(
                f"{self.name}: the source must not change while it is read, but had {len(self)} rows and has "
                f"{len(self.data)}"
            ) from cause
        row = self.mapping(found, index)
        return row if self.convert is None else self.convert(row)

    def values(self, path: str, most: int | None = None, *, skip: bool = False) -> Iterator[Any]:
        column = getattr(self.data, "column", None)
        if callable(column) and path in next(self.readable(skip=skip), ()):
            yield from islice(column(path), most)
        else:
            yield from super().values(path, most, skip=skip)

    def place(self, index: int) -> str:
        return f"rows[{index}]"


class ChainRows(Rows):
    """Several finite sources, one after the other."""

    def __init__(self, parts: Sequence[Rows], *, name: str) -> None:
        super().__init__(name)
        self.parts = tuple(parts)
        self._ends: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return self.ends()[-1]

    def ends(self) -> tuple[int, ...]:
        """For each part the number of rows up to its end; asks every part for its length once."""
        if self._ends is None:
            self._ends = tuple(accumulate(len(part) for part in self.parts))
        return self._ends

    def __getitem__(self, index: int) -> Row:
        part, within = self._find(self.checked(index))
        return part[within]

    def refuse_wrong(self) -> None:
        for part in self.parts:
            part.refuse_wrong()

    def place(self, index: int) -> str:
        part, within = self._find(index)
        return part.place(within)

    def _find(self, index: int) -> tuple[Rows, int]:
        number = bisect_right(self.ends(), index)
        return self.parts[number], index - (self.ends()[number - 1] if number else 0)


def kind_of(value: Any) -> str:
    """What a value is, in words for an error.

    >>> kind_of(None), kind_of([1]), kind_of("abc")
    ('None', 'a list', "the text 'abc'")
    """
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
