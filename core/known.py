"""Rows of a value that are given while the others are found: frames to fill in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .codec import Encoded

KNOWN = "known"
"""The tensor of an encoded source value that says which of its rows are given, uint8 or bool [rows]. When a target slot
reads the same column through the same port, what is found keeps these rows as they are, and has as many rows in all."""


class Known(NamedTuple):
    """Given rows of n streams.

    `values` [n, k, ...] where `mask`, bool [n, k], says so; `counts` int64 [n] rows of the whole value, -1 for a stream
    that gives none.
    """

    values: Tensor
    mask: Tensor
    counts: Tensor

    def select(self, streams: Tensor) -> Known:
        """New stream i is old stream `streams[i]`."""
        return Known(*(part.index_select(0, streams) for part in self))


def known_rows(values: Sequence[Encoded | None], device: torch.device) -> Known | None:
    """What the source values of n streams give; None when no stream has any rows to keep.

    >>> import numpy as np
    >>> one = Encoded(rows=2, tensors={"values": np.ones((2, 3)), "known": np.array([1, 0])})
    >>> known_rows([one, None], torch.device("cpu")).counts.tolist()
    [2, -1]
    """
    held = [v if v is not None and KNOWN in v.tensors and "values" in v.tensors else None for v in values]
    some = next((v for v in held if v is not None), None)
    if some is None:
        return None
    counts = [-1 if v is None else v.rows for v in held]
    shape = torch.as_tensor(some.tensors["values"]).shape[1:]
    wide = torch.zeros(len(held), max(counts), *shape)
    mask = torch.zeros(wide.shape[:2], dtype=torch.bool)
    for stream, value in enumerate(held):
        if value is not None:
            wide[stream, : value.rows] = torch.as_tensor(value.tensors["values"])
            mask[stream, : value.rows] = torch.as_tensor(value.tensors[KNOWN]).bool()
    return Known(wide.to(device), mask.to(device), torch.tensor(counts, device=device))
