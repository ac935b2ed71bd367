"""A learned bias of attention scores by relative place, one table per port kind.

Text-like rows are told apart by their distance in a running index, exactly up to half the buckets and logarithmically
beyond (as Raffel et al., 2020, with both directions). Rows with a grid are told apart along time, height and width; the
bias of a pair is the sum over its axes. On the source side a bias acts within one segment; on the target side, where a
segment's end is not known while it is made, by the kind of the row that looks; rows of a mutual segment that lie ahead
count like those as far behind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .attention_groups import CLOSED, OPEN, SPECIAL, Bias, BiasPlan, group_pieces
from .cache_step import Step
from .layout import Layout, Segment

TEXT_REACH, FARTHEST = 256, 1024
"""Distances told apart in each direction, and the distance from which all are one."""
GRID_REACH = 42
AXIS = 2 * GRID_REACH - 1
SOURCE_BUCKETS = 2 * TEXT_REACH - 1


def text_bucket(distance: Tensor) -> Tensor:
    """Bucket 0..255 of distances >= 0: each its own below 128, logarithmic up to 1024.

    >>> text_bucket(torch.tensor([0, 5, 127, 1024, 9999])).tolist()
    [0, 5, 127, 255, 255]
    """
    exact = TEXT_REACH // 2
    ratio = torch.log(distance.clamp(min=1).float() / exact) / math.log(FARTHEST / exact)
    far = exact + (ratio * (TEXT_REACH - 1 - exact)).long()
    return torch.where(distance < exact, distance, far.clamp(exact, TEXT_REACH - 1))


def signed_bucket(distance: Tensor) -> Tensor:
    """Bucket 0..510 of signed distances.

    >>> signed_bucket(torch.tensor([-9999, 0, 1])).tolist()
    [0, 255, 256]
    """
    return TEXT_REACH - 1 + distance.sign() * text_bucket(distance.abs())


def grid_bucket(distance: Tensor, timed: bool) -> Tensor:
    """Bucket 0..82 of signed distances along one axis: whole steps, or for time logarithmic from hundredths on.

    >>> grid_bucket(torch.tensor([-1.0, 0.0, 100.0]), timed=False).tolist()
    [40, 41, 82]
    """
    steps = distance.sign() * (100 * distance.abs()).log1p() * 4.4 if timed else distance
    return (steps.round().long() + GRID_REACH - 1).clamp(0, AXIS - 1)


@dataclass(frozen=True)
class RelativePlan:
    """A `BiasPlan` with the columns that gridded pairs need: int64 [3, entries] into a table of axes."""

    plan: BiasPlan
    axes: Tensor


class RelativeBias(nn.Module):
    """The tables of one layer: `source` ones know both directions and grids, others look back along the index.

    Args:
        heads: attention heads.
        kinds: how many ports there are.
        source: for the source side.
    """

    def __init__(self, heads: int, kinds: int, *, source: bool) -> None:
        super().__init__()
        self.text = nn.Parameter(torch.zeros(heads, kinds * (SOURCE_BUCKETS if source else TEXT_REACH)))
        self.grid = nn.Parameter(torch.zeros(heads, kinds * 3 * AXIS)) if source else None

    def forward(self, plan: RelativePlan) -> Bias:
        """The bias that a plan stands for."""
        if self.grid is None:
            return Bias(self.text, plan.plan)
        axes = plan.axes.to(self.grid.device)
        pairs = self.grid.index_select(1, axes.reshape(-1)).view(len(self.grid), 3, -1).sum(1)
        return Bias(torch.cat([self.text, pairs], 1), plan.plan)

    def looking_back(self, index: Tensor) -> Tensor:
        """Target bias [n, heads, k, m] of the entries `index`, int64 [n, k, m], from `looking_back_index`."""
        found = self.text.index_select(1, index.reshape(-1)).view(len(self.text), *index.shape)
        return found.transpose(0, 1)


def looking_back_index(step: Step) -> Tensor:
    """Entries int64 [n, k, m] of the target tables for the new rows of a step towards all rows so far.

    n is 1 when all streams are equally far and their rows of one kind.
    """
    kinds = step.kinds
    if step.even and len(kinds) and bool((kinds == kinds[:1]).all()):
        kinds = kinds[:1]
    return kinds[..., None] * TEXT_REACH + text_bucket(step.distance.abs())


def plan_source(layout: Layout, kinds: int, *, row_size: int, device: str) -> RelativePlan:
    """Where the source side's bias stands: on the diagonal block of each segment.

    Args:
        layout: the batch's.
        kinds: how many ports the tables know.
        row_size: heads times head size, for the choice of groups.
        device: where attention will run.
    """
    base = _distances(layout.source.longest, signed_bucket)
    grids = _Grids(first=kinds * SOURCE_BUCKETS)
    indexes = []
    for start, length, (segments, _) in zip(layout.source.starts, layout.source.lengths, layout.segments, strict=True):
        index = torch.full((length, length), OPEN, dtype=torch.int32)
        for s in segments:
            block = index[s.start : s.start + s.length, s.start : s.start + s.length]
            if s.gridded:
                places = layout.grid[start + s.start : start + s.start + s.length]
                block.copy_(grids.index(s, places.cpu()))
            else:
                block.copy_(base[: s.length, : s.length] + (SPECIAL + s.kind * SOURCE_BUCKETS))
        indexes.append(index)
    groups = group_pieces(layout.pieces("source"), row_size=row_size, device=device, indexes=indexes)
    return RelativePlan(BiasPlan("source", groups), grids.axes())


def plan_target(layout: Layout, *, row_size: int, device: str) -> RelativePlan:
    """Where the target side's bias stands: between a row and all that it sees, by the row's kind."""
    size = layout.target.longest
    base = _distances(size, lambda distance: text_bucket(distance.abs())) + SPECIAL
    ahead = torch.ones(size, size, dtype=torch.bool).triu(1)
    _, kinds = layout.split(layout.kinds.cpu().int())
    indexes = []
    pieces = layout.pieces("target")
    for piece in pieces:
        own = kinds[piece.q : piece.q + piece.queries, None] * TEXT_REACH
        first = piece.q - piece.k
        here = slice(first, first + piece.queries), slice(piece.keys)
        found = base[here] + own
        indexes.append(found.masked_fill_(ahead[here], CLOSED) if piece.causal else found)
    groups = group_pieces(pieces, row_size=row_size, device=device, indexes=indexes)
    return RelativePlan(BiasPlan("target", groups), torch.zeros(3, 0, dtype=torch.long))


def _distances(size: int, bucket: object) -> Tensor:
    """int32 [size, size]: the bucket of how far key j lies before query i."""
    assert callable(bucket)
    values: Tensor = bucket(torch.arange(-(size - 1), max(size, 1))).int()
    rows = torch.arange(size)
    return values[(rows[:, None] - rows[None]) + max(size - 1, 0)]


class _Grids:
    """Distinct (time, height, width) distances of gridded segments; equal grids of one kind are planned once."""

    def __init__(self, first: int) -> None:
        self.first = first + SPECIAL
        self.known: dict[tuple[int, bytes], Tensor] = {}
        self.found: list[Tensor] = []

    def index(self, segment: Segment, places: Tensor) -> Tensor:
        """int32 [rows, rows] of a segment whose rows stand at `places`, float32 [rows, 3]."""
        key = (segment.kind, places.numpy().tobytes())
        if key not in self.known:
            self.known[key] = self._plan(segment.kind, places)
        return self.known[key]

    def axes(self) -> Tensor:
        return torch.cat(self.found, 1) if self.found else torch.zeros(3, 0, dtype=torch.long)

    def _plan(self, kind: int, places: Tensor) -> Tensor:
        axes = [grid_bucket(p[:, None] - p[None], timed=i == 0) for i, p in enumerate(places.unbind(1))]
        code = (axes[0] * AXIS + axes[1]) * AXIS + axes[2]
        present = torch.zeros(AXIS**3, dtype=torch.bool)
        present[code] = True
        entries = present.nonzero()[:, 0]
        number = present.cumsum(0, dtype=torch.int32) - 1 + self.first
        self.first += len(entries)
        split = torch.stack([entries // AXIS**2, entries // AXIS % AXIS, entries % AXIS])
        self.found.append(split + (kind * 3 + torch.arange(3))[:, None] * AXIS)
        return number[code]
