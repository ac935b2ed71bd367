"""Source rows that look back alone, read span by span or in one go, into the memory of a cache."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...core.cache import StreamCache
from ...core.networks import Memory, Span
from . import long_prefill
from .long_prefill import empty_memory, in_pieces, read_piece

if TYPE_CHECKING:
    from ...core.layout import Layout
    from .long_context import RowPlaces
    from .network import DecoderNetwork


class SourceReading:
    """The source rows of a layout in the hands of one network; see `core.networks.Reading`.

    Raises:
        ValueError: a source is longer than `positions`.
    """

    def __init__(self, network: DecoderNetwork, x: Tensor, layout: Layout) -> None:
        network.check_length(layout.joined.longest)
        self.network, self.x, self.layout = network, x, layout
        self._memory: Memory | None = None

    @cached_property
    def rows(self) -> Tensor:
        """[joined rows, width]: embeddings with the kinds of their ports."""
        typed = self.network.typed(self.x, self.layout.kinds)
        return self.layout.join(typed) if self.layout.rows else typed

    @cached_property
    def marks(self) -> Tensor:
        """int64 [joined rows, 1 or 3]: places."""
        places = self._places[0].places
        return places.reshape(-1, places.shape[-1]).t().contiguous()

    @cached_property
    def _places(self) -> tuple[RowPlaces, tuple[int, ...] | None]:
        return self.network.row_places(self.layout, self.x.device)

    @property
    def memory(self) -> Memory:
        """Keys and values of all rows [joined rows, key heads, head size], zeros where they were not read."""
        if self._memory is None:
            self._memory = empty_memory(self.network, self.rows)
        return self._memory

    @torch.no_grad()
    def read(self, spans: Sequence[Span]) -> None:
        """Piece by piece, where the network reads in pieces."""
        starts = self.layout.joined.starts
        own = [long_prefill.Span(starts[span.stream], span.first, span.end) for span in spans]
        network = self.network
        for piece in in_pieces(own, network.long.piece):
            reader = network.piece_reader(network.long, self.memory, network.sparse_budgets, piece)
            read_piece(network, self.rows, self.layout, self._places[0], reader)

    @torch.no_grad()
    def read_all(self) -> None:
        """In one pass of all rows, or piece by piece."""
        if self.network.long.sparse is None and self.network.long.piece is None:
            _, self._memory = self.network.read_once(self.x, self.layout)
        else:
            self.read([Span(i, 0, length) for i, length in enumerate(self.layout.joined.lengths)])

    def cache(self) -> StreamCache:
        """Of all rows, one stream on each source."""
        return StreamCache(self.memory, self.layout.joined, self._places[1])
