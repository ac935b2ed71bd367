"""Sparse attention of long prompts: a few columns and a few diagonals a head (MInference, Jiang et al., 2024).

The last queries of a piece of the prompt show which keys matter to all rows (columns) and at which distances rows look
back (diagonals). All other pairs are left out. Rows are computed in blocks, and what a diagonal touches for one row of
a block all its rows see, so that at least the chosen pairs are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .long_dual import INTER, INTRA, SUCCESSIVE, DualChunks
from .long_parts import Merged, Part, attend_all


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """What is kept of a head's attention.

    Attributes:
        vertical: columns, the first ones of the prompt among them.
        slash: diagonals, the nearest ones among them.
        beyond: prompts up to so many tokens stay dense.
        last: queries that choose.
        first: columns that are always kept.
        nearest: diagonals that are always kept.
        block: rows that are computed together.
    """

    vertical: int = 1000
    slash: int = 6096
    beyond: int = 32_768
    last: int = 64
    first: int = 30
    nearest: int = 100
    block: int = 64

    def budgets(self, layers: int, heads: int) -> Tensor:
        """The same columns and diagonals for each head, int64 [layers, heads, 2]."""
        return torch.tensor([self.vertical, self.slash]).repeat(layers, heads, 1)


class Chosen(NamedTuple):
    """What one head keeps: columns and distances, int64, ascending."""

    columns: Tensor
    distances: Tensor


class Stretch(NamedTuple):
    """Keys `first` to `end` that one version of the queries reads."""

    version: int
    first: int
    end: int


def stretches(place: int, end: int, dual: DualChunks | None) -> list[Stretch]:
    """The versions with which queries from `place` on, all of one chunk, read the keys up to `end`.

    >>> stretches(13, 14, DualChunks(chunk=10, local=4))
    [Stretch(version=2, first=0, end=6), Stretch(version=1, first=6, end=12), Stretch(version=0, first=12, end=14)]
    """
    if dual is None:
        return [Stretch(INTRA, 0, end)]
    chunk, span = place // dual.span, dual.span
    found = [Stretch(INTER, 0, (chunk - 1) * span)] if chunk > 1 else []
    if chunk > 0:
        found.append(Stretch(SUCCESSIVE, (chunk - 1) * span, chunk * span))
    return [*found, Stretch(INTRA, chunk * span, end)]


def blocks(place: int, count: int, size: int, dual: DualChunks | None) -> Iterator[tuple[int, int]]:
    """Queries from `place` on in blocks (first place, rows) that no border of chunks crosses."""
    at, end = place, place + count
    while at < end:
        border = end if dual is None else min(end, (at // dual.span + 1) * dual.span)
        rows = min(size, border - at)
        yield at, rows
        at += rows


def last_probabilities(queries: Sequence[Tensor], keys: Tensor, place: int, dual: DualChunks | None) -> Tensor:
    """What the last queries of one head give each key, float32 [rows, keys].

    Args:
        queries: versions [rows, head size]; with chunks those of `DualChunks.flowing_places`.
        keys: [keys, head size], to the last query's own.
        place: running index of the first of these queries.
        dual: the chunks.
    """
    rows = len(queries[0])
    scores = torch.full((rows, len(keys)), float("-inf"), device=keys.device)
    for at, count in blocks(place, rows, rows, dual):
        own = slice(at - place, at - place + count)
        for version, first, end in stretches(at, at + count, dual):
            scores[own, first:end] = (queries[version][own] @ keys[first:end].T).float()
    scores *= keys.shape[1] ** -0.5
    index = torch.arange(place, place + rows, device=keys.device)
    late = torch.arange(place, len(keys), device=keys.device)
    scores[:, place:].masked_fill_(late > index[:, None], float("-inf"))
    return scores.softmax(-1)


def choose(probabilities: Tensor, vertical: int, slash: int, sparse: Sparse) -> Chosen:
    """The columns and diagonals with the most of what the last queries give, [rows, keys].

    A larger budget keeps all that a smaller one does.

    >>> choose(torch.eye(4)[2:], 1, 1, Sparse(first=0, nearest=0)).distances.tolist()
    [0]
    """
    rows, keys = probabilities.shape
    columns = probabilities.sum(0)
    columns[: sparse.first] = float("inf")
    distances = _by_distance(probabilities)
    distances[: sparse.nearest] = float("inf")
    return Chosen(
        _best(columns, max(vertical, min(sparse.first, keys))), _best(distances, max(slash, min(sparse.nearest, keys)))
    )


def _best(scores: Tensor, count: int) -> Tensor:
    """Ties fall to the first, so that budgets are nested."""
    order = torch.sort(scores, descending=True, stable=True).indices
    return order[: min(count, len(scores))].sort().values


def _by_distance(p: Tensor) -> Tensor:
    """Sums [keys] over the diagonals of [rows, keys], whose last row's own key is the last one.

    Rows in reverse order, written one after the other with a width that is one short, stand so that a diagonal is a
    column.
    """
    rows, keys = p.shape
    wide = torch.zeros(rows, keys + rows, dtype=p.dtype, device=p.device)
    wide[:, :keys] = p.flip(0)
    sheared = wide.flatten()[: rows * (keys + rows - 1)].view(rows, keys + rows - 1)
    return sheared.sum(0)[:keys].flip(0)


def attend_sparse(
    queries: Sequence[Tensor],
    k: Tensor,
    v: Tensor,
    chosen: Sequence[Chosen],
    place: int,
    dual: DualChunks | None,
    block: int,
) -> Merged:
    """Attention of the rows of one stream from running index `place` on, towards what their heads keep.

    Args:
        queries: versions [rows, heads, head size].
        k: [keys, key heads, head size] of the stream up to the last of these rows.
        v: like `k`.
        chosen: by head.
        place: of the first row.
        dual: the chunks, or None.
        block: rows at a time.
    """
    merged = Merged(queries[0])
    patterns = [_Pattern(own) for own in chosen]
    keys, values = (x.transpose(0, 1).contiguous() for x in (k, v))
    for at, rows in blocks(place, len(queries[0]), block, dual):
        first = at - place
        merged.take(queries[INTRA], k, v, Part(INTRA, first, rows, at, rows, True))
        for version, *bounds in stretches(at, at, dual):
            sets = [pattern.keys(at, rows, *bounds) for pattern in patterns]
            _add(merged, first, queries[version][first : first + rows], keys, values, sets)
    return merged


def _add(merged: Merged, first: int, q: Tensor, keys: Tensor, values: Tensor, sets: Sequence[Any]) -> None:
    """Let each head of rows [rows, heads, size] see its set of the keys [key heads, keys, size]."""
    found = torch.zeros_like(q)
    log_sum = torch.full(q.shape[:2], float("-inf"), device=q.device)
    share = len(sets) // len(keys)
    for head, kept in enumerate(sets):
        if len(kept):
            index = torch.from_numpy(kept).to(q.device)
            own, other = (x[head // share].index_select(0, index) for x in (keys, values))
            found[:, head], log_sum[:, head] = attend_all(q[:, head], own, other)
    merged.add(first, found, log_sum)


class _Pattern:
    """What one head keeps, ready to be asked block by block; in numpy, whose small calls cost a tenth of torch's."""

    def __init__(self, chosen: Chosen) -> None:
        self.columns, self.distances = (x.cpu().numpy() for x in chosen)
        self._touched: dict[int, tuple[Any, Any]] = {}

    def keys(self, at: int, rows: int, first: int, end: int) -> Any:
        """The keys from `first` to `end`, all before row `at`, of the block of rows that begins there."""
        touched, near = self._block(rows)
        last = at + rows - 1
        a, b = np.searchsorted(near, (last - end, last - first), side="right")
        c, d = np.searchsorted(self.columns, (first, end))
        columns = self.columns[c:d]
        far = np.minimum(last - columns, len(touched) - 1)
        return np.concatenate([columns[~touched[far]], last - near[a:b]])

    def _block(self, rows: int) -> tuple[Any, Any]:
        """How far before the last row of a block the keys lie that its diagonals touch: bool by distance, False
        behind the last, and these distances themselves."""
        if rows not in self._touched:
            most = int(self.distances.max()) + rows if len(self.distances) else 0
            edges = np.zeros(most + 1, dtype=np.int32)
            edges[self.distances] += 1
            np.subtract.at(edges, self.distances + rows, 1)
            touched = edges.cumsum() > 0
            self._touched[rows] = touched, touched.nonzero()[0]
        return self._touched[rows]
