"""Text to ARPAbet phones: by a pronouncing dictionary, by the library gruut, or by a few letter rules.

Nothing of this acts unless a slot asks for it by `g2p=`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from ...core.errors import ConfigError
from ...core.near import nearest

G2p = Literal["none", "dictionary", "gruut", "letters"]
Unknown = Literal["raise", "letters"]

# The 39 phones of the CMU pronouncing dictionary, vowels first.
VOWELS = frozenset(re.findall(r"\w+", "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"))
CONSONANTS = frozenset(re.findall(r"\w+", "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"))

IPA_VOWELS = "ɑ AA æ AE ʌ AH ə AH ɔ AO aʊ AW aɪ AY ɛ EH ɚ ER ɝ ER eɪ EY ɪ IH i IY oʊ OW ɔɪ OY ʊ UH u UW"
IPA_CONSONANTS = (
    "b B t͡ʃ CH d D ð DH f F ɡ G g G h HH d͡ʒ JH k K l L m M n N ŋ NG p P ɹ R s S ʃ SH t T θ TH v V w W j Y z Z ʒ ZH"
)
STRESSES = {"ˈ": "1", "ˌ": "2"}
PAUSES = frozenset("|‖")

RULES = """tion SH-AH-N; sion ZH-AH-N; ture CH-ER; ight AY-T; ough AO; augh AO; tch CH; dge JH; sch S-K; ch CH; sh SH;
    th TH; ph F; wh W; qu K-W; ck K; ng NG; kn N; wr R; gh G; ss S; ll L; tt T; pp P; bb B; dd D; ff F; gg G; mm M;
    nn N; rr R; zz Z; cc K; ce S-EH; ci S-IH; cy S-IY; ge JH-EH; ee IY; ea IY; oo UW; ou AW; ow OW; oi OY; oy OY; ai EY;
    ay EY; au AO; aw AO; ew UW; ie IY; oa OW; ue UW; ar AA-R; er ER; ir ER; or AO-R; ur ER; a AE; b B; c K; d D; e EH;
    f F; g G; h HH; i IH; j JH; k K; l L; m M; n N; o AA; p P; q K; r R; s S; t T; u AH; v V; w W; x K-S; y Y; z Z"""
LONG = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW"}


def pronounce(text: str, *, g2p: G2p, dictionary: str | None = None, unknown: Unknown = "raise") -> list[str]:
    """The phones of a text; vowels with stress digits where the source knows stress.

    Args:
        text: English text, or phones already, which stay as they are.
        g2p: "dictionary", "gruut" or "letters".
        dictionary: a file in the format of the CMU pronouncing dictionary.
        unknown: what becomes of a word that the dictionary lacks.

    Raises:
        ConfigError: the library or the dictionary is not there.
        ValueError: the dictionary lacks a word.

    >>> pronounce("the ship", g2p="letters"), pronounce("DH AH0 SH IH1 P", g2p="letters")
    (['TH', 'EH', 'SH', 'IH', 'P'], ['DH', 'AH0', 'SH', 'IH1', 'P'])
    """
    words = text.split()
    if all(is_phone(word) for word in words):
        return words
    if g2p == "gruut":
        return list(by_gruut(text))
    spoken = [word for word in (_bare(word) for word in text.split()) if word]
    if g2p == "letters":
        return [phone for word in spoken for phone in by_letters(word)]
    if dictionary is None:
        raise ConfigError("g2p=dictionary needs the file of one in CMU's format: write dictionary=PATH")
    known = read_dictionary(dictionary)
    return [phone for word in spoken for phone in _looked_up(word, known, dictionary, unknown)]


def is_phone(text: str) -> bool:
    """Whether a word is one of ARPAbet's 39 phones, a vowel with its stress or without.

    >>> is_phone("AH0"), is_phone("T"), is_phone("T1"), is_phone("a")
    (True, True, False, False)
    """
    return text in CONSONANTS or text in VOWELS or (text[:-1] in VOWELS and text[-1] in "012")


def _bare(word: str) -> str:
    return "".join(mark for mark in word.lower().replace("’", "'") if mark.isalnum() or mark == "'").strip("'")


def _looked_up(word: str, known: Mapping[str, tuple[str, ...]], file: str, unknown: Unknown) -> tuple[str, ...]:
    found = known.get(word)
    if found is not None:
        return found
    if unknown == "letters":
        return by_letters(word)
    near = nearest(word, known)
    hint = f"; did you mean {near!r}?" if near else ""
    raise ValueError(
        f"the pronouncing dictionary {file!r} lacks the word {word!r}{hint or '.'} Write unknown=letters to guess, or "
        "g2p=gruut"
    )


@lru_cache(maxsize=2)
def read_dictionary(path: str) -> Mapping[str, tuple[str, ...]]:
    """The first pronunciation of each word, lower-case, of a file with lines such as `HELLO  HH AH0 L OW1`.

    Raises:
        ConfigError: there is no such file, or a line is none of a dictionary.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"the pronouncing dictionary {path!r} does not exist")
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        parts = line.partition("#")[0].split()
        if not parts or line.startswith(";;;"):
            continue
        if not all(is_phone(phone) for phone in parts[1:]) or len(parts) < 2:
            raise ConfigError(
                f"{path}:{number}: a line of a dictionary must be a word and its phones, but is {line!r:.60}"
            )
        found.setdefault(parts[0].lower(), tuple(parts[1:]))
    return found


