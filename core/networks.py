"""What the working halves of backbones, losses and decoders must offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from .layout import Layout
from .port import Port

if TYPE_CHECKING:
    from .generation_frontier import Frontier


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
    """A loss of kind `rank`: streams of one example, preferred first; it owns the layer that scores a stream."""

    def __call__(self, hidden: Tensor, examples: Tensor, weights: Tensor) -> LossRows:
        """One hidden state a stream [streams, width], the example of each [streams], weights [n examples] in the order
        in which examples first occur."""
        ...

    def scores(self, hidden: Tensor) -> Tensor:
        """How much each stream is preferred [streams], for predicting."""
        ...


class LossWeights(Protocol):
    """The working half of a weighting, an `nn.Module` over the objectives of a model in a fixed order."""

    def factors(self) -> Tensor:
        """What each objective's loss is multiplied with [keys], beside the weights that the user wrote."""
        ...

    def loss(self, means: Tensor, share: Tensor) -> Tensor:
        """What the weighting itself descends []. `means` [keys], detached, are this batch's part of each objective's
        mean over the step; `share` [keys] is this batch's part of one for each objective that the step has, else 0."""
        ...

    def observe(self, sizes: Tensor) -> None:
        """The norm of each objective's gradient at the hidden states in a step [keys]; 0 for one it did not have."""
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

    `kinds` [n, k] are the port indexes of the rows, as in `Layout.kinds`. With `mutual` the rows of a stream see each
    other both ways, with `keep=False` the cache stays as it was: values are denoised so, again and again in one place.
    """

    x: Tensor
    counts: Tensor
    kinds: Tensor
    mutual: bool = False
    keep: bool = True


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
        """Hidden states [n, k, width] of new target rows; kept rows enter the cache.

        They are causal among themselves, or `rows.mutual`. The cost of a row does not grow with what was fed before,
        attention itself apart.
        """
        ...


Memory = Sequence[tuple[Tensor, Tensor]]
"""For each layer keys and values [rows, heads, head size]."""


class Span(NamedTuple):
    """Rows `first` to `end` of one stream."""

    stream: int
    first: int
    end: int


class Reading(Protocol):
    """The source rows of a layout, each looking back alone, read span by span."""

    @property
    def rows(self) -> Tensor:
        """[rows, any], stream after stream: what enters the first layer."""
        ...

    @property
    def marks(self) -> Tensor:
        """int64 [rows, any]: what decides beside them, such as places. A row's keys and values follow from its stream's
        `rows` and `marks` up to it, from the weights, and from nothing else."""
        ...

    @property
    def memory(self) -> Memory:
        """Keys and values of all rows; who reads spans fills in those of the rows ahead of them."""
        ...

    def read(self, spans: Sequence[Span]) -> None:
        """Make the keys and values of these rows, at most one span of each stream; those ahead of them are there."""
        ...

    def read_all(self) -> None:
        """The same for all rows, of which none is there."""
        ...

    def cache(self) -> Cache:
        """What `prefill` returns, once all rows were read."""
        ...


@runtime_checkable
class LookingBack(Protocol):
    """What a `BackboneNetwork` offers besides when its source rows see only what is before them.

    Rows that requests have in common are then read once, see `core.prefixes`.
    """

    def reading(self, x: Tensor, layout: Layout) -> Reading | None:
        """Source rows as for `prefill`, none of them read yet; None where they must be read in one go.

        Raises:
            ValueError: as `prefill`.
        """
        ...


@runtime_checkable
class Compiling(Protocol):
    """What a `BackboneNetwork` offers besides when parts of it can run compiled in training."""

    def compile_blocks(self, backend: str | None) -> None:
        """Compile, from the next pass with gradients on, what is the same for every batch, by this backend of
        `torch.compile`; None for plain code again. Batches of other lengths must not compile anew."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """One slot's answers for n streams.

    Attributes:
        predicted: [n, k, ...] tokens, values or labels (k = 1), of which stream i has the first `counts[i]`.
        counts: int64 [n], without the end mark.
        log_probability: [n] of each answer, under the model alone (no temperature, no bans); None when there is none.
        predictions: [n] how many predictions it sums over; confidence is their geometric mean.
    """

    predicted: Tensor
    counts: Tensor
    log_probability: Tensor | None
    predictions: Tensor


class DecoderSearch(Protocol):
    """A decoder's working half; made with the settings as keywords, and it keeps nothing from call to call."""

    def __call__(self, frontier: Frontier) -> Found:
        """Find one slot's values for all streams of a frontier, in lock-step.

        It reads `frontier.hidden`, which predicts the next row, `feed`s what it chose and may `select` streams. When
        it returns, stream i must again be stream i and have been fed the rows of its answer, end mark included; if
        `frontier.last`, nothing follows and it may leave the streams in any state. Streams that are not
        `frontier.active` wait: they are fed no rows and what is found for them is ignored. It stays within
        `frontier.trie` where there is one, and otherwise within `frontier.limit`.
        """
        ...
