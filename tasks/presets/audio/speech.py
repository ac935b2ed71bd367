"""The speech that ships in `samples/speech`: spoken commands, spoken words and pronunciations, as map-style sources.

The voices are synthetic (flite's), so the sounds are clean and regular: they show that a task learns, not how well
real speech would be understood. `samples/speech/README.md` says how they were made and split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....core.errors import ConfigError
from ..placements import SAMPLES, checked_split
from ..readers import read_table

RATE = 16_000
SPEEDS, HELD_SPEED = 4, 2
"""Speeds of each word, row by row, and the one that is held out."""


class _Spoken:
    """Rows of one Opus file: `{"wav": {"array", "sampling_rate"}, "text", "phones", "voice"}`."""

    name = ""

    def __init__(self, split: str) -> None:
        self.split = checked_split(split)
        self.items = [row for row in read_table(f"speech/{self.name}.tsv", "\t") if row["split"] == split]

    def __len__(self) -> int:
        return len(self.items)

    def __getstate__(self) -> dict[str, Any]:
        """Without the decoded samples, which each process reads for itself."""
        return {name: value for name, value in self.__dict__.items() if name != "samples"}

    @cached_property
    def samples(self) -> NDArray[np.float32]:
        """All samples of the file, at 16 kHz.

        Raises:
            ConfigError: soundfile is not installed.
        """
        try:
            import soundfile
        except ImportError as cause:
            raise ConfigError("spoken rows need the library `soundfile`: pip install omniline[audio]") from cause
        samples: NDArray[np.float32] = soundfile.read(SAMPLES / "speech" / f"{self.name}.opus", dtype="float32")[0]
        return samples

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column in order; texts without reading a sound."""
        for index, item in enumerate(self.items):
            yield item[name] if name != "wav" else self[index][name]

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.items[index]
        array = self.samples[int(item["start"]) : int(item["stop"])]
        wav = {"array": array, "sampling_rate": RATE}
        return {"wav": wav, "text": item["text"], "phones": item["phones"], "voice": item["voice"]}


class Commands(_Spoken):
    """Spoken commands of one voice, such as "find seven blue cups": 26 words in 1,728 sentences, of which 288 are said.

    Args:
        split: `train` (240 sentences) or `valid` (48 other sentences of the same words and voice).

    Raises:
        ConfigError: an unknown split.

    >>> rows = Commands("valid")
    >>> len(rows), rows[0]["text"], len(rows[0]["wav"]["array"])
    (48, 'count three yellow doors', 23438)
    """

    name = "commands"


class Words(_Spoken):
    """Ten words (yes, no, up, down, left, right, on, off, stop, go), each said at four speeds by four voices.

    Args:
        split: `train` or `valid`.
        held: what `valid` holds that training lacks: `voice`, the woman's (40 sounds beside 120 of three men), or
            `speed`, the third of the four.
        voices: these voices alone, of awb, kal16, rms and slt.

    Raises:
        ConfigError: an unknown split or voice, or another word for `held`.

    >>> rows = Words("valid")
    >>> len(rows), rows[0]["text"], sorted({row["voice"] for row in Words("train").items})
    (40, 'yes', ['awb', 'kal16', 'rms'])
    >>> len(Words("train", held="speed", voices=["slt"])), len(Words("valid", held="speed", voices=["slt"]))
    (30, 10)
    """

    name = "words"

    def __init__(self, split: str, *, held: str = "voice", voices: Sequence[str] | None = None) -> None:
        super().__init__(split)
        rows = read_table("speech/words.tsv", "\t")
        known = sorted({row["voice"] for row in rows})
        if held not in ("voice", "speed"):
            raise ConfigError(f"`held` must be voice or speed, but is {held!r}")
        if unknown := [voice for voice in voices or () if voice not in known]:
            raise ConfigError(f"the voices of words are {', '.join(known)}, but one is {unknown[0]!r}")
        if held == "speed":
            slow = [number % SPEEDS == HELD_SPEED for number in range(len(rows))]
            self.items = [row for row, one in zip(rows, slow, strict=True) if one == (split == "valid")]
        if voices is not None:
            self.items = [row for row in self.items if row["voice"] in voices]


class Pronunciations:
    """English words of 3 to 9 letters with their phones: rows `{"word": "apple", "phones": "AE P AH L"}`.

    Args:
        split: `train` (about 3,600 words) or `valid` (about 400 other words).

    Raises:
        ConfigError: an unknown split.

    >>> Pronunciations("train")[0]
    {'word': 'ablation', 'phones': 'AH B L EY SH AH N'}
    """

    def __init__(self, split: str) -> None:
        self.split = checked_split(split)
        self.items = [row for row in read_table("speech/pronunciations.tsv", "\t") if row["split"] == split]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, str]:
        return {name: self.items[index][name] for name in ("word", "phones")}
