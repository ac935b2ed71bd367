"""The piece of a sound that is read: its start, a random one, or what goes with a clip; at one rate of samples."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

from ..codec import Reading
from ..sound import Samples
from ..timespan import TimeSpan
from .resampling import resample, resampled_length
from .sounds import Opened, checked, not_silent

AS_IT_IS = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """How much of a sound is read, and how.

    Attributes:
        rate: samples a second of what is read.
        max_seconds: a longer sound is cut to it.
        silent: "error" refuses a piece in which nothing is heard.
        sampling: "start" reads the first piece, "clip" a random one in training and the middle one otherwise.
    """

    rate: int
    max_seconds: float
    sampling: Literal["start", "clip"] = "start"
    silent: Literal["error", "keep"] = "keep"

    @property
    def most(self) -> int:
        """The most samples that are read."""
        return round(self.max_seconds * self.rate)

    def length(self, sound: Opened, reading: Reading, speed: Fraction = AS_IT_IS) -> int:
        """The samples that `read` gives, never fewer, by the header alone; at a speed of `speed` or faster."""
        count = sound.frames
        if reading.leader is not None:
            count = ceil(reading.leader.seconds * sound.rate) + 1
        if count is None or count > self.max_seconds * float(speed) * sound.rate:
            return self.most
        return min(ceil(resampled_length(count, sound.rate, self.rate) / speed), self.most)

    def span(self, sound: Opened, reading: Reading, speed: Fraction = AS_IT_IS) -> TimeSpan:
        """What is read: the leader's span, or a piece of at most `max_seconds` after the change of speed.

        Raises:
            ValueError: the sound ends before the span of the slot that it follows.
        """
        most, total = self.max_seconds * float(speed), sound.seconds
        if reading.leader is not None:
            start, stop = reading.leader
            stop = min(stop, start + most, start + most if total is None else total)
            if stop <= start:
                raise ValueError(
                    f"the sound {sound.name} lasts {total:.2f} s, but the slot that it follows is read from "
                    f"{start:.2f} s on"
                )
            return TimeSpan(start, stop)
        if total is None or total <= most:
            return TimeSpan(0.0, most if total is None else total)
        if self.sampling == "start":
            return TimeSpan(0.0, most)
        share = reading.random("clip").random() if reading.mode == "train" else 0.5
        start = share * (total - most)
        return TimeSpan(start, start + most)

    def read(self, sound: Opened, reading: Reading, speed: Fraction = AS_IT_IS) -> Samples:
        """The samples, float32 [n] at `rate`; only the piece is decoded.

        Raises:
            ValueError: see `span`; no samples, or numbers that are no sound.
        """
        span = self.span(sound, reading, speed)
        first, count = round(span.start * sound.rate), max(1, round(span.seconds * sound.rate))
        samples = self.heard(resample(sound.blocks(first, count), sound.rate, self.rate), sound.name)
        if speed != 1:
            samples = resample(iter([samples]), speed.numerator, speed.denominator)
        return samples[: self.most]

    def heard(self, samples: Samples, name: str) -> Samples:
        """The samples, when they are a sound, and not silent where that is an error.

        Raises:
            ValueError: see `checked` and `not_silent`.
        """
        samples = checked(samples, name)
        return samples if self.silent == "keep" else not_silent(samples, name)
