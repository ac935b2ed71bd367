"""Clips of every usual kind, opened: files, bytes, arrays, tensors, lists of pictures, animations, pieces of them."""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from ..errors import PluginError
from ..timespan import TimeSpan
from .video_files import FileFootage
from .video_footage import Footage, named
from .video_held import from_animation, from_array, from_folder, steady

WEB = ("http", "https", "ftp", "s3", "gs", "hf", "rtsp")
RATE = 25.0
"""Frames a second of values that do not say it."""
KINDS = "a path, bytes, an array or tensor of frames, a list of pictures, or a mapping with `path`, `bytes` or `frames`"


class Opened(NamedTuple):
    """A clip and the part of it that counts; all times are seconds from the start of the recording."""

    footage: Footage
    part: TimeSpan

    def within(self, leader: Any) -> TimeSpan:
        """The part, cut to the seconds of a slot that the clip is in step with; any other leader cuts nothing.

        Raises:
            ValueError: the leader reads where the clip has ended.
        """
        if not isinstance(leader, TimeSpan):
            return self.part
        first, last = self.part
        start, stop = max(leader.start, first), min(leader.stop, last)
        if start >= stop:
            raise ValueError(
                f"the video {self.footage.name} runs from {first:.2f} s to {last:.2f} s, but the slot that it is in "
                f"step with is read from {leader.start:.2f} s to {leader.stop:.2f} s"
            )
        return TimeSpan(start, stop)


@contextmanager
def open_clip(raw: Any, *, rate: float = RATE) -> Iterator[Opened]:
    """Open a clip for as long as a block runs.

    Args:
        raw: a path (of a film, an animation or a folder of pictures), the bytes of a file, a `data:` address, an open
            file, a `VideoClip` or any value with `frames` and `fps`, an array or tensor [frames, height, width,
            channels] or [frames, channels, height, width], a list of pictures of any kind, or a mapping: `path` or
            `bytes` of a file, or `frames` with `fps`; with `start` and `stop` in seconds for a piece of it.
        rate: frames a second of an array or a list, which do not say it.

    Raises:
        TypeError: another kind of value.
        ValueError: a web address, no such file, a broken or absurd film, a piece outside of it.
        PluginError: neither PyAV nor decord is installed.
    """
    start, stop = None, None
    while isinstance(raw, Mapping):
        start, stop = raw.get("start", start), raw.get("stop", raw.get("end", stop))
        raw, rate = _inside(raw, rate)
    footage = _footage(raw, rate)
    with ExitStack() as stack:
        if isinstance(footage, FileFootage):
            footage = stack.enter_context(_opened(footage))
        yield Opened(footage, _part(footage, start, stop))


def _inside(raw: Mapping[str, Any], rate: float) -> tuple[Any, float]:
    """What a mapping holds, and the rate that it says."""
    for key in ("frames", "array", "bytes", "path", "video"):
        if raw.get(key) is not None:
            said = raw.get("fps", raw.get("rate"))
            return raw[key], rate if said is None else _number(said, "the rate `fps` of a clip")
    raise TypeError(f"a clip must be {KINDS}, but is a mapping with {', '.join(map(str, raw)) or 'nothing'}")


def _footage(raw: Any, rate: float) -> Footage:
    if hasattr(raw, "frames") and hasattr(raw, "fps"):
        return from_array(raw.frames, _number(raw.fps, "the rate `fps` of a clip"))
    if isinstance(raw, str | os.PathLike):
        return _from_text(os.fspath(raw), rate)
    if hasattr(raw, "read"):
        if hasattr(raw, "seek"):
            raw.seek(0)
        raw = raw.read()
    if isinstance(raw, bytes | bytearray | memoryview):
        return FileFootage(bytes(raw), f"of {len(raw):,} bytes")
    if isinstance(raw, Image.Image):
        return from_animation(raw, named(raw))
    if hasattr(raw, "get_avg_fps"):
        return steady(_Read(raw), float(raw.get_avg_fps()), named(raw))
    if hasattr(raw, "get_frame_at") and hasattr(raw, "metadata"):
        return steady(raw, float(raw.metadata.average_fps or rate), named(raw))
    if isinstance(raw, Sequence) and len(raw) and isinstance(raw[0], Sequence) and not isinstance(raw[0], str | bytes):
        raw = _numbers(raw)
    if hasattr(raw, "__array__"):
        return from_array(raw, rate)
    if isinstance(raw, Sequence):
        return steady(raw, rate, f"(list of {len(raw)})")
    raise TypeError(f"a clip must be {KINDS}, but is {type(raw).__name__} {repr(raw)[:40]}")


class _Read(Sequence[Any]):
    """The frames of an open reader of decord's."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, index: Any) -> Any:
        frame = self._reader[index]
        return frame.asnumpy() if hasattr(frame, "asnumpy") else frame


def _from_text(text: Any, rate: float) -> Footage:
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    scheme = text[:8].partition(":")[0].lower()
    if scheme == "data" and "," in text:
        data = _from_base64(text.partition(",")[2])
        return FileFootage(data, f"of {len(data):,} bytes in base64")
    if text.lower().startswith("file://"):
        text = unquote(urlsplit(text).path)
    elif "://" in text[:8] and scheme in WEB:
        raise ValueError(f"a video must be at hand, but is the web address {text[:80]!r}: download it first")
    if not text or len(text) > 4096 or "\0" in text:
        found = f"other text: {text[:40]!r}..." if text else "empty text"
        raise ValueError(f"a video must be a path, but is {found}")
    path = Path(text).expanduser()
    if path.is_dir():
        return from_folder(path, rate)
    if not path.exists():
        raise ValueError(f"the video file {text!r} does not exist")
    return FileFootage(str(path), named(text))


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise ValueError(f"the base64 text of a video is broken: {cause}") from cause


@contextmanager
def _opened(file: FileFootage) -> Iterator[Footage]:
    """The film, or the animated picture that only pillow can read."""
    try:
        file.open()
    except (ValueError, PluginError):
        picture = _animation(file.source)
        if picture is None:
            raise
        with picture:
            yield from_animation(picture, file.name)
        return
    try:
        yield file
    finally:
        file.close()


def _animation(source: str | bytes) -> Image.Image | None:
    try:
        picture = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return None
    return picture if getattr(picture, "n_frames", 1) > 1 else None


def _part(footage: Footage, start: Any, stop: Any) -> TimeSpan:
    """The piece between `start` and `stop`, or all.

    Raises:
        ValueError: it is empty, or begins behind the end.
    """
    seconds = footage.header.seconds
    first = 0.0 if start is None else _number(start, "`start` of a clip")
    last = seconds if stop is None else min(_number(stop, "`stop` of a clip"), seconds)
    if not 0 <= first < last:
        raise ValueError(
            f"the piece from {first:g} s to {last if stop is None else stop:g} s must lie within the video "
            f"{footage.name}, which lasts {seconds:.2f} s"
        )
    return TimeSpan(first, last)


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as cause:
        raise TypeError(f"{what} must be a number, but is {value!r}") from cause
    if not (isfinite(number) and number >= 0):
        raise ValueError(f"{what} must be a number from 0 up, but is {value!r}")
    return number


def _numbers(raw: Sequence[Any]) -> Any:
    try:
        return np.asarray(raw)
    except ValueError as cause:
        raise ValueError("a clip as lists of numbers must have frames of one size, but has several") from cause
