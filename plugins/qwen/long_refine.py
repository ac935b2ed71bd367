"""Budgets of sparse attention, head by head: enlarged until enough of the attention is kept.

What a head keeps is measured by the sums of exponents of the sparse and of the whole softmax: the mean over queries of
`exp(sparse - whole)` is the share of attention that survives (Qwen2.5-1M, section 4.2.3). The report does not publish
its threshold; 0.9 is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .long_prefill import Keys, PieceReader, chosen_by, dense
from .long_sparse import Sparse, attend_sparse

if TYPE_CHECKING:
    from .network import DecoderNetwork


@dataclass
class RefiningReader(PieceReader):
    """Reads sparsely, with each head's budgets enlarged as far as it takes.

    Attributes:
        threshold: the share of attention that each head must keep.
        growth: factor of a budget that is too small.
    """

    threshold: float = 0.9
    growth: float = 1.5

    def stream(self, seen: Keys) -> Tensor:
        """Outputs [rows, heads, size] of the rows of one stream."""
        sparse = self.long.sparse
        assert sparse is not None and self.budgets is not None
        if len(seen.k) <= sparse.beyond:
            return dense(seen, self.long).out
        whole = dense(seen, self.long).log_sum
        return torch.stack([self._head(seen, sparse, head, whole[:, head]) for head in range(whole.shape[1])], 1)

    def _head(self, seen: Keys, sparse: Sparse, head: int, whole: Tensor) -> Tensor:
        """One head's outputs [rows, size], with budgets that keep enough."""
        assert self.budgets is not None
        share = seen.queries[0].shape[1] // seen.k.shape[1]
        queries = [q[:, head : head + 1] for q in seen.queries]
        k, v = (x[:, head // share : head // share + 1] for x in (seen.k, seen.v))
        own, budget = Keys(queries, k, v, seen.place), self.budgets[self.layer, head]
        while True:
            chosen = chosen_by(own, self.long, sparse, [budget.tolist()])
            found = attend_sparse(queries, k, v, chosen, seen.place, self.long.dual, sparse.block)
            kept = float((found.log_sum[:, 0] - whole).exp().mean())
            if kept >= self.threshold or int(budget.min()) >= len(k):
                return found.out[:, 0]
            budget.copy_((budget * self.growth).ceil().clamp(max=len(k)))


@contextmanager
def refining(network: DecoderNetwork, *, threshold: float = 0.9, growth: float = 1.5) -> Iterator[Tensor]:
    """Within it every long prompt that the network reads enlarges the budgets of heads that keep too little of it.

    A head that keeps too little of one piece of a prompt has both budgets multiplied, and again, at most up to the
    whole prompt. The budgets take effect at once and are saved with the weights.

    Args:
        network: with `sparse_prefill`.
        threshold: the share of attention to keep, 0 to 1.
        growth: above 1.

    Yields:
        The budgets, int64 [layers, heads, 2]: columns and diagonals.

    Raises:
        ValueError: the network reads densely, the threshold is no share, or nothing would grow.
    """
    if network.sparse_budgets is None:
        raise ValueError("budgets are refined of a backbone with `sparse_prefill`, but it is not set")
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"the threshold must be a share between 0 and 1, but is {threshold:g}")
    if growth <= 1.0:
        raise ValueError(f"budgets must grow by a factor above 1, but it is {growth:g}")
    network.piece_reader = partial(RefiningReader, threshold=threshold, growth=growth)
    try:
        yield network.sparse_budgets
    finally:
        network.piece_reader = PieceReader
