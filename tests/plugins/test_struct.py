"""STRUCT: structured values of every kind as text, back again, cut to size and saved; PHONE through the same port."""

import csv
import json
import pickle
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pandas
import polars
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import omniline as ol
from omniline.core.codec import Reading
from omniline.plugins.language.cutting import fitted
from omniline.plugins.language.phone import PhoneCodec
from omniline.plugins.language.plugin import Chat, Phone, Struct, Text
from omniline.plugins.language.signs import Signs
from omniline.plugins.language.struct import StructCodec
from omniline.plugins.language.structures import structured
from omniline.plugins.language.tokenizer import ByteTokenizer

BYTES = ByteTokenizer()
CELL = st.text(st.sampled_from(list("ab |:=,.()\\1é")), max_size=6).map(str.strip)
GRID = [[1, 0, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 0]]
SHOP = {
    "db_id": "shop",
    "tables": {"item": ["id", "price"], "sale": {"day": "text", "item": "int"}},
    "foreign_keys": [("sale.item", "item.id")],
}
SPIDER = {
    "db_id": "shop",
    "table_names_original": ["item", "sale"],
    "column_names_original": [[-1, "*"], [0, "id"], [1, "item"]],
    "foreign_keys": [[2, 1]],
}


def predicted(text):
    return {"tokens": torch.tensor(BYTES.encode(text), dtype=torch.long)}


def codec(**settings):
    return StructCodec(tokenizer=BYTES, **settings)


def written(raw, form="auto", **settings):
    return structured(raw, form, **settings).text()


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
        ({"name": ["Ann", "Bo"], "age": np.array([31, 4])}, "name : age | Ann : 31 | Bo : 4"),
        ({"table_name": "pets", "table_head": ["a"], "table_content": [["x"]]}, "pets | a | x"),
        ({"header": ["a", "b"], "rows": [["x", None]], "types": ["text", "text"]}, "a : b | x : "),
        ({"columns": ["a"], "index": [0], "data": [[1.5]]}, "a | 1.5"),
        (SHOP, "shop | item : id , price | sale : day , item | sale.item = item.id"),
        (SPIDER, "shop | item : id | sale : item | sale.item = item.id"),
        ({"tables": [{"name": "pet", "columns": ["id"]}]}, "pet : id"),
        ({"born": 1903, "roles": ["actor", "poet"]}, "born = 1903 | roles = actor , poet"),
        ({"home": {"city": "Rome"}, "pets": [{"name": "Rex"}]}, "home . city = Rome | pets . 0 . name = Rex"),
        ([("Ann", "knows", "Bo")], "Ann : knows : Bo"),
        (["Ann | knows | Bo", "Bo | age | 4"], "Ann : knows : Bo | Bo : age : 4"),
        (PandasLike(), "name : age | Ann : 31 | Bo : "),
        (SimpleNamespace(columns=["a"], iter_rows=lambda: iter([(1,), (None,)])), "a | 1 | "),
        (torch.tensor([[5, 3], [0, 7]]), "5 : 3 | 0 : 7"),
        (GRID, "1.34 3412 2143 432."),
        (torch.tensor(GRID), "1.34 3412 2143 432."),
        ("." * 16, ".... .... .... ...."),
        ("a,b\n1,2\n", "a : b | 1 : 2"),
        ('[["a", "b"], [1, 2]]', "a : b | 1 : 2"),
        ("already text, of one line", "already text, of one line"),
        ([["name", "age"]], "name : age"),
        ({"name": [], "age": []}, "name : age"),
        ({"header": ["name"], "rows": []}, "name"),
        (pandas.DataFrame(columns=["name", "age"]), "name : age"),
        ("name\tage\n\n1\t2", "name : age | 1 : 2"),
    ],
)
def test_structured_values_as_text(raw, text):
    assert written(raw) == text


def test_a_form_reads_what_could_be_two_things():
    assert written({"Ann": {"knows": ["Bo", "Cy"]}}, "graph") == "Ann : knows : Bo | Ann : knows : Cy"
    assert written([{"subject": "Ann", "relation": "age", "object": 4}], "graph") == "Ann : age : 4"
    assert written({"name": ["Ann"], "age": [3]}, "mapping") == "name = Ann , | age = 3 ,"
    assert written({"born": 1903}, "table") == "born : 1903"
    assert written("12 34", "table") == "12 34"
    assert written(GRID, "table").startswith("1 : 0 : 3 : 4 | 3")


