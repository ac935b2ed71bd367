"""What the working halves of backbones, losses and decoders must offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .layout import Layout
from .port import Port


class LossRows(NamedTuple):
    """What a loss returns: `total` [] is the weighted sum to descend, `each` [n] the unweighted losses, detached."""

    total: Tensor
    each: Tensor

    @classmethod
    def of(cls, each: Tensor, weights: Tensor) -> LossRows:
        """From differentiable losses per row [n] and their weights [n]."""
        return cls((each * weights).sum(), each.detach())


@dataclass(frozen=True, slots=True)
class Choices:
    """A closed set at each supervised row: `nodes` [n] index `allowed`, bool [m, u], over the tokens `tokens` [u]."""

    tokens: Tensor
    allowed: Tensor
    nodes: Tensor

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], rows: Sequence[int]) -> Choices:
        """From the allowed tokens of each node and the node of each row."""
        tokens = sorted({t for sequence in sequences for t in sequence})
        column = {t: i for i, t in enumerate(tokens)}
        allowed = torch.zeros(len(sequences), len(tokens), dtype=torch.bool)
        for node, sequence in enumerate(sequences):
            allowed[node, [column[t] for t in sequence]] = True
        return cls(torch.tensor(tokens), allowed, torch.tensor(rows))


class PredictLoss(Protocol):
    """A loss of kind `predict`; rows of one port of all tasks come in one call."""

    def __call__(
        self, hidden: Tensor, port: Port, labels: Mapping[str, Tensor], weights: Tensor, choices: Choices | None
    ) -> LossRows:
        """Hidden states [n, width] that predict, labels each [n, ...], weights [n]."""
        ...


class MatchLoss(Protocol):
    """A loss of kind `match`: row i of both sides belongs together; a side is its stream's mean hidden state."""

    def __call__(self, left: Tensor, right: Tensor, weights: Tensor) -> LossRows:
        """Pooled sides [n, width] each."""
        ...

    def similarity(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores [n, m] of each left with each right, for predicting."""
        ...

    def embedding(self, pooled: Tensor) -> Tensor:
        """The vectors [n, d] that `similarity` compares."""
        ...


class RankLoss(Protocol):
    """A loss of kind `rank`: streams of one example, preferred first."""

    def __call__(self, scores: Tensor, examples: Tensor, weights: Tensor) -> LossRows:
        """Scores [streams], the example that each belongs to [streams], weights [n examples]."""
        ...


class AlignLoss(Protocol):
    """A loss of kind `align` (CTC): a source slot's hidden rows against another slot's tokens."""

    def __call__(
        self, hidden: Tensor, lengths: Sequence[int], port: Port, tokens: Tensor, counts: Sequence[int], weights: Tensor
    ) -> LossRows:
        """Hidden [sum lengths, width], tokens [sum counts], one pair of lengths and weight a value."""
        ...


@dataclass(frozen=True, slots=True)
class NewRows:
    """Target rows fed to a cache: `x` [n, k, width], of which stream i keeps the first `counts[i]`; the rest is void.

    `kinds` [n, k] are the port indexes of the rows, as in `Layout.kinds`.
    """

    x: Tensor
    counts: Tensor
    kinds: Tensor


class Cache(Protocol):
    """What a backbone remembers of n streams."""

    def select(self, streams: Tensor) -> None:
        """Keep (and repeat, reorder) streams: new stream i is old stream `streams[i]`, int64 [m]."""
        ...


class BackboneNetwork(Protocol):
    """An `nn.Module` over packed embeddings; see `Backbone`."""

    width: int

    def __call__(self, x: Tensor, layout: Layout) -> Tensor:
        """Hidden states [rows, width] of embeddings [rows, width], in the order of the layout."""
        ...

    def prefill(self, x: Tensor, layout: Layout) -> Cache:
        """Read source rows (a layout without target rows) once; one cached stream per stream of the layout."""
        ...

    def extend(self, rows: NewRows, cache: Cache) -> Tensor:
        """Hidden states [n, k, width] of new target rows, causal among themselves; kept rows enter the cache.

        The cost of a row does not grow with what was fed before, attention itself apart.
        """
        ...

