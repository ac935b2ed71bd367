"""The sound of containers that soundfile does not read (m4a, mp4, mkv, webm, mov ...), by PyAV."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..extras import needed
from .video_whole import missing_bytes

MISSING = 0.5
"""Seconds that a container may lack of what its header promises."""
MICROSECONDS = 1_000_000


class Contained(NamedTuple):
    """Rate, samples of a channel (None where no header says), and what reads mono samples, as in `Opened`."""

    rate: int
    frames: int | None
    blocks: Callable[[int, int], Iterator[NDArray[np.float32]]]


def open_container(file: Path | bytes, name: str) -> Contained:
    """The first sound of a container, by its header.

    Raises:
        ValueError: of no known format, broken, or without sound.
        ConfigError: PyAV is not installed.
    """
    try:
        av = needed("av", "video")
    except ConfigError as cause:
        raise ConfigError(
            f"the sound file {name} is of no format that soundfile reads; m4a, mp4, mkv and other containers need the "
            "library `av`: pip install omniline[video]"
        ) from cause
    _refuse_cut(file, name)
    with _opened(av, file, name) as container:
        if not container.streams.audio:
            raise ValueError(f"the file {name} has no sound")
        stream = container.streams.audio[0]
        rate = int(getattr(stream.codec_context, "sample_rate", None) or 0)
        if rate < 1:
            raise ValueError(f"the sound of the file {name} is broken: its header does not say how it is coded")
        certain = stream.duration is not None
        seconds = float(stream.duration * stream.time_base) if certain else (container.duration or 0) / MICROSECONDS
    frames = round(seconds * rate) or None
    promised = frames if certain else None

    def blocks(first: int, count: int) -> Iterator[NDArray[np.float32]]:
        return _read(av, file, name, first=first, count=count, promised=promised)

    return Contained(rate, frames, blocks)


def _refuse_cut(file: Path | bytes, name: str) -> None:
    with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as opened:
        length = opened.seek(0, io.SEEK_END)
        lost = missing_bytes(opened, length)
    if lost:
        raise ValueError(
            f"the sound file {name} is cut short: its header promises {length + lost:,} bytes, but it has {length:,}"
        )


def _opened(av: Any, file: Path | bytes, name: str) -> Any:
    try:
        return av.open(io.BytesIO(file) if isinstance(file, bytes) else str(file), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as cause:
        raise ValueError(f"the sound file {name} is of no known format, or broken") from cause


def _read(
    av: Any, file: Path | bytes, name: str, *, first: int, count: int, promised: int | None
) -> Iterator[NDArray[np.float32]]:
    """Mono samples `first` to `first + count` on the clock of the container; gaps before a packet are silent."""
    at, end = first, first + count
    with _opened(av, file, name) as container:
        stream = container.streams.audio[0]
        rate = stream.codec_context.sample_rate
        try:
            if first:
                container.seek(int(first / rate / stream.time_base), stream=stream)
            for start, block in _decoded(av, container, stream, rate):
                begin = at if start is None else start
                if begin > at:
                    yield np.zeros(min(begin, end) - at, np.float32)
                    at = min(begin, end)
                kept = block[max(0, at - begin) : max(0, end - begin)]
                if len(kept):
                    yield kept
                    at += len(kept)
                if at >= end:
                    return
        except av.FFmpegError as cause:
            raise ValueError(f"the sound of the file {name} cannot be decoded: {cause}") from cause
    if promised is not None and min(end, promised) - at > MISSING * rate:
        raise ValueError(f"the file {name} is cut short: {(min(end, promised) - at) / rate:.1f} s of sound are missing")


def _decoded(av: Any, container: Any, stream: Any, rate: int) -> Iterator[tuple[int | None, NDArray[np.float32]]]:
    """Blocks of mono samples, the first with its place on the clock, the others where the one before ends."""
    mixer = av.AudioResampler(format="flt", layout="mono", rate=rate)
    place: int | None = None
    for frame in container.decode(stream):
        if place is None and frame.time is not None:
            place = round(frame.time * rate)
        for mixed in mixer.resample(frame):
            block = mixed.to_ndarray().reshape(-1).astype(np.float32)
            yield place, block
            place = None if place is None else place + len(block)
