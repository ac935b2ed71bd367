"""A backbone without attention: each row sees the mean of its stream so far."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from omniline.core.layout import Layout, Ragged
from omniline.core.networks import NewRows


@dataclass
class DriftCache:
    """For each block the sum [streams, width] of its inputs so far, and how many they are, [streams]."""

    sums: list[Tensor]
    count: Tensor

    def select(self, streams: Tensor) -> None:
        self.sums = [total.index_select(0, streams) for total in self.sums]
        self.count = self.count.index_select(0, streams)


class Block(nn.Module):
    """x + MLP(norm(x), norm(mean))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, mean: Tensor) -> Tensor:
        return x + self.mix(torch.cat([self.norm(x), self.norm(mean)], dim=-1))


class DriftNetwork(nn.Module):
    """Source rows see the mean of the whole source, target rows that of the source and of the target up to them."""

    def __init__(self, width: int, depth: int, kinds: int = 1) -> None:
        super().__init__()
        self.width = width
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.last = nn.LayerNorm(width)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        return self._run(x, layout)[0]

    def prefill(self, x: Tensor, layout: Layout) -> DriftCache:
        sums = self._run(x, layout)[1]
        return DriftCache(sums, torch.tensor(layout.source.lengths, device=x.device, dtype=x.dtype))

    def extend(self, rows: NewRows, cache: DriftCache) -> Tensor:
        x, kept = rows.x, rows.counts
        count = cache.count[:, None] + torch.arange(1, x.shape[1] + 1, device=x.device)
        for number, block in enumerate(self.blocks):
            total = cache.sums[number][:, None] + x.cumsum(1)
            held = torch.cat([cache.sums[number][:, None], total], dim=1)
            cache.sums[number] = held[torch.arange(len(kept), device=x.device), kept]
            x = block(x, total / count[..., None])
        cache.count = cache.count + kept
        return self.last(x)

    def _run(self, x: Tensor, layout: Layout) -> tuple[Tensor, list[Tensor]]:
        sums = []
        for block in self.blocks:
            source, target = layout.split(x)
            total = _totals(source, layout.source)
            sums.append(total)
            x = block(x, torch.cat([_whole(total, layout.source), _running(total, target, layout)]))
        return self.last(x), sums


def _totals(source: Tensor, parts: Ragged) -> Tensor:
    """The sum [streams, width] of each part's real rows."""
    real = parts.real.to(source.device)[:, None]
    empty = source.new_zeros(len(parts.lengths), source.shape[1])
    return empty.index_add(0, parts.part.to(source.device), source * real)


def _whole(total: Tensor, parts: Ragged) -> Tensor:
    """The mean of each row's own part."""
    lengths = torch.tensor(parts.lengths, device=total.device).clamp(min=1)
    return (total / lengths[:, None]).index_select(0, parts.part.to(total.device))


def _running(total: Tensor, target: Tensor, layout: Layout) -> Tensor:
    """The mean of each target row's source and of the target up to it."""
    parts = layout.target
    pieces = target.split(list(parts.lengths) if parts.stride is None else [parts.stride] * len(parts.lengths))
    none = target.new_zeros(0, target.shape[1])
    summed = torch.cat([none, *(start + piece.cumsum(0) for start, piece in zip(total, pieces, strict=True))])
    part = parts.part.to(target.device)
    before = torch.tensor(layout.source.lengths, device=target.device).index_select(0, part)
    return summed / (before + parts.index.to(target.device) + 1)[:, None]
