"""No search for garbage while all that is made will last."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, freeze: bool = False) -> Iterator[None]:
    """Within it the collector rests: importing makes half a million objects that stay, and going through them again
    and again is a sixth of a start.

    Args:
        freeze: also leave all that there is by then out of later searches; for a process that does one thing and ends.

    >>> with uncollected():
    ...     gc.isenabled()
    False
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        if was:
            gc.enable()
