"""Sizes of pictures and frames, numbers of frames, and coordinates: the arithmetic of Qwen's vision, without torch.

The rules are those of the Qwen2-VL report (2409.12191, section 2.1). Its two libraries, transformers and
qwen-vl-utils, differ for sides shorter than half a unit: see `Rule`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, sqrt
from typing import Literal, NamedTuple

Rule = Literal["transformers", "utils"]
"""Whose rounding: qwen-vl-utils takes a short side as one unit at once, transformers only where pixels are too many."""

MOST_RATIO = 200
MARGIN = 1.05
"""How far over `least_pixels` a frame may always go, whatever the clip as a whole may take (qwen-vl-utils)."""


class Fit(NamedTuple):
    """Height and width of a resized picture, in pixels."""

    height: int
    width: int


def smart_resize(
    height: int,
    width: int,
    *,
    unit: int = 28,
    least_pixels: int = 56 * 56,
    most_pixels: int = 1280 * 28 * 28,
    rule: Rule = "transformers",
) -> Fit:
    """The size nearest to a picture's own whose sides are whole units and whose pixels lie within the limits.

    Args:
        height: of the picture, in pixels.
        width: of the picture.
        unit: side of what one token stands for: the patch times the merge.
        least_pixels: a smaller picture is enlarged.
        most_pixels: a larger one is shrunk; the sides are never shorter than one unit.
        rule: whose rounding of short sides.

    Raises:
        ValueError: the picture has no pixels, or one side is more than 200 times the other.

    >>> smart_resize(1080, 1920)
    Fit(height=728, width=1316)
    >>> smart_resize(14, 2000), smart_resize(14, 2000, rule="utils")
    (Fit(height=28, width=672), Fit(height=28, width=1988))
    """
    refuse_shape(height, width)
    low = unit if rule == "utils" else 0
    tall, wide = (max(low, round(side / unit) * unit) for side in (height, width))
    if tall * wide > most_pixels:
        share = sqrt(height * width / most_pixels)
        tall, wide = (max(unit, floor(side / share / unit) * unit) for side in (height, width))
    elif tall * wide < least_pixels:
        share = sqrt(least_pixels / (height * width))
        tall, wide = (ceil(side * share / unit) * unit for side in (height, width))
    return Fit(max(tall, unit), max(wide, unit))


def refuse_shape(height: int, width: int) -> None:
    """Raise for pictures that no grid of patches can show.

    Raises:
        ValueError: no pixels, or one side more than 200 times the other.
    """
    if min(height, width) < 1:
        raise ValueError(f"a picture must have pixels, but is {width} x {height}")
    if max(height, width) > MOST_RATIO * min(height, width):
        raise ValueError(
            f"a picture's longer side must be at most {MOST_RATIO} times the shorter, but it is {width} x {height}: "
            "cut it into several pictures"
        )


class Chosen(NamedTuple):
    """Which frames of a clip are read: their indexes, and how many a second that makes."""

    indexes: tuple[int, ...]
    fps: float


def smart_nframes(
    total: int, fps: float, *, wanted: float = 2.0, least: int = 4, most: int = 768, step: int = 2
) -> Chosen:
    """Frames at a steady rate over all of a clip, a whole number of steps of them (qwen-vl-utils).

    Args:
        total: frames that the clip has.
        fps: frames a second that it was taken at.
        wanted: frames a second to read.
        least: a short clip gives this many where it has them.
        most: a long clip gives this many.
        step: frames that share a token; a clip of fewer frames gives all it has.

    Raises:
        ValueError: the clip has no frames, or a rate is not above 0.

    >>> smart_nframes(300, 30.0, wanted=0.5).indexes
    (0, 100, 199, 299)
    >>> smart_nframes(90, 30.0)
    Chosen(indexes=(0, 18, 36, 53, 71, 89), fps=2.0)
    """
    if total < 1:
        raise ValueError(f"a clip must have at least one frame, but has {total}")
    if not (fps > 0 and wanted > 0):
        raise ValueError(f"frames a second must be above 0, but are {fps:g} of the clip and {wanted:g} to read")
    low, high = ceil(least / step) * step, floor(min(most, total) / step) * step
    count = floor(min(max(total / fps * wanted, low), high) / step) * step
    count = max(count, min(total, step))
    last = (total - 1) / max(count - 1, 1)
    return Chosen(tuple(round(i * last) for i in range(count)), count / total * fps)


def frame_limit(frames: int, *, least_pixels: int, most_pixels: int, total_pixels: int, step: int = 2) -> int:
    """The most pixels of each frame, so that a clip keeps to a limit of its own (qwen-vl-utils).

    >>> frame_limit(768, least_pixels=100_352, most_pixels=602_112, total_pixels=90_316_800)
    235200
    """
    return max(min(most_pixels, total_pixels * step // max(frames, 1)), int(least_pixels * MARGIN))


def to_resized(numbers: Sequence[float], original: Fit, resized: Fit) -> tuple[float, ...]:
    """Coordinates x, y, x, y, ... of a picture in the picture that a model sees.

    >>> to_resized((500, 250), Fit(500, 1000), Fit(504, 1008))
    (504.0, 252.0)
    """
    factors = resized.width / original.width, resized.height / original.height
    return tuple(number * factors[place % 2] for place, number in enumerate(numbers))


def from_resized(numbers: Sequence[float], original: Fit, resized: Fit) -> tuple[float, ...]:
    """The way back from `to_resized`.

    >>> from_resized((504, 252), Fit(500, 1000), Fit(504, 1008))
    (500.0, 250.0)
    """
    return to_resized(numbers, resized, original)
