"""Rows of text files, jsonl and json, read by number through an index of where each row starts.

A text value that names a file beside the data file, and none in the working directory, becomes that file's absolute
path for all slots but those of texts, so that `{"img": "pictures/cat.png"}` means the same wherever the program runs.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import tempfile
import weakref
import zlib
from abc import abstractmethod
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..core.errors import DataError
from ..core.rows import Located
from .source_rows import Row, Rows, kind_of

PATHLIKE = re.compile(r"[^\n\r\0]{0,400}\.[A-Za-z0-9]{1,8}")
MOST_ROW = 1 << 28
"""Bytes of a row in a file of text."""
PIECE = 1 << 20
BOM = b"\xef\xbb\xbf"
MOST_UNPACKED = 200
"""How many times its own size (or a megabyte) a packed file may grow; more is a bomb."""


class Bytes:
    """A file's bytes by position; a gzip file is unpacked once, into a temporary file without a name.

    Pickles as its path. Reading leaves no position behind, so that processes which share the open file cannot
    disturb one another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        self.path = path
        self._file = None

    def file(self) -> BinaryIO:
        """The open file.

        Raises:
            DataError: it cannot be opened or unpacked.
        """
        if self._file is None:
            if self.path.exists() and not self.path.is_file():
                raise DataError(f"{self.path}: the file must be a plain file, but is a device or a pipe")
            try:
                self._file = (
                    unpacked(self.path) if self.path.suffix.lower() in (".gz", ".tgz") else self.path.open("rb")
                )
            except (OSError, EOFError, zlib.error) as cause:
                raise DataError(f"{self.path}: the file cannot be read: {cause}") from cause
            weakref.finalize(self, self._file.close)
        return self._file

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start` on.

        Raises:
            DataError: the file has become shorter.
        """
        found = os.pread(self.file().fileno(), size, start)
        if len(found) < size:
            raise DataError(f"{self.path}: the file must not change while it is read, but has become shorter")
        return found


def unpacked(path: Path) -> BinaryIO:
    """A temporary file, gone when it is closed, with what a gzip file holds."""
    held: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        most = max(path.stat().st_size, 1 << 20) * MOST_UNPACKED
        with gzip.open(path) as packed:
            while chunk := packed.read(1 << 20):
                held.write(chunk)
                if held.tell() > most:
                    raise OSError(
                        f"it unpacks to more than {MOST_UNPACKED} times its size: unpack it by hand if you trust it"
                    )
    except BaseException:
        held.close()
        raise
    held.flush()
    held.seek(0)
    return held


class FileRows(Rows):
    """Rows of one file: `starts` holds where each row begins and, last, where the file ends; `lines` its line."""

    def __init__(self, path: Path, *, name: str) -> None:
        super().__init__(name)
        self.path = path
        self.bytes = Bytes(path)
        self.folder = str(path.parent)
        self.starts: array[int] | None = None
        self.lines: array[int] = array("q")

    @abstractmethod
    def scan(self, file: BinaryIO) -> Iterator[tuple[int, int]]:
        """Position and line of each row of an open file, then the position of the end with line 0."""

    def index(self) -> array[int]:
        """Where each row starts, found on first use."""
        if self.starts is None:
            file = self.bytes.file()
            file.seek(0)
            starts, lines = array("q"), array("q")
            for start, line in self.scan(file):
                starts.append(start)
                lines.append(line)
            self.starts, self.lines = starts, lines
        return self.starts

    def __len__(self) -> int:
        return len(self.index()) - 1

    def text(self, index: int) -> str:
        """The text of one row.

        Raises:
            DataError: it is not UTF-8.
        """
        starts = self.index()
        if starts[index + 1] - starts[index] > MOST_ROW:
            raise DataError(
                f"{self.place(index)}: a row must take at most {MOST_ROW >> 20} megabytes: put it into a file"
            )
        found = self.bytes.read(starts[index], starts[index + 1] - starts[index])
        try:
            return found.decode("utf-8-sig" if starts[index] == 0 else "utf-8")
        except UnicodeDecodeError as cause:
            raise DataError(f"{self.place(index)}: the text must be UTF-8, but {cause.reason}") from cause

    def place(self, index: int) -> str:
        self.index()
        return f"{self.path.name} line {self.lines[index]}"


class JsonlRows(FileRows):
    """One JSON object a line; empty lines do not count."""

    def scan(self, file: BinaryIO) -> Iterator[tuple[int, int]]:
        at = size = 0
        number, blank = 1, True
        while piece := file.readline(PIECE):  # never a whole line, which may be endless
            blank = blank and not piece.removeprefix(BOM if at == size == 0 else b"").strip()
            size += len(piece)
            if piece.endswith(b"\n"):
                if not blank:
                    yield at, number
                at, size, number, blank = at + size, 0, number + 1, True
        if not blank:
            yield at, number
        yield at + size, 0

    def __getitem__(self, index: int) -> Row:
        text = self.text(self.checked(index))
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as cause:
            what = f"{cause.msg} at column {cause.colno}" if isinstance(cause, json.JSONDecodeError) else str(cause)
            raise DataError(f"{self.place(index)}: each line must be one JSON object, but: {what}") from cause
        return located(self.mapping(row, index), self.folder)


class JsonRows(Rows):
    """A JSON file that holds one list of objects; it is read whole."""

    def __init__(self, path: Path, *, name: str) -> None:
        super().__init__(name)
        self.path = path
        self.bytes = Bytes(path)
        self._held: list[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def held(self) -> list[Any]:
        """The list, read on first use."""
        if self._held is None:
            file = self.bytes.file()
            file.seek(0)
            try:
                found = json.loads(file.read().decode("utf-8-sig"))
            except json.JSONDecodeError as cause:
                raise DataError(f"{self.path.name} line {cause.lineno}: {cause.msg} at column {cause.colno}") from cause
            except (ValueError, RecursionError) as cause:
                raise DataError(f"{self.path.name}: the text must be JSON in UTF-8, but: {cause}") from cause
            if not isinstance(found, list):
                hint = "; one object a line belongs into a .jsonl file" if isinstance(found, dict) else ""
                raise DataError(
                    f"{self.path.name}: the file must hold a list of rows, but holds {kind_of(found)}{hint}"
                )
            self._held = found
        return self._held

    def __len__(self) -> int:
        return len(self.held())

    def __getitem__(self, index: int) -> Row:
        return located(self.mapping(self.held()[self.checked(index)], index), str(self.path.parent))

    def place(self, index: int) -> str:
        return f"{self.path.name} row {index}"


def located(row: Row, folder: str) -> Row:
    """The row, with texts that name a file in `folder` and none in the working directory as absolute paths.

    >>> located({"name": "a cat.", "size": 3}, "pictures")
    {'name': 'a cat.', 'size': 3}
    """
    found = {name: _located(value, folder) for name, value in row.items()}
    return row if all(found[name] is row[name] for name in row) else found


def _located(value: Any, folder: str) -> Any:
    if isinstance(value, str):
        if PATHLIKE.fullmatch(value) and not os.path.isabs(value) and not os.path.exists(value):
            beside = os.path.join(folder, value)
            return Located(os.path.abspath(beside), value) if os.path.isfile(beside) else value
        return value
    if isinstance(value, dict):
        return located(value, folder)
    if isinstance(value, list):
        found = [_located(item, folder) for item in value]
        return value if all(new is old for new, old in zip(found, value, strict=True)) else found
    return value
