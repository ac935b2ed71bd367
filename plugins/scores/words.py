"""The words of a text of any script, and their n-grams."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

Gram = tuple[str, ...]
UNPARTED = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
"""How Unicode begins the names of signs of scripts that put no blanks between words."""


def words_of(text: str, joints: str = "") -> list[str]:
    """Runs of letters, marks and digits in lower case; a sign of a script without blanks is a word.

    Args:
        text: of any script.
        joints: what between two letters does not part them, as in "don't".

    >>> words_of("Naïve, café_2!"), words_of("猫が好き。"), words_of("don't - well-known", "'-")
    (['naïve', 'café', '2'], ['猫', 'が', '好', 'き'], ["don't", 'well-known'])
    """
    spaced = "".join(map(_spaced, text.lower()))
    if not joints:
        return spaced.split()
    found = ["".join(one if one in joints else _spaced(one) for one in word).split() for word in text.lower().split()]
    return [bare for word in found for part in word if (bare := part.strip(joints))]


@lru_cache(maxsize=1 << 14)
def _spaced(sign: str) -> str:
    """A sign as it is, between blanks, or a blank in its place."""
    kind = unicodedata.category(sign)[0]
    if kind not in "LMN":
        return " "
    return f" {sign} " if kind == "L" and unicodedata.name(sign, "").startswith(UNPARTED) else sign


def ngrams(words: Sequence[str], n: int) -> Counter[Gram]:
    """How often each run of n words occurs.

    >>> ngrams(["a", "b", "a", "b"], 2)
    Counter({('a', 'b'): 2, ('b', 'a'): 1})
    """
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
