"""Which rows of a ragged batch see which, cut into groups that are computed in one call each.

Long streams stand alone, short ones are padded together where that costs less than a call for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

OPEN, CLOSED = 0, 1
"""Entries of a bias index that stand for no bias and for "must not see"; a table's columns follow them."""
SPECIAL = 2

_SAVED_BY_JOINING = 4_800
"""Query-key pairs (times 256 for the size of a row) whose cost equals that of one more call: measured, 150 us."""
_CPU_GROUP, _DEVICE_GROUP = 16_384, 1 << 22
"""Most query-key pairs of a padded group: small enough for the cache of a CPU, large on an accelerator."""


class Piece(NamedTuple):
    """Query rows of one stream against key rows: first row and number of each.

    A `causal` piece lets query i see key j when `j - i <= keys - queries`.
    """

    stream: int
    q: int
    queries: int
    k: int
    keys: int
    causal: bool


@dataclass(frozen=True)
class Group:
    """Pieces that are computed in one call, padded to the longest.

    Attributes:
        pieces: one or more.
        queries: query rows of each, padded.
        keys: key rows of each, padded.
        index: int32 [n * queries * keys] into a bias table, or None.
    """

    pieces: tuple[Piece, ...]
    queries: int
    keys: int
    index: Tensor | None = None

    @property
    def single(self) -> bool:
        return len(self.pieces) == 1

    @property
    def flag(self) -> bool:
        """Whether the kernel's own causal rule says all."""
        piece = self.pieces[0]
        return self.single and piece.causal and piece.queries == piece.keys

    @cached_property
    def seen(self) -> Tensor:
        """bool [n, queries, keys]: which key each query sees."""
        rows, columns = torch.arange(self.queries)[:, None], torch.arange(self.keys)[None]
        out = torch.zeros(len(self.pieces), self.queries, self.keys, dtype=torch.bool)
        for i, piece in enumerate(self.pieces):
            inside = (rows < piece.queries) & (columns < piece.keys)
            out[i] = inside & (columns - rows <= piece.keys - piece.queries) if piece.causal else inside
        return out

    @cached_property
    def mask(self) -> Tensor | None:
        """float32 [n, 1, queries, keys], 0 or -inf; None when every query sees every key or `flag` says it.

        Padded queries see all keys: a softmax over nothing would be NaN.
        """
        if self.flag or bool(self.seen.all()):
            return None
        closed = ~self.seen & self.seen.any(-1, keepdim=True)
        return torch.zeros(self.seen.shape).masked_fill_(closed, float("-inf"))[:, None]

    @cached_property
    def query_rows(self) -> Tensor:
        """int64 [n * queries]: the row of each padded query; padding repeats the first."""
        return _padded_rows([(p.q, p.queries) for p in self.pieces], self.queries)

    @cached_property
    def key_rows(self) -> Tensor:
        """int64 [n * keys]."""
        return _padded_rows([(p.k, p.keys) for p in self.pieces], self.keys)

    @cached_property
    def real_queries(self) -> Tensor:
        """int64: places in `query_rows` that are no padding."""
        return _real_places([p.queries for p in self.pieces], self.queries)

    @cached_property
    def real_keys(self) -> Tensor:
        """int64: places in `key_rows` that are no padding."""
        return _real_places([p.keys for p in self.pieces], self.keys)


@dataclass(frozen=True)
class BiasPlan:
    """Where a learned bias stands: groups whose `index` is filled. Made once a batch, shared by all layers.

    Attributes:
        part: the part it was made for.
        groups: all pieces of that part.
    """

    part: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Bias:
    """Additive scores: entry i of `plan`'s indexes is `table[:, i - SPECIAL]`, [heads] each."""

    table: Tensor
    plan: BiasPlan


def group_pieces(
    pieces: Sequence[Piece], *, row_size: int, device: str, indexes: Sequence[Tensor] | None = None
) -> tuple[Group, ...]:
    """Pieces in groups, so that padding costs less than the calls it saves.

    Args:
        pieces: those without queries or keys are left out: their output is zero.
        row_size: heads times head size.
        device: "cpu", or an accelerator, where groups are large.
        indexes: per piece, int [queries, keys] into a bias table.
    """
    saved = _SAVED_BY_JOINING * 256 // max(row_size, 1)
    most = _CPU_GROUP
    if device != "cpu":
        saved, most = _DEVICE_GROUP, _DEVICE_GROUP
    order = sorted(
        (i for i, p in enumerate(pieces) if p.queries and p.keys),
        key=lambda i: (pieces[i].queries * pieces[i].keys, pieces[i].queries),
    )
    found: list[list[int]] = []
    area = queries = keys = 0
    for i in order:
        piece = pieces[i]
        q, k = max(queries, piece.queries), max(keys, piece.keys)
        joined = q * k * (len(found[-1]) + 1) if found else 0
        if found and joined <= most and joined - area - piece.queries * piece.keys <= saved:
            found[-1].append(i)
            area, queries, keys = joined, q, k
        else:
            found.append([i])
            area, queries, keys = piece.queries * piece.keys, piece.queries, piece.keys
    return tuple(_group([pieces[i] for i in ids], indexes and [indexes[i] for i in ids]) for ids in found)


def _group(pieces: Sequence[Piece], indexes: Sequence[Tensor] | None) -> Group:
    queries, keys = max(p.queries for p in pieces), max(p.keys for p in pieces)
    if indexes is None:
        return Group(tuple(pieces), queries, keys)
    index = torch.full((len(pieces), queries, keys), CLOSED, dtype=torch.int32)
    for i, (piece, own) in enumerate(zip(pieces, indexes, strict=True)):
        index[i, : piece.queries, : piece.keys] = own
    return Group(tuple(pieces), queries, keys, index.view(-1))


def _padded_rows(spans: Sequence[tuple[int, int]], size: int) -> Tensor:
    starts, lengths = (torch.tensor(column)[:, None] for column in zip(*spans, strict=True))
    places = torch.arange(size)[None]
    return (starts + torch.where(places < lengths, places, 0)).reshape(-1)


def _real_places(lengths: Sequence[int], size: int) -> Tensor:
    return (torch.arange(size)[None] < torch.tensor(lengths)[:, None]).reshape(-1).nonzero()[:, 0]
