"""Rows of csv and tsv files, read by number through an index of where each row starts.

The index is made from the bytes that separate values. Whether a row has as many values as the header, in UTF-8, is
judged when it is read, so that a wrong row is one row that cannot be read and not a file that cannot.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..core.errors import DataError
from .source_files import BOM, MOST_ROW, FileRows, located
from .source_rows import Row

DELIMITERS = {"csv": ",", "tsv": "\t"}
QUOTED = 'a value that starts with `"` must end with one, with each `"` inside it doubled'
RETURNS = "a line must end with LF or CR LF, and a CR alone stands within quotes"


class TableRows(FileRows):
    """Rows of a csv or tsv file with a header; a value is a text, quoted as RFC 4180 says, or absent where empty."""

    def __init__(self, path: Path, *, name: str, delimiter: str) -> None:
        super().__init__(path, name=name)
        self.delimiter = delimiter
        self.header: tuple[str, ...] = ()
        self.wrong: int | None = None

    def columns(self) -> tuple[str, ...]:
        if len(self):
            return self.header
        lacks = "the file has no rows" if self.header else "the first line must name the columns, but the file is empty"
        raise DataError(f"{self.path}: {lacks}")

    def refuse_wrong(self) -> None:
        self.index()
        if self.wrong is not None:
            self[self.wrong]

    def scan(self, file: BinaryIO) -> Iterator[tuple[int, int]]:
        lines = _Lines(file, self.path)
        records = csv.reader(lines, delimiter=self.delimiter, strict=True)
        rows = 0
        while True:
            start, line, lines.begun, lines.foreign = lines.at, lines.number + 1, lines.at, False
            try:
                values = _next(records)
            except csv.Error as cause:
                if not self.header or (lines.ended and lines.number > line):  # an open quote has taken all behind it
                    raise self._misquoted(line, cause) from cause
                values, lines.foreign = ["?"], True
            if values is None:
                break
            if not self.header:
                self.header = self._named(values)
            elif values:
                if self.wrong is None and (lines.foreign or len(values) != len(self.header)):
                    self.wrong = rows
                rows += 1
                yield start, line
        yield lines.at, 0

    def _named(self, header: list[str]) -> tuple[str, ...]:
        try:
            names = [name.encode("latin-1").decode("utf-8") for name in header]
        except UnicodeDecodeError as cause:
            raise DataError(f"{self.path.name} line 1: the text must be UTF-8, but {cause.reason}") from cause
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"{self.path.name} line 1: column names must differ, but `{twice[0]}` is there twice")
        return tuple(names)

    def _misquoted(self, line: int, cause: csv.Error) -> DataError:
        returns = "new-line character" in str(cause)
        what = f"a CR stands alone; {RETURNS}" if returns else f"{cause}; {QUOTED}"
        return DataError(f"{self.path.name} line {line}: {what}")

    def __getitem__(self, index: int) -> Row:
        text = self.text(self.checked(index))
        records = csv.reader(io.StringIO(text, newline="\n"), delimiter=self.delimiter, strict=True)
        try:
            values = next(found for found in iter(lambda: _next(records), None) if found)
        except csv.Error as cause:
            raise self._misquoted(self.lines[index], cause) from cause
        if len(values) != len(self.header):
            raise DataError(
                f"{self.place(index)}: a row must have {len(self.header)} values as the header has, but has "
                f"{len(values)}"
            )
        return located({name: value or None for name, value in zip(self.header, values, strict=True)}, self.folder)


def _next(records: Iterable[list[str]]) -> list[str] | None:
    """The next record, or None; the csv module's limit on a value's length is lifted while it is read."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        return next(iter(records), None)
    finally:
        csv.field_size_limit(limit)


class _Lines:
    """Lines of a binary file, each byte as the character of its number; knows how many bytes and lines were taken.

    Attributes:
        begun: where the row begins that is being read.
        foreign: whether a line since this was last cleared is not UTF-8.
        ended: whether the file is at its end.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.at = self.number = self.begun = 0
        self.foreign = self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.file.readline(MOST_ROW)
        self.ended = not line
        if not line:
            raise StopIteration
        self.at, self.number = self.at + len(line), self.number + 1
        if len(line) == MOST_ROW or self.at - self.begun > MOST_ROW:
            raise DataError(
                f"{self.path.name} line {self.number}: a row must take at most {MOST_ROW >> 20} megabytes; {QUOTED}"
            )
        if self.number == 1:
            line = line.removeprefix(BOM)
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            self.foreign = True
        return line.decode("latin-1")
