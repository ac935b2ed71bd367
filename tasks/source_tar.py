"""Rows of tar shards as webdataset lays them out: the members `0001.jpg` and `0001.txt` are one row.

Nothing is extracted: an index says where each member's bytes lie.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..core.errors import DataError
from .source_files import Bytes
from .source_remote import RemoteBytes
from .source_rows import Row, Rows

KEY = "__key__"
TEXT = ("txt", "text", "transcript")
NUMBER = ("cls", "cls2", "index", "id")


class Member(NamedTuple):
    """A column of a row: where its bytes lie in the shard."""

    column: str
    start: int
    size: int


class TarRows(Rows):
    """Rows of one tar file: a path (.tar.gz and .tgz are unpacked into a temporary file), or a remote address.

    Members that follow one another and share folder and name up to the first dot are a row; what follows the dot, in
    lower case, is the column. `json` is parsed, `txt` is a text, `cls` a number, all else stays bytes; the column
    `__key__` holds the name. Folders and hidden files do not count.
    """

    def __init__(self, path: Path | str, *, name: str) -> None:
        super().__init__(name)
        self.shard = PurePosixPath(path).name if isinstance(path, str) else path.name
        self.bytes = RemoteBytes(path) if isinstance(path, str) else Bytes(path)
        self.groups: list[tuple[str, list[Member]]] | None = None

    def index(self) -> list[tuple[str, list[Member]]]:
        """Key and members of each row, found on first use.

        Raises:
            DataError: not a tar file, or a member that must not be there.
        """
        if self.groups is None:
            file = self.bytes.file()
            file.seek(0)
            groups: list[tuple[str, list[Member]]] = []
            try:
                with tarfile.open(fileobj=file, mode="r:") as archive:
                    for info in archive:
                        self._add(info, groups)
            except tarfile.TarError as cause:
                raise DataError(f"{self.shard}: the file must be a tar archive, but: {cause}") from cause
            self.groups = groups
        return self.groups

    def _add(self, info: tarfile.TarInfo, groups: list[tuple[str, list[Member]]]) -> None:
        path = PurePosixPath(info.name)
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{self.shard}: the member `{info.name}` must lie inside the archive, but leads out of it")
        if info.isdir() or path.name.startswith("."):
            return
        if not info.isfile() or info.issparse():
            kind = "has holes (sparse)" if info.issparse() else "is a link or a device"
            raise DataError(f"{self.shard}: the member `{info.name}` must be a plain file, but {kind}")
        stem, dot, column = path.name.partition(".")
        if not dot:
            raise DataError(f"{self.shard}: the member `{info.name}` must be named key.extension, but has no extension")
        key = str(path.parent / stem)
        if not groups or groups[-1][0] != key:
            groups.append((key, []))
        member = Member(column.lower(), info.offset_data, info.size)
        if any(known.column == member.column for known in groups[-1][1]):
            raise DataError(f"{self.shard}: the member `{info.name}` is there twice")
        groups[-1][1].append(member)

    def __len__(self) -> int:
        return len(self.index())

    def __getitem__(self, index: int) -> Row:
        key, members = self.index()[self.checked(index)]
        row: dict[str, Any] = {KEY: key}
        for member in members:
            found = self.bytes.read(member.start, member.size)
            try:
                row[member.column] = decoded(found, member.column)
            except (ValueError, RecursionError) as cause:
                raise DataError(f"{self.place(index)}: `{member.column}` cannot be read: {cause}") from cause
        return row

    def place(self, index: int) -> str:
        return f"{self.shard} member {self.index()[index][0]}"


def decoded(found: bytes, column: str) -> Any:
    """A member's value, by the last part of its extension.

    Raises:
        ValueError: it is not what the extension says.

    >>> decoded(b"7", "cls"), decoded(b"a cat", "txt"), decoded(b"[1]", "boxes.json"), decoded(b"...", "jpg")
    (7, 'a cat', [1], b'...')
    """
    last = column.rpartition(".")[2]
    if last == "json":
        return json.loads(found)
    if last in TEXT:
        return found.decode("utf-8")
    return int(found) if last in NUMBER else found
