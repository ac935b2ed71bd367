"""Sampling: temperature, then the k likeliest, the fewest that hold the probability p, and the likely enough."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.generation_frontier import Frontier
from ...core.networks import Found
from ...core.seeding import mix
from .greedy import budget_of, choose_class, choose_tokens
from .lanes import NEVER, Lanes, Options, top
from .rules import rules_of

Seeds = np.ndarray[Any, np.dtype[np.uint64]]
FIRST_LOOK = 256
"""Columns sorted at first for `top_p`; all are when these do not hold the probability."""


class Sample:
    """A draw from the model's distribution.

    Each stream draws by inverse distribution function from numbers that are a pure function of (seed, stream's key,
    step), so an answer does not depend on which streams it is batched with.
    """

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int = 0,
        guidance: float = 1.0,
        negative: str | None = None,
        thinking_budget: int | None = None,
        **rules: Any,
    ) -> None:
        """`rules` are those of `rules_of`."""
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        self.min_p = min_p
        self.seed = seed
        self.rules = rules_of(guidance=guidance, **rules)
        self.thinking_budget = thinking_budget
        self.guidance, self.negative = guidance, negative

    def __call__(self, frontier: Frontier) -> Found:
        """See `DecoderSearch`."""
        draw = partial(self._draw, np.array([mix(self.seed, key) for key in frontier.keys], dtype=np.uint64))
        if frontier.predicts == "class":
            return choose_class(frontier, draw, guidance=self.guidance)
        return choose_tokens(Lanes(frontier, self.rules), draw, budget=budget_of(frontier, self.thinking_budget))

    def _draw(self, seeds: Seeds, options: Options, streams: Tensor, step: int) -> Tensor:
        chance = torch.from_numpy(uniform(seeds[streams.cpu().numpy()], step)).to(options.logits.device)
        logits, columns = self.kept(options.logits)
        place = pick(logits, chance)
        return place if columns is None else columns.gather(1, place[:, None])[:, 0]

    def kept(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """The columns to draw among, as logits and columns (see `nucleus`): by the settings in turn."""
        found, columns = nucleus(logits / self.temperature, top_k=self.top_k, top_p=self.top_p)
        return likely(found, self.min_p), columns


def likely(logits: Tensor, min_p: float) -> Tensor:
    """Logits [m, k] of the columns at least `min_p` times as likely as the likeliest (Nguyen et al., 2024), -inf for
    others.

    >>> likely(torch.tensor([[0.0, -1.0, -3.0]]), 0.1).tolist()
    [[0.0, -1.0, -inf]]
    """
    if min_p <= 0:
        return logits
    return logits.masked_fill(logits < logits.amax(1, keepdim=True) + math.log(min_p), NEVER)


def nucleus(logits: Tensor, *, top_k: int, top_p: float) -> tuple[Tensor, Tensor | None]:
    """The columns [m, k] to draw among, as logits and columns; None for columns when nothing is left out.

    With `top_p`, a column stays if those likelier than it hold less than p (Holtzman et al. 2020), after `top_k`.
    """
    if not top_k and top_p >= 1:
        return logits, None
    width = logits.shape[1]
    kept, columns = top(logits, min(top_k, width) if top_k else min(FIRST_LOOK, width))
    if top_p >= 1:
        return kept, columns
    mass = torch.softmax(kept, 1) if top_k else (kept - logits.logsumexp(1, keepdim=True)).exp()
    if not top_k and bool((mass.sum(1) < top_p).any()):
        kept, columns = logits.sort(dim=1, descending=True)
        mass = torch.softmax(kept, 1)
    return kept.masked_fill(mass.cumsum(1) - mass >= top_p, NEVER), columns


def pick(logits: Tensor, chance: Tensor) -> Tensor:
    """The column [m] where the distribution function of each row [m, C] first exceeds chance [m] in 0..1."""
    reached = torch.softmax(logits, 1, dtype=torch.float64).cumsum(1)
    return torch.searchsorted(reached, (chance * reached[:, -1])[:, None], right=True)[:, 0].clamp(
        max=logits.shape[1] - 1
    )


def uniform(seeds: Seeds, step: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """float64 [m] in [0, 1), of seeds [m] and the number of the step (SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        x = seeds.astype(np.uint64) + np.uint64((step + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return np.asarray((x >> np.uint64(12)).astype(np.float64) / float(1 << 52))
