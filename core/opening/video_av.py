"""Films through PyAV: any container and codec that FFmpeg reads, a frame in memory at a time, seeking where it pays."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .video_footage import SHORTEST, Frames, Header, Pixels, Size, refuse_giant

FILTERS = {"nearest": "POINT", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "lanczos": "LANCZOS"}
INDEXED = ("mov", "matroska", "avi")
"""FFmpeg's names of the containers that hold an index of their key frames; times behind it are exact."""
THREADED = 17
"""The version of PyAV that began to scale a frame with a thread for each core; to begin them takes longer than it."""
FAR = 10.0
"""Seconds ahead from which seeking pays without an index."""
BACK = (0.0, 5.0, 30.0, 1e9)
"""Seconds before the wanted time to seek to, one after the other, until the frame that is found is not too late."""


class AvFilm:
    """An open film. Close it.

    Args:
        source: a path or the bytes of a file.
        name: of it in errors.

    Raises:
        ImportError: PyAV is not installed.
        ValueError: the file cannot be opened, or holds no film.
    """

    def __init__(self, source: str | bytes, name: str) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self.name = name
        self._errors = (av.FFmpegError, OverflowError)
        self._source = source
        self._container: Any = self._opened(av)
        try:
            self._stream = self._film(av)
            self._reformatter = VideoReformatter()
            self._single = {"threads": 1} if int(av.__version__.partition(".")[0]) >= THREADED else {}
            self._start = self._stream.start_time or 0
            self._tick = float(self._stream.time_base or 1 / 90_000)
            self._decoded: Iterator[Any] | None = None
            self._count = 0
            self._now: Any = None
            self._ahead: Any = None
            self.header = self._header(av)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free decoder and file."""
        self._container.close()

    @property
    def format(self) -> str:
        """FFmpeg's name of the container."""
        return str(self._container.format.name)

    @property
    def starts(self) -> float:
        """When the film starts, in seconds after the recording does (its sound may start before it)."""
        first = self._container.start_time
        return max(0.0, self._start * self._tick - first / 1e6) if first is not None else 0.0

    def size(self) -> Size:
        """Of the upright frames; decodes the first one, which knows how the camera was held."""
        self._wind()
        width, height = self._now.width, self._now.height
        return (height, width) if self._now.rotation % 180 else (width, height)

    def frames(self, times: Sequence[float], size: Size | None, filter: str) -> Frames:
        """See `Footage`."""
        self._wind()
        size = size or self.size()
        pixels = np.empty((len(times), size[1], size[0], 3), np.uint8)
        stamps: list[float] = []
        for time in times:
            self._play(time)
            stamp = self._time(self._now)
            if not stamps or stamp > stamps[-1]:
                pixels[len(stamps)] = self._picture(self._now, size, filter)
                stamps.append(stamp)
        return Frames(pixels[: len(stamps)], np.asarray(stamps))

    def _opened(self, av: Any) -> Any:
        source = self._source
        try:
            return av.open(io.BytesIO(source) if isinstance(source, bytes) else source, metadata_errors="replace")
        except self._errors as cause:
            raise ValueError(f"the video {self.name} is no video, or broken: {_reason(cause)}") from cause

    def _film(self, av: Any) -> Any:
        """The first stream of moving pictures; the cover of a record is none."""
        cover = av.stream.Disposition.attached_pic
        for stream in self._container.streams.video:
            if not stream.disposition & cover:
                stream.thread_type = "NONE"
                refuse_giant((stream.width, stream.height), self.name)
                return stream
        kinds = sorted({stream.type for stream in self._container.streams})
        raise ValueError(f"the video {self.name} holds no moving pictures, but {', '.join(kinds) or 'nothing'}")

    def _header(self, av: Any) -> Header:
        stream, container = self._stream, self._container
        seconds = (stream.duration or 0) * self._tick or _clock(stream.metadata.get("DURATION", ""))
        seconds = seconds or (container.duration or 0) / 1e6
        if not 0 < seconds < 1e9:
            seconds = self._scanned(av)
        if len(entries := self._stream.index_entries):  # what was scanned may have been opened anew
            seconds = max(seconds, (entries[len(entries) - 1].timestamp - self._start) * self._tick)
        return Header(seconds=max(seconds + self.starts, SHORTEST), frames=self._stream.frames or None)

    @property
    def _pace(self) -> float:
        """Frames a second where packets do not say when they are shown; of bare H.264 the guess may be twice that."""
        return float(self._stream.codec_context.framerate or self._stream.guessed_rate or 25)

    def _scanned(self, av: Any) -> float:
        """The end of the last packet, where nothing in the file says how long it is, as in a live recording."""
        last, count, lasts = self._start, 0, 0
        for packet in self._container.demux(self._stream):
            if packet.size:
                count += 1
                if packet.pts is not None and packet.pts >= last:
                    last, lasts = packet.pts, packet.duration or 0
        self._rewind(av)
        if last == self._start:
            return count / self._pace
        return (last - self._start + (lasts or (last - self._start) / (count - 1))) * self._tick

    def _rewind(self, av: Any) -> None:
        """To the first packet; what has no container, such as bare H.264, cannot be sought in and is opened again."""
        try:
            self._container.seek(0)
        except self._errors:
            self._container.close()
            self._container = self._opened(av)
            self._stream = self._film(av)

    def _wind(self) -> None:
        """To the first frame, when none has been decoded."""
        if self._now is None:
            self._decoded = self._container.decode(self._stream)
            self._now, self._ahead = self._next(), self._next()
            if self._now is None:
                raise ValueError(f"the video {self.name} holds no frames")
            refuse_giant((self._now.width, self._now.height), self.name)

    def _next(self) -> Any:
        assert self._decoded is not None, "a film is wound before it is played"
        try:
            frame = next(self._decoded, None)
        except self._errors as cause:
            after = f" after {self._time(self._now):.2f} s" if self._now is not None else ""
            raise ValueError(f"the video {self.name} cannot be decoded{after}: {_reason(cause)}") from cause
        if frame is not None and frame.pts is None:
            counted = self._start + round(self._count / self._pace / self._tick)
            frame.pts = counted if frame.dts is None else frame.dts
        self._count += 1
        return frame

    def _time(self, frame: Any) -> float:
        return float((frame.pts - self._start) * self._tick + self.starts)

    def _play(self, time: float) -> None:
        """Until the frame on screen is the one of that time."""
        if self._ahead is not None and self._time(self._ahead) < time and self._pays(time):
            self._jump(time)
        while self._ahead is not None and self._time(self._ahead) <= time + 1e-6:
            self._now, self._ahead = self._ahead, self._next()

    def _pays(self, time: float) -> bool:
        """Whether a key frame lies between the next frame and the wanted one."""
        entries, wanted = self._stream.index_entries, self._ticks(time)
        if self.format.startswith(INDEXED) and len(entries) > 1:
            key = entries.search_timestamp(wanted)
            if key >= 0 and entries[key].timestamp > self._ahead.pts:
                return True
            if entries[len(entries) - 1].timestamp >= wanted:
                return False
        return time - self._time(self._ahead) > FAR

    def _ticks(self, time: float) -> int:
        return self._start + int((time - self.starts) / self._tick)

    def _jump(self, time: float) -> None:
        for back in BACK:
            try:
                self._container.seek(max(self._start, self._ticks(time - back)), stream=self._stream)
            except self._errors:
                return
            self._decoded = self._container.decode(self._stream)
            found, ahead = self._next(), self._next()
            if found is not None and self._time(found) <= time:
                self._now, self._ahead = found, ahead
                return

    def _picture(self, frame: Any, size: Size, filter: str) -> Pixels:
        lying = bool(frame.rotation % 180)
        width, height = size[::-1] if lying else size
        made = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=FILTERS[filter], **self._single)
        pixels: Any = made.to_ndarray()
        return np.rot90(pixels, frame.rotation // 90) if frame.rotation else pixels


def _clock(text: str) -> float:
    """Seconds of "00:01:02.5"; 0 when it says nothing.

    >>> _clock("00:01:02.5"), _clock("")
    (62.5, 0.0)
    """
    try:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
    except ValueError:
        return 0.0
    return hours * 3600 + minutes * 60 + seconds


def _reason(cause: BaseException) -> str:
    return str(getattr(cause, "strerror", None) or cause)
