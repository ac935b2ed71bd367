"""The weights half of an adapter: arrays to embeddings, hidden states to predictions."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class Head(NamedTuple):
    """A linear output layer, for losses that never make all logits: `hidden @ weight.T + bias`."""

    weight: Tensor
    bias: Tensor | None


class Port(nn.Module):
    """Base of ports; made with the adapter's weight-shaping settings and `width` as keywords.

    A port accepts zero rows: `embed` of empty tensors is [0, width] and takes part in the graph, so that ranks which
    lack a modality stay in step.

    Attributes:
        vocabulary: for a token or class predictor, how many there are.
        end: for a token predictor, the end mark; None when values have a fixed number of tokens.
    """

    vocabulary: int | None = None
    end: int | None = None

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [rows, width] of all values, in order; `tensors` as the codec made them, concatenated.

        At predicting it is also called with one prediction a row: `tokens=` [n], `values=` [n, ...] or `label=` [n].
        """
        raise NotImplementedError(f"{type(self).__qualname__} cannot embed")

    def project(self, hidden: Tensor) -> Tensor:
        """Predictions from hidden states [n, width]: logits [n, vocabulary] or values [n, ...]."""
        raise NotImplementedError(f"{type(self).__qualname__} predicts nothing: it serves the source side only")

    def head(self) -> Head | None:
        """The output layer when `project` is linear in `hidden`; None otherwise."""
        return None
