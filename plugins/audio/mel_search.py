"""The decoder `mel`: frames after frames until the port says that they were the last."""

from __future__ import annotations

import torch

from ...core.generation_frontier import Frontier
from ...core.networks import Found


class MelSearch:
    """Rows of values, each predicted from those before it, until the probability of the stop reaches `stop`."""

    def __init__(self, *, stop: float = 0.5) -> None:
        self.stop = stop

    def __call__(self, frontier: Frontier) -> Found:
        """See `DecoderSearch`; a port without a stop makes as many rows as the slot has."""
        alive = frontier.active
        counts = torch.zeros_like(alive, dtype=torch.long)
        rows = []
        for _ in range(frontier.limit):
            if not bool(alive.any()):
                break
            hidden = frontier.hidden
            values = frontier.port.project(hidden).float()
            logits = frontier.port.stop(hidden)
            rows.append(values)
            frontier.feed(values[:, None], alive.long())
            counts = counts + alive
            if logits is not None:
                alive = alive & (logits.float().sigmoid() < self.stop)
        return Found(torch.stack(rows, dim=1), counts, None, counts)
