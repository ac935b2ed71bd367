"""The image tokenizer's network: a small convolutional autoencoder whose narrow middle is rounded to codes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .codes_quantise import FiniteScalar, NearestVector, Quantised

Quantiser = Literal["fsq", "vq"]
NARROWEST = 16
SPREAD = 3.0
"""How much wider the first vectors lie than usual, so that they reach most codes from the start."""


class Residual(nn.Module):
    """Two convolutions whose result is added, nothing at first. Norms would take the colours' levels out of small
    pictures: without them they come back better and sooner."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[b, width, height, width] in and out."""
        out: Tensor = x + self.second(F.silu(self.first(F.silu(x))))
        return out


class ImageTokenizer(nn.Module):
    """Pictures to codes, one for each square of `factor` pixels, and back.

    Each halving has twice the channels of the one before, `channels` at the end. Pixels are regrouped by two at both
    ends, so that no convolution runs at the full size; a linear path of each square to its vector and back stands
    beside the convolutions. Nothing in it depends on the size of the pictures or on what else is in a batch.

    Args:
        factor: pixels that one code stands for, each way; a power of 2.
        codes: how many there may be; `quantiser.codes` is how many there are.
        quantiser: "fsq" or "vq".
        channels: of the narrowest pictures; a multiple of 8.
    """

    def __init__(self, *, factor: int, codes: int, quantiser: Quantiser = "fsq", channels: int = 64) -> None:
        super().__init__()
        self.quantiser = FiniteScalar(codes=codes) if quantiser == "fsq" else NearestVector(codes=codes)
        halvings = factor.bit_length() - 1
        widths = [max(channels >> (halvings - 1 - step), NARROWEST) for step in range(halvings)]
        self.encoder = nn.Sequential(*_encoding(widths, self.quantiser.width))
        self.decoder = nn.Sequential(*_decoding(widths, self.quantiser.width))
        self.square_in = nn.Conv2d(3, self.quantiser.width, factor, stride=factor)
        self.square_out = nn.ConvTranspose2d(self.quantiser.width, 3, factor, stride=factor)
        with torch.no_grad():
            self.square_in.weight.mul_(SPREAD)

    def encode(self, pixels: Tensor) -> tuple[Quantised, tuple[int, int, int]]:
        """Codes of uint8 pixels [b, height, width, 3], row by row, and how many there are: [b, rows, columns]."""
        with torch.autocast(pixels.device.type, enabled=False):
            x = scaled(pixels).to(self.square_in.weight.dtype)
            found: Tensor = (self.encoder(x) + self.square_in(x)).permute(0, 2, 3, 1)
            b, tall, wide, _ = found.shape
            return self.quantiser(found.reshape(-1, self.quantiser.width)), (b, tall, wide)

    def decode(self, vectors: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """Pictures [b, 3, height, width], about -1 to 1, of the codes' vectors [b * rows * columns, d]."""
        with torch.autocast(vectors.device.type, enabled=False):
            x = vectors.to(self.square_out.weight.dtype).view(*shape, -1).permute(0, 3, 1, 2).contiguous()
            out: Tensor = self.decoder(x) + self.square_out(x)
            return out

    def pixels(self, codes: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """uint8 [b, height, width, 3] of codes int64 [b * rows * columns]."""
        made = self.decode(self.quantiser.vectors(codes), shape).clamp(-1, 1)
        return ((made + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)


def scaled(pixels: Tensor) -> Tensor:
    """float32 [b, 3, height, width], -1 to 1, of uint8 [b, height, width, 3]."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def _encoding(widths: list[int], narrow: int) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1)]
    for before, width in zip([widths[0], *widths], widths, strict=False):
        if len(layers) > 2:
            layers.append(nn.Conv2d(before, width, 4, stride=2, padding=1))
        layers.append(Residual(width))
    return [*layers, nn.SiLU(), nn.Conv2d(widths[-1], narrow, 1)]


def _decoding(widths: list[int], narrow: int) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(narrow, widths[-1], 3, padding=1), Residual(widths[-1])]
    for before, width in zip(widths[:0:-1], widths[-2::-1], strict=True):
        layers += [nn.Conv2d(before, 4 * width, 3, padding=1), nn.PixelShuffle(2), Residual(width)]
    return [*layers, nn.SiLU(), nn.Conv2d(widths[0], 12, 3, padding=1), nn.PixelShuffle(2)]
