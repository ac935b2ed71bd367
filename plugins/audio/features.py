"""Samples to frames of mel energies: log-mel spectrograms and Kaldi's filter banks, block by block."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.extras import needed
from ...core.sound import Samples

FLOOR = 1e-5
"""Least mel magnitude: quieter is silence."""
CENTRE, SCALE = -4.0, 3.0
"""The fixed scale of log magnitudes: speech of usual loudness then has about mean 0.5 and deviation 0.8."""
LEAST_DEVIATION = 0.1
BLOCK = 4096
"""Frames that are transformed at once, so that the spectrum of a long sound never is in memory as a whole."""
SIXTEEN_BITS = 1 << 15

Features = Literal["log_mel", "fbank"]
Frames = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """How frames are cut and what they hold.

    Attributes:
        rate: samples a second.
        window: samples of a frame.
        hop: samples from frame to frame; frame i has its middle at sample i * hop (log_mel) or (i + 0.5) * hop (fbank).
        bands: mel bands of a frame.
        kind: "log_mel": natural logarithm of mel magnitudes, Hann window; "fbank": Kaldi's log energies.
    """

    rate: int
    window: int
    hop: int
    bands: int
    kind: Features

    def frames(self, samples: int) -> int:
        """The frames of so many samples."""
        return max(1, ceil(samples / self.hop))

    def __call__(self, samples: Samples) -> Frames:
        """Frames, float32 [frames, bands], of samples [n]."""
        count = self.frames(len(samples))
        size = self._size()
        before = size // 2 if self.kind == "log_mel" else (self.window - self.hop) // 2
        after = (count - 1) * self.hop + size - before - len(samples)
        x = torch.from_numpy(np.pad(samples[max(0, -before) :], (max(0, before), max(0, after))))
        out = np.empty((count, self.bands), np.float32)
        for first in range(0, count, BLOCK):
            last = min(first + BLOCK, count)
            part = x[first * self.hop : (last - 1) * self.hop + size]
            made = self._log_mel(part) if self.kind == "log_mel" else self._fbank(part)
            out[first:last] = made.numpy()
        return out

    def _size(self) -> int:
        return transform_size(self) if self.kind == "log_mel" else self.window

    def _log_mel(self, samples: Tensor) -> Tensor:
        filters, size = mel_filters(self), transform_size(self)
        window = torch.hann_window(self.window)
        spectrum = torch.stft(samples, size, self.hop, self.window, window, center=False, return_complex=True)
        real, imaginary = torch.view_as_real(spectrum.T).unbind(-1)
        magnitudes = torch.addcmul(real * real, imaginary, imaginary).sqrt_()  # abs() takes three times as long
        return (magnitudes @ filters).clamp_(min=FLOOR).log_()

    def _fbank(self, samples: Tensor) -> Tensor:
        """Povey et al., "The Kaldi Speech Recognition Toolkit", 2011, without dither, which would be random."""
        found: Tensor = needed("torchaudio.compliance.kaldi", "audio").fbank(
            samples[None] * SIXTEEN_BITS,
            num_mel_bins=self.bands,
            frame_length=1000 * self.window / self.rate,
            frame_shift=1000 * self.hop / self.rate,
            sample_frequency=float(self.rate),
            dither=0.0,
            energy_floor=1.0,
        )
        return found


def transform_size(spectrum: Spectrum) -> int:
    """Samples of the Fourier transform: a power of two, large enough that no mel band is empty."""
    return 2 * (len(mel_filters(spectrum)) - 1)


@lru_cache(maxsize=32)
def mel_filters(spectrum: Spectrum) -> Tensor:
    """float32 [size // 2 + 1, bands]: triangles on the mel scale from 0 Hz to half of the rate (HTK's formula).

    Raises:
        ValueError: so many bands that some would be empty.
    """
    make = needed("torchaudio.functional", "audio").melscale_fbanks
    least = 1 << max(1, (spectrum.window - 1).bit_length())
    for size in (least, 2 * least, 4 * least, 8 * least):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            filters: Tensor = make(size // 2 + 1, 0.0, spectrum.rate / 2, spectrum.bands, spectrum.rate)
        if bool(filters.amax(0).gt(0).all()):
            return filters
    raise ValueError(
        f"{spectrum.bands} bands are too many for frames of {spectrum.window} samples at {spectrum.rate} Hz: write "
        "fewer `bands` or a longer `window`"
    )


def scaled(frames: Frames) -> Frames:
    """Log magnitudes on the fixed scale."""
    return (frames - np.float32(CENTRE)) / np.float32(SCALE)


def unscaled(frames: Tensor) -> Tensor:
    """Log magnitudes of what `scaled` gave."""
    return frames * SCALE + CENTRE


def standardised(frames: Frames) -> Frames:
    """Each band of an utterance with mean 0 and deviation 1; a constant band, as of silence, is 0."""
    deviation = np.maximum(frames.std(0), np.float32(LEAST_DEVIATION))
    scaled: Frames = (frames - frames.mean(0)) / deviation
    return scaled


def hidden(frames: Frames, random: np.random.Generator) -> Frames:
    """The frames with two runs of bands and two of times replaced by the mean.

    Park et al., "SpecAugment", 2019, without time warping; runs take at most a third of the bands and a fifth of the
    times, at most 100 frames.
    """
    out, mean = frames.copy(), frames.mean()
    times, bands = frames.shape
    for _ in range(2):
        at, run = _run(bands, bands // 3, random)
        out[:, at : at + run] = mean
        at, run = _run(times, min(100, times // 5), random)
        out[at : at + run] = mean
    return out


def _run(length: int, most: int, random: np.random.Generator) -> tuple[int, int]:
    run = int(random.integers(0, most + 1))
    return int(random.integers(0, length - run + 1)), run
