"""STRUCT and PHONE: structured values and phones through the text port."""

import pickle
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from omniline.core.codec import Reading
from omniline.plugins.language.phone import PhoneCodec
from omniline.plugins.language.plugin import Chat, Phone, Struct, Text
from omniline.plugins.language.struct import StructCodec
from omniline.plugins.language.tables import read_rows, written
from omniline.plugins.language.tokenizer import ByteTokenizer

BYTES = ByteTokenizer()
CELL = st.text(st.sampled_from(list("ab |:\\,1é")), max_size=6).map(str.strip)


def predicted(text):
    return {"tokens": torch.tensor(BYTES.encode(text), dtype=torch.long)}


class PandasLike:
    """The methods of a pandas frame that are asked for."""

    columns = ["name", "age"]

    def itertuples(self, index, name):
        assert index is False
        assert name is None
        return iter([("Ann", 31), ("Bo", float("nan"))])


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ([["name", "age"], ["Ann", 31]], "name : age | Ann : 31"),
        ([{"name": "Ann", "age": 31}, {"age": 4, "name": "Bo"}], "name : age | Ann : 31 | Bo : 4"),
        ({"table_name": "pets", "table_head": ["a"], "table_content": [["x"]]}, "pets | a | x"),
        (
            {"db_id": "shop", "tables": {"item": ["id", "price"], "sale": ["day"]}},
            "shop | item : id , price | sale : day",
        ),
        ({"born": 1903, "roles": ["actor", "poet"]}, "born : 1903 | roles : actor , poet"),
        ([("Ann", "knows", "Bo")], "Ann : knows : Bo"),
        (PandasLike(), "name : age | Ann : 31 | Bo : "),
        (SimpleNamespace(columns=["a"], iter_rows=lambda: iter([(1,), (None,)])), "a | 1 | "),
        (torch.tensor([[5, 3], [0, 7]]), "5 : 3 | 0 : 7"),
        ("already text", "already text"),
        ([], ""),
    ],
)
def test_structured_values_as_text(raw, text):
    assert written(raw) == text


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=4)
    )
)
def test_a_table_survives_its_text(table):
    assert read_rows(written(table)) == table


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        ([["a", "b"], ["c"]], ValueError, "row 0 has 2 cells and row 1 1"),
        ([{"a": 1}, {"b": 1}], ValueError, "row 1 differs in: a, b"),
        ([{"a": 1}, [2]], TypeError, "must hold nothing else, but row 1 is list"),
        ([1, 2], TypeError, "row 0 is int 1"),
        (5, TypeError, "must be a list of rows.* but is int"),
    ],
)
def test_what_does_not_fit_is_named(raw, error, message):
    with pytest.raises(error, match=message):
        StructCodec(tokenizer=BYTES).measure(raw, Reading())


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("table", [["k", "v"], ["a", "1"]]),
        ("rows", [{"k": "a", "v": "1"}]),
        ("mapping", {"k": "v", "a": "1"}),
        ("text", "k : v | a : 1"),
    ],
)
def test_predictions_take_the_wanted_form(form, value):
    codec = StructCodec(tokenizer=BYTES, form=form)
    assert codec.decode(predicted("k : v | a : 1")) == value


def test_what_a_model_writes_badly_is_still_a_value():
    assert StructCodec(tokenizer=BYTES, form="rows").decode(predicted("a : b | 1")) == [{"a": "1", "b": ""}]
    assert StructCodec(tokenizer=BYTES).decode(predicted("")) == [[""]]


def test_struct_is_text_to_the_model():
    codec = pickle.loads(pickle.dumps(StructCodec(tokenizer=BYTES, uncased=True)))
    reading = Reading(side="target")
    encoded = codec.encode([["A", "B"]], reading)
    assert encoded.labels["tokens"].tolist() == [*BYTES.encode("a : b"), BYTES.end]
    assert codec.measure([["A", "B"]], reading) == encoded.rows


def test_all_that_is_written_as_text_shares_one_port():
    wild = Text(mask_ratio=0.3, noise_ratio=0.1, uncased=True, no_punctuation=True)
    for adapter in (wild, Struct(form="rows"), Phone(stress=False), Chat()):
        assert (adapter.port, adapter.port_settings()) == (Text().port, {})


def test_phones_of_strings_and_lists():
    codec = PhoneCodec(tokenizer=BYTES, alphabet="arpabet", stress=False)
    for raw in ("HH AH0  L OW1", ["HH", "AH0", "L", "OW1"]):
        encoded = codec.encode(raw, Reading(side="target"))
        assert BYTES.decode(encoded.labels["tokens"].tolist()) == "HH AH L OW"
        assert codec.measure(raw, Reading(side="target")) == encoded.rows
    assert PhoneCodec(tokenizer=BYTES).decode(predicted(" h ə  l əʊ ")) == "h ə l əʊ"


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        ("HH AX", ValueError, "must be one of ARPAbet, but is 'AX'"),
        ("HH1", ValueError, "but is 'HH1'; did you mean `HH`"),
        ("AH00", ValueError, "but is 'AH00'"),
        (3, TypeError, "must be a string or a list of strings, but are int 3"),
    ],
)
def test_phones_outside_the_alphabet(raw, error, message):
    with pytest.raises(error, match=message):
        PhoneCodec(tokenizer=BYTES, alphabet="arpabet").encode(raw, Reading())
