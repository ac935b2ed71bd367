"""The codec of AUDIO: sounds to frames of mel energies, and predicted frames to sounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.codec import Encoded, Reading
from ...core.opening.excerpt import Excerpt
from ...core.opening.resampling import resample, resampled_length
from ...core.opening.sounds import Opened, open_sound
from ...core.settings import Value
from ...core.sound import Audio, Samples
from ...core.timespan import TimeSpan
from .features import Features, Frames, Spectrum, hidden, scaled, standardised, unscaled
from .vocoder import griffin_lim

ROUNDS = 32
"""Of Griffin-Lim. Speech then comes back within 0.1 of each log magnitude (natural logarithm), 0.9 dB, on average."""
FINEST = 100
"""Speeds are fractions of at most this denominator."""


class AudioCodec:
    """Sounds to mel frames and back.

    On the source side a sound longer than `max_seconds` is cut: `sampling="start"` reads its first piece,
    `sampling="clip"` a random one in training and the middle one otherwise, and only the piece is decoded. On the
    target side a longer sound is an error, since a cut one would teach to stop too early.

    What is decoded is made by `vocode`, which a subclass may override with a neural vocoder.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16_000,
        max_seconds: float = 30.0,
        sampling: Literal["start", "clip"] = "start",
        features: Features = "log_mel",
        bands: int = 80,
        window: float = 0.025,
        hop: float = 0.01,
        n_frames_per_step: int = 4,
        use_mask: bool = False,
        speeds: tuple[str, ...] = ("1.0",),
        normalise: Literal["none", "fixed", "utterance"] = "utterance",
        silent: Literal["error", "keep"] = "error",
        **shape: Value,
    ) -> None:
        """`shape` are the settings of the port alone.

        Raises:
            ValueError: a speed is no number in 0.1..10, or a frame has too few samples.
        """
        self.rate, self.max_seconds = sample_rate, max_seconds
        self.excerpt = Excerpt(rate=sample_rate, max_seconds=max_seconds, sampling=sampling, silent=silent)
        self.step, self.use_mask, self.normalise = n_frames_per_step, use_mask, normalise
        self.speeds = tuple(_speed(text) for text in speeds)
        self.spectrum = Spectrum(
            rate=sample_rate,
            window=_at_least(round(window * sample_rate), "window"),
            hop=max(1, round(hop * sample_rate)),
            bands=bands,
            kind=features,
        )

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens by the sound's header; in training at the slowest speed.

        Raises:
            TypeError, ValueError: see `open_sound`.
        """
        sound = open_sound(raw, rate=self.rate)
        if reading.side == "target":
            return self._rows(self._whole(sound))
        slowest = min(self.speeds) if reading.mode == "train" else Fraction(1)
        return self._rows(self.excerpt.length(sound, reading, slowest))

    def lead(self, raw: Any, reading: Reading) -> TimeSpan:
        """The seconds that are read of a sound, for slots that follow it."""
        return self.excerpt.span(open_sound(raw, rate=self.rate), reading, self._speed(reading))

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a sound.

        Tensors: `frames` float16 [frames, bands], `lengths` int64 [1] of them, `written` int64 [1], 1 on the target
        side, where frames fill whole tokens. Labels: `values` float32 [rows, n_frames_per_step, bands], log magnitudes
        on a fixed scale, and `stop` float32 [rows], 1 for the last.

        Raises:
            TypeError, ValueError: see `open_sound`; on the target side a sound longer than `max_seconds` or than
                `max_length` tokens.
        """
        sound = open_sound(raw, rate=self.rate)
        if reading.side == "target":
            return self._written(sound, reading)
        frames = self._normalised(self.spectrum(self.excerpt.read(sound, reading, self._speed(reading))))
        if self.use_mask and reading.mode == "train":
            frames = hidden(frames, reading.random("mask"))
        rows = ceil(len(frames) / self.step)
        grid = np.zeros((rows, 3), np.float32)
        grid[:, 0] = np.arange(rows) * (self.step * self.spectrum.hop / self.rate)
        return Encoded(rows=rows, tensors=_tensors(frames, written=False), grid=grid)

    def decode(self, predicted: Mapping[str, Tensor]) -> Audio:
        """The sound of `values` [rows, n_frames_per_step, bands]."""
        values = predicted["values"]
        return Audio(self.vocode(unscaled(values.reshape(-1, self.spectrum.bands).float())), self.rate)

    def vocode(self, mel: Tensor) -> Samples:
        """Samples, float32 [n] at `self.rate`, of log-mel frames [frames, bands]; by default Griffin-Lim's.

        Override it for a neural vocoder: frames are natural logarithms of mel magnitudes as `self.spectrum` says.
        """
        return griffin_lim(mel, self.spectrum, rounds=ROUNDS)

    def returned(self, raw: Any) -> Audio:
        """A sound of the data as it comes back: what is read of it, at the slot's rate."""
        heard = replace(self.excerpt, silent="keep")
        return Audio(heard.read(open_sound(raw, rate=self.rate), Reading(mode="predict")), self.rate)

    def save(self, value: Audio, stem: Path) -> Path:
        """Write a sound as `stem`.wav."""
        return value.save(stem.with_name(stem.name + ".wav"))

    def _rows(self, samples: int) -> int:
        return ceil(self.spectrum.frames(samples) / self.step)

    def _speed(self, reading: Reading) -> Fraction:
        if reading.mode != "train" or len(self.speeds) == 1:
            return self.speeds[0] if reading.mode == "train" else Fraction(1)
        return self.speeds[int(reading.random("speed").integers(len(self.speeds)))]

    def _normalised(self, frames: Frames) -> Frames:
        if self.normalise == "utterance":
            return standardised(frames)
        return scaled(frames) if self.normalise == "fixed" else frames

    def _whole(self, sound: Opened) -> int:
        """Samples of a sound that is to be made."""
        if self.spectrum.kind != "log_mel":
            raise ValueError("a sound is made of frames that can be turned back: write features=log_mel")
        seconds = sound.seconds
        if seconds is not None and seconds > self.max_seconds:
            raise ValueError(
                f"a sound that is to be made must last at most {self.max_seconds:g} s, but the sound {sound.name} "
                f"lasts {seconds:.2f} s: raise `max_seconds`"
            )
        return self.excerpt.most if sound.frames is None else resampled_length(sound.frames, sound.rate, self.rate)

    def _written(self, sound: Opened, reading: Reading) -> Encoded:
        most = self._whole(sound)
        count = sound.frames if sound.frames is not None else ceil(self.max_seconds * sound.rate)
        samples = self.excerpt.heard(resample(sound.blocks(0, count), sound.rate, self.rate), sound.name)[:most]
        frames = scaled(self.spectrum(samples))
        rows = ceil(len(frames) / self.step)
        if reading.limit is not None and rows > reading.limit:
            raise ValueError(
                f"the sound {sound.name} takes {rows} tokens, but `max_length` is {reading.limit}: raise it, or raise "
                "`n_frames_per_step`"
            )
        silence = np.full((rows * self.step - len(frames), frames.shape[1]), frames.min(), np.float32)
        frames = np.concatenate([frames, silence])
        stop = np.zeros(rows, np.float32)
        stop[-1] = 1
        values = frames.reshape(rows, self.step, -1)
        return Encoded(rows=rows, tensors=_tensors(frames, written=True), labels={"values": values, "stop": stop})


def _tensors(frames: Frames, *, written: bool) -> dict[str, NDArray[Any]]:
    return {
        "frames": frames.astype(np.float16),
        "lengths": np.array([len(frames)]),
        "written": np.array([int(written)]),
    }


def _speed(text: str) -> Fraction:
    try:
        speed = Fraction(text).limit_denominator(FINEST)
    except (ValueError, ZeroDivisionError):
        speed = Fraction(0)
    if not Fraction(1, 10) <= speed <= 10:
        raise ValueError(f"`speeds` must be numbers in 0.1..10, as speeds=0.9|1.0|1.1, but one is {text!r}")
    return speed


def _at_least(window: int, name: str) -> int:
    if window < 2:
        raise ValueError(f"`{name}` must span at least 2 samples, but spans {window}: raise it or `sample_rate`")
    return window
