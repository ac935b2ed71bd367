"""Dual chunk attention (An et al., 2024; Qwen2.5-1M, 2025): no two rows seem farther apart than in training.

The context is cut into chunks of `span` rows and a key's place is its place within its chunk. A query has three: one
for keys of its own chunk, one for those of the chunk before, one for all farther ones, such that near distances are
true and far ones are bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...core.attention_groups import Piece
from .long_parts import Part

Form = Literal["report", "code"]

INTRA, SUCCESSIVE, INTER = 0, 1, 2
"""Versions of a query: for keys of its own chunk, of the chunk before, of those farther away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DualChunks:
    """The geometry of dual chunk attention.

    Attributes:
        chunk: the context of training that no distance leaves.
        local: distances below this are true ones, also across the border of two chunks.
        form: the largest place is `chunk - 1`, as the `report` says, or `chunk`, as its `code` has it.

    Raises:
        ValueError: the local window leaves no chunk.

    >>> DualChunks(chunk=10, local=4).distances(12)[11].tolist()
    [10, 9, 8, 7, 6, 5, 5, 4, 3, 2, 1, 0]
    """

    chunk: int
    local: int = 1024
    form: Form = "code"

    def __post_init__(self) -> None:
        if not 0 < self.local < self.chunk:
            raise ValueError(
                f"`dual_chunk_local` must be at least 1 and below `dual_chunk`, {self.chunk}, but is {self.local}"
            )

    @property
    def span(self) -> int:
        """Rows of a chunk."""
        return self.chunk - self.local

    @property
    def largest(self) -> int:
        """The largest place of a query."""
        return self.chunk - 1 if self.form == "report" else self.chunk

    def key_places(self, index: Tensor) -> Tensor:
        """Places of keys at running indexes [...]."""
        return index % self.span

    def query_places(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Places of queries at running indexes [...], by version."""
        own = index % self.span
        far = torch.full_like(own, min(2 * self.span - 1, self.largest))
        return own, (own + self.span).clamp(max=self.largest), far

    def flowing_places(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Places of queries that go on growing, by version: under them patterns of distance stay unbroken, so that
        what is important can be chosen (Qwen2.5-1M, section 4.2.2)."""
        own = index % self.span
        return own, own + self.span, own + self.chunk

    def version(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Which version of queries at running indexes [..., n] reads keys at [..., m], [..., n, m]."""
        apart = (queries // self.span)[..., :, None] - (keys // self.span)[..., None, :]
        return apart.clamp(0, 2)

    def distances(self, length: int) -> Tensor:
        """How far apart the rows of a stream seem to be, int64 [length, length]: row i, key j."""
        index = torch.arange(length)
        apart = torch.stack([places[:, None] - self.key_places(index) for places in self.query_places(index)])
        return apart.gather(0, self.version(index, index)[None])[0]


def dual_parts(pieces: Sequence[Piece], dual: DualChunks) -> tuple[Part, ...]:
    """Pieces of streams cut at the borders of chunks; a piece's keys begin with its stream.

    Raises:
        ValueError: a row sees rows of a later chunk, to which no distance is given.
    """
    return tuple(part for piece in pieces for part in _cut(piece, dual.span))


def _cut(piece: Piece, span: int) -> list[Part]:
    first = piece.q - piece.k
    if not piece.causal and piece.queries and first // span != (piece.keys - 1) // span:
        raise ValueError(
            f"with dual chunks a row must not see rows of a later chunk, but rows {first} to {piece.keys - 1} of a "
            f"stream see each other both ways over the border of chunks of {span}: let the source be causal"
        )
    found = []
    at = first
    while at < first + piece.queries:
        chunk = at // span
        end = min((chunk + 1) * span, first + piece.queries)
        q, count = piece.k + at, end - at
        if chunk > 1:
            found.append(Part(INTER, q, count, piece.k, (chunk - 1) * span, False))
        if chunk > 0:
            found.append(Part(SUCCESSIVE, q, count, piece.k + (chunk - 1) * span, span, False))
        own = piece.k + chunk * span
        if not piece.causal:
            found.append(Part(INTRA, q, count, own, piece.k + piece.keys - own, False))
        else:
            found += own_parts(q, count, own)
        at = end
    return found


def own_parts(q: int, count: int, first: int) -> list[Part]:
    """Rows `q` to `q + count` against the rows from `first` to themselves: what is before them, and their own."""
    before = [Part(INTRA, q, count, first, q - first, False)] if q > first else []
    return [*before, Part(INTRA, q, count, q, count, True)]


def plain_parts(pieces: Sequence[Piece]) -> tuple[Part, ...]:
    """The same without chunks: what is before a causal piece's rows, and their own."""
    found = []
    for piece in pieces:
        if piece.causal:
            found += own_parts(piece.q, piece.queries, piece.k)
        else:
            found.append(Part(INTRA, piece.q, piece.queries, piece.k, piece.keys, False))
    return tuple(found)
