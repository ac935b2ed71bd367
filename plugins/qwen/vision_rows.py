"""How the patches of many pictures and clips stand side by side: their order, their places, and which see which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.attention_groups import Piece

Grid = tuple[int, int, int]
"""Frames (after patches in time), rows and columns of patches."""
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class VisionRows:
    """The rows of a tower, all values of a batch together.

    Attributes:
        places: int64 [rows, 2]: row and column of each patch in its picture, in the tower's order.
        order: int64 [tokens]: the token, a group of merged patches, that stands at each place of the tower's order;
            None where that is the order in which patches came.
        frames: which patches see which where all of a frame do.
        windows: the same within windows; empty for a tower without.
    """

    places: Tensor
    order: Tensor | None
    frames: tuple[Piece, ...]
    windows: tuple[Piece, ...]


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is remembered serves training too
def rows_of(grids: tuple[Grid, ...], merge: int, window: int | None = None) -> VisionRows:
    """The rows of values with these grids.

    Args:
        grids: of each value, in order.
        merge: patches that become one token, each way.
        window: side of a window in tokens, for a tower whose patches mostly see their window alone: the patches of a
            window then stand together (Qwen2.5-VL report, 2502.13923, section 2.1.1).

    >>> rows_of(((1, 4, 2),), 2).places.tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1], [3, 0], [3, 1]]
    """
    group = merge * merge
    places = [_places(tall, wide, merge) for _, tall, wide in grids]
    spread = [np.tile(own, (frames, 1)) for own, (frames, _, _) in zip(places, grids, strict=True)]
    joined = np.concatenate(spread) if spread else np.zeros((0, 2), np.int64)
    sizes = [tall * wide for frames, tall, wide in grids for _ in range(frames)]
    if window is None:
        return VisionRows(torch.from_numpy(joined), None, _side_by_side(sizes), ())
    orders, counts, first = [], [], 0
    for frames, tall, wide in grids:
        order, cells = _windows(tall // merge, wide // merge, window)
        for _ in range(frames):
            orders.append(order + first)
            counts += [cell * group for cell in cells]
            first += len(order)
    whole = np.concatenate(orders) if orders else np.zeros(0, np.int64)
    moved = joined.reshape(-1, group, 2)[whole].reshape(-1, 2)
    return VisionRows(torch.from_numpy(moved), torch.from_numpy(whole), _side_by_side(sizes), _side_by_side(counts))


@lru_cache(maxsize=1024)
def _places(tall: int, wide: int, merge: int) -> Ints:
    """[tall * wide, 2]: row and column of a picture's patches; those that are merged follow each other."""
    spots = np.stack(np.meshgrid(np.arange(tall), np.arange(wide), indexing="ij"), -1)
    cut = spots.reshape(tall // merge, merge, wide // merge, merge, 2).swapaxes(1, 2)
    return np.ascontiguousarray(cut).reshape(-1, 2)


@lru_cache(maxsize=1024)
def _windows(tall: int, wide: int, side: int) -> tuple[Ints, tuple[int, ...]]:
    """The tokens of a frame window by window, and the tokens of each; windows at the rim are smaller.

    >>> _windows(3, 2, 2)[0].tolist(), _windows(3, 2, 2)[1]
    ([0, 1, 2, 3, 4, 5], (4, 2))
    """
    cells = np.arange(tall * wide).reshape(tall, wide)
    cut = [
        cells[top : top + side, left : left + side].reshape(-1)
        for top in range(0, tall, side)
        for left in range(0, wide, side)
    ]
    return np.concatenate(cut), tuple(len(cell) for cell in cut)


def _side_by_side(sizes: list[int]) -> tuple[Piece, ...]:
    starts = np.cumsum([0, *sizes]).tolist()
    return tuple(Piece(i, at, n, at, n, False) for i, (at, n) in enumerate(zip(starts, sizes, strict=False)))
