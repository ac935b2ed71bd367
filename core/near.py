"""The nearest legal name to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The most similar of `names`, ignoring case, or None when none is near.

    >>> nearest("IMGE", ["IMAGE", "TEXT"])
    'IMAGE'
    """
    known = {name.lower(): name for name in names}
    low = word.lower()
    close = difflib.get_close_matches(low, known, n=1, cutoff=0.6)
    if close:
        return known[close[0]]
    inside = [name for name in known if len(low) > 2 and (low in name or name in low) and len(name) > 2]
    return known[min(inside, key=lambda name: abs(len(name) - len(low)))] if inside else None
