"""SQL judged by execution and by clauses, grids by their rules, structures by their cells, numbers by correlation."""

import sqlite3
from contextlib import closing

import pytest

import omniline as ol
from omniline.core.errors import ConfigError, DataError
from omniline.core.outputs import Output
from omniline.plugins.scores.correlation import Pearson, Spearman
from omniline.plugins.scores.grids import SudokuCells, SudokuSolved
from omniline.plugins.scores.sql import SqlExecution, SqlMatch, open_database, run_query
from omniline.plugins.scores.sql_clauses import clauses_of
from omniline.plugins.scores.structs import StructMatch
from omniline.tasks.binding import bind
from omniline.tasks.evaluation import judge

PETS = {"tables": {"pet": {"header": ["name", "age"], "rows": [["Rex", 3], ["Mia", 7], ["Bo", 3]]}}}
SOLVED = [[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
OTHER = [[1, 2, 4, 3], [3, 4, 2, 1], [2, 1, 3, 4], [4, 3, 1, 2]]
GIVEN = [[1, 2, 0, 0], [3, 4, 0, 0], [2, 1, 0, 0], [4, 3, 0, 0]]


def execution(pairs, database=PETS, **settings):
    metric = SqlExecution(**settings)
    metric.update([p for p, _ in pairs], [t for _, t in pairs], struct=[database] * len(pairs))
    return metric.compute()


@pytest.mark.parametrize(
    ("query", "true", "right"),
    [
        ("select NAME from pet where age=3", "SELECT name FROM pet WHERE age < 5", True),
        ("SELECT name FROM pet WHERE age = 3 ORDER BY name", "SELECT name FROM pet WHERE age = 3", True),
        ("SELECT name FROM pet ORDER BY age, name", "SELECT name FROM pet ORDER BY age DESC, name", False),
        ("SELECT avg(age) FROM pet", "SELECT 13 / 3.0", True),
        ("SELECT age FROM pet", "SELECT DISTINCT age FROM pet", False),
        ("SELECT nam FROM pet", "SELECT name FROM pet", False),
        ("DELETE FROM pet", "SELECT name FROM pet", False),
        ("", "SELECT name FROM pet", False),
        (None, "SELECT name FROM pet", False),
    ],
)
def test_execution(query, true, right):
    assert execution([(query, true)])[""] == right


def test_execution_counts_queries_that_run_and_never_changes_a_file(tmp_path):
    path = tmp_path / "pets.db"
    with closing(sqlite3.connect(path)) as opened:
        opened.executescript("CREATE TABLE pet (name TEXT); INSERT INTO pet VALUES ('Rex');")
    before = path.read_bytes()
    true = "SELECT name FROM pet"
    wrong = ["DROP TABLE pet", "INSERT INTO pet VALUES ('x')", "PRAGMA user_version = 3", "SELECT 1; SELECT 2", "\0"]
    wrong += [f"ATTACH '{tmp_path}/other.db' AS other", "CREATE TEMP TABLE x (a)"]
    assert execution([(query, true) for query in wrong], str(path)) == {"": 0.0, "runs": 0.0}
    assert execution([(true, true), ("SELECT 1", true)], {"database": path}) == {"": 0.5, "runs": 1.0}
    assert path.read_bytes() == before and not (tmp_path / "other.db").exists()


def test_a_query_without_end_is_stopped():
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    assert execution([(endless, "SELECT 1")], seconds=0.05) == {"": 0.0, "runs": 0.0}


def test_a_query_makes_no_endless_values():
    for large in ("SELECT zeroblob(900000000)", "SELECT hex(randomblob(60000000))"):
        assert execution([(large, "SELECT 1")]) == {"": 0.0, "runs": 0.0}


@pytest.mark.parametrize(
    "raw",
    [
        PETS,
        {
            "table_name": "pet",
            "table_head": ["name", "age"],
            "table_content": [["Rex", "3"], ["Mia", "7"], ["Bo", "3"]],
        },
        {"tables": {"pet": [{"name": "Rex", "age": 3}, {"name": "Mia", "age": 7}, {"name": "Bo", "age": 3}]}},
        {"tables": {"pet": {"name": ["Rex", "Mia", "Bo"], "age": [3, 7, 3]}}},
    ],
)
def test_tables_in_memory_answer_queries(raw):
    with closing(open_database(raw)) as opened:
        assert run_query(opened, "SELECT name FROM pet WHERE age > 4", seconds=1) == [("Mia",)]


@pytest.mark.parametrize(
    ("database", "true", "message"),
    [
        ("no.db", "SELECT 1", "the file 'no.db' does not exist"),
        (PETS, "SELECT x FROM pet", "must run on its database, but `SELECT x FROM pet`: no such column: x"),
        ({"tables": {"pet": ["name"]}}, "SELECT 1", "cannot be filled in: a schema without rows answers no query"),
        ({"tables": {"pet": {"header": ["a"], "rows": [[1, 2]]}}}, "SELECT 1", "cannot be filled in"),
    ],
)
def test_databases_that_cannot_judge(database, true, message):
    with pytest.raises(ValueError, match=message):
        execution([("SELECT 1", true)], database)


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ("SELECT a, b FROM t", "select B, A from T", True),
        ('SELECT "a" FROM t AS x WHERE x.b > 1 AND c = 2', "SELECT a FROM t WHERE 2 = 2 AND c = 2 AND b > 1", False),
        ("SELECT a FROM t WHERE 1 < b AND c = 2", "SELECT a FROM t WHERE c = 2 AND b > 1", True),
        ("SELECT a FROM t WHERE b = 1 OR c = 2", "SELECT a FROM t WHERE c = 2 OR b = 1", True),
        ("SELECT a FROM t WHERE b = 1 OR c = 2", "SELECT a FROM t WHERE c = 2 AND b = 1", False),
        ("SELECT x.a FROM t AS x JOIN u AS y ON x.i = y.i", "SELECT t.a FROM t JOIN u ON u.i = t.i", True),
        ("SELECT a FROM t JOIN u ON t.i = u.i", "SELECT a FROM t JOIN u ON t.i = u.j", False),
        ("SELECT count(*) FROM t GROUP BY a, b", "SELECT COUNT(*) AS n FROM t GROUP BY b, a", True),
        ("SELECT a FROM t ORDER BY a, b", "SELECT a FROM t ORDER BY b, a", False),
        ("SELECT a FROM t LIMIT 1", "SELECT a FROM t", False),
        ("SELECT DISTINCT a FROM t", "SELECT a FROM t", False),
        ("SELECT a FROM t UNION SELECT b FROM u", "SELECT b FROM u UNION SELECT a FROM t", True),
        ("SELECT a FROM t EXCEPT SELECT b FROM u", "SELECT b FROM u EXCEPT SELECT a FROM t", False),
        ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 2", False),
    ],
)
def test_clauses(first, second, equal):
    assert clauses_of(first) is not None and clauses_of(second) is not None
    assert (clauses_of(first) == clauses_of(second)) is equal


