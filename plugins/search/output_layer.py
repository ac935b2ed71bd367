"""The output layer of a slot, applied step after step to a few rows.

On a CPU the plain product of few rows with a large matrix spends most of its time bringing the matrix into the order
that the kernel wants, and that of a single row reads it far slower than memory allows. Up to 8 rows the product the
other way round, matrix times rows, reads the matrix as it lies. oneDNN's own entry, which the compiler of torch uses
too, takes a third of the time once the matrix was reordered, for a single row too: with one thread, width 512 and
32,000 tokens, 2 to 3 ms instead of 8, and 5 instead of 15 at 8 rows; all in the same float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.layers import products_dtype
from ...core.port import Head, Port

LARGE = 1 << 20
"""Elements of a weight from which all this pays."""
FEW = 8
"""Rows up to which the product the other way round is the fastest of a matrix in no order."""
REORDER_AFTER = 8
"""Steps after which the weight is reordered; it costs as much as about ten steps."""


def small_products() -> bool:
    """Whether this CPU multiplies bfloat16 in units of its own; without them oneDNN refuses to reorder such weights."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class OutputLayer:
    """Logits of one port's predictions; made for one slot and one call, as weights may change between calls.

    Args:
        port: a token predictor.
    """

    def __init__(self, port: Port) -> None:
        self.port = port
        self.head: Head | None = None
        self.dtype = (products_dtype() if small_products() else None) or torch.float32
        self.calls = 0
        self.reordered: Tensor | None = None
        head = port.head()
        if head is not None and self._serves(head.weight):
            self.head = head

    def _serves(self, weight: Tensor) -> bool:
        plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and torch.backends.mkldnn.is_available()
        return plain and weight.numel() >= LARGE and not torch.is_autocast_enabled("cpu")

    def __call__(self, hidden: Tensor) -> Tensor:
        """Float32 logits [n, vocabulary] of hidden states [n, width]; what `port.project` gives, within rounding."""
        if self.head is None or not len(hidden) or hidden.dtype != torch.float32:
            return self.port.project(hidden).float()
        self.calls += 1
        if self.reordered is None and self.dtype == torch.float32 and self.calls <= REORDER_AFTER:
            if len(hidden) == 1:
                return self.port.project(hidden)
            if len(hidden) <= FEW:
                turned = torch.mm(self.head.weight, hidden.t()).t().contiguous()
                return turned if self.head.bias is None else turned.add_(self.head.bias)
        weight = self._weight(len(hidden))
        logits: Tensor = torch.ops.mkldnn._linear_pointwise(hidden.to(self.dtype), weight, None, "none", [], "")
        logits = logits.float()
        return logits if self.head.bias is None else logits.add_(self.head.bias)

    def _weight(self, rows: int) -> Tensor:
        assert self.head is not None
        weight = self.head.weight.detach()
        if self.reordered is None and (self.calls > REORDER_AFTER or self.dtype != torch.float32):
            self.reordered = torch.ops.mkldnn._reorder_linear_weight(weight.to(self.dtype), rows)
        return self.head.weight if self.reordered is None else self.reordered
