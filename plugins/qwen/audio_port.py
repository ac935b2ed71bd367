"""The port of sounds: Qwen2.5-Omni's audio tower over the sounds of a batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.attention_groups import Group, Piece, group_pieces
from ...core.layers import Linear, rerun
from ...core.port import Port
from .audio_tower import Convolution, TowerLayer, TowerShape, waves


class AudioPort(Port):
    """Features to tokens of 40 ms; see the settings of `plugins.qwen.audio_plugin.QwenAudio`.

    A sound is cut into blocks of `block` frames. Convolutions, places and attention know their block alone, so that a
    sound can be read while it comes in. `bounds` are the checkpoint's own embeddings of the marks around a sound, which
    the thinker never reads; they are kept to be written back.

    >>> port = AudioPort(width=8, bands=4, channels=8, heads=2, ffn=8, layers=1, block=20)
    >>> port.embed(frames=torch.zeros(75, 4), lengths=torch.tensor([50, 25])).shape
    torch.Size([18, 8])

    Raises:
        ValueError: a block is no even number of frames; see `TowerShape`.
    """

    places: Tensor
    bounds: Tensor

    def __init__(
        self,
        *,
        width: int,
        bands: int = 128,
        channels: int = 1280,
        heads: int = 20,
        ffn: int = 5120,
        layers: int = 32,
        block: int = 200,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        if block < 2 or block % 2:
            raise ValueError(f"a block must be an even number of frames, at least 2, but is {block}")
        shape = TowerShape(channels=channels, heads=heads, ffn=ffn)
        self.bands, self.block, self.shape, self.checkpoint = bands, block, shape, checkpoint
        self.first = Convolution(bands, channels, stride=1)
        self.second = Convolution(channels, channels, stride=2)
        self.layers = nn.ModuleList(TowerLayer(shape) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)
        self.out = Linear(channels, width)
        self.register_buffer("places", waves(block // 2, channels), persistent=False)
        self.register_buffer("bounds", torch.zeros(2, width))
        self.apply(_initialise)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Tokens [n, width] of all sounds, in order.

        Args:
            **tensors: `frames` float [n, bands] of sounds of `lengths`, int64 [sounds].

        Raises:
            ValueError: the lengths do not sum to the frames.
        """
        lengths = tensors["lengths"].tolist()
        frames = tensors["frames"].to(self.first.weight.dtype)
        if sum(lengths) != len(frames):
            raise ValueError(f"the lengths ask for {sum(lengths)} frames, but there are {len(frames)}")
        sizes = blocks_of(lengths, self.block)
        x = self._stem(frames, sizes)
        groups = self._groups([_half(size) for size in sizes], x)
        for layer in self.layers:
            x = self._layer(layer, x, groups)
        out: Tensor = self.out(self.norm(_paired(x, [_half(length) for length in lengths])))
        return out

    def _stem(self, frames: Tensor, sizes: Sequence[int]) -> Tensor:
        """Rows [n, channels] of blocks side by side: convolutions, then the places within each block."""
        longest = max(sizes, default=2)
        place = _filled(sizes, longest, frames.device)
        padded = frames.new_zeros(len(sizes) * longest, self.bands).index_copy(0, place, frames)
        x = F.gelu(self.first(padded.view(-1, longest, self.bands).transpose(1, 2)))
        inside = x.new_zeros(len(sizes) * longest).index_fill(0, place, 1.0)
        x = F.gelu(self.second(x * inside.view(-1, 1, longest))).transpose(1, 2)
        x = x + self.places[: x.shape[1]].to(x.dtype)
        return x.reshape(-1, self.shape.channels).index_select(
            0, _filled([_half(size) for size in sizes], x.shape[1], x.device)
        )

    def _layer(self, layer: nn.Module, x: Tensor, groups: Sequence[Group]) -> Any:
        if self.checkpoint and self.training and torch.is_grad_enabled():
            return rerun(layer, x, groups)
        return layer(x, groups)

    def _groups(self, sizes: Sequence[int], x: Tensor) -> tuple[Group, ...]:
        pieces, at = [], 0
        for number, size in enumerate(sizes):
            pieces.append(Piece(number, at, size, at, size, False))
            at += size
        return group_pieces(pieces, row_size=self.shape.channels, device=x.device.type)


def blocks_of(lengths: Sequence[int], block: int) -> list[int]:
    """The frames of each block; the last one of a sound may be shorter.

    >>> blocks_of([450, 200], 200)
    [200, 200, 50, 200]
    """
    out = []
    for length in lengths:
        out += [block] * (length // block) + [length % block] * (length % block > 0)
    return out


def _half(frames: int) -> int:
    return (frames + 1) // 2


def _filled(sizes: Sequence[int], longest: int, device: torch.device) -> Tensor:
    """int64 [sum of sizes]: where the rows of each block stand when all are padded to the longest."""
    counts = torch.tensor(sizes, dtype=torch.long)
    owner = torch.repeat_interleave(counts)
    starts = counts.cumsum(0) - counts
    return (torch.arange(len(owner)) + (torch.arange(len(counts)) * longest - starts)[owner]).to(device)


def _paired(x: Tensor, rows: Sequence[int]) -> Tensor:
    """The mean of every two rows of each sound; an odd last one is left out."""
    counts = torch.tensor([count // 2 for count in rows], dtype=torch.long)
    starts = torch.tensor(rows, dtype=torch.long).cumsum(0) - torch.tensor(rows, dtype=torch.long)
    within = torch.arange(int(counts.sum())) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    first = (torch.repeat_interleave(starts, counts) + 2 * within).to(x.device)
    return (x.index_select(0, first) + x.index_select(0, first + 1)) / 2


def _initialise(module: nn.Module) -> None:
    if isinstance(module, Linear | Convolution):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