def test_clauses_without_values_and_of_what_is_no_query():
    a, b = "SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 'x'"
    assert clauses_of(a, values=False) == clauses_of(b, values=False) != clauses_of("SELECT a FROM t", values=False)
    assert [clauses_of(text) for text in ("", "hello there", "SELECT (", "DROP TABLE t", "SELECT 1; SELECT 2")] == [
        None
    ] * 5
    metric = SqlMatch()
    with pytest.raises(ValueError, match="must get true queries that are SQL, but cannot parse `SELECT FROM`"):
        metric.update(["SELECT 1"], ["SELECT FROM"])


def test_sudoku():
    solved, cells = SudokuSolved(), SudokuCells()
    wrong = [row[:2] + [row[2], row[2]] for row in SOLVED]
    predicted = [SOLVED, OTHER, wrong, GIVEN, "1234 3412 2143 4321", [["?"]], None]
    for metric in (solved, cells):
        metric.update(predicted, [SOLVED] * 7, struct=[GIVEN] * 7)
    assert solved.hits == [True, True, False, False, True, False, False]
    assert cells.compute() == pytest.approx((8 + 0 + 4 + 0 + 8) / 56)
    moved = SudokuSolved()
    moved.update([SOLVED], [SOLVED], struct=[[[2, 0, 0, 0], *GIVEN[1:]]])
    assert moved.compute() == 0
    with pytest.raises(ValueError, match="must get square grids of 4, 9 or 16 rows"):
        solved.update([SOLVED], [SOLVED], struct=["12"])
    with pytest.raises(ValueError, match="grids with blank cells"):
        SudokuCells().compute()


