"""CATEGORY: one label of a closed set, with an output layer of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.codec import Encoded, Reading
from ...core.near import nearest
from ...core.port import Head, Port

DEVIATION = 0.02


def members(closed_set: tuple[str, ...] | None) -> tuple[str, ...]:
    """The members, checked.

    Raises:
        ValueError: none are known.
    """
    if not closed_set:
        raise ValueError(
            "CATEGORY must have a closed set, but none is known: write it in the slot, closed_set=yes|no, or give it "
            "to the task"
        )
    return tuple(closed_set)


class CategoryCodec:
    """A label to its place in the closed set, and back without loss.

    >>> CategoryCodec(closed_set=("no", "yes")).encode("yes", Reading()).tensors["label"].tolist()
    [1]
    """

    def __init__(self, *, closed_set: tuple[str, ...] | None) -> None:
        self.members = members(closed_set)
        self._index = {name: index for index, name in enumerate(self.members)}

    def measure(self, raw: Any, reading: Reading) -> int:
        """Always 1."""
        return 1

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a label.

        Raises:
            TypeError: not a string.
            ValueError: not a member.
        """
        if not isinstance(raw, str):
            raise TypeError(f"a label must be a string of the closed set, but is {type(raw).__name__} {raw!r}")
        index = self._index.get(raw)
        if index is None:
            near = nearest(raw, self.members)
            hint = f"; did you mean {near!r}?" if near else ""
            few = ", ".join(map(repr, self.members[:5])) + (", ..." if len(self.members) > 5 else "")
            raise ValueError(f"a label must be one of {len(self.members)} ({few}), but is {raw!r}{hint}")
        label = np.array([index], dtype=np.int64)
        labels = {"label": label.copy()} if reading.side == "target" else {}
        return Encoded(rows=1, tensors={"label": label}, labels=labels)

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> str:
        """The label at `label` int64 [1]."""
        return self.members[int(predicted["label"].reshape(-1)[0])]


class CategoryPort(Port):
    """Labels to embeddings, hidden states to one logit a label."""

    def __init__(self, *, width: int, closed_set: tuple[str, ...] | None) -> None:
        super().__init__()
        self.vocabulary = len(members(closed_set))
        self.embedding = nn.Embedding(self.vocabulary, width)
        self.output = nn.Linear(width, self.vocabulary)
        nn.init.normal_(self.embedding.weight, std=DEVIATION)
        nn.init.normal_(self.output.weight, std=DEVIATION)
        nn.init.zeros_(self.output.bias)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [n, width] of `label` int64 [n]."""
        return F.embedding(tensors["label"], self.embedding.weight)

    def project(self, hidden: Tensor) -> Tensor:
        """Logits [n, labels]."""
        return F.linear(hidden, self.output.weight, self.output.bias)

    def head(self) -> Head:
        return Head(self.output.weight, self.output.bias)
