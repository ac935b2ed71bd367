"""Metrics over pictures and clips, against the true one in the predicted one's size."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .raw import check_any, check_lengths

Bytes = NDArray[np.uint8]
WHITE = (255, 255, 255)
LEAST_ERROR = 1e-10
"""Of pictures that are equal: their ratio is 100 dB."""


class _Pairs:
    """Pictures and their truths, as float32 [frames, 3, height, width] in 0..1."""

    name = ""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def update(self, predicted: Sequence[Any], truth: Sequence[Any]) -> None:
        """Add rows: a PIL picture, a path or bytes of one, an array [height, width, 3], or a clip with `frames`.

        Raises:
            TypeError: another kind of value.
            ValueError: a clip has more frames than its truth.
        """
        check_lengths(self.name, predicted, truth)
        for one, other in zip(predicted, truth, strict=True):
            made = frames_of(self.name, one)
            self.pairs.append((_scaled(made), _scaled(like(frames_of(self.name, other), made))))


class PeakSignalNoiseRatio(_Pairs):
    """Peak signal-to-noise ratio in decibels, the mean over rows.

    >>> metric = PeakSignalNoiseRatio()
    >>> metric.update([np.zeros((4, 4, 3), np.uint8)], [np.full((4, 4, 3), 51, np.uint8)])
    >>> round(metric.compute(), 3)
    13.979
    """

    name = "psnr"

    def compute(self) -> float:
        """The mean, 0 to 100."""
        check_any(self.name, self.pairs)
        from torchmetrics.functional.image import peak_signal_noise_ratio

        found = [
            peak_signal_noise_ratio(a, b, data_range=1.0) if float((a - b).square().mean()) > LEAST_ERROR else 100.0
            for a, b in self.pairs
        ]
        return float(sum(float(one) for one in found) / len(found))


class StructuralSimilarity(_Pairs):
    """Structural similarity (Wang et al., 2004), the mean over rows."""

    name = "ssim"

    def compute(self) -> float:
        """The mean, -1 to 1."""
        check_any(self.name, self.pairs)
        from torchmetrics.functional.image import structural_similarity_index_measure

        found = [
            structural_similarity_index_measure(a.double(), b.double(), data_range=1.0, kernel_size=_kernel(a))
            for a, b in self.pairs  # in float32 the deviations of even parts drown
        ]
        values: list[float] = [float(one) for one in found]  # type: ignore[arg-type]
        return sum(values) / len(values)


class NearestPicture(_Pairs):
    """Share of pictures that lie strictly nearer, by squared error, to their own row's true picture than to the true
    picture of any other row that differs from it; the pictures of all rows have one size."""

    name = "nearest_picture"

    def compute(self) -> float:
        """The share, 0 to 1.

        Raises:
            ValueError: pictures of different sizes.
        """
        check_any(self.name, self.pairs)
        shapes = {tuple(a.shape) for a, _ in self.pairs}
        if len(shapes) > 1:
            raise ValueError(f"`{self.name}` must get pictures of one size, but got {sorted(shapes)[:3]}")
        made = torch.stack([a.flatten() for a, _ in self.pairs])
        true = torch.stack([b.flatten() for _, b in self.pairs])
        far = torch.cdist(made, true, compute_mode="donot_use_mm_for_euclid_dist")
        own = far.diagonal()[:, None]
        same = torch.cdist(true, true, compute_mode="donot_use_mm_for_euclid_dist") == 0
        return float(((own < far) | same).all(1).float().mean())


def frames_of(metric: str, value: Any) -> Bytes:
    """uint8 [frames, height, width, 3] of a picture (one frame) or a clip; what is transparent becomes white.

    Raises:
        TypeError: another kind of value.
        ValueError: a file that is no picture.
    """
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("frames", "bytes", "path") if value.get(key) is not None), value)
    if hasattr(value, "frames") and hasattr(value, "fps"):
        value = value.frames
    if isinstance(value, bytes):
        value = io.BytesIO(value)
    if isinstance(value, str | os.PathLike | io.BytesIO):
        try:
            with Image.open(value) as opened:
                value = opened.convert("RGBA")
        except OSError as cause:
            raise ValueError(f"`{metric}` cannot read a true picture: {cause}") from cause
    if isinstance(value, Image.Image):
        clear = value.convert("RGBA")
        ground = Image.new("RGB", clear.size, WHITE)
        ground.paste(clear, mask=clear.getchannel("A"))
        return np.asarray(ground)[None]
    array = np.asarray(value)
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or array.shape[-1] != 3:
        raise TypeError(f"`{metric}` must get pictures or clips, but got {type(value).__name__} {repr(value)[:60]}")
    return array if array.ndim == 4 else array[None]


def like(frames: Bytes, made: Bytes) -> Bytes:
    """The first frames, as many and as large as those of `made`.

    Raises:
        ValueError: there are fewer.
    """
    if len(frames) < len(made):
        raise ValueError(f"a true clip must have {len(made)} frames like the predicted one, but has {len(frames)}")
    height, width = made.shape[1:3]
    if frames.shape[1:3] == (height, width):
        return frames[: len(made)]
    resized = [Image.fromarray(f).resize((width, height), Image.Resampling.BICUBIC) for f in frames[: len(made)]]
    return np.stack([np.asarray(one) for one in resized])


def _scaled(frames: Bytes) -> Tensor:
    return torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float() / 255


def _kernel(pictures: Tensor) -> int:
    """The usual window of 11 pixels, or the largest odd one that such small pictures have room for."""
    least = min(pictures.shape[-2:])
    return min(11, least - 1 + least % 2)
