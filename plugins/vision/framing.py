"""From a picture to pixels of the wanted size: framing, augmentation and hidden squares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from ...core.codec import Reading
from .pictures import Size, open_picture, picture_size

Mode = Literal["square", "crop", "fit"]
Augment = Literal["none", "light", "strong"]
Pixels = NDArray[np.uint8]
GREY = 128
"""What a hidden square is filled with: about 0 once scaled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a picture becomes pixels.

    Attributes:
        size: side in pixels; the longer one with mode "fit".
        unit: with mode "fit" both sides are whole multiples of it.
        mode: squeeze to a square, cut the middle square, or keep the sides' ratio.
        resize: the filter.
        augment: "light" cuts a random part of at least 80% and shifts colours a little, "strong" is RandAugment
            (Cubuk et al., 2019, arXiv:1909.13719) with 2 changes of magnitude 7.
        flip: mirror half of the pictures.
        mask_ratio: side of a grey square at a random place, as a share of the sides.

    Augmentation acts in training alone, hiding in training and validation.
    """

    size: int
    unit: int = 1
    mode: Mode = "square"
    resize: str = "bicubic"
    augment: Augment = "none"
    flip: bool = False
    mask_ratio: float = 0.0

    def measured(self, raw: Any) -> Size:
        """Width and height of the pixels; opens the picture's header only with mode "fit"."""
        return (self.size, self.size) if self.mode != "fit" else self._fitted(picture_size(raw))

    def pixels(self, raw: Any, reading: Reading) -> Pixels:
        """uint8 [height, width, 3], of the measured size.

        Raises:
            TypeError, ValueError: see `open_picture`.
        """
        wanted = self.measured(raw)
        picture = open_picture(raw, least=wanted)
        trains = reading.mode == "train"
        if trains and self.augment != "none":
            with _drawn_from(reading):
                picture = _augmented(picture, self.augment)
        box = _middle(picture.size) if self.mode == "crop" else None
        if picture.size != wanted:
            picture = picture.resize(wanted, Image.Resampling[self.resize.upper()], box=box)
        out = np.array(picture)
        if trains and self.flip and reading.random("flip").random() < 0.5:
            out = out[:, ::-1]
        if self.mask_ratio and reading.corrupts:
            _hide(out, self.mask_ratio, reading.random("mask"))
        return np.ascontiguousarray(out)

    def _fitted(self, size: Size) -> Size:
        most = max(1, self.size // self.unit)
        longer = max(size)
        width, height = (max(1, round(side / longer * most)) * self.unit for side in size)
        return width, height


def _middle(size: Size) -> tuple[float, float, float, float]:
    side = min(size)
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    return left, top, left + side, top + side


def _hide(pixels: Pixels, ratio: float, random: np.random.Generator) -> None:
    height, width = pixels.shape[:2]
    tall, wide = round(height * ratio), round(width * ratio)
    top = int(random.integers(0, height - tall + 1))
    left = int(random.integers(0, width - wide + 1))
    pixels[top : top + tall, left : left + wide] = GREY


@cache
def _transforms(augment: Augment) -> v2.Transform:
    if augment == "strong":
        return v2.RandAugment(num_ops=2, magnitude=7, interpolation=InterpolationMode.BILINEAR, fill=GREY)
    return v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2)


def _augmented(picture: Image.Image, augment: Augment) -> Image.Image:
    if augment == "light":
        top, left, height, width = v2.RandomResizedCrop.get_params(picture, (0.8, 1.0), (0.9, 1.1))
        picture = picture.crop((left, top, left + width, top + height))
    changed: Image.Image = _transforms(augment)(picture)
    return changed


@contextmanager
def _drawn_from(reading: Reading) -> Iterator[None]:
    """torchvision draws from torch's global generator: lend it the reading's seed."""
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(int(reading.random("augment").integers(1 << 62)))
    try:
        yield
    finally:
        generator.set_state(before)
