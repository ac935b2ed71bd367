"""How boxes are written: kinds of values, order of the numbers, unit; to shares of the picture's sides and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from ..view import Corners, View

Format = Literal["xyxy", "xywh", "cxcywh"]
Unit = Literal["relative", "pixels"]
ORDERS: Mapping[Format, str] = {
    "xyxy": "x0, y0, x1, y1",
    "xywh": "x, y, width, height",
    "cxcywh": "middle x, middle y, width, height",
}
KEYS: tuple[tuple[tuple[str, str, str, str], Format], ...] = (
    (("x0", "y0", "x1", "y1"), "xyxy"),
    (("x1", "y1", "x2", "y2"), "xyxy"),
    (("xmin", "ymin", "xmax", "ymax"), "xyxy"),
    (("x_min", "y_min", "x_max", "y_max"), "xyxy"),
    (("left", "top", "right", "bottom"), "xyxy"),
    (("x", "y", "width", "height"), "xywh"),
    (("x", "y", "w", "h"), "xywh"),
    (("left", "top", "width", "height"), "xywh"),
    (("cx", "cy", "width", "height"), "cxcywh"),
    (("cx", "cy", "w", "h"), "cxcywh"),
)
COCO = frozenset({"category_id", "iscrowd", "image_id"})
"""Keys by which a mapping with `bbox` is an annotation of COCO, whose boxes are x, y, width, height."""
SLACK = 0.002
"""How far over the rim a box may reach, as a share of the side: rounding, cut away without a word."""


@dataclass(frozen=True, slots=True)
class Written:
    """A box as it stands in a row: four numbers, their order, and the canvas that they are pixels of, if they say."""

    numbers: Corners
    format: Format
    canvas: tuple[int, int] | None = None

    @property
    def corners(self) -> Corners:
        """The corners x0, y0, x1, y1, in the unit of the numbers.

        Raises:
            ValueError: a side is negative, or the second corner lies left of or above the first.
        """
        a, b, c, d = self.numbers
        if self.format == "xyxy":
            if c < a or d < b:
                raise ValueError(
                    f"a box must be (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, but is {_shown(self.numbers)}; for a "
                    "corner and the sides write format=xywh in the slot"
                )
            return a, b, c, d
        if c < 0 or d < 0:
            raise ValueError(
                f"a box must be ({ORDERS[self.format]}) with sides of 0 or more, but is {_shown(self.numbers)}"
            )
        return (a, b, a + c, b + d) if self.format == "xywh" else (a - c / 2, b - d / 2, a + c / 2, b + d / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """How a slot's boxes are written.

    Attributes:
        format: the order of the four numbers.
        unit: shares of the picture's sides, or pixels of the picture.
        size: the numbers run from 0 to this along both sides, instead of a unit.
        clip: cut what lies outside of the picture, instead of an error.
        point: boxes are points, whose corners are one; of others that is an error.
    """

    format: Format = "xyxy"
    unit: Unit = "relative"
    size: int | None = None
    clip: bool = False
    point: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and self.unit == "pixels":
            raise ValueError("a box must have either unit=pixels or size=, but has both")

    def shares(self, raw: Any, view: View | None) -> Corners:
        """The corners x0, y0, x1, y1 in shares of the picture's sides, 0 to 1.

        Raises:
            TypeError: not four numbers.
            ValueError: outside of the picture, reversed, without an area, not finite, or pixels of an unknown picture.
        """
        written = read_box(raw, self.format)
        corners = written.corners
        if not self.point and (corners[0] == corners[2] or corners[1] == corners[3]):
            flat = "width" if corners[0] == corners[2] else "height"
            raise ValueError(f"a box must have an area, but the {flat} of {_shown(written.numbers)} is 0")
        wide, tall = written.canvas or self._sides(view)
        if written.canvas is None and self.unit == "pixels":
            self._refuse_shares(written.numbers)
        x0, y0, x1, y1 = corners[0] / wide, corners[1] / tall, corners[2] / wide, corners[3] / tall
        inside = min(x0, y0) >= -SLACK and max(x1, y1) <= 1 + SLACK
        touches = (self.point and inside) or (x0 < 1 and y0 < 1 and x1 > 0 and y1 > 0)
        if not touches or not (inside or self.clip):
            raise ValueError(self._outside(written.numbers, (wide, tall), written.canvas is not None, touches))
        return tuple(min(max(value, 0.0), 1.0) for value in (x0, y0, x1, y1))  # type: ignore[return-value]

    def corners(self, raw: Any) -> Corners:
        """The corners x0, y0, x1, y1 in the slot's own unit, also of a box that brings the canvas of its pixels.

        Raises:
            TypeError, ValueError: see `read_box`.
        """
        written = read_box(raw, self.format)
        if written.canvas is None or (self.unit == "pixels" and self.size is None):
            return written.corners
        (x0, y0, x1, y1), (wide, tall), far = written.corners, written.canvas, self.size or 1.0
        return x0 / wide * far, y0 / tall * far, x1 / wide * far, y1 / tall * far

    def written(self, shares: Corners, view: View | None) -> Corners:
        """Corners in shares, 0 to 1, as the slot writes them."""
        wide, tall = self._sides(view)
        x0, y0, x1, y1 = shares[0] * wide, shares[1] * tall, shares[2] * wide, shares[3] * tall
        if self.format == "xyxy":
            return x0, y0, x1, y1
        if self.format == "xywh":
            return x0, y0, x1 - x0, y1 - y0
        return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0

    def _sides(self, view: View | None) -> tuple[float, float]:
        if self.size is not None:
            return self.size, self.size
        if self.unit == "relative":
            return 1.0, 1.0
        if view is None:
            raise ValueError(
                "a box in pixels must follow a picture, but there is none beside it: put its [IMAGE] into the line, or "
                "write size=, the number that stands for the far side"
            )
        return view.size

    def _refuse_shares(self, numbers: Corners) -> None:
        if max(numbers) <= 1 and any(value != int(value) for value in numbers):
            raise ValueError(
                f"a box in pixels must not lie within one pixel, but is {_shown(numbers)}: for shares of the sides, 0 "
                "to 1, write unit=relative"
            )

    def _outside(self, numbers: Corners, sides: tuple[float, float], pixels: bool, touches: bool) -> str:
        if pixels or self.unit == "pixels":
            where = f"its picture of {sides[0]:.0f} x {sides[1]:.0f} pixels"
        else:
            where = f"0 and {sides[0]:g}"
        hint = "; write clip=true to cut it at the rim" if touches else "; all of it is outside"
        if self.unit == "relative" and self.size is None and not pixels and max(numbers) > 1.5:
            hint = ": for pixels of the picture write unit=pixels in the slot"
        order = f" ({ORDERS[self.format]})" if self.format != "xyxy" else ""
        return f"a box must lie within {where}, but is {_shown(numbers)}{order}{hint}"


def read_box(raw: Any, format: Format = "xyxy") -> Written:
    """Four numbers from a list, a tuple, an array, a tensor, a text, a mapping or torchvision's BoundingBoxes.

    Raises:
        TypeError: not four numbers.
        ValueError: a number is not finite.

    >>> read_box("1, 2, 3, 4").numbers, read_box({"x": 1, "y": 2, "width": 3, "height": 4}).format
    ((1.0, 2.0, 3.0, 4.0), 'xywh')
    """
    if isinstance(raw, Mapping):
        return _from_mapping(raw, format)
    canvas = None
    if hasattr(raw, "canvas_size") and hasattr(raw, "format"):
        format, canvas = _known_format(raw.format), (int(raw.canvas_size[1]), int(raw.canvas_size[0]))
    parts: Any = raw
    if isinstance(raw, str):
        parts = raw.strip().strip("()[]").replace(",", " ").split()
    elif hasattr(raw, "tolist"):
        parts = raw.tolist()
    if isinstance(parts, Sequence) and len(parts) == 1 and isinstance(parts[0], Sequence):
        parts = parts[0]
    if isinstance(parts, str) or not isinstance(parts, Sequence) or len(parts) != 4:
        raise TypeError(
            f"a box must be four numbers {ORDERS[format]}, but is {type(raw).__name__} {repr(raw)[:60]}{_many(parts)}"
        )
    try:
        values = tuple(float(part) for part in parts)
    except (TypeError, ValueError) as cause:
        raise TypeError(f"a box must be four numbers, but is {repr(raw)[:60]}") from cause
    if not all(isfinite(value) for value in values):
        raise ValueError(f"a box must be four finite numbers, but is {repr(raw)[:60]}")
    return Written((values[0], values[1], values[2], values[3]), format, canvas)


def _from_mapping(raw: Mapping[Any, Any], format: Format) -> Written:
    if "bbox" in raw:
        return read_box(raw["bbox"], "xywh" if COCO & set(raw) else format)
    for keys, named in KEYS:
        if all(key in raw for key in keys):
            return read_box([raw[key] for key in keys], named)
    held = ", ".join(str(key) for key in list(raw)[:8]) or "none"
    raise TypeError(f"a box in a mapping must have the keys bbox, or x0 y0 x1 y1, or x y width height, but has {held}")


def _known_format(format: Any) -> Format:
    name = str(getattr(format, "value", format)).lower()
    if name not in ORDERS:
        raise TypeError(f"a box must be upright, {' or '.join(ORDERS)}, but is {name}")
    return name  # type: ignore[return-value]


def _many(parts: Any) -> str:
    several = isinstance(parts, Sequence) and not isinstance(parts, str) and len(parts) != 4
    if several and all(isinstance(part, Sequence | Mapping) and not isinstance(part, str) for part in parts):
        return "; for a list of boxes put the slot into a group, ( [BOX:name] )*"
    return ""


def _shown(numbers: Corners) -> str:
    return f"({', '.join(f'{value:g}' for value in numbers)})"
