"""The rows that the language presets train on: splits apart, answers right, the same in every worker."""

import pickle
import sqlite3
from contextlib import closing

import pytest

from omniline.core.errors import ConfigError
from omniline.tasks.presets.language.questions import NAMES, Paraphrases, SqlQuestions, records_of, write_database
from omniline.tasks.presets.language.sentences import TableCells, TableQuestions, TableSentences
from omniline.tasks.presets.language.sudoku import Sudokus, is_held_out, solutions
from omniline.tasks.presets.language.texts import Continuations, Entailment, Instructions, Recipes, Sentiment

KINDS = [Sentiment, Entailment, Continuations, Instructions, Recipes, SqlQuestions, Paraphrases, TableSentences]
KINDS += [TableQuestions, TableCells, Sudokus]
CACHE = "OMNILINE_CACHE"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_a_function_of_split_and_index(kind):
    for split in ("train", "valid"):
        rows = kind(split=split)
        again = pickle.loads(pickle.dumps(kind(split=split)))
        places = [0, 1, len(rows) // 2, len(rows) - 1]
        assert [rows[at] for at in places] == [again[at] for at in reversed(places)][::-1]
        with pytest.raises(IndexError):
            rows[len(rows)]
    with pytest.raises(ConfigError, match="must be one of train, valid, but is 'test'"):
        kind(split="test")


@pytest.mark.parametrize(
    ("kind", "column", "few"),
    [(Sentiment, "sentence", 0), (Entailment, "sent1", 0), (Recipes, "src", 1), (SqlQuestions, "tgt", 0)],
)
def test_no_item_is_in_both_splits(kind, column, few):
    train, valid = ({rows[i][column] for i in range(len(rows))} for rows in (kind(split="train"), kind(split="valid")))
    assert len(train & valid) <= few


def test_instructions_follow_their_rules():
    rows = Instructions(split="valid")
    assert {(r["instruction"], r["src"].upper() == r["tgt"]) for r in (rows[12 * i] for i in range(20))} == {
        ("write the word in capitals .", True)
    }
    for row in (rows[12 * i + 6] for i in range(20)):
        first, second = row["src"].split(" and ")
        assert int(row["tgt"]) == int(first) + int(second)
    with pytest.raises(ConfigError, match=r"kinds must be in 1\.\.12, but is 13"):
        Instructions(split="train", kinds=13)


def test_claims_are_right_as_often_as_not():
    rows = Entailment(split="valid")
    assert 0.45 < sum(rows[i]["label"] == "yes" for i in range(len(rows))) / len(rows) < 0.55


def test_every_query_runs_and_all_columns_are_known(cache):
    rows = SqlQuestions(split="train")
    assert rows[0]["database"].startswith(str(cache))
    with closing(sqlite3.connect(rows[0]["database"])) as opened:
        for index in range(0, 2000, 20):
            assert opened.execute(rows[index]["tgt"]).fetchall()
        held = dict(opened.execute("SELECT species, count(*) FROM penguins GROUP BY species").fetchall())
        assert held == {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}
        assert opened.execute("SELECT typeof(body_mass_g), typeof(bill_length_mm) FROM penguins").fetchone() == (
            "integer",
            "real",
        )
    path = cache / "again.sqlite"
    for _ in range(2):
        write_database(path)
    with closing(sqlite3.connect(path)) as opened:
        assert [opened.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in NAMES] == [
            len(records_of(name)) for name in NAMES
        ]


def test_paraphrases_mean_the_same_or_not():
    rows = [Paraphrases(split="valid")[i] for i in range(200)]
    assert all(row["sent1"] != row["sent2"] for row in rows)
    assert 70 < sum(row["label"] == "yes" for row in rows) < 130


def test_answers_stand_in_their_table():
    rows = TableQuestions(split="valid")
    cars = records_of("cars")
    for row in (rows[i] for i in range(50)):
        ((column, cells),) = row["database"].items()
        assert len(cells) == 3 and len({cell.split()[0] for cell in cells}) == 3
        maker, answer = next(cell for cell in cells if row["tgt"] == f"{column} = {cell}").split()
        assert row["src"] == f"what is the {column} of {maker} ?" and row["answer"] == answer
        assert any(car["name"].split()[0] == maker and car[column] == answer for car in cars), "a true cell"
    mixed = TableQuestions(split="train")
    told = [(c, *cell.split()) for i in range(50) for c, cells in mixed[i]["database"].items() for cell in cells]
    true = {(column, car["name"].split()[0], value) for car in cars for column, value in car.items()}
    assert any(cell not in true for cell in told), "nothing by heart"
    assert {len(cells) for i in range(50) for cells in mixed[i]["database"].values()} == {1, 2, 3}
    told = [TableCells(split="train")[i] for i in range(30)]
    for row in told:
        assert [sorted(cells) for cells in row["cells"].values()] == [sorted(c) for c in row["database"].values()]
    assert any(row["cells"] != row["database"] for row in told), "in another order"


def test_sentences_hold_their_triples():
    told = TableSentences(split="valid")
    for row in (told[i] for i in range(30)):
        assert all(value in row["tgt"] for _, _, value in row["database"])


@pytest.mark.parametrize("side", [4, 9])
def test_sudokus_have_one_solution(side):
    for split in ("train", "valid"):
        rows = Sudokus(split=split, side=side)
        for row in (rows[i] for i in range(3)):
            assert is_held_out(row["tgt"]) is (split == "valid")
            assert solutions(row["src"]) == 1 and solutions(row["tgt"]) == 1
            pairs = zip(sum(row["src"], []), sum(row["tgt"], []), strict=True)
            assert all(given in (0, true) for given, true in pairs)
    for wrong in ({"side": 5}, {"blanks": 16}):
        with pytest.raises(ConfigError, match="of a sudoku must be"):
            Sudokus(split="train", **wrong)
