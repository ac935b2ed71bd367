"""How many rows a value has that is found all at once: told from the hidden state before it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Linear

EXACT = 16
"""Lengths up to this have a class of their own; beyond, eight classes share each doubling."""
CLASSES = 112
"""Enough for 65,536 rows."""


def length_class(rows: Tensor) -> Tensor:
    """The class of lengths from one on.

    >>> length_class(torch.tensor([1, 16, 17, 32, 64, 65_536])).tolist()
    [0, 15, 15, 23, 31, 111]
    """
    beyond = EXACT - 1 + ((rows.float() / EXACT).log2() * 8).floor().long()
    return torch.where(rows <= EXACT, rows - 1, beyond).clamp(0, CLASSES - 1)


class Lengths(nn.Module):
    """A class of lengths from a hidden state; each class remembers the mean of the lengths that it stood for.

    Args:
        width: the backbone's.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = Linear(width, CLASSES)
        nn.init.zeros_(self.out.weight)
        self.register_buffer("means", torch.zeros(CLASSES))
        self.register_buffer("seen", torch.zeros(CLASSES))

    def forward(self, hidden: Tensor, rows: Tensor) -> Tensor:
        """Cross-entropy [v] of hidden states [v, width] before values of so many rows, int64 [v]."""
        classes = length_class(rows)
        if self.training:
            self._remember(classes, rows)
        return F.cross_entropy(self.out(hidden).float(), classes, reduction="none")

    @torch.no_grad()
    def _remember(self, classes: Tensor, rows: Tensor) -> None:
        assert isinstance(self.means, Tensor) and isinstance(self.seen, Tensor)
        new = torch.bincount(classes, minlength=CLASSES).to(self.seen)
        sums = torch.bincount(classes, weights=rows.float(), minlength=CLASSES).to(self.means)
        total = self.seen + new
        self.means.copy_(torch.where(total > 0, (self.means * self.seen + sums) / total.clamp(min=1), self.means))
        self.seen.copy_(total)

    def rows(self, hidden: Tensor) -> Tensor | None:
        """The likeliest length, int64 [n], before hidden states [n, width]; None when nothing was learned."""
        assert isinstance(self.means, Tensor) and isinstance(self.seen, Tensor)
        if not bool(self.seen.any()):
            return None
        logits = self.out(hidden).float().masked_fill(self.seen == 0, -math.inf)
        return self.means.index_select(0, logits.argmax(1)).round().long()
