"""Reading long prompts: piece by piece through all layers, densely or towards what each head keeps.

A piece of every stream passes through the network before the next one starts, so that what the feed-forward blocks
hold is of one piece and not of the prompt (Qwen2.5-1M, section 4.2.1). Where attention is sparse, each piece's last
queries choose anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ...core.attention_groups import Piece
from .long_context import LongContext, RowPlaces
from .long_dual import dual_parts, plain_parts
from .long_parts import Merged, merge_parts
from .long_sparse import Chosen, Sparse, attend_sparse, choose, last_probabilities
from .routing import note, ways_of

if TYPE_CHECKING:
    from ...core.layout import Layout
    from .network import DecoderNetwork

Memory = list[tuple[Tensor, Tensor]]


class Span(NamedTuple):
    """Rows `first` to `end` of one stream, which starts at row `start` of the joined view."""

    start: int
    first: int
    end: int


def in_pieces(spans: Sequence[Span], most: int | None) -> Iterator[list[Span]]:
    """Spans in pieces of at most `most` rows, one of every span at a time.

    >>> [[(s.first, s.end) for s in piece] for piece in in_pieces([Span(0, 2, 7), Span(7, 0, 3)], 4)]
    [[(2, 6), (0, 3)], [(6, 7)]]
    """
    longest = max((span.end - span.first for span in spans), default=0)
    step = most or max(longest, 1)
    for ahead in range(0, longest, step):
        begun = [span._replace(first=span.first + ahead) for span in spans if span.end - span.first > ahead]
        yield [span._replace(end=min(span.end, span.first + step)) for span in begun]


class Keys(NamedTuple):
    """What the rows of one stream see: versions of the queries of `place` and on, keys and values up to the last."""

    queries: Sequence[Tensor]
    k: Tensor
    v: Tensor
    place: int


@dataclass
class PieceReader:
    """Attention of one piece of some streams, layer by layer, towards all that was read before it.

    Attributes:
        long: the switches.
        memory: for each layer keys and values [joined rows, key heads, head size], filled as pieces pass.
        budgets: columns and diagonals, int64 [layers, heads, 2].
        spans: the piece.
        layer: the next layer.
    """

    long: LongContext
    memory: Memory
    budgets: Tensor | None
    spans: Sequence[Span]
    layer: int = 0

    @property
    def rows(self) -> Tensor:
        """int64: the joined rows of the piece."""
        return torch.cat([torch.arange(s.start + s.first, s.start + s.end) for s in self.spans])

    def attend(self, queries: Sequence[Tensor], k: Tensor, v: Tensor, dropout: float) -> Tensor:
        """Keep the piece's keys and values, and let its rows see those of their streams up to their own."""
        keys, values = self.memory[self.layer]
        out, at = torch.empty_like(queries[0]), 0
        for span in self.spans:
            here = slice(at, at + span.end - span.first)
            there = slice(span.start + span.first, span.start + span.end)
            keys[there], values[there] = k[here], v[here]
            seen = slice(span.start, span.start + span.end)
            out[here] = self.stream(Keys([q[here] for q in queries], keys[seen], values[seen], span.first))
            at = here.stop
        self.layer += 1
        return out

    def stream(self, seen: Keys) -> Tensor:
        """Outputs [rows, heads, size] of the rows of one stream."""
        sparse = self.long.sparse
        if sparse is None or len(seen.k) <= sparse.beyond:
            return dense(seen, self.long).out
        assert self.budgets is not None
        chosen = chosen_by(seen, self.long, sparse, self.budgets[self.layer].tolist())
        return attend_sparse(seen.queries, seen.k, seen.v, chosen, seen.place, self.long.dual, sparse.block).out


def dense(seen: Keys, long: LongContext) -> Merged:
    """Attention towards all rows before."""
    count = len(seen.queries[0])
    piece = Piece(0, seen.place, count, 0, len(seen.k), True)
    cut = plain_parts([piece]) if long.dual is None else dual_parts([piece], long.dual)
    own = tuple(part._replace(q=part.q - seen.place) for part in cut)
    return merge_parts(seen.queries, seen.k, seen.v, own)


def chosen_by(seen: Keys, long: LongContext, sparse: Sparse, budgets: Sequence[Sequence[int]]) -> list[Chosen]:
    """What each head keeps, by the last of these queries."""
    count = len(seen.queries[0])
    last = min(sparse.last, count)
    flowing = seen.queries if long.dual is None else seen.queries[3:]
    share = flowing[0].shape[1] // seen.k.shape[1]
    found = []
    for head, (vertical, slash) in enumerate(budgets):
        own = [q[-last:, head] for q in flowing]
        p = last_probabilities(own, seen.k[:, head // share], seen.place + count - last, long.dual)
        found.append(choose(p, vertical, slash, sparse))
    return found


def empty_memory(network: DecoderNetwork, x: Tensor) -> Memory:
    """Zeros for the keys and values of all layers."""
    shape = (len(x), network.key_heads, network.head_size)
    return [(x.new_zeros(shape), x.new_zeros(shape)) for _ in network.layers]


def read_piece(network: DecoderNetwork, x: Tensor, layout: Layout, places: RowPlaces, reader: PieceReader) -> None:
    """Let one piece pass through all layers."""
    rows = reader.rows.to(x.device)
    turns = network.long.turns(places.at(rows), network.rotary, choosing=network.long.sparse is not None)
    turns = turns._replace(reader=reader)
    hidden = x.index_select(0, rows)
    ways, chosen = iter(ways_of(network.mixed, len(hidden))), []
    for layer in network.decoder_layers():
        hidden, _, routed = layer(hidden, layout, turns, next(ways) if layer.mixed else None)
        chosen += [routed.chosen] if routed is not None else []
    note(chosen)
