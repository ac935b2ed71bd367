"""Corruption of text: hidden spans of words and random tokens.

Spans follow text infilling of BART (Lewis et al., 2020, arXiv:1910.13461, section 2.1): lengths are drawn from a
Poisson distribution with mean 3, each span becomes one mask, spans of length 0 insert one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
MEAN_SPAN = 3.0


def hide_spans(ids: Ids, starts: NDArray[np.bool_], *, mask: int, ratio: float, random: np.random.Generator) -> Ids:
    """The ids with spans of whole words replaced by one mask each; never more ids than before.

    Hidden are exactly `ratio` times the words: a whole number, the fraction drawn.

    Args:
        ids: int64 [n].
        starts: bool [n], where a word begins; the first id always does.
        mask: the id that stands for a span.
        ratio: share of the words, 0 to 1.
        random: the source of draws.

    >>> words = np.arange(10)
    >>> hide_spans(words, np.ones(10, bool), mask=99, ratio=1.0, random=np.random.default_rng(0)).max()
    np.int64(99)
    """
    if not len(ids):
        return ids
    edges = [0, *(np.flatnonzero(starts[1:]) + 1).tolist(), len(ids)]
    words = len(edges) - 1
    budget = min(int(ratio * words + random.random()), words)
    if budget == 0:
        return ids
    lengths, inserts = _span_lengths(budget, random)
    hidden = np.array([mask])
    parts, done, word = [], 0, 0
    for gap, length in zip(_gaps(words - budget, len(lengths), random), lengths, strict=True):
        word += gap
        parts += [ids[done : edges[word]], hidden]
        word += length
        done = edges[word]
    out = np.concatenate([*parts, ids[done:]])
    inserts = min(inserts, len(ids) - len(out))
    return np.insert(out, random.integers(0, len(out) + 1, size=inserts), mask) if inserts else out


def _span_lengths(budget: int, random: np.random.Generator) -> tuple[list[int], int]:
    """Lengths, all above 0, that add up to the budget, and the number of empty spans drawn among them."""
    lengths: list[int] = []
    left, empty = budget, 0
    while left:
        for drawn in random.poisson(MEAN_SPAN, size=left // 2 + 8).tolist():
            if not drawn:
                empty += 1
                continue
            lengths.append(min(drawn, left))
            left -= lengths[-1]
            if not left:
                break
    other = int(random.random() * len(lengths))
    lengths[other], lengths[-1] = lengths[-1], lengths[other]
    return lengths, empty


def _gaps(free: int, spans: int, random: np.random.Generator) -> list[int]:
    """Words left standing before each span; all ways to lay the spans among the free words are equally likely."""
    places = sorted(random.random(free + spans).argsort()[:spans].tolist())
    return [place - before - 1 for before, place in zip([-1, *places], places, strict=False)]


def add_noise(ids: Ids, plain: Ids, *, ratio: float, random: np.random.Generator) -> Ids:
    """The ids, each replaced with probability `ratio` by a random one of `plain`."""
    hit = random.random(len(ids)) < ratio
    return np.where(hit, plain[random.integers(0, len(plain), size=len(ids))], ids)
