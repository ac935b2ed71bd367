"""The loss that evens out the experts of mixtures, over the batches and ranks of an optimiser step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..core.balance import Balance

NAME = "balance"
"""What the loss is logged as, not weighted."""


class Evening:
    """Sums what the routers of all ranks chose in a step, and gives each batch its part of the loss.

    The counts of the batches before are kept, their probabilities not: a batch is judged by the step so far.
    """

    def __init__(self) -> None:
        self._counts: Tensor | None = None
        self._total = torch.zeros(())
        self._batches = 0

    def begin(self) -> None:
        """A new optimiser step."""
        self._counts = None

    def extra(self, balance: Balance, parts: int, reduce: Callable[[Tensor], Tensor]) -> Tensor:
        """What a batch descends besides its losses [], of one of `parts` batches of the step; all ranks must call it.

        Args:
            balance: of the batch.
            parts: batches times ranks.
            reduce: sums a tensor over the ranks.
        """
        own = torch.cat([balance.counts.double(), balance.counts.new_tensor([balance.rows]).double()])
        if balance.over == "step":
            own = reduce(own)
            self._counts = own if self._counts is None else self._counts + own
            own = self._counts
        loss = balance.loss(own[:-1], float(own[-1]))
        self._total = self._total.to(loss.device) + loss.detach()
        self._batches += 1
        return loss * (balance.weight / parts)

    def take(self) -> dict[str, float]:
        """The mean since it was last asked, to be logged; empty for networks without mixtures."""
        if not self._batches:
            return {}
        mean = float(self._total) / self._batches
        self._total, self._batches = torch.zeros(()), 0
        return {NAME: mean}
