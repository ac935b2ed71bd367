"""The port of AUDIO: frames through strided convolutions; frames that were made through a narrow prenet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.layers import Linear
from ...core.port import Port
from .windows import strides_of, windows

PRENET = 256
REACH = 5
"""Frames that a layer of the postnet sees."""
POST_LAYERS = 5
RARE = -3.0
"""The bias that the stop starts from: most frames are not the last."""
GROUPS = 8
MULTIPLIER = 0x2545F4914F6CDD1D
INCREMENT = 0x1B873593CC9E2D51


class AudioPort(Port):
    """Frames to embeddings and hidden states to frames, `n_frames_per_step` at a time.

    What is read goes through one strided convolution of kernel 3 (or more, for a larger stride) and GELU for each
    prime factor of `n_frames_per_step`, the first two layers of Radford et al., "Robust Speech Recognition via
    Large-Scale Weak Supervision", 2022, generalised. What is written follows Tacotron 2 (Shen et al., 2018,
    arXiv:1712.05884): a prenet whose dropout also acts at predicting, a linear layer to frames, one to the stop, and a
    postnet whose layers, here without batch norm, add detail to all frames of a sound.
    """

    def __init__(
        self,
        *,
        width: int,
        bands: int = 80,
        n_frames_per_step: int = 4,
        prenet_dropout: float = 0.5,
        postnet: int = 128,
    ) -> None:
        super().__init__()
        self.bands, self.step, self.prenet_dropout = bands, n_frames_per_step, prenet_dropout
        self.strides = strides_of(n_frames_per_step)
        kernels = [max(3, stride | 1) for stride in self.strides]
        sizes = [bands, *[width] * len(kernels)]
        self.kernels = tuple(kernels)
        self.stem = nn.ModuleList(
            Linear(kernel * size, width) for kernel, size in zip(kernels, sizes[:-1], strict=True)
        )
        self.prenet = nn.ModuleList([Linear(n_frames_per_step * bands, PRENET), Linear(PRENET, PRENET)])
        self.entry = Linear(PRENET, width)
        self.frames = Linear(width, n_frames_per_step * bands)
        self.ending = Linear(width, 1)
        channels = [bands, *[postnet] * (POST_LAYERS - 1), bands] if postnet else []
        self.postnet = nn.ModuleList(
            Linear(REACH * size, out) for size, out in zip(channels[:-1], channels[1:], strict=True)
        )
        nn.init.constant_(self.ending.bias, RARE)
        if postnet:
            for weight in self.postnet[-1].parameters():
                nn.init.zeros_(weight)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [rows, width] of `frames` [n, bands] in values of `lengths`, those with `written` by the prenet.

        At predicting `values` [n, n_frames_per_step, bands] are frames that were made.
        """
        if "values" in tensors:
            return self._written(tensors["values"].flatten(1))
        frames, lengths, written = tensors["frames"], tensors["lengths"], tensors["written"].bool()
        frames = frames.to(self.entry.weight.dtype)
        made = written.repeat_interleave(lengths)
        read, rows = self._read(frames[~made], lengths[~written])
        wrote = self._written(frames[made].view(-1, self.step * self.bands))
        counts = lengths.div(self.step, rounding_mode="floor").masked_scatter(~written, rows)
        place = written.repeat_interleave(counts)
        out = read.new_zeros(len(place), read.shape[1]) + self._anchor()
        return out.index_copy(0, (~place).nonzero()[:, 0], read).index_copy(0, place.nonzero()[:, 0], wrote)

    def project(self, hidden: Tensor) -> Tensor:
        """Frames [n, n_frames_per_step, bands] on the codec's fixed scale, before the postnet."""
        return self.frames(hidden).view(-1, self.step, self.bands)  # type: ignore[no-any-return]

    def stop(self, hidden: Tensor) -> Tensor:
        """Logits [n] that a row is the last one."""
        return self.ending(hidden)[:, 0]  # type: ignore[no-any-return]

    def refine(self, values: Tensor, rows: Tensor) -> Tensor:
        """Frames [n, n_frames_per_step, bands] of sounds of `rows` int64 [sounds] each, after the postnet."""
        x, lengths = values.flatten(0, 1), rows * self.step
        for number, layer in enumerate(self.postnet):
            gathered, _ = windows(x, lengths, kernel=REACH, stride=1)
            x = layer(gathered)
            x = x if number == POST_LAYERS - 1 else x.tanh()
        return values + x.view_as(values) if len(self.postnet) else values

    def render(self, predicted: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """`values` of one sound after the postnet."""
        values = predicted["values"]
        rows = torch.tensor([len(values)], device=values.device)
        return {**predicted, "values": self.refine(values.to(self.entry.weight.dtype), rows)}

    def _read(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x, counts = frames, lengths
        for layer, kernel, stride in zip(self.stem, self.kernels, self.strides, strict=True):
            gathered, counts = windows(x, counts, kernel=kernel, stride=stride)
            x = F.gelu(layer(gathered))
        return x, counts

    def _written(self, frames: Tensor) -> Tensor:
        frames = frames.to(self.entry.weight.dtype)
        x = frames
        for number, layer in enumerate(self.prenet):
            x = self._dropped(F.relu(layer(x)), frames, number)
        return self.entry(x)  # type: ignore[no-any-return]

    def _dropped(self, x: Tensor, frames: Tensor, salt: int) -> Tensor:
        """Dropout; outside training which units fall is a function of the frames, so that answers can be repeated."""
        if not self.prenet_dropout:
            return x
        if self.training:
            return F.dropout(x, self.prenet_dropout)
        kept = content_mask(frames, x.shape[1], drop=self.prenet_dropout, salt=salt)
        return x * kept / (1 - self.prenet_dropout)

    def _anchor(self) -> Tensor:
        """0 that depends on the weights which only predictions reach, so that every rank has all gradients."""
        ends = [*self.frames.parameters(), *self.ending.parameters(), *self.postnet.parameters()]
        return torch.stack([weight.flatten()[0] for weight in ends]).sum() * 0


def content_mask(frames: Tensor, units: int, *, drop: float, salt: int) -> Tensor:
    """bool [n, units], of which a share `drop` is False: the same for the same frames [n, m], whatever stands beside.

    >>> frames = torch.linspace(-1, 1, 240).view(3, 80)
    >>> kept = content_mask(frames, 1000, drop=0.5, salt=0)
    >>> bool((kept[1] == content_mask(frames[1:2], 1000, drop=0.5, salt=0)[0]).all())
    True
    >>> round(float(kept.float().mean()), 1)
    0.5
    """
    coarse = torch.stack([part.mean(1) for part in frames.float().tensor_split(min(GROUPS, frames.shape[1]), 1)], 1)
    levels = (coarse * 4).round().long()
    powers = torch.arange(1, levels.shape[1] + 1, device=frames.device) * MULTIPLIER
    key = (levels * powers).sum(1) + salt
    mixed = key[:, None] + torch.arange(units, device=frames.device) * INCREMENT
    for shift in (33, 29):
        mixed = (mixed ^ (mixed >> shift)) * MULTIPLIER
    return (mixed >> 32) & 0xFFFF >= round(drop * 0x10000)
