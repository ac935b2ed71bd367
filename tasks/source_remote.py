"""Bytes of a remote file by position, through fsspec: http, s3, gcs, hdfs and what else has a file system there."""

from __future__ import annotations

import os
from threading import Lock
from typing import Any

from ..core.errors import DataError

BLOCK = 4 << 20
"""Bytes that are read ahead."""


class RemoteBytes:
    """A remote file's bytes by position. Pickles as its address; every process opens its own connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._forget()

    def _forget(self) -> None:
        self._file: Any = None
        self._owner = 0
        self._lock = Lock()

    def __getstate__(self) -> str:
        return self.url

    def __setstate__(self, url: str) -> None:
        self.url = url
        self._forget()

    def file(self) -> Any:
        """The open file.

        Raises:
            DataError: there is no such file system here, or the file cannot be opened.
        """
        if self._file is None or self._owner != os.getpid():
            try:
                import fsspec  # type: ignore[import-untyped]

                self._file = fsspec.open(self.url, mode="rb", block_size=BLOCK).open()
            except ImportError as cause:
                raise DataError(f"{self.url}: reading it needs another package: {cause}") from cause
            except (OSError, ValueError) as cause:
                raise DataError(f"{self.url}: the file cannot be read: {cause or type(cause).__name__}") from cause
            self._owner = os.getpid()
        return self._file

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start` on.

        Raises:
            DataError: the connection fails, or the file has become shorter.
        """
        file = self.file()
        try:
            with self._lock:
                file.seek(start)
                found: bytes = file.read(size)
        except (OSError, ValueError) as cause:
            raise DataError(f"{self.url}: the file cannot be read: {cause or type(cause).__name__}") from cause
        if len(found) < size:
            raise DataError(f"{self.url}: the file must not change while it is read, but has become shorter")
        return found
