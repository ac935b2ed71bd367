"""The sample data by name: what the demo's tasks, the tour and the journeys train on.

>>> digit_rows(split="valid")[0]["digit"]
'0'
"""

from __future__ import annotations

from .placements import EmojiPlacements
from .readers import Digits, English

PER_EMOJI = {"train": 100, "valid": 5}


def emoji_rows(
    *, split: str, per_emoji: int | None = None, size: int = 64, seed: int = 0, emoji: int = 200
) -> EmojiPlacements:
    """Pictures of emoji with their names; `per_emoji` is 100 in training and 5 in validation.

    Raises:
        ConfigError: an unknown split or a size that is too small.

    >>> len(emoji_rows(split="valid")), sorted(emoji_rows(split="valid")[0])
    (1000, ['img', 'name'])
    """
    count = PER_EMOJI.get(split, 1) if per_emoji is None else per_emoji
    return EmojiPlacements(split, count, size=size, seed=seed, emoji=emoji)


def digit_rows(*, split: str, size: int = 32) -> Digits:
    """Scans of handwritten digits with what they show: columns `img` and `digit`.

    Raises:
        ConfigError: an unknown split or a size that is too small.

    >>> len(digit_rows(split="train"))
    1438
    """
    return Digits(split, size=size)


def english_rows(*, split: str) -> English:
    """Definitions of English nouns: columns `text`, `word` and `group`.

    Raises:
        ConfigError: an unknown split.

    >>> len(english_rows(split="train"))
    15227
    """
    return English(split)