def test_real_frames():
    frame = pandas.DataFrame({"name": ["Ann", None], "age": pandas.array([31, None], dtype="Int64")})
    assert written(frame) == "name : age | Ann : 31 |  : "
    assert written(polars.DataFrame({"a": [1, None]})) == "a | 1 | "


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=4)
    )
)
def test_a_table_survives_its_text(table):
    for form in ("auto", "table"):
        assert codec(form=form).read(written(table)) == table


WORD = CELL.filter(bool)
NODES = st.recursive(
    CELL,
    lambda inner: st.lists(WORD, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=8,
)


def counts(value):
    """Whether a mapping's keys count from 0, which makes it a list."""
    return isinstance(value, dict) and (
        list(value) == [str(n) for n in range(len(value))] and bool(value) or any(map(counts, value.values()))
    )


@given(st.dictionaries(WORD, NODES, min_size=1, max_size=3).filter(lambda tree: not counts({"a": tree})))
def test_a_nested_mapping_survives_its_text(tree):
    assert codec(form="mapping").read(written(tree, "mapping")) == tree


@pytest.mark.parametrize("side", [4, 9, 16])
def test_a_grid_survives_its_text(side):
    grid = np.random.default_rng(side).integers(0, side + 1, (side, side))
    assert codec().read(written(grid)) == grid.tolist()
    assert codec(form="grid").read(written(grid.tolist(), "grid")) == grid.tolist()


def test_a_schema_and_a_graph_survive_their_text():
    read = codec(form="schema").read(written(SHOP))
    assert read == {
        "db_id": "shop",
        "tables": {"item": ["id", "price"], "sale": ["day", "item"]},
        "foreign_keys": [("sale.item", "item.id")],
    }
    assert codec(form="graph").read(written([("Ann", "is : at", "a | b")])) == [("Ann", "is : at", "a | b")]


def test_other_signs():
    signs = Signs("<r>", "||")
    assert written([["a", "|"], ["x || y", ":"]], signs=signs) == "a || | <r> x \\|| y || :"
    assert codec(row_sign="<r>", cell_sign="||").read("a || | <r> x \\|| y || :") == [["a", "|"], ["x || y", ":"]]
    for row, cell, message in (("a b", ":", "row_sign must be one word"), ("|", "|", "must differ, but both are")):
        with pytest.raises(ValueError, match=message):
            codec(row_sign=row, cell_sign=cell)


@pytest.mark.parametrize(
    ("raw", "form", "message"),
    [
        ([["a", "b"], ["c"]], "auto", "row 0 has 2 cells and row 1 1"),
        ([{"a": 1}, {"b": 1}], "auto", "row 1 differs in: a, b"),
        ([{"a": 1}, [2]], "auto", "must hold nothing else, but row 1 is list"),
        ([1, 2], "auto", "row 0 is int 1"),
        (5, "auto", "must be a list of rows.* but is int"),
        ({"header": [], "rows": [["a"]]}, "auto", "must have a header, but its list of column names is empty"),
        ({"header": ["a"], "rows": [["a", "b"]]}, "auto", r"fit its header of 1 cells \(a\), but row 0 has 2"),
        ({"a": [1], "b": [1, 2]}, "table", "equally long.* lengths are `a` 1, `b` 2"),
        ({"a": [], "b": [1, 2]}, "auto", "equally long.* `a` 0, `b` 2; for a mapping of lists write form=mapping"),
        ("", "auto", "must hold something, but is an empty text; a row that has none leaves it out .* `optional`"),
        (" \n", "text", "must hold something, but is text of white space alone"),
        ([], "auto", "must hold something, but is a list of nothing"),
        ("[]", "table", "must hold something, but is a list of nothing"),
        ({}, "mapping", "must hold something, but is a dict of nothing"),
        ([{}, {}], "rows", "must hold something, but is a list of nothing"),
        ([[], []], "auto", "must hold something, but is a list of nothing"),
        (np.zeros((0, 3)), "auto", "must hold something, but is a ndarray of nothing"),
        ([], "graph", "must hold something, but is a list of nothing"),
        (pandas.DataFrame(), "auto", "must hold something, but is a frame without columns"),
        ("a,b\n1\n", "table", r"in every row as its header \(2\), but line 2 has 1"),
        ([["a", "b"]], "mapping", "with form=mapping a value must be a mapping, but is list"),
        ({"a": object()}, "mapping", "`a` is <object"),
        ([("a", "b")], "graph", r"triple 0 is \('a', 'b'\)"),
        ({"a": 1}, "graph", "for nested values use form=mapping"),
        ([[1, 2, 3]], "grid", "must have 4, 9 or 16 rows, but has 1"),
        ([[1, 2, 3, 5]] * 4, "grid", "from 1 to 4.* row 0, column 3 is 5"),
        ([[1, 2, 3]] * 4, "grid", "must have 4 cells in each, but row 0 has 3"),
        ("123", "grid", "must have 16, 81 or 256 cells, but the text '123' has 3"),
        ({"tables": {}}, "schema", "must have tables by name, but `tables` is {}"),
        ({"tables": {"a": ["id"]}, "foreign_keys": [("a.x", "a.id")]}, "auto", "but `a.x` is none"),
        ([1], "schema", "the path of an SQLite file or a mapping with `tables`, but is list"),
    ],
)
def test_what_does_not_fit_is_named(raw, form, message):
    with pytest.raises((TypeError, ValueError), match=message):
        codec(form=form).measure(raw, Reading())


def test_files_are_named(tmp_path):
    table, broken = tmp_path / "pets.csv", tmp_path / "pets.sqlite"
    with pytest.raises(ValueError, match=r"the table file '.*pets.csv' does not exist"):
        written(str(table))
    table.write_text("name,age\nAnn,31\nBo\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"pets.csv' must have as many cells.* \(2\), but line 3 has 1"):
        written(table)
    table.write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"pets.csv' must begin with a header line, but it is empty"):
        written(table)
    table.write_text("name,age\n", encoding="utf-8")
    assert written(table) == "name : age"
    (tmp_path / "void.db").touch()
    with pytest.raises(ValueError, match=r"void.db' must hold at least one table, but has none"):
        written(tmp_path / "void.db")
    (tmp_path / "void.json").touch()
    with pytest.raises(ValueError, match=r"void.json' cannot be read as JSON: Expecting value"):
        written(tmp_path / "void.json")
    (tmp_path / "none.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"none.json' must hold something, but is a list of nothing"):
        written(tmp_path / "none.json")
    table.write_bytes(b"name\n\xff\n")
    with pytest.raises(ValueError, match=r"pets.csv' cannot be read: 'utf-8'"):
        written(table)
    table.write_text('\ufeffname,say\n"Ann, Bo","a ""b"""\n\n', encoding="utf-8")
    assert written(str(table)) == 'name : say | Ann, Bo : a "b"'
    broken.write_bytes(b"not a database, but long enough to be looked at as one" * 40)
    with pytest.raises(ValueError, match=r"pets.sqlite' cannot be read as SQLite: file is not a database"):
        written(str(broken))
    with pytest.raises(ValueError, match=r"a structured file must end with one of .csv.*, but is '.*pets.doc'"):
        written(tmp_path / "pets.doc")
    (tmp_path / "a.tsv").write_text("a\tb\n1\t2\n", encoding="utf-8")
    (tmp_path / "a.json").write_text('{"a": {"b": 1}}', encoding="utf-8")
    assert [written(tmp_path / name) for name in ("a.tsv", "a.json")] == ["a : b | 1 : 2", "a . b = 1"]


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as opened:
        opened.executescript(
            """CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);
            CREATE TABLE sale (id INTEGER, item_id INTEGER REFERENCES item (id), town TEXT);
            INSERT INTO item VALUES (1, 'red mug', 4.5), (2, 'mug', 2), (3, 'Plate', 3);
            INSERT INTO sale VALUES (1, 1, 'New York'), (2, 3, 'Rome');"""
        )
    return str(path)


def test_a_database_file_shows_the_cells_that_a_question_speaks_of(shop):
    plain = "shop | item : id , name , price | sale : id , item_id , town | sale.item_id = item.id"
    assert written(shop) == plain
    asked = {"database": shop, "question": "How many red mugs, or a Red Mug, went to new york?"}
    shown = "shop | item : id , name ( red mug , mug ) , price | sale : id , item_id , town ( New York ) | "
    assert written(asked) == shown + "sale.item_id = item.id"
    assert codec(form="schema").read(written(asked)) == codec(form="schema").read(plain)


def test_a_database_is_kept_until_its_file_is_another(shop, monkeypatch):
    asked = {"database": shop, "question": "what went to Oslo or Rome?"}
    assert "town ( Rome )" in written(asked)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", None)
        assert "town ( Rome )" in written(asked), "nothing is opened again"
    with closing(sqlite3.connect(shop)) as opened:
        opened.execute("INSERT INTO sale VALUES (3, 2, 'Oslo')")
        opened.commit()
    assert "town ( Oslo , Rome )" in written(asked)


def test_nearly_equal_cells(shop):
    asked = {"database": shop, "question": "plates in Nwe York"}
    assert "( " not in written(asked)
    assert "name ( Plate )" in written(asked, likeness=85) and "town ( New York )" in written(asked, likeness=85)


def test_the_question_comes_from_another_slot(shop):
    rows = [{"q": "what went to Rome?", "db": shop, "sql": "SELECT 1"}]
    for line in ("[TEXT:q] [STRUCT:db,question=q] -> [TEXT:sql]", "[STRUCT:db,question=q] [TEXT:q] -> [TEXT:sql]"):
        model = ol.Model.build(tasks=ol.Task("t", line, train=rows), backbone="ofa-tiny,width=16,heads=2")
        reader = model.reader(model.bound(ol.Task("t", line, train=rows)))
        sketch, _ = reader.sketch(rows[0], 0)
        assert max(item.rows for item in sketch.source) == len(written({"database": shop, "question": rows[0]["q"]}))
    with pytest.raises(ValueError, match="`question=sq` must name a slot of TEXT; did you mean"):
        ol.Model.build(tasks=ol.Task("t", "[TEXT:q] [STRUCT:db,question=sq] -> [TEXT:sql]", train=rows))


@pytest.mark.parametrize(
    ("room", "text"),
    [
        (None, "name : age | Ann : 31 | Bo : 4"),
        (29, "name : age | Ann : 31"),
        (21, "name : age | Ann : 31"),
        (20, "name | Ann"),
        (9, "name : age | Ann : 31"),
    ],
)
def test_whole_rows_go_first_then_columns_then_text(room, text):
    assert fitted(structured([["name", "age"], ["Ann", 31], ["Bo", 4]]), room, len) == text


def test_what_is_cut_still_reads():
    table = [["name", "age"], *([f"n{i}", str(i)] for i in range(40))]
    for side in ("source", "target"):
        for limit in range(20, 200, 7):
            reading = Reading(side=side, limit=limit)
            encoded = codec().encode(table, reading)
            assert encoded.rows <= min(limit, codec().measure(table, reading))
            left = codec().decode(
                {"tokens": torch.as_tensor(encoded.tensors["tokens"][: encoded.rows - (side == "target")])}
            )
            assert left == table[: len(left)] and len(left) >= 2
    with pytest.raises(ValueError, match="a grid is never cut: it takes 19 tokens, but there is room for 9"):
        codec().encode(GRID, Reading(side="target", limit=10))


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("auto", [["k", "v"], ["a", "1"]]),
        ("table", [["k", "v"], ["a", "1"]]),
        ("rows", [{"k": "a", "v": "1"}]),
        ("mapping", {"k": "v", "a": "1"}),
        ("graph", [("k", "v", ""), ("a", "1", "")]),
        ("text", "k : v | a : 1"),
    ],
)
def test_predictions_take_the_wanted_form(form, value):
    assert codec(form=form).decode(predicted("k : v | a : 1")) == value


