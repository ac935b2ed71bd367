"""Sounds as the audio tower of Qwen2.5-Omni reads them: log-mel features, and the time of each token of 40 ms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ...core.codec import Encoded, Reading
from ...core.opening.excerpt import Excerpt
from ...core.opening.sounds import open_sound
from ...core.settings import Value
from ...core.timespan import TimeSpan
from .audio_features import HOP, RATE, frames_of, log_mel

FRAMES_A_TOKEN = 4
TOKENS_A_SECOND = RATE // (HOP * FRAMES_A_TOKEN)
LEAST = 2 * HOP + 1
"""Samples of the shortest sound that makes a token; a shorter one is followed by silence."""
FLAT = -1.0
"""Height and width of what has none."""


def tokens_of(frames: int) -> int:
    """Tokens of so many frames: halved by a convolution, and again by a mean of pairs.

    >>> [tokens_of(frames) for frames in (50, 100, 200, 300, 3000)]
    [12, 25, 50, 75, 750]
    """
    return (frames + 1) // 2 // 2


class QwenAudioCodec:
    """Sounds to features of `bands` mel bands, 100 frames and 25 tokens a second.

    >>> codec = QwenAudioCodec(bands=16)
    >>> encoded = codec.encode((np.zeros(24_000, np.float32), 16_000), Reading())
    >>> encoded.rows, encoded.tensors["frames"].shape
    (37, (150, 16))
    """

    def __init__(
        self,
        *,
        bands: int = 128,
        max_seconds: float = 300.0,
        sampling: Literal["start", "clip"] = "start",
        silent: Literal["error", "keep"] = "keep",
        **tower: Value,
    ) -> None:
        """`tower` are the settings of the port alone."""
        self.bands = bands
        self.excerpt = Excerpt(rate=RATE, max_seconds=max_seconds, sampling=sampling, silent=silent)

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens by the sound's header.

        Raises:
            TypeError, ValueError: see `open_sound`.
        """
        length = self.excerpt.length(open_sound(raw, rate=RATE), reading)
        return tokens_of(frames_of(max(length, LEAST)))

    def lead(self, raw: Any, reading: Reading) -> TimeSpan:
        """The seconds that are read of a sound, for slots that follow it."""
        return self.excerpt.span(open_sound(raw, rate=RATE), reading)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a sound.

        Tensors: `frames` float32 [frames, bands], which a smaller type would move, and `lengths` int64 [1] of them. A
        token stands at the middle of its 40 ms, so that its time gives its number whatever the rounding.

        Raises:
            TypeError, ValueError: see `open_sound` and `Excerpt.read`.
        """
        samples = self.excerpt.read(open_sound(raw, rate=RATE), reading)
        if len(samples) < LEAST:
            samples = np.pad(samples, (0, LEAST - len(samples)))
        frames = log_mel(samples, bands=self.bands, most=self.excerpt.most)
        rows = tokens_of(len(frames))
        grid = np.full((rows, 3), FLAT, np.float32)
        grid[:, 0] = (np.arange(rows) + 0.5) / TOKENS_A_SECOND
        return Encoded(rows=rows, tensors={"frames": frames, "lengths": torch.tensor([len(frames)])}, grid=grid)

    def decode(self, predicted: Mapping[str, Tensor]) -> Any:
        """Always a TypeError: this adapter makes no sounds."""
        raise TypeError("this adapter reads sounds and makes none: on the target side use adapter=audio")
