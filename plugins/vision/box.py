"""BOX: a region of a picture as four tokens, each a bin of the side of what is seen of the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.codec import Encoded, Reading
from ...core.opening.boxes import Format, Unit
from ...core.opening.following import FollowingCodec, roles_of
from ...core.port import Head, Port
from ...core.view import Corners

DEVIATION = 0.02


class BoxCodec(FollowingCodec):
    """Boxes to bins and back to the bins' middles: within half a bin, 0.5 / bins of the side of what is seen.

    >>> codec = BoxCodec(bins=100)
    >>> codec.decode({"tokens": torch.from_numpy(codec.encode((0, 0.25, 0.5, 1), Reading()).tensors["tokens"])})
    (0.005, 0.255, 0.505, 0.995)
    """

    def __init__(
        self,
        *,
        bins: int = 1000,
        format: Format = "xyxy",
        unit: Unit = "relative",
        size: int | None = None,
        clip: bool = False,
        image: str | None = None,
    ) -> None:
        """`image` names the picture's slot, for the layout."""
        super().__init__(format=format, unit=unit, size=size, clip=clip)
        self.bins = bins

    def measure(self, raw: Any, reading: Reading) -> int:
        """Always 4."""
        return 4

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a box: int64 [4], a bin for each of x0, y0, x1, y1.

        Raises:
            TypeError, ValueError: see `Notation.shares`.
        """
        corners, left = self.seen(raw, reading)
        bins = np.minimum((np.array(corners) * self.bins).astype(np.int64), self.bins - 1)
        labels = {"tokens": bins.copy()} if reading.side == "target" else {}
        return Encoded(rows=4, tensors={"tokens": bins}, labels=labels, roles=roles_of(left, reading, 4))

    def decode(self, predicted: Mapping[str, torch.Tensor], *, leader: Any = None) -> Corners:
        """The box, its corners ordered, of the whole picture, as the slot writes boxes."""
        bins = predicted["tokens"].reshape(-1)[:4].tolist()
        x0, y0, x1, y1 = ((value + 0.5) / self.bins for value in bins)
        return self.written((x0, y0, x1, y1), leader)


class BoxPort(Port):
    """Bins to embeddings, hidden states to logits over the bins, with tied weights; always four tokens, no end mark."""

    def __init__(self, *, width: int, bins: int = 1000) -> None:
        super().__init__()
        self.vocabulary = bins
        self.embedding = nn.Embedding(bins, width)
        with torch.no_grad():
            self.embedding.weight.copy_(waves((torch.arange(bins) + 0.5) / bins, width) * DEVIATION * math.sqrt(2))

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [n, width] of `tokens` int64 [n]."""
        return F.embedding(tensors["tokens"], self.embedding.weight)

    def project(self, hidden: Tensor) -> Tensor:
        """Logits [n, bins]."""
        return F.linear(hidden, self.embedding.weight)

    def head(self) -> Head:
        return Head(self.embedding.weight, None)


def waves(places: Tensor, width: int) -> Tensor:
    """Sines and cosines [n, width] of places [n] in 0 to 1, from half a wave to 64 a side: near places are alike.

    >>> waves(torch.tensor([0.0, 0.5]), 6).shape
    torch.Size([2, 6])
    """
    count = (width + 1) // 2
    speeds = math.pi * 2 ** torch.linspace(0, 7, count)
    angles = places[:, None].float() * speeds
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :width]
