"""BOX: a region of a picture as four tokens, each a bin of the side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.codec import Encoded, Reading
from ...core.port import Head, Port

DEVIATION = 0.02
Corners = tuple[float, float, float, float]


class BoxCodec:
    """Corners (x0, y0, x1, y1) to bins and back to the bins' middles: within half a bin, 0.5 / bins of the side.

    >>> codec = BoxCodec(bins=100)
    >>> codec.decode({"tokens": torch.from_numpy(codec.encode((0, 0.25, 0.5, 1), Reading()).tensors["tokens"])})
    (0.005, 0.255, 0.505, 0.995)
    """

    def __init__(self, *, bins: int = 1000, size: int | None = None) -> None:
        self.bins = bins
        self.size = size

    def measure(self, raw: Any, reading: Reading) -> int:
        """Always 4."""
        return 4

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read four numbers, or a string of them with commas.

        Raises:
            TypeError: not four numbers.
            ValueError: a corner outside the picture, or the second corner left of or above the first.
        """
        corners = np.array(self._corners(raw), dtype=np.float64)
        bins = np.minimum((corners * self.bins).astype(np.int64), self.bins - 1)
        labels = {"tokens": bins.copy()} if reading.side == "target" else {}
        return Encoded(rows=4, tensors={"tokens": bins}, labels=labels)

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> Corners:
        """The corners, ordered, in the unit that the slot reads."""
        bins = predicted["tokens"].reshape(-1)[:4].tolist()
        x0, y0, x1, y1 = ((value + 0.5) / self.bins * (self.size or 1) for value in bins)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def _corners(self, raw: Any) -> Corners:
        values = _numbers(raw)
        far = self.size or 1
        x0, y0, x1, y1 = values
        for value in values:
            if not 0 <= value <= far:
                hint = "" if self.size else "; for pixels write size= in the slot, the longer side of the picture"
                raise ValueError(f"a box must lie within 0 and {far}, but is {values}{hint}")
        if x1 < x0 or y1 < y0:
            raise ValueError(f"a box must be (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, but is {values}")
        return x0 / far, y0 / far, x1 / far, y1 / far


def _numbers(raw: Any) -> Corners:
    parts: Any = raw.split(",") if isinstance(raw, str) else raw.tolist() if hasattr(raw, "tolist") else raw
    if not isinstance(parts, Sequence) or len(parts) != 4:
        raise TypeError(f"a box must be four numbers x0, y0, x1, y1, but is {type(raw).__name__} {repr(raw)[:60]}")
    try:
        values = [float(part) for part in parts]
    except (TypeError, ValueError) as cause:
        raise TypeError(f"a box must be four numbers, but is {repr(raw)[:60]}") from cause
    if not all(isfinite(value) for value in values):
        raise ValueError(f"a box must be four finite numbers, but is {repr(raw)[:60]}")
    return values[0], values[1], values[2], values[3]


class BoxPort(Port):
    """Bins to embeddings, hidden states to logits over the bins, with tied weights; always four tokens, no end mark."""

    def __init__(self, *, width: int, bins: int = 1000) -> None:
        super().__init__()
        self.vocabulary = bins
        self.embedding = nn.Embedding(bins, width)
        nn.init.normal_(self.embedding.weight, std=DEVIATION)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [n, width] of `tokens` int64 [n]."""
        return F.embedding(tensors["tokens"], self.embedding.weight)

    def project(self, hidden: Tensor) -> Tensor:
        """Logits [n, bins]."""
        return F.linear(hidden, self.embedding.weight)

    def head(self) -> Head:
        return Head(self.embedding.weight, None)
