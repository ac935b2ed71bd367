"""How evenly a mixture's router spreads rows over its experts, and the loss that evens it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Over = Literal["step", "batch"]


@dataclass(frozen=True, slots=True)
class Balance:
    """What the routers of a network chose in one batch, all layers together.

    Attributes:
        counts: [experts] how many times each was chosen.
        sums: [experts] the sum of its probabilities over rows and layers; differentiable.
        rows: rows times layers.
        weight: of the loss beside the others.
        over: whose counts are to be even: those of the whole optimiser step so far, over all ranks (a rank may then
            hold one kind of data without being punished for it), or those of each batch.
    """

    counts: Tensor
    sums: Tensor
    rows: int
    weight: float
    over: Over = "step"

    def loss(self, counts: Tensor, rows: float) -> Tensor:
        """The loss [], not weighted: `experts * sum(share chosen * mean probability)` (Fedus et al., 2022).

        The shares sum to the number of experts of a row, as in transformers, so that an even router has that number;
        other code divides by it. Over a step, the shares are those of all and the probabilities one's own (Qiu et al.,
        2025).

        Args:
            counts: [experts], one's own or those of the step.
            rows: that they are over.

        >>> import torch
        >>> even = Balance(torch.tensor([2.0, 2.0]), torch.tensor([2.0, 2.0]), 4, 0.01)
        >>> float(even.loss(even.counts, even.rows))
        1.0
        """
        share = counts.to(self.sums.dtype) / max(rows, 1)
        return (share * self.sums).sum() * (len(self.sums) / max(self.rows, 1))
