"""Mel frames back to samples: the magnitudes by a pseudo-inverse, the phases by Griffin and Lim's iteration."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ...core.extras import needed
from ...core.sound import Samples
from .features import Spectrum, mel_filters, transform_size

MOMENTUM = 0.99


def griffin_lim(mel: Tensor, spectrum: Spectrum, *, rounds: int) -> Samples:
    """Samples of a log-mel spectrogram.

    Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984, with the momentum of
    Perraudin et al., 2013. Phases start at zero, so that the same frames always sound the same.

    Args:
        mel: natural logarithm of mel magnitudes, [frames, bands].
        spectrum: how the frames were cut.
        rounds: iterations.

    Returns:
        float32 [frames * hop], -1 to 1.
    """
    count = len(mel)
    if not count:
        return np.zeros(0, np.float32)
    size = transform_size(spectrum)
    magnitudes = (mel.detach().cpu().float().exp() @ _inverse(spectrum)).clamp(min=0).T
    least = size // spectrum.hop + 2
    magnitudes = torch.nn.functional.pad(magnitudes, (0, max(least - count, 0) + 1))
    with torch.inference_mode():
        samples = needed("torchaudio.functional", "audio").griffinlim(
            magnitudes,
            window=torch.hann_window(spectrum.window),
            n_fft=size,
            hop_length=spectrum.hop,
            win_length=spectrum.window,
            power=1.0,
            n_iter=rounds,
            momentum=MOMENTUM,
            length=None,
            rand_init=False,
        )
    made = samples[: count * spectrum.hop].clamp(-1, 1).numpy()
    return np.asarray(made, np.float32).copy()


@lru_cache(maxsize=8)
def _inverse(spectrum: Spectrum) -> Tensor:
    """[bands, size // 2 + 1]"""
    inverse: Tensor = torch.linalg.pinv(mel_filters(spectrum))
    return inverse
