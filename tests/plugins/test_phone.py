"""PHONE: phones of any notation, and text turned into ARPAbet where a slot asks for it."""

import pickle
import sys
from types import SimpleNamespace

import pytest
import torch

import omniline as ol
from omniline.core.codec import Reading
from omniline.core.errors import ConfigError, DataError
from omniline.plugins.language.phone import PhoneCodec
from omniline.plugins.language.pronouncing import CONSONANTS, VOWELS, arpabet, by_letters, pronounce, read_dictionary
from omniline.plugins.language.tokenizer import ByteTokenizer

DICTIONARY = """;;; a comment
HELLO  HH AH0 L OW1
hello(2) HH EH0 L OW1
world W ER1 L D # the usual one
it's IH1 T S
"""


@pytest.fixture
def dictionary(tmp_path) -> str:
    path = tmp_path / "small.dict"
    path.write_text(DICTIONARY, encoding="utf-8")
    return str(path)


def written(raw, **settings) -> str:
    codec = PhoneCodec(tokenizer=ByteTokenizer(), **settings)
    encoded = codec.encode(raw, Reading(side="target"))
    assert encoded.rows == codec.measure(raw, Reading(side="target"))
    return codec.decode({"tokens": torch.from_numpy(encoded.labels["tokens"][:-1])})


@pytest.mark.parametrize(
    ("raw", "settings", "phones"),
    [
        ("HH AH0  L OW1", {}, "HH AH0 L OW1"),
        (["HH", "AH0"], {}, "HH AH0"),
        ("h ə l ˈoʊ", {}, "h ə l ˈoʊ"),
        ("HH AH0 L OW1", {"stress": False}, "HH AH L OW"),
        ("HH AH0 L OW1", {"alphabet": "arpabet", "stress": False}, "HH AH L OW"),
        ("hello", {}, "hello"),
    ],
)
def test_phones_stay_as_they_are(raw, settings, phones):
    assert written(raw, **settings) == phones


@pytest.mark.parametrize(
    ("raw", "phones"),
    [
        ("Hello, world!", "HH AH0 L OW1 W ER1 L D"),
        ("“It’s” HELLO", "IH1 T S HH AH0 L OW1"),
        ("HH AH0 L OW1", "HH AH0 L OW1"),
        (["K", "AE1"], "K AE1"),
    ],
)
def test_text_by_a_dictionary(dictionary, raw, phones):
    assert written(raw, g2p="dictionary", dictionary=dictionary) == phones


@pytest.mark.parametrize(
    ("raw", "settings", "said"),
    [
        ("", {}, "phones must be at least one, but are an empty str; a row that has none .* `optional`"),
        (" ", {}, "but are text of which nothing is spoken, ' '"),
        ([], {}, "but are an empty list"),
        ("...", {"g2p": "letters"}, r"but are text of which nothing is spoken, '\.\.\.'"),
        (["HH", ""], {}, "a phone in a list must be one word, but is ''"),
        (["HH AH0"], {}, "a phone in a list must be one word, but is 'HH AH0'"),
    ],
)
def test_no_phones_are_an_error(raw, settings, said):
    with pytest.raises(ValueError, match=said):
        written(raw, **settings)


def test_words_that_the_dictionary_lacks(dictionary):
    with pytest.raises(
        ValueError, match=r"small\.dict' lacks the word 'worlds'; did you mean 'world'\? Write unknown=lett"
    ):
        written("hello worlds", g2p="dictionary", dictionary=dictionary)
    assert written("hello ship", g2p="dictionary", dictionary=dictionary, unknown="letters") == "HH AH0 L OW1 SH IH P"


def test_a_dictionary_that_is_none(tmp_path):
    with pytest.raises(ConfigError, match="g2p=dictionary needs the file"):
        pronounce("hello", g2p="dictionary")
    with pytest.raises(ConfigError, match=r"nowhere\.dict' does not exist"):
        pronounce("hello", g2p="dictionary", dictionary="nowhere.dict")
    path = tmp_path / "words.txt"
    path.write_text("hello\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"words\.txt:1: a line of a dictionary must be a word and its phones"):
        read_dictionary(str(path))


def test_text_by_gruut(monkeypatch):
    sounds = {"judge": ["d͡ʒ", "ˈʌ", "d͡ʒ"], ".": ["‖"], "the": ["ð", "ə"]}

    def sentences(text, lang):
        assert lang == "en-us"
        yield [SimpleNamespace(phonemes=sounds[word]) for word in text.split()]

    monkeypatch.setitem(sys.modules, "gruut", SimpleNamespace(sentences=sentences))
    assert written("the judge .", g2p="gruut") == "DH AH0 JH AH1 JH"
    assert written("the  judge", g2p="gruut", stress=False) == "DH AH JH AH JH"


def test_gruut_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gruut", None)
    with pytest.raises(ConfigError, match=r"needs the library `gruut`: pip install omniline\[speech\]"):
        pronounce("some words that nothing remembers", g2p="gruut")


def test_letters_are_a_guess_of_legal_phones():
    words = ("make", "time", "phone", "nation", "quick", "light", "my", "happy", "xylophone", "e", "123", "Ünder")
    for word in words:
        assert set(by_letters(word.lower())) <= VOWELS | CONSONANTS
    assert [" ".join(by_letters(word)) for word in ("make", "phone", "my", "happy")] == [
        "M EY K",
        "F OW N",
        "M AY",
        "HH AE P IY",
    ]


def test_every_arpabet_phone_has_its_ipa():
    from omniline.plugins.language import pronouncing

    sounds = (pronouncing.IPA_VOWELS + " " + pronouncing.IPA_CONSONANTS).split()[::2]
    assert {arpabet(sound).rstrip("0") for sound in sounds} == VOWELS | CONSONANTS
    with pytest.raises(ValueError, match="'ø' is no sound that ARPAbet can write"):
        arpabet("ø")


def test_errors_name_slot_and_fix(dictionary):
    line = f'[PHONE:said,g2p=dictionary,dictionary="{dictionary}"] -> [TEXT:text]'
    task = ol.Task("read", line, train=[{"said": "hello there", "text": "x"}])
    with pytest.raises(
        (DataError, ol.InstructionError), match="slot `said`: the pronouncing dictionary .* lacks the word"
    ):
        ol.Model.build(tasks=task, backbone="ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1")
    with pytest.raises(ValueError, match="a phone must be one of ARPAbet, but is 'QQ'"):
        written("HH QQ", alphabet="arpabet")


def test_the_codec_travels(dictionary):
    codec = pickle.loads(pickle.dumps(PhoneCodec(tokenizer=ByteTokenizer(), g2p="dictionary", dictionary=dictionary)))
    assert codec.measure("hello", Reading()) == len("HH AH0 L OW1")
