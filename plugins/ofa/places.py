"""Where a row stands, added to its embedding: running index, or time, height and width of its own grid."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...core.layers import Linear
from ...core.layout import Layout

SIDE = 128
"""Steps told apart along height and width."""
WAVES = 32
DEVIATION = 0.02
SHORTEST, LONGEST = 0.02, 10_000.0
"""Periods of the sines that tell times apart, in seconds."""


class Places(nn.Module):
    """Learned places of one side, the kind of each row, and the sum of their LayerNorm with the embeddings'.

    Args:
        width: size of an embedding.
        kinds: how many ports there are.
        positions: most rows of a part.
        grid: whether rows may have a grid (the source side).
    """

    def __init__(self, width: int, kinds: int, positions: int, *, grid: bool) -> None:
        super().__init__()
        self.positions = positions
        self.kind = nn.Parameter(torch.zeros(kinds, width))
        self.index = nn.Parameter(torch.empty(positions + grid, width))
        self.norm = nn.LayerNorm(width)
        self.place_norm = nn.LayerNorm(width)
        nn.init.trunc_normal_(self.index, std=DEVIATION)
        self.height = self.width = self.time = None
        if grid:
            self.height = nn.Parameter(torch.empty(SIDE, width))
            self.width = nn.Parameter(torch.empty(SIDE, width))
            self.time = Linear(2 * WAVES, width, bias=False)
            for table in (self.height, self.width, self.time.weight):
                nn.init.trunc_normal_(table, std=DEVIATION)

    @torch.no_grad()
    def level(self) -> None:
        """Let time 0, where all pictures are, add nothing at first, whatever drew the weights of time.

        The sum of time, height and width is normed: a large part that is the same in all rows would drown the others.
        The cosines of time 0 are all 1.
        """
        if self.time is not None:
            self.index[self.positions].sub_(self.time.weight[:, WAVES:].sum(1))

    def forward(self, x: Tensor, kinds: Tensor, index: Tensor) -> Tensor:
        """Rows [..., width] with their kind and running index, int64 [...] each."""
        return self._sum(x, kinds, self.index.index_select(0, index.reshape(-1)).view(x.shape))

    def _sum(self, x: Tensor, kinds: Tensor, place: Tensor) -> Tensor:
        """Normed apart, so that a port whose embeddings are large does not drown the places."""
        kind = self.kind.index_select(0, kinds.reshape(-1)).view(x.shape)
        out: Tensor = self.norm(x) + self.place_norm(place + kind)
        return out

    def source(self, x: Tensor, layout: Layout) -> Tensor:
        """Source rows: gridded ones by their grid, others by their running index.

        Raises:
            ValueError: a grid is larger than the tables.
        """
        kinds, index = layout.split(layout.kinds)[0].to(x.device), layout.source.index
        rows = layout.gridded
        index = index.index_fill(0, rows, self.positions).to(x.device)
        spots = layout.grid.index_select(0, rows.to(layout.grid.device)).to(x.device, torch.float32)
        place = self.index.index_select(0, index).index_add(0, rows.to(x.device), self._grid(spots))
        return self._sum(x, kinds, place)

    def _grid(self, spots: Tensor) -> Tensor:
        """[n, width] of n spots; called for none too, so that ranks with and without grids stay in step."""
        assert self.height is not None and self.width is not None and self.time is not None
        height, width = spots[:, 1:].round().long().clamp(min=0).unbind(1)
        if len(spots) and int(torch.maximum(height, width).max()) >= SIDE:
            side = int(torch.maximum(height, width).max()) + 1
            raise ValueError(f"a grid must have at most {SIDE} rows and columns, but has {side}: use larger patches")
        waves = torch.linspace(math.log(SHORTEST), math.log(LONGEST), WAVES, device=spots.device).exp()
        angle = spots[:, :1] * (2 * math.pi / waves)
        time: Tensor = self.time(torch.cat([angle.sin(), angle.cos()], 1))
        return self.height.index_select(0, height) + self.width.index_select(0, width) + time
