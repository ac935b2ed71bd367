"""The losses of held-out rows, summed over batches and ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from ..core.model import count_of


class Judged:
    """Sums and counts by objective, of one pass over held-out rows.

    Ranks may meet other objectives, in another order, or none at all; so they tell their sums once, at the end, in one
    order.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[float, int]] = {}

    def add(self, sums: Mapping[str, Tensor], counts: Mapping[str, int]) -> None:
        """The sums of a batch [] and the units that they are of."""
        for key, total in sums.items():
            before, seen = self._held.get(key, (0.0, 0))
            self._held[key] = (before + float(total), seen + count_of(counts, key))

    def take(
        self, keys: Iterable[str], summed: Callable[[Tensor], Tensor], device: torch.device
    ) -> dict[str, tuple[float, int]]:
        """Mean and count of each objective that any rank met, and forget them; all ranks must call it.

        Args:
            keys: all objectives, the same on every rank.
            summed: sums a tensor over the ranks.
            device: where it sums.
        """
        names = sorted(keys)
        held = torch.tensor([self._held.get(name, (0.0, 0)) for name in names], dtype=torch.float64, device=device)
        self._held = {}
        found = zip(names, summed(held.reshape(-1, 2)).tolist(), strict=True)
        return {name: (total / count, int(count)) for name, (total, count) in found if count}
