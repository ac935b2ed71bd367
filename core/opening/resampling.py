"""Samples at another rate, block by block, so that only the result is held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from math import ceil, gcd, isqrt
from typing import Any

import numpy as np
import torch

from ..extras import needed
from ..sound import Samples

GATHERED = 1 << 16
"""Samples that are resampled at once."""
WEIGHTS = 1 << 22
"""Most weights of a filter: 16 megabytes."""


def resampled_length(count: int, old: int, new: int) -> int:
    """Samples that `resample` makes of so many.

    >>> resampled_length(44_100, 44_100, 16_000)
    16000
    """
    return -(-count * new // old)


def resample(blocks: Iterator[Samples], old: int, new: int) -> Samples:
    """Samples at another rate, by a windowed sinc, a block at a time; the same as of all blocks at once.

    Only the result is held in memory.
    """
    if old == new:
        parts = list(blocks)
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)
    down, up = near_ratio(old, new)
    change = _resampler(down, up)
    margin = down * ceil((change.width + down) / down)
    out: list[Samples] = []
    held, before, total = np.zeros(0, np.float32), 0, 0
    for block in _gathered(blocks):
        total += len(block)
        held = np.concatenate([held, block])
        ready = (len(held) - before - margin) // down * down
        if ready > 0:
            made = change(torch.from_numpy(held[: before + ready + margin])).numpy()
            out.append(made[before // down * up : (before + ready) // down * up].copy())
            cut = max(0, before + ready - margin) // down * down
            held, before = held[cut:], before + ready - cut
    made = change(torch.from_numpy(held)).numpy()[before // down * up :] if len(held) > before else held[:0]
    joined = np.concatenate([*out, made])
    wanted = resampled_length(total, old, new)
    return np.pad(joined, (0, wanted - len(joined))) if len(joined) < wanted else joined[:wanted]


def near_ratio(old: int, new: int) -> tuple[int, int]:
    """How many samples become how many: the rates over their greatest common divisor, or nearly so.

    The filter has as many weights as the product of the two, so that rates without a common divisor would fill the
    memory; they are taken for the nearest that do not.

    >>> near_ratio(44_100, 16_000), near_ratio(44_101, 16_000)
    ((441, 160), (2183, 792))
    """
    down, up = old // gcd(old, new), new // gcd(old, new)
    if down * up <= WEIGHTS:
        return down, up
    found = Fraction(old, new).limit_denominator(max(1, isqrt(WEIGHTS * new // old)))
    return max(1, found.numerator), found.denominator


def _gathered(blocks: Iterator[Samples]) -> Iterator[Samples]:
    """Blocks of at least GATHERED samples, the last one aside."""
    parts: list[Samples] = []
    for block in blocks:
        parts.append(block)
        if sum(map(len, parts)) >= GATHERED:
            yield np.concatenate(parts)
            parts = []
    if parts:
        yield np.concatenate(parts)


@lru_cache(maxsize=16)
def _resampler(down: int, up: int) -> Any:
    return needed("torchaudio.transforms", "audio").Resample(down, up)
