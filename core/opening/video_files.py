"""Films in files or bytes: through PyAV, and through decord where PyAV is not installed.

Measured: PyAV opens the header alone and seeks, so that a film costs what its wanted frames cost, while decord reads
every packet first; and decord's seeking gives wrong frames, without a word, for MPEG-4, HEVC and open groups of
pictures. Nothing stays open from call to call.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from ..errors import PluginError
from .video_av import AvFilm
from .video_footage import SHORTEST, Frames, Header, Pixels, Size, Stamps, refuse_giant, shown_at
from .video_whole import missing_bytes

NEEDED = "reading videos needs PyAV or decord, which are not installed: pip install 'omniline[video]'"


class FileFootage:
    """A film in a file; opened and closed by `open_clip`.

    Args:
        source: a path or the bytes of a file.
        name: of it in errors.
    """

    def __init__(self, source: str | bytes, name: str) -> None:
        self.source, self.name = source, name
        self._film: AvFilm | DecordFilm | None = None

    def open(self) -> None:
        """Open the film.

        Raises:
            ValueError: it is cut short, cannot be read, or holds no moving pictures.
            PluginError: neither PyAV nor decord is installed.
        """
        self._check()
        if _installed("av"):
            self._film = AvFilm(self.source, self.name)
        elif _installed("decord"):
            self._film = DecordFilm(self.source, self.name)
        else:
            raise PluginError(NEEDED)

    def close(self) -> None:
        """Free decoder and file."""
        if self._film is not None:
            self._film.close()
        self._film = None

    @property
    def film(self) -> AvFilm | DecordFilm:
        """The open film."""
        assert self._film is not None, "a film is read while it is open"
        return self._film

    @property
    def header(self) -> Header:
        """See `Footage`."""
        return self.film.header

    def size(self) -> Size:
        """See `Footage`."""
        return self.film.size()

    def frames(self, times: Sequence[float], size: Size | None, filter: str) -> Frames:
        """See `Footage`."""
        return self.film.frames(times, size, filter)

    def _check(self) -> None:
        with io.BytesIO(self.source) if isinstance(self.source, bytes) else open(self.source, "rb") as file:
            length = file.seek(0, os.SEEK_END)
            lost = missing_bytes(file, length)
        if not length:
            raise ValueError(f"the video {self.name} is empty")
        if lost:
            raise ValueError(
                f"the video {self.name} is cut short: its header promises {length + lost:,} bytes, but it has "
                f"{length:,}"
            )


class DecordFilm:
    """A film through decord, which reads every packet of the file on opening; it is opened for each call.

    Args:
        source: a path or the bytes of a file.
        name: of it in errors.
        starts: when its first frame is shown.
    """

    def __init__(self, source: str | bytes, name: str, starts: float = 0.0) -> None:
        self.source, self.name, self.starts = source, name, starts

    def close(self) -> None:
        """Nothing stays open."""

    @property
    def header(self) -> Header:
        """See `Footage`."""
        _, shown = self._open()
        return Header(seconds=max(float(shown[-1].max()) + self.starts, SHORTEST), frames=len(shown))

    def size(self) -> Size:
        """Of the upright frames; decodes the first one."""
        height, width = self._open()[0][0].shape[:2]
        refuse_giant((width, height), self.name)
        return width, height

    def frames(self, times: Sequence[float], size: Size | None, filter: str) -> Frames:
        """See `Footage`; one at a time, and resized here."""
        reader, shown = self._open()
        stamps = shown[:, 0] + self.starts
        chosen = shown_at(stamps, times)
        made = []
        for index in chosen:
            with self._blamed("decoded"):
                pixels = _array(reader[index])
            if pixels.shape[-1] != 3:
                raise ValueError(f"decord cannot turn the frames of the video {self.name} upright: pip install av")
            picture = Image.fromarray(pixels)
            made.append(np.asarray(picture.resize(size, Image.Resampling[filter.upper()]) if size else picture))
        return Frames(np.stack(made), stamps[chosen])

    def _open(self) -> tuple[Any, Stamps]:
        """A reader, and when each frame is shown and goes, [n, 2]."""
        import decord

        file = io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source
        with self._blamed("read"):
            reader = decord.VideoReader(file, num_threads=1)
            count = len(reader)
            shown = reader.get_frame_timestamp(range(count)).reshape(-1, 2).astype(np.float64)
        if not count:
            raise ValueError(f"the video {self.name} holds no frames")
        if (shown[0, 0] < 0) or (np.diff(shown[:, 0]) < 0).any():
            raise ValueError(f"decord cannot tell when the frames of the video {self.name} are shown: pip install av")
        return reader, shown

    @contextmanager
    def _blamed(self, what: str) -> Iterator[None]:
        import decord

        try:
            yield
        except (decord.DECORDError, RuntimeError, OSError, IndexError) as cause:
            raise ValueError(f"the video {self.name} cannot be {what}: {_first_line(cause)}") from cause


def _array(frames: Any) -> Pixels:
    """decord's frames as numpy's, whatever library it was told to give them to."""
    pixels: Pixels = frames.asnumpy() if hasattr(frames, "asnumpy") else np.asarray(frames)
    return pixels


def _installed(package: str) -> bool:
    return find_spec(package) is not None


def _first_line(cause: Exception) -> str:
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0].rpartition("] ")[2] if lines else type(cause).__name__
