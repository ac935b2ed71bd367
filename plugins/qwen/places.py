"""Places of rows in time, height and width, of which rotations are made (M-RoPE, Wang et al., 2024).

A text moves on by one in all three. A value with a grid starts where the text before it ends and stands at its own
time, row and column from there; what follows starts behind the largest of its places. Values of one clock (see
`core.layout.Segment`) start together, the marks before them share a place, and so do those behind them (TMRoPE,
Qwen2.5-Omni report, 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...core.layout import Layout, Segment

Numbers = np.ndarray[Any, Any]

ROUNDING = 1e-3
"""What a time in float32 may lack of the step that it stands for."""


After = Literal["largest", "sides"]
"""Where a text goes on behind a clip: behind the largest place of all, as in the reports, or behind its rows and
columns whatever its times are, as in transformers since version 5 (for Qwen2-VL and Qwen2.5-VL). There a text may stand
at places that the clip has too, and what is generated goes on behind the largest place all the same."""


class Places(NamedTuple):
    """Places int64 [3, joined rows], and for each stream the place behind its largest, which a new row takes."""

    rows: Tensor
    ends: tuple[int, ...]


def places_of(layout: Layout, rate: float = 1.0, after: After = "largest") -> Places:
    """The places of all rows of the joined view; void rows stand at 0.

    Args:
        layout: whose grids hold time, height and width. Rows with a negative height have time alone, as sounds do:
            they move on in all three.
        rate: places for each unit of the grids' time.
        after: where a text goes on behind a clip.

    >>> from omniline.core.layout import plain_layout
    >>> places_of(plain_layout([2], [1])).rows.tolist()
    [[0, 1, 2], [0, 1, 2], [0, 1, 2]]
    """
    grid = layout.grid.cpu().numpy()
    out = np.zeros((3, layout.joined.rows), dtype=np.int64)
    ends = []
    for number, (left, right) in enumerate(layout.segments):
        first = layout.source.rows + layout.target.starts[number]
        runs = [(layout.source.starts[number] + s.start, s) for s in left] + [(first + s.start, s) for s in right]
        at, place, largest = layout.joined.starts[number], 0, 0
        for run in _together(runs):
            made, place = _stretch(run, grid, place, rate)
            largest = max(largest, place)
            if after == "sides" and len(run) == 1 and run[0][1].gridded and made.size:
                place = int(made[1:].max()) + 1
            out[:, at : at + made.shape[1]] = made
            at += made.shape[1]
        ends.append(max(largest, place))
    return Places(torch.from_numpy(out), tuple(ends))


def _together(runs: Sequence[tuple[int, Segment]]) -> list[list[tuple[int, Segment]]]:
    """Segments one by one, but those of one clock as one run."""
    found: list[list[tuple[int, Segment]]] = []
    for run in runs:
        if found and run[1].clock >= 0 and found[-1][-1][1].clock == run[1].clock:
            found[-1].append(run)
        else:
            found.append([run])
    return found


def _stretch(run: Sequence[tuple[int, Segment]], grid: Numbers, start: int, rate: float) -> tuple[Numbers, int]:
    """The places [3, n] of a run of segments that starts at a place, and the place behind it."""
    gridded = [i for i, (_, segment) in enumerate(run) if segment.gridded and segment.length]
    if not gridded:
        count = sum(segment.length for _, segment in run)
        return np.broadcast_to(np.arange(start, start + count), (3, count)), start + count
    marks, begin = [part for part in run[: gridded[0]] if part[1].length], start
    parts = [np.full((3, segment.length), start) for _, segment in marks]
    if len(marks):
        begin = start + 1
    parts += [_grid_places(grid[at : at + s.length], rate) + begin for at, s in run[gridded[0] : gridded[-1] + 1]]
    end = max(int(part.max()) for part in parts if part.size) + 1
    behind = [np.full((3, segment.length), end) for _, segment in run[gridded[-1] + 1 :] if segment.length]
    # Where not all marks are closed yet, the next row is one that closes, at the same place.
    return np.concatenate([*parts, *behind], axis=1), end + (0 < len(marks) <= len(behind))


def _grid_places(grid: Numbers, rate: float) -> Numbers:
    """A value's own places [3, n]: time in steps of the backbone's clock, row and column."""
    time = np.floor(grid[:, 0].astype(np.float64) * rate + ROUNDING).astype(np.int64)
    flat = grid[:, 1] < 0
    sides = [np.where(flat, time, grid[:, axis].astype(np.int64)) for axis in (1, 2)]
    return np.stack([time, *sides])