def test_structures_are_equal_whatever_their_spelling():
    metric = StructMatch(uncased=True)
    table = [["name", "age"], ["Ann", "31"], ["Bo", "4"]]
    truths = [
        {"header": ["name", "age"], "rows": [["Ann", 31], ["Bo", 4]]},
        [{"name": "Ann", "age": 31}, {"name": "BO", "age": 4}],
        {"name": ["Ann", "Bo"], "age": [31, 4]},
        [["name", "age"], ["Bo", 4], ["Ann", 32]],
    ]
    metric.update([table] * 4, truths)
    assert metric.hits == [True, True, True, False]
    assert metric.shares == [1, 1, 1, pytest.approx(2 / 3)]
    trees = StructMatch()
    trees.update([{"b": "1", "a": {"c": ["x"]}}, {"a": "1"}, None], [{"a": {"c": ["x"]}, "b": 1}, {"a": 2}, [["a"]]])
    assert trees.hits == [True, False, False]


def test_correlations():
    for kind in (Pearson, Spearman):
        metric = kind()
        metric.update(["1", 2, "three", None], [1, 3, 2, 2])
        assert metric.compute() == pytest.approx(1, abs=0.01)
        flat = kind()
        flat.update([1, 1], [1, 2])
        assert flat.compute() == 0
        with pytest.raises(ValueError, match="true values that are numbers, but got 'x'"):
            flat.update([1], ["x"])
        with pytest.raises(ValueError, match="at least 2 rows, but has seen 0"):
            kind().compute()


def test_a_metric_reads_the_slot_that_it_judges_by():
    rows = [{"q": "who?", "db": PETS, "sql": "SELECT name FROM pet"}, {"q": "ages", "db": PETS, "sql": None}]
    task = ol.Task("t", "[TEXT:q] [STRUCT:db] -> [TEXT:sql]", valid=rows, metrics=["sql_execution", "sql_match"])
    outputs = [Output({"sql": "select name from pet"}, {}), Output({"sql": "SELECT"}, {})]
    values, lower = judge(bind(task), rows, outputs)
    assert values == {
        f"sql/{name}": 1.0 for name in ("sql_execution", "sql_execution_runs", "sql_match", "sql_match_valid")
    }
    assert lower == set()
    with pytest.raises(
        ConfigError, match="`sql_execution` judges by a STRUCT slot on the source side, but .* `t` has none"
    ):
        ol.Task("t", "[TEXT:q] -> [TEXT:sql]", valid=rows, metrics=["sql_execution"])
    broken = [{**rows[0], "sql": "SELECT x FROM pet"}]
    with pytest.raises(DataError, match="slot `sql`.*: the true query must run on its database"):
        judge(bind(ol.Task("t", task.instruction, valid=broken, metrics=["sql_execution"])), broken, outputs[:1])


def test_tables_are_judged_by_default():
    rows = [{"q": "x", "t": [["a"], [1]]}]
    assert judge(bind(ol.Task("t", "[TEXT:q] -> [STRUCT:t]", valid=rows)), rows, [Output({"t": [["a"], ["1"]]}, {})])[
        0
    ] == {
        "t/struct_match": 1.0,
        "t/struct_match_rows": 1.0,
    }
