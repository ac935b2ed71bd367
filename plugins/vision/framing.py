"""From a picture to pixels of the wanted size: framing, augmentation and hidden squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...core.codec import Reading
from ...core.opening.pictures import open_picture, picture_size
from ...core.view import MIRROR, Corners, Size, View, after, magnified
from .changes import GREY, Change, changed, draw_part, draw_shades, draw_strong, move_of

Mode = Literal["square", "crop", "fit"]
Augment = Literal["none", "colours", "light", "strong"]
Pixels = NDArray[np.uint8]
WHOLE: Corners = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a picture becomes pixels.

    Attributes:
        size: side in pixels; the longer one with mode "fit".
        unit: with mode "fit" both sides are whole multiples of it.
        mode: squeeze to a square, cut the middle square, or keep the sides' ratio.
        resize: the filter.
        augment: "colours" shifts colours a little, "light" also cuts a random part of at least 80%, "strong" is
            RandAugment with 2 changes of magnitude 7.
        flip: mirror half of the pictures.
        mask_ratio: side of a grey square at a random place, as a share of the sides.

    Augmentation acts in training alone, hiding in training and validation. What moves places is drawn without the
    pixels, so that `view` tells a picture's followers where everything went.
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

    def view(self, raw: Any, reading: Reading) -> View:
        """Where `pixels` puts every place of the picture under the same reading; opens its header alone.

        Raises:
            TypeError, ValueError: see `open_picture`.
        """
        size = picture_size(raw)
        matrix = magnified(self._part(size, reading))
        if self._flips(reading):
            matrix = after(MIRROR, matrix)
        wanted = self._fitted(size) if self.mode == "fit" else (self.size, self.size)
        for change in self._changes(reading):
            matrix = after(move_of(change, wanted), matrix)
        return View(size=size, matrix=matrix)

    def pixels(self, raw: Any, reading: Reading) -> Pixels:
        """uint8 [height, width, 3], of the measured size.

        Raises:
            TypeError, ValueError: see `open_picture`.
        """
        wanted = self.measured(raw)
        picture = open_picture(raw, least=wanted)
        part = self._part(picture.size, reading)
        if part != WHOLE:
            width, height = picture.size
            box = (part[0] * width, part[1] * height, min(part[2] * width, width), min(part[3] * height, height))
            picture = picture.resize(wanted, Image.Resampling[self.resize.upper()], box=box)
        elif picture.size != wanted:
            picture = picture.resize(wanted, Image.Resampling[self.resize.upper()])
        if self._flips(reading):
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for change in self._changes(reading):
            picture = changed(picture, change)
        out = np.array(picture)
        if self.mask_ratio and reading.corrupts:
            _hide(out, self.mask_ratio, reading.random("mask"))
        return out

    def _part(self, size: Size, reading: Reading) -> Corners:
        """The part of the picture that is seen, in shares of its sides."""
        lights = reading.mode == "train" and self.augment == "light"
        part = draw_part(reading.random("part")) if lights else WHOLE
        if self.mode != "crop":
            return part
        wide, tall = (part[2] - part[0]) * size[0], (part[3] - part[1]) * size[1]
        side = min(wide, tall)
        x, y = (wide - side) / 2 / size[0], (tall - side) / 2 / size[1]
        return part[0] + x, part[1] + y, part[2] - x, part[3] - y

    def _flips(self, reading: Reading) -> bool:
        return reading.mode == "train" and self.flip and reading.random("flip").random() < 0.5

    def _changes(self, reading: Reading) -> tuple[Change, ...]:
        if reading.mode != "train" or self.augment == "none":
            return ()
        random = reading.random("augment")
        return draw_strong(random) if self.augment == "strong" else draw_shades(random)

    def _fitted(self, size: Size) -> Size:
        most = max(1, self.size // self.unit)
        longer = max(size)
        width, height = (max(1, round(side / longer * most)) * self.unit for side in size)
        return width, height


def _hide(pixels: Pixels, ratio: float, random: np.random.Generator) -> None:
    height, width = pixels.shape[:2]
    tall, wide = round(height * ratio), round(width * ratio)
    top = int(random.integers(0, height - tall + 1))
    left = int(random.integers(0, width - wide + 1))
    pixels[top : top + tall, left : left + wide] = GREY
