"""VIDEO: frames of a clip with their times, as patches or as pixels for a tower; the ports are those of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
import torch

from ...core.codec import Encoded, Reading
from ...core.opening.video_footage import Frames, Pixels, Size
from ...core.opening.video_reading import RATE, open_clip
from ...core.settings import Value
from ...core.timespan import TimeSpan
from .framing import Augment, Mode
from .video_sampling import ClipFraming, How, Sampling, spots_of


class ClipReader:
    """What the codecs of clips share: from a raw value to framed pixels and their times.

    Args:
        sampling: which frames.
        framing: what becomes of each.
        rate: frames a second of arrays and lists, which do not say it.
    """

    def __init__(self, sampling: Sampling, framing: ClipFraming, rate: float) -> None:
        self._sampling, self._framing, self._rate = sampling, framing, rate

    def lead(self, raw: Any, reading: Reading) -> TimeSpan:
        """The seconds of the recording that are read, for slots in step with it; opens the header alone."""
        with open_clip(raw, rate=self._rate) as clip:
            return self._sampling.span(clip, reading)

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> Any:
        """Always a TypeError: clips are made by `video_codes`."""
        raise TypeError("this adapter reads clips and makes none: on the target side use adapter=video_codes")

    def counted(self, raw: Any, reading: Reading) -> tuple[int, Size]:
        """The most frames that will be read, and their width and height; opens the header alone, but for mode "fit"."""
        with open_clip(raw, rate=self._rate) as clip:
            wanted = len(self._sampling.times(self._sampling.span(clip, reading)))
            return min(wanted, clip.footage.header.frames or wanted), self._framing.made(clip.footage)

    def read(self, raw: Any, reading: Reading) -> Frames:
        """Pixels of the made size, and times in seconds from the start of what is read.

        Raises:
            TypeError, ValueError: see `open_clip`.
        """
        with open_clip(raw, rate=self._rate) as clip:
            span = self._sampling.span(clip, reading)
            made, size = self._framing.made(clip.footage), self._framing.decoded(clip.footage, reading)
            times = self._sampling.times(span)
            pixels, stamps = clip.footage.frames(times, size, self._framing.resize)
            most = clip.footage.header.frames or len(times)  # a header that says too few has been measured
        pixels, stamps = pixels[:most], stamps[:most]
        return Frames(self._framing.framed(pixels, made, reading), np.maximum(stamps - span.start, 0.0))


class VideoCodec(ClipReader):
    """Clips to patches of bytes.

    >>> codec = VideoCodec(max_frames=2, size=8, patch=4)
    >>> encoded = codec.encode(np.zeros((50, 16, 16, 3), np.uint8), Reading())
    >>> encoded.rows, encoded.tensors["patches"].shape, sorted(set(encoded.grid[:, 0].tolist()))
    (8, (8, 48), [0.47999998927116394, 1.4800000190734863])
    """

    def __init__(
        self,
        *,
        max_frames: int = 4,
        sampling: How = "uniform",
        fps: float = 2.0,
        clip_seconds: float | None = None,
        rate: float = RATE,
        size: int = 224,
        patch: int = 16,
        mode: Mode = "square",
        resize: str = "bilinear",
        augment: Augment = "none",
        flip: bool = False,
        mask_ratio: float = 0.0,
        normalise: str = "half",
    ) -> None:
        """`normalise` is the port's: pixels stay bytes here."""
        self.patch = patch
        framing = ClipFraming(
            size=max(1, size // patch) * patch,
            unit=patch,
            mode=mode,
            resize=resize,
            augment=augment,
            flip=flip,
            mask_ratio=mask_ratio,
        )
        super().__init__(Sampling(how=sampling, most=max_frames, fps=fps, clip_seconds=clip_seconds), framing, rate)

    def measure(self, raw: Any, reading: Reading) -> int:
        """The patches of all frames, an upper bound; opens the header."""
        count, (width, height) = self.counted(raw, reading)
        return count * (width // self.patch) * (height // self.patch)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a clip: uint8 [n, patch * patch * 3] and the place of each patch, time in seconds first.

        Raises:
            TypeError, ValueError: see `open_clip`.
        """
        frames, stamps = self.read(raw, reading)
        patches = clip_patches(frames, self.patch)
        tall, wide = frames.shape[1] // self.patch, frames.shape[2] // self.patch
        return Encoded(rows=len(patches), tensors={"patches": patches}, grid=spots_of(stamps.tolist(), tall, wide))


class TimmVideoCodec(ClipReader):
    """Clips to square pixels, a picture for the tower each."""

    def __init__(
        self,
        *,
        max_frames: int = 4,
        sampling: How = "uniform",
        fps: float = 2.0,
        clip_seconds: float | None = None,
        rate: float = RATE,
        size: int = 224,
        stride: int = 16,
        mode: Mode = "square",
        resize: str = "bilinear",
        augment: Augment = "none",
        flip: bool = False,
        mask_ratio: float = 0.0,
        **tower: Value,
    ) -> None:
        """`tower` are the settings of the port alone."""
        self._side = ceil(size / stride)
        framing = ClipFraming(size=size, mode=mode, resize=resize, augment=augment, flip=flip, mask_ratio=mask_ratio)
        super().__init__(Sampling(how=sampling, most=max_frames, fps=fps, clip_seconds=clip_seconds), framing, rate)

    def measure(self, raw: Any, reading: Reading) -> int:
        """The places of the tower's grid in all frames, an upper bound; opens the header."""
        return self.counted(raw, reading)[0] * self._side**2

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a clip: uint8 [frames, size, size, 3] and the place of each token, time in seconds first.

        Raises:
            TypeError, ValueError: see `open_clip`.
        """
        frames, stamps = self.read(raw, reading)
        grid = spots_of(stamps.tolist(), self._side, self._side)
        return Encoded(rows=len(grid), tensors={"pixels": np.ascontiguousarray(frames)}, grid=grid)


def clip_patches(frames: Pixels, side: int) -> Pixels:
    """uint8 [n, height, width, 3] cut into rows of patches, uint8 [m, side * side * 3], frame by frame, row by row.

    >>> clip_patches(np.zeros((2, 4, 6, 3), np.uint8), 2).shape
    (12, 12)
    """
    count, tall, wide = len(frames), frames.shape[1] // side, frames.shape[2] // side
    cut = frames[:, : tall * side, : wide * side].reshape(count, tall, side, wide, side * 3)
    return np.ascontiguousarray(cut.transpose(0, 1, 3, 2, 4)).reshape(-1, side * side * 3)
