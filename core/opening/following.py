"""What the codecs of boxes share: boxes are read in their slot's notation, and go where their picture goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..codec import FORCED, Reading
from ..view import Corners, View
from .boxes import Format, Notation, Unit
from .pictures import open_picture

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")
"""Of boxes that are drawn, in turn."""
LEAST_SIDE = 240
"""Smaller pictures are enlarged, by a whole factor, before boxes are drawn on them."""


class FollowingCodec:
    """What the codecs of boxes share: they read a box in its slot's notation and follow its picture.

    In training a picture may be cut, mirrored and turned; its boxes go with it and are cut where it is. Of a box that
    is cut away wholly a line at the rim is left, which is read but not supervised.
    """

    follows = True

    def __init__(self, *, format: Format, unit: Unit, size: int | None, clip: bool, point: bool = False) -> None:
        self._notation = Notation(format=format, unit=unit, size=size, clip=clip, point=point)

    def seen(self, raw: Any, reading: Reading) -> tuple[Corners, bool]:
        """The corners in shares of what is seen of the picture, cut at its rim, and whether anything is left.

        Raises:
            TypeError, ValueError: see `Notation.shares`.
        """
        view = reading.leader if isinstance(reading.leader, View) else None
        shares = self._notation.shares(raw, view)
        if view is None:
            return shares, True
        x0, y0, x1, y1 = view.seen(shares)
        rim = self._notation.point  # a point on the rim is seen, a box that ends at it is not
        left = x1 > 0 and y1 > 0 and x0 < 1 and y0 < 1 or (rim and min(x1, y1) >= 0 and max(x0, y0) <= 1)
        return (_share(x0), _share(y0), _share(x1), _share(y1)), left

    def written(self, seen: Corners, leader: Any) -> Corners:
        """Corners of what is seen as the slot writes boxes of the whole picture."""
        view = leader if isinstance(leader, View) else None
        x0, y0, x1, y1 = (_share(value) for value in seen)
        ordered = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
        if view is not None:
            a, b, c, d = view.whole(ordered)
            ordered = _share(a), _share(b), _share(c), _share(d)
        return self._notation.written(ordered, view)

    def draw(self, values: Any, picture: Any, stem: Path, names: Any = None) -> Path:
        """Draw predicted boxes with their names on their picture, as .png beside `stem`.

        Args:
            values: a box of this slot, or lists of them, however nested; None among them is not drawn.
            picture: anything that an IMAGE slot reads; a small one is enlarged.
            stem: of the file.
            names: what is written at each box, nested as the boxes are; a box's own label comes first.

        Raises:
            TypeError, ValueError: not a picture, or not boxes.
        """
        opened = open_picture(picture)
        notation, view = replace(self._notation, clip=True, point=True), View(size=opened.size)
        factor = max(1, LEAST_SIDE // max(opened.size))
        large = opened.resize((opened.width * factor, opened.height * factor), Image.Resampling.NEAREST)
        pen, thick = ImageDraw.Draw(large), max(2, max(large.size) // 120)
        font = ImageFont.load_default(max(10, max(large.size) // 24))
        for number, (box, name) in enumerate(_flat(values, names)):
            shares = notation.shares(self.plain(box), view)
            x0, y0, x1, y1 = (share * side for share, side in zip(shares, large.size * 2, strict=True))
            spread = thick if (x0, y0) == (x1, y1) else 0
            at = (x0 - spread, y0 - spread, x1 + spread, y1 + spread)
            colour = COLOURS[number % len(COLOURS)]
            pen.rectangle(at, outline=colour, width=thick)
            tall = font.getbbox(name)[3] + thick
            pen.text((at[0] + thick, at[1] - tall if at[1] >= tall else at[1] + thick), name, fill=colour, font=font)
        path = stem.with_name(stem.name + ".png")
        large.save(path)
        return path

    def plain(self, value: Any) -> Any:
        """One predicted value as four numbers."""
        return value

    def compared(self, value: Any) -> Corners:
        """A box of this slot, true or predicted, as metrics compare boxes: its corners, in the slot's unit.

        Raises:
            TypeError, ValueError: not a box.
        """
        return self._notation.corners(value)


def roles_of(left: bool, reading: Reading, rows: int) -> np.ndarray[Any, Any] | None:
    """The roles of a box's tokens: what was cut away is not supervised."""
    if left or reading.side == "source":
        return None
    return np.full(rows, FORCED, dtype=np.uint8)


def _flat(values: Any, names: Any) -> Iterator[tuple[Any, str]]:
    """The boxes that lists hold, each with its name; "" for none."""
    if isinstance(values, list):
        fits = isinstance(names, list) and len(names) == len(values)
        for number, value in enumerate(values):
            yield from _flat(value, names[number] if fits else None)
    elif values is not None:
        own = values.get("label") if isinstance(values, Mapping) else None
        name = own or names
        yield values, name if isinstance(name, str) else ""


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
