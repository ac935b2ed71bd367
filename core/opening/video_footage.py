"""What a clip is to those who read it: a header, and the frames that are shown at given times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
Pixels = NDArray[np.uint8]
Stamps = NDArray[np.float64]
MOST_PIXELS = 1 << 26
"""Pixels of the largest frame that is read: twice those of an 8K film."""
SHORTEST = 0.01
"""Seconds that a clip of one picture lasts at least."""


class Frames(NamedTuple):
    """Some frames of a clip: uint8 [n, height, width, 3], and when each is first shown, in seconds from the start."""

    pixels: Pixels
    stamps: Stamps


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a clip says of itself before it is decoded.

    Attributes:
        seconds: how long it lasts.
        frames: how many it has at most; None when only decoding would tell.
    """

    seconds: float
    frames: int | None = None


class Footage(Protocol):
    """A clip that is open, or held in memory."""

    name: str

    @property
    def header(self) -> Header:
        """How long it is."""
        ...

    def size(self) -> Size:
        """Width and height of the upright frames."""
        ...

    def frames(self, times: Sequence[float], size: Size | None, filter: str) -> Frames:
        """The frames shown at these ascending times, each once, resized to width and height (None: as they are).

        Raises:
            ValueError: a frame cannot be decoded, or is missing.
        """
        ...


def refuse_giant(size: Size, name: str) -> None:
    """Raise for frames that no sane file has.

    Raises:
        ValueError: they have no pixel, or more than `MOST_PIXELS`.

    >>> refuse_giant((640, 480), "'a.mp4'")
    """
    width, height = size
    if width < 1 or height < 1 or width * height > MOST_PIXELS:
        raise ValueError(
            f"the frames of the video {name} must have between 1 and {MOST_PIXELS:,} pixels, but its header says "
            f"{width} x {height}"
        )


def shown_at(stamps: Sequence[float] | Stamps, times: Sequence[float]) -> list[int]:
    """Indexes of the frames that are on screen at these times, each once; before the first frame it is the first.

    >>> shown_at([0.0, 0.5, 1.0], [0.2, 0.4, 0.5, 7.0])
    [0, 1, 2]
    """
    found = np.searchsorted(np.asarray(stamps), np.asarray(times) + 1e-6, side="right") - 1
    return [int(i) for i in np.unique(np.clip(found, 0, max(len(stamps) - 1, 0)))]


def named(raw: Any) -> str:
    """A value in an error sentence: a path between quotes, anything else by its type."""
    return repr(str(raw)[-80:]) if isinstance(raw, str) else f"({type(raw).__name__})"
