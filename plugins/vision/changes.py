"""Random changes of a picture, drawn apart from being made, so that what follows the picture can follow them.

The strong ones are RandAugment (Cubuk et al., 2019, arXiv:1909.13719): two of fourteen changes at magnitude 7 of 30.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, cos, exp, log, radians, sin
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from ...core.view import SAME, Corners, Matrix, Size, after, inverse

GREY = 128
"""What lies outside of a picture that was moved: about 0 once scaled."""
MAGNITUDE = 7 / 30
FURTHEST = {
    "shear_x": 0.3,
    "shear_y": 0.3,
    "translate_x": 150 / 331,
    "translate_y": 150 / 331,
    "rotate": 30.0,
    "brightness": 0.9,
    "saturation": 0.9,
    "contrast": 0.9,
    "sharpness": 0.9,
    "posterize": 4.0,
    "solarize": 255.0,
    "autocontrast": 0.0,
    "equalize": 0.0,
    "identity": 0.0,
}
"""Each change with its strength at magnitude 30; those up to sharpness go either way."""
ONE_WAY = ("posterize", "solarize", "autocontrast", "equalize", "identity")
MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
SHADES = ("brightness", "contrast", "saturation")
SHADERS: Mapping[str, Callable[[Image.Image], Any]] = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}
LEAST_AREA, RATIO = 0.8, 1.1
LIGHT = 0.2


@dataclass(frozen=True, slots=True)
class Change:
    """One change and how far it goes: a factor of shear, a share of a side, degrees, or a factor less one."""

    name: str
    amount: float


def draw_strong(random: np.random.Generator) -> tuple[Change, ...]:
    """Two changes of RandAugment."""
    names = list(FURTHEST)
    out = []
    for _ in range(2):
        name = names[int(random.integers(len(names)))]
        sign = -1.0 if name not in ONE_WAY and random.random() < 0.5 else 1.0
        out.append(Change(name, sign * MAGNITUDE * FURTHEST[name]))
    return tuple(out)


def draw_shades(random: np.random.Generator) -> tuple[Change, ...]:
    """Brightness, contrast and saturation by up to a fifth, in a random order."""
    order = random.permutation(len(SHADES))
    return tuple(Change(SHADES[i], float(random.uniform(-LIGHT, LIGHT))) for i in order)


def draw_part(random: np.random.Generator) -> Corners:
    """A part of at least 80% of the picture, its ratio of sides changed by at most a tenth, in shares of the sides."""
    area = random.uniform(LEAST_AREA, 1.0)
    ratio = exp(random.uniform(-log(RATIO), log(RATIO)))
    wide, tall = min(1.0, (area * ratio) ** 0.5), min(1.0, (area / ratio) ** 0.5)
    left, top = random.uniform(0, 1 - wide), random.uniform(0, 1 - tall)
    return left, top, left + wide, top + tall


def move_of(change: Change, size: Size) -> Matrix:
    """What a change does to places, in shares of the sides of a picture of that size; colours leave them alone."""
    if change.name not in MOVES:
        return SAME
    width, height = size
    scale: Matrix = ((width, 0.0, 0.0), (0.0, height, 0.0))
    return after(inverse(scale), after(_pixels_moved(change, size), scale))


def changed(picture: Image.Image, change: Change) -> Image.Image:
    """The picture, changed; of the same size."""
    name, amount = change.name, change.amount
    if name in MOVES:
        (a, b, c), (d, e, f) = inverse(_pixels_moved(change, picture.size))
        how, filter = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        return picture.transform(picture.size, how, (a, b, c, d, e, f), filter, fillcolor=(GREY, GREY, GREY))
    if name == "identity":
        return picture
    if name == "posterize":
        return ImageOps.posterize(picture, 8 - round(amount))
    if name == "solarize":
        return ImageOps.solarize(picture, ceil(255.0 - amount))
    if name == "autocontrast":
        return ImageOps.autocontrast(picture)
    if name == "equalize":
        return ImageOps.equalize(picture)
    made: Image.Image = SHADERS[name](picture).enhance(1.0 + amount)
    return made


def _pixels_moved(change: Change, size: Size) -> Matrix:
    """The move in pixels, about the middle."""
    amount, (x, y) = change.amount, (size[0] / 2, size[1] / 2)
    if change.name == "shear_x":
        return ((1.0, amount, -amount * y), (0.0, 1.0, 0.0))
    if change.name == "shear_y":
        return ((1.0, 0.0, 0.0), (amount, 1.0, -amount * x))
    if change.name == "translate_x":
        return ((1.0, 0.0, amount * size[0]), (0.0, 1.0, 0.0))
    if change.name == "translate_y":
        return ((1.0, 0.0, 0.0), (0.0, 1.0, amount * size[1]))
    a, b = cos(radians(amount)), sin(radians(amount))
    return ((a, -b, x - a * x + b * y), (b, a, y - b * x - a * y))
