"""What the codecs of boxes share: boxes are read in their slot's notation, and go where their picture goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..codec import FORCED, Reading
from ..view import Corners, View
from .boxes import Format, Notation, Unit, read_box


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

    def compared(self, value: Any) -> Corners:
        """A box of this slot, true or predicted, as metrics compare boxes: its corners, in the slot's unit.

        Raises:
            TypeError, ValueError: not a box.
        """
        return read_box(value, self._notation.format).corners


def roles_of(left: bool, reading: Reading, rows: int) -> np.ndarray[Any, Any] | None:
    """The roles of a box's tokens: what was cut away is not supervised."""
    if left or reading.side == "source":
        return None
    return np.full(rows, FORCED, dtype=np.uint8)


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
