"""Rotary places: how fast each pair of a head turns, how that is stretched for long contexts, and the turning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ...core.kernels import choosing

Scaling = Literal["none", "linear", "dynamic", "ntk", "llama3", "yarn"]
"""How rotations are slowed for contexts longer than those of training: not at all, all alike (`linear`), by a base that
grows with the length (`dynamic`, and in powers of two `ntk`, of the first Qwen report), or by wavelength (`llama3`,
`yarn`)."""

GROWING = ("dynamic", "ntk")
"""Scalings that depend on the length of the stream at hand."""


class Turn(NamedTuple):
    """Cosines and sines [..., 1, head size / 2] of each row's rotation.

    `whole` holds them for whole heads, the first half's sines negative, where few rows are turned often.
    """

    cos: Tensor
    sin: Tensor
    whole: tuple[Tensor, Tensor] | None = None

    def often(self) -> Turn:
        """The same, ready to turn few rows in many layers."""
        cos, sin = torch.cat([self.cos, self.cos], -1), torch.cat([-self.sin, self.sin], -1)
        return self._replace(whole=(cos, sin))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotary:
    """The rotations of a network.

    Attributes:
        size: of a head.
        base: of the geometric row of speeds.
        scaling: see `Scaling`.
        factor: how many times longer contexts become.
        original: tokens of the contexts in training, which the scalings but `linear` need.
        gain: factor of cosines and sines; for `yarn` 0.1 ln(factor) + 1 by default.
        fast: `yarn` leaves pairs alone that turn more often than this in `original` tokens ...
        slow: ... and slows those by the whole factor that turn less often than this.
        whole: `yarn` rounds the bounds that these give to whole pairs.
        low: `llama3` slows wavelengths above `original / low` by the whole factor ...
        high: ... and leaves those below `original / high` alone.
        sections: pairs that turn by time, height and width (M-RoPE); None when places are one number.

    Raises:
        ValueError: the sections do not sum to the pairs, or a scaling lacks its factor or original length.
    """

    size: int
    base: float = 10_000.0
    scaling: Scaling = "none"
    factor: float = 1.0
    original: int | None = None
    gain: float | None = None
    fast: float = 32.0
    slow: float = 1.0
    whole: bool = True
    low: float = 1.0
    high: float = 4.0
    sections: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.sections is not None and sum(self.sections) != self.size // 2:
            raise ValueError(
                f"the sections of places must sum to half a head's size, {self.size // 2}, but are "
                f"{'|'.join(map(str, self.sections))}"
            )
        if self.scaling not in ("none", "linear") and not self.original:
            raise ValueError(
                f"the scaling {self.scaling} needs the length of contexts in training: give `rope_original`"
            )
        if self.factor < 1:
            raise ValueError(f"the factor of a scaling must be at least 1, but is {self.factor:g}")

    @property
    def gained(self) -> float:
        """The factor of cosines and sines."""
        if self.gain is not None:
            return self.gain
        return 0.1 * math.log(self.factor) + 1.0 if self.scaling == "yarn" else 1.0

    def speeds(self, lengths: Tensor | None = None) -> Tensor:
        """Radians per place of each pair, float32 [size / 2].

        Args:
            lengths: tokens of the streams [n], for a scaling that grows; speeds are then [n, size / 2].

        >>> [round(float(x), 4) for x in Rotary(size=4, base=100.0).speeds()]
        [1.0, 0.1]
        """
        device = None if lengths is None else lengths.device
        step = torch.arange(0, self.size, 2, device=device, dtype=torch.float32) / self.size
        if self.scaling in GROWING and lengths is not None:
            return 1.0 / self._grown(lengths)[:, None] ** step
        power = self.base**step
        plain = 1.0 / power
        if self.scaling == "linear":
            return plain / self.factor
        if self.scaling == "llama3":
            return self._by_wavelength(plain)
        if self.scaling == "yarn":
            kept = 1 - self._ramp()
            return 1.0 / (self.factor * power) * (1 - kept) + plain * kept
        return plain

    def _grown(self, lengths: Tensor) -> Tensor:
        """The base for streams of these lengths [n] (dynamic NTK; `ntk` in steps, as in the report of Qwen, 2023)."""
        assert self.original
        if self.scaling == "ntk":
            steps = torch.ceil(torch.log2(lengths.double() / self.original) + 1)
            times = (2.0**steps - 1).clamp(min=1)
        else:
            longer = lengths.clamp(min=self.original).double()
            times = self.factor * longer / self.original - (self.factor - 1)
        return (self.base * times ** (self.size / (self.size - 2))).float()

    def _ramp(self) -> Tensor:
        """How much of the factor each pair takes, 0 to 1 [size / 2] (YaRN, Peng et al., 2023, section 3.2)."""
        assert self.original
        bounds = [
            self.size * math.log(self.original / (turns * 2 * math.pi)) / (2 * math.log(self.base))
            for turns in (self.fast, self.slow)
        ]
        first, last = (math.floor(bounds[0]), math.ceil(bounds[1])) if self.whole else bounds
        first, last = max(first, 0), min(last, self.size - 1)
        pairs = torch.arange(self.size // 2, dtype=torch.float32)
        return ((pairs - first) / (last - first if last != first else 1e-3)).clamp(0, 1)

    def _by_wavelength(self, plain: Tensor) -> Tensor:
        """Long waves slowed, short ones left alone, those between blended (Llama 3.1, 2024)."""
        assert self.original
        turns = self.original * plain / (2 * math.pi)
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return (1 - kept) * plain / self.factor + kept * plain


def turn(places: Tensor, rotary: Rotary, lengths: Tensor | None = None) -> Turn:
    """Rotations of rows at their places (rotary embedding, Su et al., 2021; sections, Wang et al., 2024).

    Args:
        places: [...], or with sections [3, ...]: time, height and width. Equal ones are the same as one number.
        rotary: the speeds.
        lengths: tokens of each row's stream, shaped like a row of `places`; needed for a scaling that grows.

    >>> turn(torch.tensor([0]), Rotary(size=4)).cos.flatten().tolist()
    [1.0, 1.0]
    >>> sections = Rotary(size=4, sections=(1, 1, 0))
    >>> [round(float(x), 2) for x in turn(torch.tensor([[0], [3], [9]]), sections).sin.flatten()]
    [0.0, 0.03]
    """
    if rotary.scaling in GROWING and lengths is not None:
        found, at = torch.unique(lengths, return_inverse=True)
        speeds = rotary.speeds(found)[at]
    else:
        speeds = rotary.speeds().to(places.device)
    if rotary.sections is None:
        angle = places[..., None].float() * speeds
    else:
        parts = speeds.split(list(rotary.sections), -1)
        angle = torch.cat([at[..., None].float() * part for at, part in zip(places, parts, strict=True)], -1)
    gain = rotary.gained
    cos, sin = angle[..., None, :].cos(), angle[..., None, :].sin()
    return Turn(cos, sin) if gain == 1.0 else Turn(cos * gain, sin * gain)


def rotate(x: Tensor, by: Turn) -> Tensor:
    """Rows [..., heads, head size] turned: the halves of a head are the two coordinates."""
    if by.whole is not None:
        cos, sin = by.whole
        return torch.addcmul(x * cos.to(x.dtype), x.roll(x.shape[-1] // 2, -1), sin.to(x.dtype))
    return choosing.rotate(x, by.cos, by.sin)


def log_n(places: Tensor, original: int) -> Tensor:
    """Factors of queries at running indexes `places` (LogN scaling, Su, 2021): log of the 1-based place to the base
    `original`, and 1 up to there, float32.

    >>> [round(float(x), 6) for x in log_n(torch.tensor([9, 2047, 4095]), 2048)]
    [1.0, 1.0, 1.090909]
    """
    return ((places + 1).double().log() / math.log(original)).clamp(min=1).float()


def temperature(places: Tensor, original: int) -> Tensor:
    """Factors of queries at running indexes `places`: m ** 2 of `m = max(1, 0.1 ln(L / original) + 1)`, float32.

    The Qwen2.5-1M report takes one L, the prompt's length, for all rows. Here L is each row's own length so far, which
    is the same for the last row and leaves what a cache holds independent of what comes later.

    >>> [round(float(x), 6) for x in temperature(torch.tensor([9, 524_287]), 262_144)]
    [1.0, 1.143434]
    """
    m = (0.1 * ((places + 1).double() / original).log() + 1).clamp(min=1)
    return m.square().float()
