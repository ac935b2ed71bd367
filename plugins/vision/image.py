"""IMAGE as patches: the light default. Pixels stay bytes until the port, which scales and projects them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.codec import Encoded, Reading
from ...core.layers import Linear
from ...core.opening.pictures import STATISTICS
from ...core.port import Port
from ...core.view import View
from .framing import Augment, Framing, Mode, Pixels


def patches_of(pixels: Pixels, side: int) -> Pixels:
    """uint8 [height, width, 3] cut into rows of patches, uint8 [n, side * side * 3], each row by row.

    >>> patches_of(np.zeros((4, 6, 3), np.uint8), 2).shape
    (6, 12)
    """
    tall, wide = pixels.shape[0] // side, pixels.shape[1] // side
    cut = pixels[: tall * side, : wide * side].reshape(tall, side, wide, side * 3)
    return np.ascontiguousarray(cut.transpose(0, 2, 1, 3)).reshape(tall * wide, side * side * 3)


@cache
def _grid(tall: int, wide: int) -> NDArray[np.float32]:
    places = np.zeros((tall, wide, 3), dtype=np.float32)
    places[..., 1] = np.arange(tall)[:, None]
    places[..., 2] = np.arange(wide)
    return places.reshape(-1, 3)


def grid_of(tall: int, wide: int) -> NDArray[np.float32]:
    """float32 [tall * wide, 3]: time 0, height and width of each token, row by row."""
    return _grid(tall, wide).copy()


def refuse_decoding() -> Any:
    """Raise what a codec that only reads has to say.

    Raises:
        TypeError: always.
    """
    raise TypeError("this adapter reads pictures and makes none: on the target side use adapter=image_codes")


class ImageCodec:
    """Pictures to patches of bytes."""

    def __init__(
        self,
        *,
        size: int = 224,
        patch: int = 16,
        mode: Mode = "square",
        resize: str = "bicubic",
        augment: Augment = "none",
        flip: bool = False,
        mask_ratio: float = 0.0,
        normalise: str = "half",
    ) -> None:
        """`normalise` is the port's: pixels stay bytes here."""
        self.patch = patch
        self._framing = Framing(
            size=max(1, size // patch) * patch,
            unit=patch,
            mode=mode,
            resize=resize,
            augment=augment,
            flip=flip,
            mask_ratio=mask_ratio,
        )

    def measure(self, raw: Any, reading: Reading) -> int:
        """The patches; opens the picture's header only with mode=fit."""
        width, height = self._framing.measured(raw)
        return (width // self.patch) * (height // self.patch)

    def lead(self, raw: Any, reading: Reading) -> View:
        """How the picture is seen, for the boxes that follow it; opens its header alone."""
        return self._framing.view(raw, reading)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a picture: uint8 [n, patch * patch * 3] and the place of each patch.

        Raises:
            TypeError, ValueError: see `open_picture`.
        """
        pixels = self._framing.pixels(raw, reading)
        patches = patches_of(pixels, self.patch)
        grid = grid_of(pixels.shape[0] // self.patch, pixels.shape[1] // self.patch)
        return Encoded(rows=len(patches), tensors={"patches": patches}, grid=grid)

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> Any:
        """Always a TypeError: pictures are made by `image_codes`."""
        return refuse_decoding()


class ImagePort(Port):
    """Patches of bytes, scaled and projected by one linear layer; places are the backbone's matter.

    >>> ImagePort(width=8, patch=4).embed(patches=torch.zeros(5, 48, dtype=torch.uint8)).shape
    torch.Size([5, 8])
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, *, width: int, patch: int = 16, normalise: str = "half") -> None:
        super().__init__()
        mean, deviation = (torch.tensor(values) for values in STATISTICS[normalise])
        scale, shift = 1 / (255 * deviation), -mean / deviation
        self.register_buffer("scale", scale.repeat(patch * patch), persistent=False)
        self.register_buffer("shift", shift.repeat(patch * patch), persistent=False)
        self.projection = Linear(patch * patch * 3, width)
        # Pixels deviate from grey by about a half: embeddings begin with a deviation of one. From torch's own start, a
        # sixth of it, small things on a common ground stay unseen for the first hundred steps.
        torch.nn.init.normal_(self.projection.weight, std=2 / (patch * patch * 3) ** 0.5)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [n, width] of `patches` uint8 [n, patch * patch * 3]."""
        scaled = torch.addcmul(self.shift, tensors["patches"], self.scale)
        embedded: Tensor = self.projection(scaled)
        return embedded
