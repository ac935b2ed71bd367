"""Convolutions over time of many values side by side, of which none sees its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor


def windows(x: Tensor, lengths: Tensor, *, kernel: int, stride: int) -> tuple[Tensor, Tensor]:
    """The inputs of a convolution, gathered: a linear layer over them is the convolution.

    Each value is padded by (kernel - 1) / 2 zero rows on both sides, so that it gives ceil(length / stride) windows.

    Args:
        x: rows [n, channels] of all values, in order.
        lengths: int64 [values], the rows of each.
        kernel: rows of a window, odd.
        stride: rows from window to window.

    Returns:
        Windows [m, kernel * channels] and the number of each value's, int64 [values].

    >>> rows, counts = windows(torch.ones(5, 1), torch.tensor([2, 3]), kernel=3, stride=2)
    >>> rows.tolist(), counts.tolist()
    ([[0.0, 1.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0]], [1, 2])
    """
    counts = (lengths + stride - 1).div(stride, rounding_mode="floor")
    value = torch.repeat_interleave(counts)
    place = torch.arange(len(value), device=x.device) - (counts.cumsum(0) - counts)[value]
    within = place[:, None] * stride + torch.arange(kernel, device=x.device) - (kernel - 1) // 2
    inside = (within >= 0) & (within < lengths[value][:, None])
    starts = (lengths.cumsum(0) - lengths)[value][:, None]
    rows = torch.where(inside, within + starts, len(x))
    padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
    return padded.index_select(0, rows.flatten()).view(len(value), kernel * x.shape[1]), counts


def strides_of(step: int) -> tuple[int, ...]:
    """Strides whose product is `step`, the small ones first: its prime factors, or one of 1.

    >>> strides_of(4), strides_of(6), strides_of(1)
    ((2, 2), (2, 3), (1,))
    """
    found, rest, factor = [], step, 2
    while rest > 1:
        while rest % factor == 0:
            found.append(factor)
            rest //= factor
        factor += 1
    return tuple(found) or (1,)
