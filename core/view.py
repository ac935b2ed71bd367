"""How a picture is seen: the map from the picture to what is left of it after cropping, turning and mirroring."""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[int, int]
Corners = tuple[float, float, float, float]
Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Affine: (x, y) to (a x + b y + c, d x + e y + f)."""

SAME: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
MIRROR: Matrix = ((-1.0, 0.0, 1.0), (0.0, 1.0, 0.0))


def after(second: Matrix, first: Matrix) -> Matrix:
    """One matrix that does `first`, then `second`.

    >>> after(MIRROR, MIRROR) == SAME
    True
    """
    (a, b, c), (d, e, f) = second
    (u, v, w), (x, y, z) = first
    return (
        (a * u + b * x, a * v + b * y, a * w + b * z + c),
        (d * u + e * x, d * v + e * y, d * w + e * z + f),
    )


def inverse(matrix: Matrix) -> Matrix:
    """What undoes a matrix.

    >>> wider = ((2.0, 0.0, 1.0), (0.0, 4.0, 0.0))
    >>> after(inverse(wider), wider) == SAME
    True
    """
    (a, b, c), (d, e, f) = matrix
    whole = a * e - b * d
    a, b, d, e = e / whole, -b / whole, -d / whole, a / whole
    return ((a, b, -(a * c + b * f)), (d, e, -(d * c + e * f)))


def magnified(part: Corners) -> Matrix:
    """What makes a part of the picture the whole of it."""
    left, top, right, bottom = part
    wide, tall = right - left, bottom - top
    return ((1 / wide, 0.0, -left / wide), (0.0, 1 / tall, -top / tall))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a picture's followers must know of it.

    Attributes:
        size: width and height of the upright picture in pixels.
        matrix: from shares of its sides to shares of the sides of what is seen; both run from 0 to 1.
        made: width and height of what is seen in pixels, where followers write in these.
    """

    size: Size
    matrix: Matrix = SAME
    made: Size | None = None

    def seen(self, corners: Corners) -> Corners:
        """A box of the picture in what is seen, both in shares: the smallest upright box around it, uncut.

        >>> View(size=(8, 8), matrix=magnified((0.5, 0.0, 1.0, 1.0))).seen((0.5, 0.0, 0.75, 0.5))
        (0.0, 0.0, 0.5, 0.5)
        """
        return _around(self.matrix, corners)

    def whole(self, corners: Corners) -> Corners:
        """A box of what is seen in the picture, both in shares."""
        return _around(inverse(self.matrix), corners)


def _around(matrix: Matrix, corners: Corners) -> Corners:
    (a, b, c), (d, e, f) = matrix
    x0, y0, x1, y1 = corners
    points = [(a * x + b * y + c, d * x + e * y + f) for x in (x0, x1) for y in (y0, y1)]
    return (
        min(x for x, _ in points),
        min(y for _, y in points),
        max(x for x, _ in points),
        max(y for _, y in points),
    )
