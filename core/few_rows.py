"""Products of few rows with weights that are met again and again, as when answers are found token by token.

On a CPU the plain product of two or more rows with a large matrix spends most of its time bringing the matrix into the
order that the kernel wants. For up to 4 rows the product the other way round, matrix times rows, reads the matrix as it
lies; for more, oneDNN's own entry, which the compiler of torch uses too, is faster; and from 2 to 64 rows a matrix that
was brought into order once makes it two to three times as fast, all in the same float32. The copies live as long as one
search; a single row is a product with a vector, for which the layers' matrices stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGE = 1 << 18
"""Elements of a weight from which this pays."""
TURNED = 4
"""Rows up to which the product the other way round is faster than a matrix in no order."""
MOST = 64
"""Rows up to which a product counts as one of few."""
AFTER = 6
"""Products after which a weight is brought into order; that costs as much as about five."""
ROOM = 1 << 30
"""The most bytes that copies in order take."""

_OFTEN: ContextVar[Often | None] = ContextVar("often", default=None)


class Often:
    """How often each weight was met, and its copy in order; weights are kept, so that none is taken for another."""

    def __init__(self) -> None:
        self.held: dict[int, Tensor] = {}
        self.calls: dict[int, int] = {}
        self.weights: list[Tensor] = []
        self.room = ROOM

    def product(self, x: Tensor, weight: Tensor, rows: int) -> Tensor:
        """`x @ weight.T` of rows [rows, in]."""
        key = id(weight)
        ordered = self.held.get(key)
        if ordered is None:
            if rows == 1 or not (key in self.calls or _serves(weight)):
                return F.linear(x, weight)
            ordered = self._met(key, weight)
        if ordered is None and rows <= TURNED:
            return torch.mm(weight, x.t()).t().contiguous()
        more = -rows % 8 if rows > 8 else 0  # oneDNN compiles a product for each number of rows, and keeps it
        wide = F.pad(x, (0, 0, 0, more)) if more else x
        matrix = weight.detach() if ordered is None else ordered
        found: Tensor = torch.ops.mkldnn._linear_pointwise(wide, matrix, None, "none", [], "")
        return found[:rows] if more else found

    def _met(self, key: int, weight: Tensor) -> Tensor | None:
        """Count, and bring the weight into order when it pays and there is room."""
        calls = self.calls.get(key, 0)
        if not calls:
            self.weights.append(weight)
        self.calls[key] = calls + 1
        if calls < AFTER or weight.nbytes > self.room:
            return None
        self.room -= weight.nbytes
        self.held[key] = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), 8)
        return self.held[key]


@contextmanager
def often() -> Iterator[None]:
    """Within it, weights of `Linear` layers are expected again and again, with few rows, and without a gradient.

    >>> with torch.no_grad(), often():
    ...     few_linear(torch.ones(2, 3), torch.ones(1, 3), None).tolist()
    [[3.0], [3.0]]
    """
    plain = torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu")
    token = _OFTEN.set(Often() if plain and not torch.is_grad_enabled() else None)
    try:
        yield
    finally:
        _OFTEN.reset(token)


def few_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear`, in the way that is fastest for few rows within `often`."""
    held = _OFTEN.get()
    if held is None or x.device.type != "cpu" or x.dtype != torch.float32:
        return F.linear(x, weight, bias)
    rows = x.numel() // x.shape[-1]
    if not 0 < rows <= MOST or (rows == 1 and not held.held):
        return F.linear(x, weight, bias)
    out = held.product(x.reshape(rows, -1), weight, rows).view(*x.shape[:-1], -1)
    return out if bias is None else out + bias


def _serves(weight: Tensor) -> bool:
    """Whether it is a layer's weight of some size, in float32."""
    return (
        type(weight) is nn.Parameter
        and weight.numel() >= LARGE
        and weight.dtype == torch.float32
        and weight.is_contiguous()
    )
