"""What a decoder of transformers remembers of streams: keys and values side by side, each stream's at the end.

transformers' caches hold rectangles, and its masks count columns, so that a stream must have no gap. Blocks of streams
are therefore filled up on the left, and those that are fed the same number of rows go on together: mostly one block
that is used as it is. A block is never changed, so streams can share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor] | None
"""Keys and values [streams, heads, longest, size] of a layer; None for one that keeps none."""


@dataclass(frozen=True, slots=True)
class Block:
    """Keys and values of several streams.

    Attributes:
        layers: of each layer, what is ahead of a stream's own rows being void.
        lengths: rows of each stream.
    """

    layers: tuple[Pair, ...]
    lengths: tuple[int, ...]

    @property
    def longest(self) -> int:
        return max(self.lengths, default=0)

    def mask(self, more: int, device: torch.device) -> Tensor | None:
        """int64 [streams, longest + more]: 0 ahead of each stream; None when nothing is void."""
        if set(self.lengths) <= {self.longest}:
            return None
        ahead = self.longest - torch.tensor(self.lengths, device=device)
        return (torch.arange(self.longest + more, device=device) >= ahead[:, None]).long()

    def places(self, more: int, device: torch.device) -> Tensor:
        """int64 [streams, more]: the places of rows that follow."""
        return torch.tensor(self.lengths, device=device)[:, None] + torch.arange(more, device=device)


class BlockCache:
    """The keys and values of n streams, in blocks.

    Args:
        streams: n.

    Attributes:
        homes: the block and the row in it of each stream; None for one that has read nothing.
    """

    def __init__(self, streams: int) -> None:
        self.homes: list[tuple[Block, int] | None] = [None] * streams

    def select(self, streams: Tensor) -> None:
        """Keep (and repeat, reorder) streams: new stream i is old stream `streams[i]`, int64 [m]."""
        self.homes = [self.homes[stream] for stream in streams.tolist()]

    def take(self, streams: Sequence[int]) -> Block:
        """These streams in one block, in order."""
        homes = [self.homes[stream] for stream in streams]
        kept = [home for home in homes if home is not None]
        if not kept:
            return Block((), (0,) * len(homes))
        first = kept[0][0]
        if len(kept) == len(homes) and all(block is first for block, _ in kept):
            rows = [row for _, row in kept]
            return first if rows == list(range(len(first.lengths))) else _rows(first, rows)
        return _joined(homes, first)

    def put(self, streams: Sequence[int], block: Block) -> None:
        """Say where these streams are from now on."""
        for row, stream in enumerate(streams):
            self.homes[stream] = block, row


class ReplayCache:
    """The embeddings of n streams, for decoders that keep more than keys and values: all is read again for each row."""

    def __init__(self, rows: Sequence[Tensor]) -> None:
        self.rows = list(rows)

    def select(self, streams: Tensor) -> None:
        """Keep (and repeat, reorder) streams: new stream i is old stream `streams[i]`, int64 [m]."""
        self.rows = [self.rows[stream] for stream in streams.tolist()]


def _rows(block: Block, rows: Sequence[int]) -> Block:
    """Some streams of a block, without the columns that none of them uses."""
    lengths = tuple(block.lengths[row] for row in rows)
    ahead = block.longest - max(lengths)
    layers: list[Pair] = []
    for pair in block.layers:
        if pair is None:
            layers.append(None)
            continue
        at = torch.tensor(rows, device=pair[0].device)
        keys, values = (held[..., ahead:, :].index_select(0, at) for held in pair)
        layers.append((keys, values))
    return Block(tuple(layers), lengths)


def _joined(homes: Sequence[tuple[Block, int] | None], like: Block) -> Block:
    """Streams of several blocks in one."""
    lengths = tuple(0 if home is None else home[0].lengths[home[1]] for home in homes)
    longest = max(lengths)
    layers: list[Pair] = []
    for layer, pair in enumerate(like.layers):
        if pair is None:
            layers.append(None)
            continue
        made = []
        for part, held in enumerate(pair):
            wide = held.new_zeros(len(homes), *held.shape[1:-2], longest, held.shape[-1])
            for row, (home, length) in enumerate(zip(homes, lengths, strict=True)):
                own = None if home is None else home[0].layers[layer]
                if home is not None and own is not None and length:
                    wide[row, ..., longest - length :, :] = own[part][home[1], ..., home[0].longest - length :, :]
            made.append(wide)
        layers.append((made[0], made[1]))
    return Block(tuple(layers), lengths)


def to_the_end(pair: Pair, lengths: Sequence[int]) -> Pair:
    """Keys and values whose streams begin at the first column, moved so that they end at the last."""
    if pair is None or set(lengths) <= {pair[0].shape[-2]}:
        return pair
    longest = pair[0].shape[-2]
    ahead = longest - torch.tensor(lengths, device=pair[0].device)
    at = (torch.arange(longest, device=ahead.device) - ahead[:, None]).clamp(min=0)
    keys, values = (
        held[torch.arange(len(lengths), device=ahead.device)[:, None], :, at].transpose(1, 2) for held in pair
    )
    return keys.contiguous(), values.contiguous()
