"""Mel-cepstral distortion: how far two sounds are apart, whatever their tempo."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.opening.resampling import resample
from ...core.opening.sounds import checked, open_sound
from ...core.sound import Samples
from .features import Spectrum

RATE = 16_000
SPECTRUM = Spectrum(rate=RATE, window=400, hop=160, bands=80, kind="log_mel")
COEFFICIENTS = 13
DECIBEL = 10 / np.log(10) * np.sqrt(2)


class MelCepstralDistortion:
    """The mean distance of aligned frames in decibels; 0 is the same sound.

    Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", 1993: per pair of frames
    10 / ln 10 * sqrt(2 * sum over d of (c_d - c'_d)^2) with the cepstral coefficients 1 to 13, which leave loudness
    out. Frames are paired by dynamic time warping, and the mean is over its path. Here c_d is 2 / bands times the sum
    of 80 log-mel magnitudes (every 10 ms, at 16 kHz) with cos(pi d (band + 0.5) / bands), so that the distance is
    that of smoothed spectra in decibels. Papers take other cepstra: values compare with each other rather than there.
    """

    def __init__(self) -> None:
        self.distances: list[float] = []

    def update(self, predicted: Sequence[Any], truth: Sequence[Any]) -> None:
        """Add rows: a sound each, of any kind that AUDIO reads; a missing or empty prediction is silence.

        Raises:
            ValueError: lists of different lengths, or a truth that is no sound.
        """
        if len(predicted) != len(truth):
            raise ValueError(f"`mcd` must get one truth for each prediction, but got {len(truth)} for {len(predicted)}")
        for made, true in zip(predicted, truth, strict=True):
            heard = np.zeros(1, np.float32) if made is None or not len(made) else _heard(made)
            self.distances.append(distortion(heard, _heard(true)))

    def compute(self) -> float:
        """The mean over rows.

        >>> metric = MelCepstralDistortion()
        >>> tone = np.sin(np.arange(8000) / 10)
        >>> metric.update([(tone, 16_000)], [(tone / 2, 16_000)])
        >>> metric.compute() < 0.5
        True
        """
        if not self.distances:
            raise ValueError("`mcd` must be updated before it is computed, but has seen no rows")
        return float(np.mean(self.distances))


def distortion(made: Samples, true: Samples) -> float:
    """The distortion in decibels of samples at 16 kHz."""
    a, b = (SPECTRUM(samples).astype(np.float64) @ cosines(SPECTRUM.bands) for samples in (made, true))
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return float(DECIBEL) * warped_mean(np.sqrt(np.maximum(squares, 0)))


def _heard(raw: Any) -> Samples:
    sound = open_sound(raw, rate=RATE)
    count = sound.frames if sound.frames is not None else 3600 * sound.rate
    return resample(iter([checked(np.concatenate(list(sound.blocks(0, count))), sound.name)]), sound.rate, RATE)


@lru_cache(maxsize=4)
def cosines(bands: int) -> NDArray[np.float32]:
    """float32 [bands, COEFFICIENTS]: the cosine transform (DCT-II) without its mean, as amplitudes of the cosines."""
    order, band = np.arange(1, COEFFICIENTS + 1), np.arange(bands)[:, None]
    table = 2 / bands * np.cos(np.pi * order * (band + 0.5) / bands)
    return table.astype(np.float32)


def warped_mean(costs: NDArray[np.floating[Any]]) -> float:
    """The mean of costs [n, m] along the cheapest path from the first pair to the last, by steps right, down or both.

    Sakoe and Chiba, "Dynamic programming algorithm optimization for spoken word recognition", 1978; diagonals are
    filled at once.

    >>> warped_mean(np.array([[0.0, 9.0], [0.0, 9.0], [9.0, 3.0]]))
    1.0
    """
    n, m = costs.shape
    sums = np.full((n + 1, m + 1), np.inf)
    sums[0, 0] = 0
    for diagonal in range(n + m - 1):
        i = np.arange(max(0, diagonal - m + 1), min(n, diagonal + 1))
        j = diagonal - i
        before = np.minimum(np.minimum(sums[i, j + 1], sums[i + 1, j]), sums[i, j])
        sums[i + 1, j + 1] = costs[i, j] + before
    return float(sums[n, m]) / _steps(sums)


def _steps(sums: NDArray[np.floating[Any]]) -> int:
    """The pairs of the cheapest path, walked from its end."""
    i, j = sums.shape[0] - 1, sums.shape[1] - 1
    count = 1
    while (i, j) != (1, 1):
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda place: sums[place])
        count += 1
    return count
