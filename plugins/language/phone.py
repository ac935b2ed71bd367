"""The codec of PHONE: phones separated by white space, written as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from ...core.codec import Encoded, Reading
from ...core.near import nearest
from .pronouncing import CONSONANTS, VOWELS, G2p, Unknown, is_phone, pronounce
from .text import TextCodec
from .tokenizer import Tokenizer


class PhoneCodec:
    """Phones, a string or a list of strings, to tokens and back to a string without loss, with single spaces.

    With alphabet="arpabet" each phone must be one of the 39 of the CMU pronouncing dictionary, a vowel with its
    stress digit 0, 1 or 2 or without. With `g2p` a string may also be text, whose phones are looked up or guessed as
    ARPAbet; a string of ARPAbet phones and a list stay as they are.
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        alphabet: Literal["any", "arpabet"] = "any",
        stress: bool = True,
        g2p: G2p = "none",
        dictionary: str | None = None,
        unknown: Unknown = "raise",
        mask_ratio: float = 0.0,
    ) -> None:
        self.alphabet = alphabet
        self.stress = stress
        self.g2p, self.dictionary, self.unknown = g2p, dictionary, unknown
        self._text = TextCodec(tokenizer=tokenizer, mask_ratio=mask_ratio)

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens of the phones."""
        return self._text.measure(self._written(raw), reading)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read phones.

        Raises:
            TypeError: neither a string nor a list of strings.
            ValueError: no phone at all, a blank one, a phone that is not of the alphabet, or a word that the
                dictionary lacks.
            ConfigError: the dictionary or library that `g2p` asks for is not there.
        """
        return self._text.encode(self._written(raw), reading)

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> str:
        """The phones, separated by single spaces."""
        return " ".join(self._text.decode(predicted).split())

    def returned(self, raw: Any) -> str:
        """Phones of the data as they come back, with single spaces: what metrics compare with."""
        return self._written(raw)

    def _written(self, raw: Any) -> str:
        phones = self._spoken(raw) if isinstance(raw, str) else raw
        if not isinstance(phones, list | tuple) or not all(isinstance(phone, str) for phone in phones):
            raise TypeError(
                f"phones must be a string or a list of strings, but are {type(raw).__name__} {repr(raw)[:40]}"
            )
        if not phones:
            said = f"text of which nothing is spoken, {raw!r:.40}" if raw else f"an empty {type(raw).__name__}"
            raise ValueError(
                f"phones must be at least one, but are {said}; a row that has none leaves them out (None), and its "
                "slot says `optional`"
            )
        return " ".join(self._checked(phone) for phone in phones)

    def _spoken(self, text: str) -> list[str]:
        if self.g2p == "none":
            return text.split()
        return pronounce(text, g2p=self.g2p, dictionary=self.dictionary, unknown=self.unknown)

    def _checked(self, phone: str) -> str:
        if phone.split() != [phone]:
            raise ValueError(f"a phone in a list must be one word, but is {phone!r:.40}")
        plain = phone.rstrip("012")
        if is_phone(phone):
            return phone if self.stress else plain
        if self.alphabet == "any":
            return phone
        near = nearest(plain, sorted(VOWELS | CONSONANTS))
        hint = f"; did you mean `{near}`?" if near else ""
        raise ValueError(f"a phone must be one of ARPAbet, but is {phone!r}{hint}")
