"""VIDEO as codes, in and out: frames one after the other through the port of `image_codes`, which also makes them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ...core.codec import Encoded, Reading
from ...core.opening.video_clip import VideoClip
from ...core.opening.video_footage import Frames
from ...core.opening.video_reading import RATE, Opened, open_clip
from ...core.timespan import TimeSpan
from .codes import encoded
from .framing import Mode
from .video_sampling import ClipFraming

How = Literal["fps", "uniform"]
EARLIER = 1e-4
"""Seconds before the end of a clip at which its last frame is surely on screen."""


class VideoCodesCodec:
    """Clips to squares of bytes, always of so many frames, and pixels that the port made of codes to clips.

    The way there and back loses nothing of the frames at `size`, and with the port what its tokenizer loses.

    >>> codec = VideoCodesCodec(max_frames=3, fps=2.0, size=8, factor=4)
    >>> encoded = codec.encode(np.zeros((50, 16, 16, 3), np.uint8), Reading())
    >>> encoded.rows, sorted(set(encoded.grid[:, 0].tolist()))
    (12, [0.0, 0.5, 1.0])
    """

    def __init__(
        self,
        *,
        max_frames: int = 8,
        sampling: How = "fps",
        fps: float = 4.0,
        rate: float = RATE,
        size: int = 32,
        factor: int = 4,
        mode: Mode = "square",
        resize: str = "bilinear",
        **tokenizer: Any,
    ) -> None:
        """`tokenizer` are the settings of the port alone."""
        self.frames, self.sampling, self.fps, self.rate = max_frames, sampling, fps, rate
        self.factor, self.side = factor, max(1, size // factor)
        self.framing = ClipFraming(size=self.side * factor, mode=mode, resize=resize)

    def measure(self, raw: Any, reading: Reading) -> int:
        """Always max_frames * (size / factor) squared."""
        return self.frames * self.side**2

    def lead(self, raw: Any, reading: Reading) -> TimeSpan:
        """The seconds of the recording that are read, for slots in step with it; opens the header alone."""
        with open_clip(raw, rate=self.rate) as clip:
            return self._span(clip)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a clip: `patches` uint8 [n, factor * factor * 3] and their `index`; the labels are the patches.

        The last frame stands still where the clip is shorter than `max_frames / fps` seconds.

        Raises:
            TypeError, ValueError: see `open_clip`.
        """
        with open_clip(raw, rate=self.rate) as clip:
            stamps, times = self._times(clip)
            size, made = self.framing.decoded(clip.footage, reading), self.framing.made(clip.footage)
            shown = held(clip.footage.frames(times, size, self.framing.resize), times)
        return encoded(self.framing.framed(shown, made, reading), self.factor, reading, stamps)

    def decode(self, predicted: Mapping[str, Tensor]) -> VideoClip:
        """A clip of `pixels` uint8 [frames, size, size, 3], as `ImageCodesPort.render` makes them."""
        return VideoClip(predicted["pixels"].cpu().numpy(), self.fps)

    def returned(self, raw: Any) -> VideoClip:
        """A clip of the data as it comes back from a tokenizer that loses nothing."""
        read = Reading(side="source", mode="predict")
        with open_clip(raw, rate=self.rate) as clip:
            _, times = self._times(clip)
            size, made = self.framing.decoded(clip.footage, read), self.framing.made(clip.footage)
            shown = held(clip.footage.frames(times, size, self.framing.resize), times)
        return VideoClip(self.framing.framed(shown, made, read), self.fps)

    def save(self, value: VideoClip, stem: Path) -> Path:
        """Write it as .mp4, or as .gif where PyAV is not installed."""
        return value.save(stem.with_name(stem.name + (".mp4" if find_spec("av") else ".gif")))

    def _span(self, clip: Opened) -> TimeSpan:
        start, stop = clip.part
        return clip.part if self.sampling == "uniform" else TimeSpan(start, min(stop, start + self.frames / self.fps))

    def _times(self, clip: Opened) -> tuple[list[float], list[float]]:
        """When each frame is shown in the clip that is made, and when it is found in the one that is read."""
        start, stop = self._span(clip)
        step = (stop - start) / self.frames if self.sampling == "uniform" else 1 / self.fps
        stamps = [i * step for i in range(self.frames)]
        return stamps, [min(start + stamp, max(start, stop - EARLIER)) for stamp in stamps]


def held(found: Frames, times: list[float]) -> Any:
    """uint8 [times, height, width, 3]: the frame that is on screen at each time, of those that were found.

    >>> held(Frames(np.arange(2, dtype=np.uint8).reshape(2, 1, 1, 1), np.array([0.0, 1.0])), [0.1, 0.5, 1.2]).ravel()
    array([0, 0, 1], dtype=uint8)
    """
    places = np.searchsorted(found.stamps, np.array(times) + EARLIER / 2, side="right") - 1
    return found.pixels[places.clip(0)]
