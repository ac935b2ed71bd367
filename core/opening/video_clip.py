"""A clip as a value: frames and their rate, as predicting gives it and as a row may hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import PluginError
from .video_footage import Pixels

ANIMATED = (".gif", ".webp", ".png")


@dataclass(frozen=True, slots=True, eq=False)
class VideoClip:
    """Frames and how many a second are shown.

    Attributes:
        frames: uint8 [n, height, width, 3], at least one.
        fps: frames a second.

    >>> clip = VideoClip(np.zeros((8, 32, 48, 3), np.uint8), 4.0)
    >>> clip, clip.seconds
    (VideoClip(8 frames of 48 x 32 pixels, 4 fps), 2.0)
    """

    frames: Pixels = field(repr=False)
    fps: float = 25.0

    def __post_init__(self) -> None:
        shape = tuple(np.shape(self.frames))
        if len(shape) != 4 or shape[-1] != 3 or 0 in shape or np.asarray(self.frames).dtype != np.uint8:
            raise ValueError(
                f"frames must be uint8 [n, height, width, 3], but are {np.asarray(self.frames).dtype} {shape}"
            )
        if not 0 < self.fps < float("inf"):
            raise ValueError(f"the rate of a clip must be a number of frames a second above 0, but is {self.fps}")

    def __repr__(self) -> str:
        count, height, width, _ = self.frames.shape
        return f"VideoClip({count} frames of {width} x {height} pixels, {self.fps:g} fps)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VideoClip) and self.fps == other.fps and np.array_equal(self.frames, other.frames)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.frames) / self.fps

    def save(self, path: str | Path) -> Path:
        """Write a file whose suffix says how: .gif, .webp and .png by pillow, .mp4 and all others by PyAV.

        Raises:
            PluginError: PyAV is needed and not installed.
            ValueError: there is no such format.
        """
        target = Path(path)
        if target.suffix.lower() in ANIMATED:
            first, *rest = (Image.fromarray(frame) for frame in self.frames)
            first.save(target, save_all=True, append_images=rest, duration=round(1000 / self.fps), loop=0)
        else:
            _write_film(self, target)
        return target


def _write_film(clip: VideoClip, path: Path) -> None:
    """H.264 of even sides, as every player wants; VP9 in .webm."""
    try:
        import av
    except ImportError as cause:
        raise PluginError("writing films needs PyAV: pip install 'omniline[video]', or save as .gif") from cause
    frames = np.ascontiguousarray(clip.frames)
    tall, wide = (side % 2 for side in frames.shape[1:3])
    if tall or wide:
        frames = np.pad(frames, ((0, 0), (0, tall), (0, wide), (0, 0)), mode="edge")
    codec = "libvpx-vp9" if path.suffix.lower() == ".webm" else "libx264"
    try:
        container: Any = av.open(str(path), "w")
    except ValueError as cause:
        raise ValueError(
            f"there is no format of video for the suffix {path.suffix!r}: use .mp4, .webm or .gif"
        ) from cause
    with container:
        stream = container.add_stream(codec, rate=Fraction(clip.fps).limit_denominator(1001))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
