"""Changing bytes: what is nearly right finds more than what is wrong from the first byte on."""

from __future__ import annotations

import random
from collections.abc import Sequence


def changed(data: bytes, draw: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """The bytes with a few places flipped, cut, doubled, moved, or replaced by a word of the format."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3, 5, 9))):
        at, kind = draw.randrange(len(out) + 1), draw.randrange(7)
        end = min(len(out), at + draw.choice((1, 1, 2, 4, 16, 64)))
        if kind == 0 and at < len(out):
            out[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            out[at:at] = draw.randbytes(draw.choice((1, 2, 4)))
        elif kind == 2:
            del out[at:end]
        elif kind == 3:
            out[at:at] = out[at:end] * draw.choice((1, 2, 8))
        elif kind == 4 and draw.random() < 0.3:
            del out[at:]
        elif kind == 5:
            start = draw.randrange(len(out) + 1)
            out[at:end] = out[start : start + end - at]
        elif words:
            out[at : draw.choice((at, end))] = draw.choice(words)
    return bytes(out)
