"""Pictures and clips as Qwen's vision towers read them: bytes of patches in the order of merging, with their places.

Sizes and pixels are those of the processors of transformers: a bicubic filter with antialiasing over bytes. Bytes are
what travels; the port scales them. A picture is shipped once, and doubled in time where it is projected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ...core.codec import Encoded, Reading
from ...core.opening.pictures import open_picture, picture_size
from ...core.opening.video_footage import Footage
from ...core.opening.video_reading import Opened, open_clip
from ...core.settings import Value
from ...core.timespan import TimeSpan
from ...core.view import View
from .fitting import Chosen, Fit, Rule, frame_limit, refuse_shape, smart_nframes, smart_resize

Pixels = NDArray[np.uint8]
Clock = Literal["index", "seconds"]
MOST_PIXELS = 1 << 28
"""Pixels of the largest picture that is resized to."""
AT_ONCE = 16
"""Frames that are held at their full size."""


def patches_of(pixels: Tensor, patch: int, merge: int, frames: int) -> Tensor:
    """Pictures cut into patches: neighbours that are merged follow each other, and of each its frames.

    Args:
        pixels: uint8 [n, 3, height, width]; the sides are multiples of patch times merge, n of `frames`.
        patch: side of a patch.
        merge: patches that are merged, each way.
        frames: pictures that share a patch in time.

    Returns:
        uint8 [n * patches, 3 * patch * patch]: by time, rows and columns of what is merged, within it by rows and
        columns, then by frames; each patch by channels, rows and columns.

    >>> patches_of(torch.arange(3 * 16, dtype=torch.uint8).view(1, 3, 4, 4), 1, 2, 1)[:4, 0].tolist()
    [0, 1, 4, 5]
    """
    count, channels, height, width = pixels.shape
    tall, wide = height // patch, width // patch
    cut = pixels.reshape(
        count // frames, frames, channels, tall // merge, merge, patch, wide // merge, merge, patch
    ).permute(0, 3, 6, 4, 7, 1, 2, 5, 8)
    return cut.reshape(count * tall * wide, channels * patch * patch)


def resized(pixels: Tensor, fit: Fit) -> Tensor:
    """uint8 [n, 3, height, width] at another size.

    >>> resized(torch.zeros(1, 3, 5, 7, dtype=torch.uint8), Fit(8, 4)).shape
    torch.Size([1, 3, 8, 4])
    """
    if tuple(pixels.shape[-2:]) == tuple(fit):
        return pixels
    return F.interpolate(pixels, size=tuple(fit), mode="bicubic", antialias=True, align_corners=False)


def places_of(times: Sequence[float], tall: int, wide: int) -> NDArray[np.float32]:
    """float32 [times * tall * wide, 3]: time, row and column of each token.

    >>> places_of([0.0, 1.0], 1, 2).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]
    """
    places = np.empty((len(times), tall, wide, 3), np.float32)
    places[..., 0] = np.asarray(times)[:, None, None]
    places[..., 1] = np.arange(tall)[:, None]
    places[..., 2] = np.arange(wide)
    return places.reshape(-1, 3)


class _Patching:
    """What the codecs of pictures and clips share; `most_pixels` of a clip are those of a frame."""

    def __init__(
        self, *, patch: int, merge: int, temporal_patch: int, min_pixels: int, max_pixels: int, rule: Rule
    ) -> None:
        if not 0 < min_pixels <= max_pixels <= MOST_PIXELS:
            raise ValueError(
                f"`min_pixels` must be at most `max_pixels` and this at most {MOST_PIXELS:,}, but they are "
                f"{min_pixels:,} and {max_pixels:,}"
            )
        self.patch, self.merge, self.temporal_patch = patch, merge, temporal_patch
        self.min_pixels, self.max_pixels, self.rule = min_pixels, max_pixels, rule

    @property
    def unit(self) -> int:
        """Pixels of the side of what one token stands for."""
        return self.patch * self.merge

    def fit(self, size: tuple[int, int], most: int | None = None) -> Fit:
        """Height and width that a picture of this width and height is resized to.

        Raises:
            ValueError: see `smart_resize`.
        """
        width, height = size
        limits = {"least_pixels": self.min_pixels, "most_pixels": most or self.max_pixels}
        return smart_resize(height, width, unit=self.unit, rule=self.rule, **limits)

    def cells(self, fit: Fit) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return fit.height // self.unit, fit.width // self.unit

    def encoded(self, pixels: Tensor, frames: int, times: Sequence[float]) -> Encoded:
        """Pixels uint8 [n, 3, height, width] of the fitted size, so many pictures to a patch."""
        tall, wide = pixels.shape[-2] // self.patch, pixels.shape[-1] // self.patch
        places = places_of(times, tall // self.merge, wide // self.merge)
        tensors = {
            "patches": patches_of(pixels, self.patch, self.merge, frames),
            "grid_thw": torch.tensor([[len(times), tall, wide]]),
            "frames": torch.tensor([frames]),
        }
        return Encoded(rows=len(places), tensors=tensors, grid=places)


class QwenImageCodec(_Patching):
    """Pictures at their own resolution, within limits.

    >>> codec = QwenImageCodec()
    >>> codec.measure(np.zeros((224, 224, 3), np.uint8), Reading())
    64
    """

    def __init__(
        self,
        *,
        patch: int = 14,
        merge: int = 2,
        temporal_patch: int = 2,
        min_pixels: int = 56 * 56,
        max_pixels: int = 1280 * 28 * 28,
        rule: Rule = "transformers",
        **tower: Value,
    ) -> None:
        """`tower` are the settings of the port alone."""
        super().__init__(
            patch=patch,
            merge=merge,
            temporal_patch=temporal_patch,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            rule=rule,
        )

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens; opens the picture's header.

        Raises:
            TypeError, ValueError: see `picture_size` and `smart_resize`.
        """
        tall, wide = self.cells(self.fit(picture_size(raw)))
        return tall * wide

    def lead(self, raw: Any, reading: Reading) -> View:
        """How the picture is seen, for the boxes that follow it; opens its header alone."""
        size = picture_size(raw)
        fit = self.fit(size)
        return View(size=size, made=(fit.width, fit.height))

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a picture.

        `patches` uint8 [n, 3 * patch * patch], `grid_thw` [1, 3] in patches, `frames` [1], which is 1.

        Raises:
            TypeError, ValueError: see `open_picture` and `smart_resize`.
        """
        picture = open_picture(raw)
        fit = self.fit(picture.size)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].contiguous()
        return self.encoded(resized(pixels, fit), 1, [0.0])

    def decode(self, predicted: Mapping[str, Tensor]) -> Any:
        """Always a TypeError: this adapter makes no pictures."""
        raise TypeError("this adapter reads pictures and makes none: on the target side use adapter=image_codes")


class QwenVideoCodec(_Patching):
    """Clips: frames at a steady rate, two to a patch, each frame within limits and the clip within one of its own.

    >>> encoded = QwenVideoCodec(sampling="all").encode(np.zeros((4, 300, 300, 3), np.uint8), Reading())
    >>> encoded.tensors["grid_thw"].tolist(), encoded.rows
    ([[2, 24, 24]], 288)
    """

    def __init__(
        self,
        *,
        patch: int = 14,
        merge: int = 2,
        temporal_patch: int = 2,
        min_pixels: int = 128 * 28 * 28,
        max_pixels: int = 768 * 28 * 28,
        total_pixels: int | None = None,
        rule: Rule = "transformers",
        sampling: Literal["fps", "all"] = "fps",
        fps: float = 2.0,
        slowest_fps: float | None = None,
        min_frames: int = 4,
        max_frames: int = 768,
        rate: float = 2.0,
        clock: Clock = "index",
        **tower: Value,
    ) -> None:
        """`tower` are the settings of the port alone; see `QwenVideo` for the others.

        Raises:
            ValueError: limits or rates that exclude each other.
        """
        super().__init__(
            patch=patch,
            merge=merge,
            temporal_patch=temporal_patch,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            rule=rule,
        )
        if min_frames > max_frames:
            raise ValueError(f"`min_frames` must be at most `max_frames`, but is {min_frames} of {max_frames}")
        if slowest_fps is not None and slowest_fps > fps:
            raise ValueError(f"`slowest_fps` must be at most `fps`, but is {slowest_fps:g} of {fps:g}")
        self.total_pixels, self.sampling, self.clock = total_pixels, sampling, clock
        self.rates = (slowest_fps or fps, fps)
        self.frames = (min_frames, max_frames)
        self.rate = rate

    def measure(self, raw: Any, reading: Reading) -> int:
        """The most tokens that any rate may give; opens the header and the first frame.

        Raises:
            TypeError, ValueError: see `open_clip` and `smart_resize`.
        """
        with open_clip(raw, rate=self.rate) as clip:
            span, size = clip.within(reading.leader), clip.footage.size()
            drawn = reading.mode == "train"
            few, many = (len(self._chosen(clip, span, rate).indexes) for rate in self._bounds(drawn))
        return max(self._tokens(count, size) for count in {*range(few, many, self.temporal_patch), many})

    def lead(self, raw: Any, reading: Reading) -> TimeSpan:
        """The seconds of the recording that are read, for slots in step with it; opens the header alone."""
        with open_clip(raw, rate=self.rate) as clip:
            return clip.within(reading.leader)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a clip.

        `patches` uint8 [n, 3 * patch * patch], `grid_thw` [1, 3] in patches, `frames` [1] to a patch.

        Raises:
            TypeError, ValueError: see `open_clip` and `smart_resize`.
        """
        slow, fast = self._bounds(reading.mode == "train")
        wanted = slow + (fast - slow) * float(reading.random("fps").random()) if slow < fast else fast
        with open_clip(raw, rate=self.rate) as clip:
            span = clip.within(reading.leader)
            chosen = self._chosen(clip, span, wanted)
            fit = self.fit(clip.footage.size(), self._most(len(chosen.indexes)))
            taken = _rate(clip, self.rate)
            times = [span.start + (index + 0.5) / taken for index in chosen.indexes]
            pixels = _frames(clip.footage, times, fit)
        lacks = -len(pixels) % self.temporal_patch
        fps = len(pixels) / span.seconds
        pixels = torch.cat([pixels, pixels[-1:].expand(lacks, -1, -1, -1)]) if lacks else pixels
        step = 1.0 if self.clock == "index" else self.temporal_patch / fps
        count = len(pixels) // self.temporal_patch
        return self.encoded(pixels, self.temporal_patch, [step * i for i in range(count)])

    def decode(self, predicted: Mapping[str, Tensor]) -> Any:
        """Always a TypeError: this adapter makes no clips."""
        raise TypeError("this adapter reads clips and makes none: on the target side use adapter=video_codes")

    def _bounds(self, drawn: bool) -> tuple[float, float]:
        return self.rates if drawn else (self.rates[1], self.rates[1])

    def _chosen(self, clip: Opened, span: TimeSpan, wanted: float) -> Chosen:
        taken = _rate(clip, self.rate)
        total = max(1, round(span.seconds * taken))
        least, most = self.frames
        if self.sampling == "all":
            wanted = taken
        if total <= most and taken <= wanted:
            return Chosen(tuple(range(total)), taken)
        return smart_nframes(total, taken, wanted=wanted, least=least, most=most, step=self.temporal_patch)

    def _most(self, frames: int) -> int | None:
        if self.total_pixels is None:
            return None
        limits = {"least_pixels": self.min_pixels, "most_pixels": self.max_pixels, "total_pixels": self.total_pixels}
        return frame_limit(frames, step=self.temporal_patch, **limits)

    def _tokens(self, frames: int, size: tuple[int, int]) -> int:
        tall, wide = self.cells(self.fit(size, self._most(frames)))
        return -(-frames // self.temporal_patch) * tall * wide


def _rate(clip: Opened, unknown: float) -> float:
    """Frames a second of the recording; where its header does not say how many it has, a usual rate."""
    header = clip.footage.header
    return header.frames / header.seconds if header.frames else unknown


def _frames(footage: Footage, times: Sequence[float], fit: Fit) -> Tensor:
    """uint8 [n, 3, height, width]: the frames shown at ascending times, each once, a few at a time in full size."""
    size, last, made = footage.size(), float("-inf"), []
    refuse_shape(*size[::-1])
    for first in range(0, len(times), AT_ONCE):
        pixels, stamps = footage.frames(times[first : first + AT_ONCE], size, "bicubic")
        fresh = pixels[stamps > last]
        if len(fresh):
            last = float(stamps[-1])
            made.append(resized(torch.from_numpy(np.ascontiguousarray(fresh.transpose(0, 3, 1, 2))), fit))
    return torch.cat(made)
