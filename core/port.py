"""The weights half of an adapter: arrays to embeddings, hidden states to predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from .backbone import Readout


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
        indexed: `embed` of predictions also takes `index=` int64 [n], the place of each row within its value.
    """

    vocabulary: int | None = None
    end: int | None = None
    indexed: bool = False

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

    def spread(self, deviation: float) -> None:
        """Draw a fresh table of tokens anew with this standard deviation; nothing for a port without one."""

    def untie(self) -> None:
        """Give the output layer weights of its own, apart from those that embed; nothing where it has them."""

    def read_out(self, how: Readout) -> None:
        """Read logits over tokens in the way of the backbone; nothing for a port that predicts none."""

    def stop(self, hidden: Tensor) -> Tensor | None:
        """For values of open length: logits [n] that a row is the last one. Its codec then labels `stop` float32 [rows]
        beside `values`. None for values of a fixed number of rows."""
        return None

    def errors(self, predicted: Tensor, values: Tensor) -> Tensor:
        """How far each row of predicted values [n, ...] lies from the true ones, [n]: the squared error, averaged over
        the row's numbers. A port that knows what its values stand for (where joints are, say) adds that."""
        squared = (predicted - values).square()
        return squared.flatten(1).mean(1) if squared.dim() > 1 else squared

    def relabel(self, labels: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Labels that only weights can make, such as the code of each patch of pixels; run before the loss."""
        return labels

    def auxiliary(self, labels: Mapping[str, Tensor]) -> Tensor | None:
        """A loss of each supervised row [n] that the port itself descends beside the slot's, with the same weights: for
        parts of it that hidden states do not reach. `labels` are as the codec made them."""
        return None

    def render(self, predicted: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What only weights can do between a prediction and `Codec.decode`, such as making pixels of codes."""
        return predicted