@lru_cache(maxsize=1 << 14)
def by_gruut(text: str) -> tuple[str, ...]:
    """Phones by gruut (https://github.com/rhasspy/gruut, MIT), which knows words, numbers and abbreviations.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        gruut = importlib.import_module("gruut")
    except ImportError as cause:
        raise ConfigError("g2p=gruut needs the library `gruut`: pip install omniline[speech]") from cause
    words = [word for sentence in gruut.sentences(text, lang="en-us") for word in sentence]
    return tuple(arpabet(phone) for word in words for phone in word.phonemes or () if phone not in PAUSES)


def arpabet(phone: str) -> str:
    """The ARPAbet phone of one in IPA, with its stress.

    Raises:
        ValueError: it is not among the sounds of English.

    >>> arpabet("ˈoʊ"), arpabet("ə"), arpabet("θ")
    ('OW1', 'AH0', 'TH')
    """
    bare, stress = phone.lstrip("ˈˌ"), STRESSES.get(phone[:1], "0")
    vowels, consonants = (IPA_VOWELS.split(), IPA_CONSONANTS.split())
    if bare in vowels[::2]:
        return vowels[vowels.index(bare) + 1] + stress
    if bare in consonants[::2]:
        return consonants[consonants.index(bare) + 1]
    raise ValueError(f"{phone!r} is no sound that ARPAbet can write")


def by_letters(word: str) -> tuple[str, ...]:
    """A rough guess by letters alone, without stress; digits and other signs are silent.

    Of English dictionary words about a fifth of the phones come out wrong: for words that nothing else knows.

    >>> by_letters("make"), by_letters("nation")
    (('M', 'EY', 'K'), ('N', 'AE', 'SH', 'AH', 'N'))
    """
    rules = _rules()
    silent = re.fullmatch(r".*[aeiou][bcdfgklmnprstvz]e", word) is not None
    rest, out = word[: len(word) - silent], list[str]()
    while rest:
        if silent and len(rest) == 2:
            piece = rest[:1]
            phones: tuple[str, ...] = (LONG[rest[0]],)
        else:
            piece = next((rest[:size] for size in (4, 3, 2, 1) if rest[:size] in rules), rest[:1])
            phones = rules.get(piece, ())
        out += phones
        rest = rest[len(piece) :]
    if word.endswith("y") and len(word) > 1 and out and out[-1] == "Y":
        out[-1] = "IY" if len(word) > 3 else "AY"
    return tuple(out)


@lru_cache(maxsize=1)
def _rules() -> Mapping[str, tuple[str, ...]]:
    pairs = (rule.split() for rule in RULES.split(";"))
    return {letters: tuple(phones.split("-")) for letters, phones in pairs}