def test_what_a_model_writes_badly_is_still_a_value():
    assert codec(form="rows").decode(predicted("a : b | 1")) == [{"a": "1", "b": ""}]
    assert codec().decode(predicted("")) == [[""]]
    assert codec().decode(predicted("1234 3412 2143 432")) == [["1234 3412 2143 432"]]
    assert codec(form="mapping").decode(predicted("a = 1 | a . b = 2 |  | c")) == {"a": {"b": "2"}, "c": []}
    assert codec(form="schema").decode(predicted("")) == {"tables": {}}


def test_each_kind_has_its_file(tmp_path):
    def saved(value, name):
        path = codec().save(value, tmp_path / name)
        return path.name, path.read_text(encoding="utf-8")

    assert saved([["a", "b"], ["1, 2", "é"]], "t.v2") == ("t.v2.csv", 'a,b\n"1, 2",é\n')
    assert saved([{"a": "1"}], "r") == ("r.csv", "a\n1\n")
    name, text = saved({"a": {"b": ["1"]}}, "m")
    assert (name, json.loads(text)) == ("m.json", {"a": {"b": ["1"]}})
    assert json.loads(saved([("a", "b", "c")], "g")[1]) == [["a", "b", "c"]]
    assert saved("x", "s") == ("s.txt", "x")
    assert saved(GRID, "grid") == ("grid.txt", "1 .  3 4\n3 4  1 2\n\n2 1  4 3\n4 3  2 .\n")
    assert structured((tmp_path / "grid.txt").read_text(), "grid").text() == "1.34 3412 2143 432."
    with (tmp_path / "t.v2.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["1, 2", "é"]]


def test_struct_is_text_to_the_model():
    lower = pickle.loads(pickle.dumps(codec(uncased=True)))
    reading = Reading(side="target")
    encoded = lower.encode([["A", "B"]], reading)
    assert encoded.labels["tokens"].tolist() == [*BYTES.encode("a : b"), BYTES.end]
    assert lower.measure([["A", "B"]], reading) == encoded.rows


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
