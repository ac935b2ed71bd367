"""A span of time: the part of a recording that is read."""

from __future__ import annotations

from typing import NamedTuple


class TimeSpan(NamedTuple):
    """Seconds from the start of a recording, `start` to `stop`.

    >>> TimeSpan(1.5, 4.0).seconds
    2.5
    """

    start: float
    stop: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.stop - self.start
