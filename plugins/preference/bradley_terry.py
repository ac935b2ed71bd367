"""The Bradley-Terry model of preferences."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.networks import LossRows


class BradleyTerryLoss(nn.Module):
    """A score per stream; of each two streams of an example the one that stands first should score higher.

    The loss of an example is the sum over its pairs of -log sigmoid(score of the preferred - score of the other):
    Bradley and Terry, "Rank Analysis of Incomplete Block Designs", 1952; for k answers as in Ouyang et al., "Training
    language models to follow instructions with human feedback", 2022.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, hidden: Tensor, examples: Tensor, weights: Tensor) -> LossRows:
        """Hidden states [streams, width], the preferred first within each example, examples int64 [streams], weights
        [n examples] in the order in which examples first occur.

        Raises:
            ValueError: the weights are not one an example.
        """
        number = _numbered(examples)
        if len(number) and int(number.max()) + 1 != len(weights):
            raise ValueError(
                f"weights must be one for each of {int(number.max()) + 1} examples, but are {len(weights)}"
            )
        scores = self.scores(hidden)
        first, second = torch.triu(number[:, None] == number[None, :], diagonal=1).nonzero(as_tuple=True)
        losses = F.softplus(scores[second] - scores[first])
        each = losses.new_zeros(len(weights)).index_add(0, number[first], losses)
        return LossRows.of(each, weights.to(each.dtype))

    def scores(self, hidden: Tensor) -> Tensor:
        """Scores [streams] of hidden states [streams, width]; only differences within an example mean something."""
        found: Tensor = self.score(hidden)
        return found[:, 0].float()


def _numbered(examples: Tensor) -> Tensor:
    """Examples as 0, 1, ... in the order in which they first occur."""
    _, inverse = torch.unique(examples, return_inverse=True)
    places = torch.arange(len(examples), device=examples.device)
    firsts = torch.full_like(inverse, len(examples)).scatter_reduce(0, inverse, places, "amin")
    return firsts.argsort().argsort()[inverse]
