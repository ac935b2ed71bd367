"""Weights that bring the gradients of all objectives to one size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GradientNorm(nn.Module):
    """Weighs each objective by (mean size / its size) ** alpha; the weights have mean 1.

    The size is the norm of the gradient of its loss, unweighted, at the hidden states that predict it: the last place
    that the tasks share, as in MGDA-UB (Sener and Koltun, 2018, arXiv:1810.04650); balancing norms is the idea of
    GradNorm (Chen et al., 2018, arXiv:1711.02257), here without its second backward pass. Sizes are kept as a moving
    mean, in the state of the run.
    """

    sizes: Tensor

    def __init__(self, *, keys: Sequence[str], alpha: float = 1.0, memory: float = 0.9) -> None:
        super().__init__()
        self.alpha, self.memory = alpha, memory
        self.register_buffer("sizes", torch.zeros(len(keys)))

    def factors(self) -> Tensor:
        """The weight of each objective [keys]; 1 while its size is not known."""
        known = self.sizes > 0
        if not bool(known.any()):
            return torch.ones_like(self.sizes)
        mean = self.sizes[known].mean()
        raw = torch.where(known, (mean / self.sizes.clamp(min=1e-12)) ** self.alpha, 1.0)
        return raw / raw[known].mean()

    def loss(self, means: Tensor, share: Tensor) -> Tensor:
        """It learns nothing."""
        return means.new_zeros(())

    @torch.no_grad()
    def observe(self, sizes: Tensor) -> None:
        """Take in the sizes [keys] of a step, 0 for objectives that it did not have."""
        seen = sizes > 0
        first = seen & (self.sizes == 0)
        mixed = self.memory * self.sizes + (1 - self.memory) * sizes
        self.sizes.copy_(torch.where(first, sizes, torch.where(seen, mixed, self.sizes)))
