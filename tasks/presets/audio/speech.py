"""The speech that ships in `samples/speech`: spoken commands, spoken words and pronunciations, as map-style sources.

The voices are synthetic (flite's), so the sounds are clean and regular: they show that a task learns, not how well
real speech would be understood. `samples/speech/README.md` says how they were made and split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....core.errors import ConfigError
from ..placements import SAMPLES, checked_split
from ..readers import read_table

RATE = 16_000


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
        split: `train` (120 sounds of three men's voices) or `valid` (40 of a woman's voice that is not in training).

    Raises:
        ConfigError: an unknown split.

    >>> rows = Words("valid")
    >>> len(rows), rows[0]["text"], sorted({row["voice"] for row in Words("train").items})
    (40, 'yes', ['awb', 'kal16', 'rms'])
    """

    name = "words"


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
