"""Which frames of a clip are read, and at what size they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.codec import Reading
from ...core.opening.video_footage import Footage, Pixels, Size
from ...core.opening.video_reading import Opened
from ...core.timespan import TimeSpan
from .framing import Framing

How = Literal["uniform", "fps", "clip"]
SPARE = 1.25
"""How much larger frames are decoded of which a random part of at least 80% is then cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """When the frames that are read are shown: each in the middle of its share of the time.

    Attributes:
        how: "uniform" over all of the clip; "fps" at a rate, over all of it at a lower one where that would be more
            than `most`; "clip" over one piece, a random one in training and the middle one otherwise.
        most: frames that are read at most; a shorter clip gives fewer.
        fps: frames a second, for "fps" and "clip".
        clip_seconds: length of the piece; by default what `most` frames last at `fps`.
    """

    how: How = "uniform"
    most: int = 4
    fps: float = 2.0
    clip_seconds: float | None = None

    def span(self, clip: Opened, reading: Reading) -> TimeSpan:
        """The seconds of the recording that are read: those of the leader, a piece, or all.

        Raises:
            ValueError: the leader reads where the clip has ended.
        """
        if isinstance(reading.leader, TimeSpan):
            return clip.within(reading.leader)
        first, last = clip.part
        spare = clip.part.seconds - self._piece()
        if self.how != "clip" or spare <= 0:
            return clip.part
        share = reading.random("piece").random() if reading.mode == "train" else 0.5
        return TimeSpan(first + share * spare, first + share * spare + self._piece())

    def times(self, span: TimeSpan) -> list[float]:
        """When the wanted frames are shown, ascending; a frame may be on screen at several of these times.

        >>> Sampling(most=4).times(TimeSpan(0.0, 10.0))
        [1.25, 3.75, 6.25, 8.75]
        >>> Sampling(how="fps", fps=0.5, most=64).times(TimeSpan(0.0, 10.0))
        [1.0, 3.0, 5.0, 7.0, 9.0]
        """
        rate = self.most / span.seconds if self.how == "uniform" else self._rate()
        wanted = max(1, round(span.seconds * rate))
        count = min(wanted, self.most)
        exact = self.how == "fps" and count == wanted and (count - 0.5) / rate <= span.seconds
        step = 1 / rate if exact else span.seconds / count
        return [span.start + (i + 0.5) * step for i in range(count)]

    def _rate(self) -> float:
        if self.how == "clip" and self.clip_seconds is not None:
            return self.most / self.clip_seconds
        return self.fps

    def _piece(self) -> float:
        return self.most / self._rate()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFraming(Framing):
    """How the frames of a clip become pixels: all of them as one picture would, under the same draws."""

    def made(self, footage: Footage) -> Size:
        """Width and height of the pixels; with mode "fit" it takes the first frame."""
        return self._fitted(footage.size()) if self.mode == "fit" else (self.size, self.size)

    def decoded(self, footage: Footage, reading: Reading) -> Size:
        """Width and height at which frames are decoded: never more than framing needs."""
        cuts = reading.mode == "train" and self.augment == "light"
        if self.mode == "crop":
            width, height = footage.size()
            scale = min(1.0, self.size * (SPARE if cuts else 1.0) / min(width, height))
            return max(1, round(width * scale)), max(1, round(height * scale))
        width, height = self.made(footage)
        more = (2.0 if self.mode == "fit" else SPARE) if cuts else 1.0
        return round(width * more), round(height * more)

    def framed(self, frames: Pixels, size: Size, reading: Reading) -> Pixels:
        """uint8 [n, height, width, 3] of the made size."""
        changes = reading.mode == "train" and (self.augment != "none" or self.flip)
        hides = self.mask_ratio and reading.corrupts
        if frames.shape[1:3] == size[::-1] and not changes and not hides:
            return frames
        return np.stack([self.pixels(frame, reading) for frame in frames])


def spots_of(stamps: Sequence[float], tall: int, wide: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """float32 [frames * tall * wide, 3]: time in seconds, height and width of each token, frame by frame.

    >>> spots_of([0.0, 0.5], 1, 2).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.0, 0.0], [0.5, 0.0, 1.0]]
    """
    spots = np.empty((len(stamps), tall, wide, 3), dtype=np.float32)
    spots[..., 0] = np.asarray(stamps)[:, None, None]
    spots[..., 1] = np.arange(tall)[:, None]
    spots[..., 2] = np.arange(wide)
    return spots.reshape(-1, 3)
