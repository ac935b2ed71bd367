"""The working halves of DEPTH and of its loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omniline import Encoded, Port, Reading
from omniline.core.networks import Choices, LossRows

from .plugin import PATCH


class DepthCodec:
    """A square array of metres [height, width] to patches and back; other sizes are read at the nearest pixel."""

    def __init__(self, size: int, far: float) -> None:
        self.side = size // PATCH
        self.far = far

    def measure(self, raw: Any, reading: Reading) -> int:
        return self.side**2

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        metres = np.asarray(raw, dtype=np.float32)
        if metres.ndim != 2 or 0 in metres.shape:
            raise ValueError(f"a depth map must be an array [height, width], but has the shape {list(metres.shape)}")
        pixels = self.side * PATCH
        rows, columns = (np.arange(pixels) * length // pixels for length in metres.shape)
        square = metres[np.ix_(rows, columns)] / np.float32(self.far)
        patches = square.reshape(self.side, PATCH, self.side, PATCH).transpose(0, 2, 1, 3).reshape(-1, PATCH * PATCH)
        place = np.stack(np.divmod(np.arange(self.side**2), self.side), axis=1)
        grid = np.concatenate([np.zeros_like(place[:, :1]), place], axis=1).astype(np.float32)
        labels = {"values": patches} if reading.side == "target" else {}
        return Encoded(rows=self.side**2, tensors={"values": patches}, labels=labels, grid=grid)

    def decode(self, predicted: Mapping[str, Tensor]) -> np.ndarray[Any, Any]:
        patches = predicted["values"].float().cpu().numpy().reshape(self.side, self.side, PATCH, PATCH)
        return patches.transpose(0, 2, 1, 3).reshape(self.side * PATCH, self.side * PATCH) * np.float32(self.far)


class DepthPort(Port):
    """One linear layer in, one out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(PATCH * PATCH, width)
        self.leave = nn.Linear(width, PATCH * PATCH)

    def embed(self, **tensors: Tensor) -> Tensor:
        return self.enter(tensors["values"].flatten(1))

    def project(self, hidden: Tensor) -> Tensor:
        return self.leave(hidden)


class HuberLoss:
    """The Huber loss of each row, averaged over its values (P. Huber, 1964)."""

    def __init__(self, delta: float) -> None:
        self.delta = delta

    def __call__(
        self, hidden: Tensor, port: Port, labels: Mapping[str, Tensor], weights: Tensor, choices: Choices | None
    ) -> LossRows:
        wanted = labels["values"].to(torch.float32)
        each = F.huber_loss(port.project(hidden).float(), wanted, reduction="none", delta=self.delta).flatten(1).mean(1)
        return LossRows.of(each, weights)
