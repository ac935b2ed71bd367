"""The codec of PHONE: phones separated by white space, written as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import torch

from ...core.codec import Encoded, Reading
from ...core.near import nearest
from .text import TextCodec
from .tokenizer import Tokenizer

# The 39 phones of the CMU pronouncing dictionary, vowels first.
VOWELS = frozenset(re.findall(r"\w+", "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"))
CONSONANTS = frozenset(re.findall(r"\w+", "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"))


class PhoneCodec:
    """Phones, a string or a list of strings, to tokens and back to a string.

    With alphabet="arpabet" each phone must be one of the 39 of the CMU pronouncing dictionary, a vowel with its
    stress digit 0, 1 or 2 or without.
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        alphabet: Literal["any", "arpabet"] = "any",
        stress: bool = True,
        mask_ratio: float = 0.0,
    ) -> None:
        self.alphabet = alphabet
        self.stress = stress
        self._text = TextCodec(tokenizer=tokenizer, mask_ratio=mask_ratio)

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens of the phones."""
        return self._text.measure(self._written(raw), reading)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read phones.

        Raises:
            TypeError: neither a string nor a list of strings.
            ValueError: a phone that is not of the alphabet.
        """
        return self._text.encode(self._written(raw), reading)

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> str:
        """The phones, separated by single spaces."""
        return " ".join(self._text.decode(predicted).split())

    def _written(self, raw: Any) -> str:
        phones = raw.split() if isinstance(raw, str) else raw
        if not isinstance(phones, list | tuple) or not all(isinstance(phone, str) for phone in phones):
            raise TypeError(
                f"phones must be a string or a list of strings, but are {type(raw).__name__} {repr(raw)[:40]}"
            )
        return " ".join(self._checked(phone) for phone in phones)

    def _checked(self, phone: str) -> str:
        if self.alphabet == "any":
            return phone
        plain = phone.rstrip("012")
        if plain in VOWELS and len(phone) - len(plain) <= 1:
            return phone if self.stress else plain
        if phone in CONSONANTS:
            return phone
        near = nearest(plain, sorted(VOWELS | CONSONANTS))
        hint = f"; did you mean `{near}`?" if near else ""
        raise ValueError(f"a phone must be one of ARPAbet, but is {phone!r}{hint}")
