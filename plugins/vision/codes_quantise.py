"""Vectors to codes and back: finite scalar quantisation, and nearest vectors of a learned codebook."""

from __future__ import annotations

import math
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .codes_shape import levels_of

NARROW = 8
"""Numbers of a vector of the learned codebook; few of them keep all codes in use."""
COMMITMENT = 0.25
ENTROPY, TEMPERATURE = 0.1, 0.1
SAMPLED = 512
"""Vectors by which the use of the codebook is judged."""
STRETCH = 1e-3


class Quantised(NamedTuple):
    """What is left of vectors [n, d]: `vectors` [n, d] that pass gradients straight through, `codes` int64 [n], and
    `loss` [n] that draws vectors and codebook together."""

    vectors: Tensor
    codes: Tensor
    loss: Tensor


class FiniteScalar(nn.Module):
    """Each number of a vector is rounded to one of a few levels; the codes are the combinations.

    Finite scalar quantisation (Mentzer et al., 2023, arXiv:2309.15505): no codebook to learn, none to collapse.

    >>> quantiser = FiniteScalar(codes=64)
    >>> quantiser.codes, quantiser.width
    (64, 2)
    >>> quantiser(torch.tensor([[0.2, -9.0], [9.0, 9.0]])).codes.tolist()
    [4, 63]
    """

    levels: Tensor
    steps: Tensor

    def __init__(self, *, codes: int) -> None:
        super().__init__()
        levels = levels_of(codes)
        self.codes, self.width = prod(levels), len(levels)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("steps", torch.tensor([prod(levels[:i]) for i in range(len(levels))]), persistent=False)

    def forward(self, x: Tensor) -> Quantised:
        """Of vectors [n, width]."""
        half = (self.levels - 1) / 2
        bounded = (x / half).tanh() * half * (1 + STRETCH)
        places = (bounded + half).round().clamp(min=0).minimum(self.levels - 1)
        rounded = bounded + (places - half - bounded).detach()
        return Quantised(rounded, (places.long() * self.steps).sum(1), x.new_zeros(len(x)))

    def vectors(self, codes: Tensor | None = None) -> Tensor:
        """The vectors [n, width] of codes int64 [n], or of all codes."""
        codes = torch.arange(self.codes, device=self.levels.device) if codes is None else codes
        places = codes[:, None] // self.steps % self.levels
        return places - (self.levels - 1) / 2


class NearestVector(nn.Module):
    """A vector becomes the codebook's vector in the nearest direction.

    Vector quantisation with its codebook and commitment losses (van den Oord et al., 2017, arXiv:1711.00937) over few
    numbers of length one (Yu et al., 2021, arXiv:2110.04627). What keeps the codes in use is a small loss on the
    entropy of soft choices, low for each vector and high for all together (Yu et al., 2023, arXiv:2310.05737).
    """

    def __init__(self, *, codes: int) -> None:
        super().__init__()
        self.codes, self.width = codes, NARROW
        self.codebook = nn.Parameter(torch.randn(codes, NARROW))

    def forward(self, x: Tensor) -> Quantised:
        """Of vectors [n, width]."""
        x, book = F.normalize(x, dim=1), F.normalize(self.codebook, dim=1)
        codes = (x.detach() @ book.detach().t()).argmax(1)
        found = book.index_select(0, codes)
        loss = (found - x.detach()).square().sum(1) + COMMITMENT * (x - found.detach()).square().sum(1)
        use = _disuse(x[:: max(1, len(x) // SAMPLED)] @ book.t()) if len(x) else 0.0
        return Quantised(x + (found - x).detach(), codes, loss + ENTROPY * use)

    def vectors(self, codes: Tensor | None = None) -> Tensor:
        """The vectors [n, width] of codes int64 [n], or of all codes."""
        book = F.normalize(self.codebook, dim=1)
        return book if codes is None else book.index_select(0, codes)


def _disuse(near: Tensor) -> Tensor:
    """[]: mean entropy of the soft choices by nearness [n, codes], less the entropy of their mean."""
    logs = (near / TEMPERATURE).log_softmax(1)
    mean = logs.logsumexp(0) - math.log(len(near))
    return (mean.exp() * mean).sum() - (logs.exp() * logs).sum(1).mean()
