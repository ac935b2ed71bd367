"""The port of the marks that shape a target side: where it starts, whether a group goes on, where it stops."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .port import Head, Port
from .sketch import CONTINUE, START, STOP


class Marks(Port):
    """Three marks of their own, `START`, `CONTINUE` and `STOP`, shared by all tasks of a model.

    A target side opens with START; each repetition of a group follows CONTINUE, and STOP follows the last.
    Embeddings and output rows are tied.

    Args:
        width: the backbone's.
    """

    vocabulary = max(START, CONTINUE, STOP) + 1

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(self.vocabulary, width)
        self.bias = nn.Parameter(torch.zeros(self.vocabulary))
        nn.init.normal_(self.table.weight, std=0.02)

    def spread(self, deviation: float) -> None:
        """See `Port.spread`."""
        nn.init.normal_(self.table.weight, std=deviation)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [n, width] of `tokens=` [n]."""
        found: Tensor = self.table(tensors["tokens"].long())
        return found

    def project(self, hidden: Tensor) -> Tensor:
        """Logits [n, 3]."""
        return nn.functional.linear(hidden, self.table.weight, self.bias)

    def head(self) -> Head:
        """The output layer."""
        return Head(self.table.weight, self.bias)
