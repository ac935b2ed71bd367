"""BOX by regression: one token a box, four numbers that are predicted at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.codec import Encoded, Reading
from ...core.layers import Linear
from ...core.opening.boxes import Format, Unit
from ...core.opening.following import FollowingCodec, roles_of
from ...core.port import Port
from ...core.view import Corners
from .box import waves

WAVES = 32


class BoxValuesCodec(FollowingCodec):
    """Boxes to the corners of what is seen of the picture, 0 to 1, and back: exact up to float32."""

    def __init__(
        self,
        *,
        format: Format = "xyxy",
        unit: Unit = "relative",
        size: int | None = None,
        clip: bool = False,
        image: str | None = None,
    ) -> None:
        """`image` names the picture's slot, for the layout."""
        super().__init__(format=format, unit=unit, size=size, clip=clip)

    def measure(self, raw: Any, reading: Reading) -> int:
        """Always 1."""
        return 1

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a box: float32 [1, 4], its corners x0, y0, x1, y1.

        Raises:
            TypeError, ValueError: see `Notation.shares`.
        """
        corners, left = self.seen(raw, reading)
        values = np.array([corners], dtype=np.float32)
        labels = {"values": values.copy()} if reading.side == "target" else {}
        return Encoded(rows=1, tensors={"values": values}, labels=labels, roles=roles_of(left, reading, 1))

    def decode(self, predicted: Mapping[str, torch.Tensor], *, leader: Any = None) -> Corners:
        """The box, its corners ordered, of the whole picture, as the slot writes boxes."""
        x0, y0, x1, y1 = predicted["values"].reshape(-1)[:4].tolist()
        return self.written((x0, y0, x1, y1), leader)


class BoxValuesPort(Port):
    """Corners to an embedding by sines and cosines of each; a hidden state to corners by a middle and sides.

    >>> BoxValuesPort(width=8).project(torch.zeros(2, 8)).shape
    torch.Size([2, 4])
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.reading = Linear(4 * WAVES, width)
        self.inner = Linear(width, width)
        self.outer = Linear(width, 4)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [n, width] of `values` float32 [n, 4]."""
        values = tensors["values"]
        seen = waves(values.reshape(-1), WAVES).reshape(len(values), 4 * WAVES)
        embedded: Tensor = self.reading(seen.to(self.reading.weight.dtype))
        return embedded

    def project(self, hidden: Tensor) -> Tensor:
        """Corners [n, 4]; the middle and the sides lie within 0 and 1, corners may reach over the rim."""
        middle, sides = self.outer(nn.functional.gelu(self.inner(hidden))).float().sigmoid().chunk(2, -1)
        return torch.cat([middle - sides / 2, middle + sides / 2], -1)
