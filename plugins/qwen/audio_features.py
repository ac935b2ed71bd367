"""Samples to log-mel features as Whisper's large-v3 and the towers that start from it read them.

16,000 samples a second, a frame every 10 ms from 25 ms of sound, `bands` mel bands; see Radford et al., "Robust Speech
Recognition via Large-Scale Weak Supervision", 2022. The filters are computed in float64: torchaudio's, in float32, move
quiet bands by up to 2e-5.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.sound import Samples

RATE = 16_000
WINDOW, HOP = 400, 160
REACH = WINDOW // 2
"""Samples that a frame sees on both sides of its middle."""
TOP = 8_000.0
"""Hertz of the highest band."""
FLOOR, RANGE = 1e-10, 8.0
"""Least energy, and how far below the loudest energy a logarithm to the base 10 may lie."""
BLOCK = 4096
"""Frames that are transformed at once."""
LINEAR, BREAK, STEP = 200 / 3, 1_000.0, np.log(6.4) / 27
"""Slaney's scale: hertz of a mel up to the break, and logarithms of hertz of a mel above it."""


def log_mel(samples: Samples, *, bands: int, most: int) -> NDArray[np.float32]:
    """Features, float32 [frames, bands], of samples float32 [n]: a frame for every 160 samples that begin.

    Behind the samples is silence up to `most`, the length that a feature extractor fills sounds up to; the logarithms
    are cut at 8 below the loudest and scaled to about -1.5 to 1.5.

    >>> log_mel(np.zeros(16_000, np.float32), bands=128, most=480_000)[0, :2].tolist()
    [-1.5, -1.5]
    """
    padded = min(max(most, len(samples)), len(samples) + 2 * WINDOW)
    whole = np.pad(samples, (0, padded - len(samples)))
    x = torch.from_numpy(np.pad(whole, REACH, mode="reflect"))
    filters = mel_filters(bands).T.contiguous()
    window = torch.hann_window(WINDOW)
    count = padded // HOP
    parts = [_energies(x, first, min(first + BLOCK, count), window, filters) for first in range(0, count, BLOCK)]
    logs = torch.cat(parts, 1).clamp(min=FLOOR).log10()
    scaled = (torch.maximum(logs, logs.max() - RANGE) + 4.0) / 4.0
    return np.ascontiguousarray(scaled[:, : frames_of(len(samples))].numpy().T)


def frames_of(samples: int) -> int:
    """The frames of so many samples."""
    return -(-samples // HOP)


def _energies(x: Tensor, first: int, last: int, window: Tensor, filters: Tensor) -> Tensor:
    """Mel energies [bands, last - first] of frames."""
    part = x[first * HOP : (last - 1) * HOP + WINDOW]
    spectrum = torch.stft(part, WINDOW, HOP, window=window, center=False, return_complex=True)
    return filters @ (spectrum.abs() ** 2)


@lru_cache(maxsize=8)
def mel_filters(bands: int) -> Tensor:
    """float32 [201, bands]: triangles of equal area on Slaney's mel scale, from 0 to 8,000 Hz."""
    edges = _hertz(np.linspace(0.0, BREAK / LINEAR + np.log(TOP / BREAK) / STEP, bands + 2))
    bins = np.linspace(0.0, RATE / 2, WINDOW // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    area = 2.0 / (edges[2:] - edges[:-2])
    return torch.from_numpy((np.maximum(0.0, np.minimum(rising, falling)) * area).astype(np.float32))


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    knee = BREAK / LINEAR
    return np.where(mels < knee, mels * LINEAR, BREAK * np.exp(STEP * (mels - knee)))
