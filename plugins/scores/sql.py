"""Metrics of SQL: by what a query gives on SQLite, and by its clauses.

Queries run on a connection that can only read, for a limited time: SQLite's authorizer refuses everything but SELECT,
and its progress handler stops what takes too long.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from .raw import as_text, check_any, check_lengths

READS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
MOST_ROWS = 10_000
STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""
LARGEST = 1 << 26
"""Bytes of the largest value that a query may make."""
DIGITS = 6
PATHS = ("database", "db_path", "path")
HEADED = (("table_head", "table_content"), ("header", "rows"), ("columns", "rows"), ("columns", "data"))
Result = list[tuple[Any, ...]]


class SqlExecution:
    """Share of queries that give the same rows as the true one on the row's database."""

    def __init__(self, *, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self.hits: list[bool] = []
        self.runs: list[bool] = []

    def update(self, predicted: Sequence[str | None], truth: Sequence[str], *, struct: Sequence[Any]) -> None:
        """Add rows: a query each, the true one, and the database: a path, tables by name, or one table.

        Raises:
            ValueError: the true query does not run, or the database cannot be opened.
        """
        check_lengths("sql_execution", predicted, truth)
        for query, true, raw in zip(predicted, truth, struct, strict=True):
            with closing(open_database(raw)) as opened:
                try:
                    wanted = run_query(opened, true, seconds=self.seconds)
                except sqlite3.Error as cause:
                    raise ValueError(f"the true query must run on its database, but `{true:.120}`: {cause}") from cause
                try:
                    found = run_query(opened, as_text("sql_execution", query), seconds=self.seconds)
                except (sqlite3.Error, ValueError):
                    self.runs.append(False)
                    self.hits.append(False)
                    continue
            self.runs.append(True)
            self.hits.append(same_result(found, wanted, ordered="order by" in " ".join(true.lower().split())))

    def compute(self) -> dict[str, float]:
        """The share of right results, and as `runs` that of queries which run at all."""
        check_any("sql_execution", self.hits)
        return {"": sum(self.hits) / len(self.hits), "runs": sum(self.runs) / len(self.runs)}


def run_query(opened: sqlite3.Connection, query: str, *, seconds: float) -> Result:
    """The rows of one SELECT, at most 10,000.

    Raises:
        sqlite3.Error: it does not run, would change something, or takes longer than `seconds`.

    >>> with closing(open_database({"tables": {"pet": {"name": ["Rex", "Mia"]}}})) as opened:
    ...     run_query(opened, "SELECT count(*) FROM pet", seconds=1)
    [(2,)]
    """
    deadline = time.monotonic() + seconds
    opened.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
    opened.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in READS else sqlite3.SQLITE_DENY)
    opened.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
    try:
        if not query.strip():
            raise sqlite3.OperationalError("the query is empty")
        if "\0" in query:
            raise sqlite3.OperationalError("the query holds a null character")
        return opened.execute(query).fetchmany(MOST_ROWS)
    finally:
        opened.set_progress_handler(None, 0)
        opened.set_authorizer(None)


def same_result(found: Result, wanted: Result, *, ordered: bool) -> bool:
    """Whether two results hold the same rows; numbers agree to six digits, order counts where it was asked for.

    >>> same_result([(1,), (2.0,)], [(2,), (1,)], ordered=False)
    True
    """
    a, b = [_rounded(row) for row in found], [_rounded(row) for row in wanted]
    return a == b if ordered else Counter(a) == Counter(b)


def _rounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(float(f"{cell:.{DIGITS}g}") if isinstance(cell, int | float) else cell for cell in row)


def open_database(raw: Any) -> sqlite3.Connection:
    """A connection for reading: to a file, or to tables that are held in memory.

    Args:
        raw: the path of an SQLite file, a mapping with one under `database`, a mapping with `tables`, or one table,
            which is called by its name or `data`.

    Raises:
        ValueError: no such file, or nothing that holds rows.
    """
    if isinstance(raw, Mapping):
        path = next((raw[key] for key in PATHS if isinstance(raw.get(key), str | os.PathLike)), None)
        if path is None:
            return _in_memory(raw)
        raw = path
    if isinstance(raw, str | os.PathLike):
        file = Path(os.fspath(raw)).expanduser()
        if not file.is_file():
            raise ValueError(f"`sql_execution` must get a database, but the file '{file}' does not exist")
        opened = sqlite3.connect(file.resolve().as_uri() + "?mode=ro", uri=True)
        opened.text_factory = lambda data: data.decode("utf-8", "replace")
        return opened
    return _in_memory({"tables": {"data": raw}})


