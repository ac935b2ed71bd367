"""Source rows that are read span by span, so that prompts which begin alike are read once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...core.layout import Layout, Ragged
from ...core.networks import Memory, Span
from .streams import Block, BlockCache

if TYPE_CHECKING:
    from .network import AutoNetwork


class RectangleReading:
    """The source rows of a layout in the hands of one network; see `core.networks.Reading`.

    Args:
        network: it keeps keys and values of every layer.
        x: embeddings of the source rows.
        layout: theirs.
        like: keys and values [1, heads, 1, size] of a row, for each layer.
    """

    def __init__(self, network: AutoNetwork, x: Tensor, layout: Layout, like: Memory) -> None:
        self.network, self.layout = network, layout
        self.rows = layout.join(x) if layout.rows else x
        self.marks = layout.joined.index.to(x.device)[:, None]
        self._like = like

    @cached_property
    def memory(self) -> Memory:
        """Keys and values of all rows [joined rows, heads, head size], zeros where they were not read."""
        count = len(self.rows)
        return [tuple(x.new_zeros(count, *x.shape[1::2]) for x in pair) for pair in self._like]  # type: ignore[misc]

    @torch.no_grad()
    def read(self, spans: Sequence[Span]) -> None:
        """In one pass: what is ahead of the spans is filled up in front, the spans behind, where nothing sees it."""
        starts = self.layout.joined.starts
        runs = [(starts[span.stream] + span.first, span.end - span.first) for span in spans]
        if not runs:
            return
        rows = nn.utils.rnn.pad_sequence([self.rows[first : first + count] for first, count in runs], batch_first=True)
        ahead = self._block([(starts[span.stream], span.first) for span in spans])
        _, pairs = self.network.step(rows, ahead)
        stream, within, place = self._places(runs)
        for own, pair in zip(self.memory, pairs, strict=True):
            assert pair is not None
            for held, found in zip(own, pair, strict=True):
                held[place] = found.transpose(1, 2)[stream, ahead.longest + within]

    def read_all(self) -> None:
        """In one pass of all rows."""
        lengths = self.layout.joined.lengths
        self.read([Span(stream, 0, length) for stream, length in enumerate(lengths) if length])

    def cache(self) -> BlockCache:
        """Of all rows, one stream on each source."""
        joined = self.layout.joined
        made = BlockCache(len(joined.lengths))
        full = [stream for stream, length in enumerate(joined.lengths) if length]
        if full:
            made.put(full, self._block([(joined.starts[stream], joined.lengths[stream]) for stream in full]))
        return made

    def _block(self, runs: Sequence[tuple[int, int]]) -> Block:
        """Rows that were read, each run (first row, rows) a stream."""
        lengths = tuple(count for _, count in runs)
        longest = max(lengths)
        if not longest:
            return Block((), lengths)
        stream, within, place = self._places(runs)
        column = within + longest - torch.tensor(lengths, device=within.device)[stream]
        layers = []
        for pair in self.memory:
            made = [held.new_zeros(len(runs), longest, *held.shape[1:]) for held in pair]
            for held, wide in zip(pair, made, strict=True):
                wide[stream, column] = held[place]
            layers.append((made[0].transpose(1, 2), made[1].transpose(1, 2)))
        return Block(tuple(layers), lengths)

    def _places(self, runs: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Of each row of runs (first row, rows), int64: which run it is of, its place in it, and its place of all."""
        ragged = Ragged(tuple(count for _, count in runs))
        first = torch.tensor([first for first, _ in runs], dtype=torch.long)[ragged.part]
        stream, within, place = (x.to(self.rows.device) for x in (ragged.part, ragged.index, first + ragged.index))
        return stream, within, place
