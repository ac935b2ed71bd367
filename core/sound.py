"""The value of AUDIO: samples and their rate."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError
from .extras import needed

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Audio:
    """A sound: what a slot of AUDIO predicts, and one of the things that it reads.

    Attributes:
        samples: float32 [n], -1 to 1, one channel.
        rate: samples a second.

    >>> Audio(np.zeros(24_000, np.float32), 16_000)
    Audio(1.50 s, 16000 Hz)
    """

    samples: Samples
    rate: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"Audio({self.seconds:.2f} s, {self.rate} Hz)"

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Audio) and self.rate == other.rate
        return same and np.array_equal(self.samples, other.samples)  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.samples, dtype=dtype, copy=copy is not False)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a file of the format that its suffix names: wav (16 bits), flac, ogg, mp3.

        Raises:
            ConfigError: soundfile is not installed, or knows no such format.
        """
        place = Path(path)
        soundfile = needed("soundfile", "audio")
        form = place.suffix.removeprefix(".").upper()
        if form not in soundfile.available_formats():
            raise ConfigError(f"a sound must be saved as wav, flac, ogg or mp3, but {place.name!r} says otherwise")
        clipped = np.clip(self.samples, -1.0, 1.0)
        soundfile.write(os.fspath(place), clipped, self.rate, format=form)
        return place