def _in_memory(raw: Mapping[str, Any]) -> sqlite3.Connection:
    tables = raw.get("tables")
    if not isinstance(tables, Mapping):
        name = str(raw.get("table_name") or raw.get("name") or "data")
        tables = {name: raw}
    opened = sqlite3.connect(":memory:")
    try:
        for name, given in tables.items():
            head, rows = _rows(given)
            columns = ", ".join(_quoted(column) for column in head)
            opened.execute(f"CREATE TABLE {_quoted(str(name))} ({columns})")
            marks = ", ".join("?" * len(head))
            opened.executemany(f"INSERT INTO {_quoted(str(name))} VALUES ({marks})", rows)
    except (sqlite3.Error, TypeError, ValueError, AttributeError) as cause:
        opened.close()
        raise ValueError(
            "`sql_execution` must get an SQLite file, or tables with their rows, but these cannot be filled in: "
            f"{cause}"
        ) from cause
    opened.commit()
    return opened


def _rows(given: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Head and rows of a table with rows: headed, by column, or a list of mappings or of lists with the head first."""
    if isinstance(given, Mapping):
        for head, rows in HEADED:
            if head in given and rows in given:
                return [str(name) for name in given[head]], [tuple(map(_native, row)) for row in given[rows]]
        columns = [list(column) for column in given.values() if isinstance(column, list | tuple)]
        if not columns or len(columns) != len(given):
            raise ValueError("a schema without rows answers no query")
        return [str(name) for name in given], [tuple(map(_native, row)) for row in zip(*columns, strict=True)]
    if given and isinstance(given[0], Mapping):
        names = list(given[0])
        return [str(name) for name in names], [tuple(_native(row[name]) for name in names) for row in given]
    if not given or not all(isinstance(row, list | tuple) for row in given):
        raise ValueError("a schema without rows answers no query")
    return [str(name) for name in given[0]], [tuple(map(_native, row)) for row in given[1:]]


def _native(cell: Any) -> Any:
    """A number where a text is one, so that comparisons mean what they say."""
    if not isinstance(cell, str):
        return cell.item() if hasattr(cell, "item") else cell
    for kind in (int, float):
        try:
            value = kind(cell)
        except ValueError:
            continue
        return value if str(value) == cell else cell
    return cell


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class SqlMatch:
    """Share of queries that have the clauses of the true one, whatever their order, case and aliases."""

    def __init__(self, *, values: bool = True) -> None:
        self.values = values
        self.hits: list[bool] = []
        self.valid: list[bool] = []

    def update(self, predicted: Sequence[str | None], truth: Sequence[str]) -> None:
        """Add rows: a query each, and the true one.

        Raises:
            ValueError: sqlglot is not installed, or the true query is no SQL.
        """
        check_lengths("sql_match", predicted, truth)
        for query, true in zip(predicted, truth, strict=True):
            wanted = self._clauses(true)
            if wanted is None:
                raise ValueError(f"`sql_match` must get true queries that are SQL, but cannot parse `{true:.120}`")
            found = self._clauses(as_text("sql_match", query))
            self.valid.append(found is not None)
            self.hits.append(found == wanted)

    def compute(self) -> dict[str, float]:
        """The share of equal queries, and as `valid` that of texts which are SQL.

        >>> metric = SqlMatch()
        >>> metric.update(["select B, a from T as x where x.c=1", "select"], ["SELECT a, b FROM t WHERE c = 1"] * 2)
        >>> metric.compute()
        {'': 0.5, 'valid': 0.5}
        """
        check_any("sql_match", self.hits)
        return {"": sum(self.hits) / len(self.hits), "valid": sum(self.valid) / len(self.valid)}

    def _clauses(self, query: str) -> Any:
        from .sql_clauses import clauses_of

        return clauses_of(query, values=self.values)
