"""IMAGE as codes of a learned codebook, in and out. Pixels stay bytes until the port, which holds the tokenizer.

The port learns two things at once, or the second alone when its codebook is frozen: to give pictures back from their
codes (`auxiliary`), and to predict the codes like any tokens. Only codes can be predicted, exactly as many as a picture
has, so that every answer is a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.codec import Encoded, Reading
from ...core.layers import Linear
from ...core.port import Head, Port
from ...core.view import View
from .codes_loading import load_tokenizer
from .codes_network import ImageTokenizer, Quantiser, scaled
from .framing import Framing
from .video import clip_patches
from .video_sampling import spots_of

DEVIATION = 0.02
WAVES = 8
LONGEST = 256.0
"""Frames after which the slowest of the sines that tell frames apart repeats."""


class ImageCodesCodec:
    """Pictures to squares of bytes, one for each code, and pixels that the port made of codes to pictures.

    The way there and back loses nothing of the pixels at `size`, and with the port what its tokenizer loses.
    """

    def __init__(
        self,
        *,
        size: int = 64,
        factor: int = 4,
        codes: int = 1024,
        quantiser: Quantiser = "fsq",
        channels: int = 64,
        codebook: str | None = None,
        frozen: bool = False,
        mode: Any = "square",
        resize: str = "bicubic",
        flip: bool = False,
        mask_ratio: float = 0.0,
    ) -> None:
        """`codes`, `quantiser`, `channels`, `codebook` and `frozen` are the port's."""
        self.factor, self.side = factor, max(1, size // factor)
        self.framing = Framing(size=self.side * factor, mode=mode, resize=resize, flip=flip, mask_ratio=mask_ratio)

    def measure(self, raw: Any, reading: Reading) -> int:
        """Always (size / factor) squared."""
        return self.side**2

    def lead(self, raw: Any, reading: Reading) -> View:
        """How the picture is seen, for the boxes that follow it; opens its header alone."""
        return self.framing.view(raw, reading)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a picture: `patches` uint8 [n, factor * factor * 3] and their `index`; the labels are the patches.

        Raises:
            TypeError, ValueError: see `open_picture`.
        """
        return encoded(self.framing.pixels(raw, reading)[None], self.factor, reading)

    def decode(self, predicted: Mapping[str, Tensor]) -> Image.Image:
        """An RGB picture of `pixels` uint8 [1, size, size, 3], as `ImageCodesPort.render` makes them."""
        return Image.fromarray(predicted["pixels"][0].cpu().numpy())

    def returned(self, raw: Any) -> Image.Image:
        """A picture of the data as it comes back from a tokenizer that loses nothing."""
        return Image.fromarray(self.framing.pixels(raw, Reading(mode="predict")))


def encoded(frames: Any, factor: int, reading: Reading, times: Any = (0.0,)) -> Encoded:
    """Pixels uint8 [frames, size, size, 3] as squares; `times` [frames] in seconds."""
    patches, side = clip_patches(frames, factor), frames.shape[1] // factor
    grid = spots_of(times, side, side)
    index = np.arange(len(patches))
    labels = {"patches": patches} if reading.side == "target" else {}
    return Encoded(rows=len(patches), tensors={"patches": patches, "index": index}, labels=labels, grid=grid)


class ImageCodesPort(Port):
    """Squares of bytes to codes to embeddings; hidden states to logits over the codes; codes to pixels.

    An embedding is that of the code, plus a linear function of the code's vector, so that alike codes are alike, plus
    that of its place; the first two are the output layer too.

    >>> port = ImageCodesPort(width=8, size=16, factor=4, codes=64)
    >>> port.embed(patches=torch.zeros(32, 48, dtype=torch.uint8), index=torch.arange(32) % 16).shape
    torch.Size([32, 8])
    >>> port.render({"tokens": torch.zeros(16, dtype=torch.long)})["pixels"].shape
    torch.Size([1, 16, 16, 3])
    """

    indexed = True

    def __init__(
        self,
        *,
        width: int,
        size: int = 64,
        factor: int = 4,
        codes: int = 1024,
        quantiser: Quantiser = "fsq",
        channels: int = 64,
        codebook: str | None = None,
        frozen: bool = False,
    ) -> None:
        """See the settings of `image_codes`.

        Raises:
            ConfigError: the codebook is no folder with an image tokenizer of this shape.
        """
        super().__init__()
        self.factor, self.side, self.frozen = factor, max(1, size // factor), frozen
        shape: dict[str, Any] = {"factor": factor, "codes": codes, "quantiser": quantiser, "channels": channels}
        self.tokenizer = ImageTokenizer(**shape)
        if codebook is not None:
            load_tokenizer(self.tokenizer, codebook, shape)
        self.tokenizer.requires_grad_(not frozen)
        self.vocabulary = self.tokenizer.quantiser.codes
        self.embedding = nn.Embedding(self.vocabulary, width)
        self.alike = Linear(self.tokenizer.quantiser.width, width, bias=False)
        self.time = Linear(2 * WAVES, width, bias=False)
        self.rows = nn.Parameter(torch.empty(self.side, width))
        self.columns = nn.Parameter(torch.empty(self.side, width))
        for weight in (self.embedding.weight, self.alike.weight, self.time.weight, self.rows, self.columns):
            nn.init.normal_(weight, std=DEVIATION)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [n, width] of `patches` uint8 [n, factor * factor * 3] or of `tokens` int64 [n], with the `index`
        int64 [n] of each within its picture or clip."""
        codes = tensors["tokens"] if "tokens" in tensors else self.codes_of(tensors["patches"])
        vectors = self.tokenizer.quantiser.vectors(codes).detach()
        out: Tensor = F.embedding(codes, self.embedding.weight) + self.alike(vectors) + self._places(tensors["index"])
        return out

    def _places(self, index: Tensor) -> Tensor:
        place, frame = index % self.side**2, index // self.side**2
        periods = torch.logspace(1, float(np.log2(LONGEST)), WAVES, base=2.0, device=index.device)
        angle = frame[:, None] * (2 * pi / periods)
        time: Tensor = self.time(torch.cat([angle.sin(), angle.cos()], 1))
        rows = self.rows.index_select(0, place // self.side)
        return time + rows + self.columns.index_select(0, place % self.side)

    def project(self, hidden: Tensor) -> Tensor:
        """Logits [n, codes]."""
        return F.linear(hidden, self.head().weight)

    def head(self) -> Head:
        vectors = self.tokenizer.quantiser.vectors().detach().to(self.alike.weight.dtype)
        return Head(self.embedding.weight + F.linear(vectors, self.alike.weight), None)

    def relabel(self, labels: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The `tokens` int64 [n] of `patches`."""
        return {"tokens": self.codes_of(labels["patches"])}

    def auxiliary(self, labels: Mapping[str, Tensor]) -> Tensor | None:
        """How far each square [n] is from what its code gives back: absolute and squared differences of channels in
        -1..1, plus what the quantiser asks for. None when the tokenizer is frozen."""
        if self.frozen:
            return None
        pixels = self._whole(labels["patches"])
        quantised, shape = self.tokenizer.encode(pixels)
        lost = self.tokenizer.decode(quantised.vectors, shape) - scaled(pixels)
        each = (lost.abs() + lost.square()).mean(1, keepdim=True)
        return F.avg_pool2d(each, self.factor).flatten() + quantised.loss

    def render(self, predicted: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """`pixels` uint8 [frames, size, size, 3] of `tokens` int64 [frames * side * side].

        Raises:
            ValueError: not a whole number of pictures.
        """
        tokens = predicted["tokens"].to(self.rows.device)
        if not len(tokens) or len(tokens) % self.side**2:
            raise ValueError(f"a picture must be {self.side**2} codes, but there are {len(tokens)}")
        return {"pixels": self.tokenizer.pixels(tokens, (len(tokens) // self.side**2, self.side, self.side))}

    @torch.no_grad()
    def codes_of(self, patches: Tensor) -> Tensor:
        """int64 [n] of the squares uint8 [n, factor * factor * 3] of whole pictures."""
        if not len(patches):
            return torch.zeros(0, dtype=torch.long, device=patches.device)
        return self.tokenizer.encode(self._whole(patches))[0].codes

    def _whole(self, patches: Tensor) -> Tensor:
        """uint8 [b, size, size, 3] of the squares of b pictures."""
        side, factor = self.side, self.factor
        cut = patches.view(-1, side, side, factor, factor, 3).transpose(2, 3)
        return cut.reshape(-1, side * factor, side * factor, 3)
