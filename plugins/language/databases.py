"""Database schemas as text: tables with their columns, foreign keys, and the cells that a question speaks of.

    shop | item : id , name ( red mug ) , price | sale : id , item_id | sale.item_id = item.id

Listing the cells that occur in the question beside their column is the serialisation of Lin, Socher and Xiong,
"Bridging Textual and Tabular Data for Cross-Domain Text-to-SQL Semantic Parsing", 2020 (arXiv:2012.12627), section 3.1.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from .signs import EQUALS, ITEM, Signs, cell_text, plain
from .table_files import checked_file
from .tables import HEADED, table_of

PATHS = ("database", "db_path", "path")
"""The keys under which a mapping names an SQLite file."""
MOST_VALUES, LONGEST_VALUE = 5_000, 60
LONGEST_RUN = 8
MATCHES = 2
"""Distinct cells read of a column, characters of a cell, words of the question that one may cover, cells shown."""
REMEMBERED = 8
"""Files whose schemas are kept: rows that ask about one database stand together."""
_WORD = re.compile(r"\w+", re.UNICODE)
Columns = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Schema:
    """Tables with their columns.

    Attributes:
        name: of the database; empty where it has none.
        tables: columns by table, in order.
        keys: foreign keys, each a column and the one that it names, as `table.column`.
        values: texts that occur in a column, by table and column.
    """

    name: str = ""
    tables: Mapping[str, Columns]
    keys: tuple[tuple[str, str], ...] = ()
    values: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)

    @cached_property
    def spoken(self) -> Mapping[tuple[str, str], Mapping[str, Sequence[str]]]:
        """The texts of each column by their words, as a question has them."""
        found: dict[tuple[str, str], dict[str, list[str]]] = {}
        for place, values in self.values.items():
            found[place] = {}
            for value in values:
                found[place].setdefault(_plain(value), []).append(value)
        return found


def is_database(raw: Any) -> bool:
    """Whether a mapping is a schema or names a database."""
    if not isinstance(raw, Mapping):
        return False
    named = any(isinstance(raw.get(key), str | os.PathLike) for key in PATHS[:2])
    return named or isinstance(raw.get("tables"), Mapping | list) or "table_names_original" in raw


def read_database(path: str) -> Schema:
    """The schema of an SQLite file, opened for reading alone; kept until the file is another.

    Raises:
        ValueError: no such file, no SQLite database, or one without a table.
    """
    path = checked_file(path, "database")
    return _read_database(path, tuple(_version(path + more) for more in ("", "-wal")))


def _version(path: str) -> tuple[int, ...]:
    """What changes when a file does; nothing where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=REMEMBERED)
def _read_database(path: str, version: tuple[tuple[int, ...], ...]) -> Schema:
    try:
        with closing(sqlite3.connect(Path(path).resolve().as_uri() + "?mode=ro", uri=True)) as opened:
            opened.text_factory = lambda data: data.decode("utf-8", "replace")
            return _schema(opened, Path(path).stem, path)
    except sqlite3.Error as cause:
        raise ValueError(f"the database file {path!r} cannot be read as SQLite: {cause}") from cause


def _schema(opened: sqlite3.Connection, name: str, path: str) -> Schema:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    names = [row[0] for row in opened.execute(query)]
    if not names:
        raise ValueError(f"the database file {path!r} must hold at least one table, but has none")
    tables = {table: tuple(row[1] for row in opened.execute(f"PRAGMA table_info({_quoted(table)})")) for table in names}
    keys = [
        (f"{table}.{row[3]}", f"{row[2]}.{row[4] or (tables.get(row[2]) or ('',))[0]}")
        for table in names
        for row in sorted(opened.execute(f"PRAGMA foreign_key_list({_quoted(table)})"))
    ]
    values = {(table, column): _texts(opened, table, column) for table in names for column in tables[table]}
    return Schema(
        name=name, tables=tables, keys=tuple(keys), values={at: found for at, found in values.items() if found}
    )


def _texts(opened: sqlite3.Connection, table: str, column: str) -> tuple[str, ...]:
    name = _quoted(column)
    found = opened.execute(
        f"SELECT DISTINCT {name} FROM {_quoted(table)} WHERE typeof({name}) = 'text' "
        f"AND length({name}) BETWEEN 2 AND {LONGEST_VALUE} LIMIT {MOST_VALUES}"
    )
    return tuple(row[0] for row in found)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def schema_of(raw: Mapping[str, Any]) -> Schema:
    """The schema that a mapping is.

    Args:
        raw: with `tables`, a mapping from table to columns (a list of names, a mapping from name to type, or a table
            with rows), or a list of mappings with `name` and `columns`; `foreign_keys`, pairs of `table.column`;
            `db_id`. Or an entry of Spider's tables.json.

    Raises:
        TypeError, ValueError: none of these, or a foreign key of no column.
    """
    if "table_names_original" in raw:
        return _of_spider(raw)
    tables = raw["tables"]
    if isinstance(tables, list):
        tables = {str(t["name"]): t for t in tables if isinstance(t, Mapping) and "name" in t}
    if not isinstance(tables, Mapping) or not tables:
        raise ValueError(f"a schema must have tables by name, but `tables` is {raw['tables']!r:.40}")
    columns: dict[str, Columns] = {}
    values: dict[tuple[str, str], Sequence[str]] = {}
    for table, given in tables.items():
        columns[str(table)] = _columns(str(table), given, values)
    keys = tuple(_key(pair, columns) for pair in raw.get("foreign_keys") or ())
    name = cell_text(raw.get("db_id") or raw.get("name"))
    return Schema(name=name, tables=columns, keys=keys, values=values)


def _columns(table: str, given: Any, values: dict[tuple[str, str], Sequence[str]]) -> Columns:
    if isinstance(given, Mapping) and "columns" in given and not any(rows in given for _, rows in HEADED):
        given = given["columns"]
    given = plain(given)
    if isinstance(given, list | tuple) and not any(isinstance(item, list | tuple | Mapping) for item in given):
        return tuple(cell_text(name) for name in given)
    headed = isinstance(given, Mapping) and any(rows in given for _, rows in HEADED)
    if isinstance(given, Mapping) and not headed and not any(isinstance(v, list | tuple) for v in given.values()):
        return tuple(str(name) for name in given)
    try:
        head, *rows = table_of(given).rows
    except (TypeError, ValueError) as cause:
        raise type(cause)(f"table `{table}` of the schema: {cause}") from cause
    for place, column in enumerate(head):
        values[table, column] = list(dict.fromkeys(row[place] for row in rows))[:MOST_VALUES]
    return tuple(head)


def _key(pair: Any, tables: Mapping[str, Columns]) -> tuple[str, str]:
    if isinstance(pair, str):
        pair = pair.split("=")
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ValueError(f'a foreign key must be a pair of columns, ("sale.item_id", "item.id"), but is {pair!r:.60}')
    ends = [".".join(end) if isinstance(end, list | tuple) else str(end).strip() for end in pair]
    for end in ends:
        table, _, column = end.partition(".")
        if column not in tables.get(table, ()):
            raise ValueError(f"a foreign key must name columns of the schema, but `{end}` is none")
    return ends[0], ends[1]


def _of_spider(raw: Mapping[str, Any]) -> Schema:
    """An entry of tables.json as Spider and its kin have them."""
    names = list(raw["table_names_original"])
    listed = [(int(table), str(column)) for table, column in raw["column_names_original"]]
    tables = {name: tuple(c for t, c in listed if t == number) for number, name in enumerate(names)}
    full = [f"{names[table]}.{column}" if table >= 0 else column for table, column in listed]
    keys = tuple((full[a], full[b]) for a, b in raw.get("foreign_keys") or ())
    return Schema(name=cell_text(raw.get("db_id")), tables=tables, keys=keys)


def written_schema(schema: Schema, signs: Signs, found: Mapping[tuple[str, str], Sequence[str]]) -> list[list[str]]:
    """A row for the name, one for each table and one for each foreign key; `found` are the cells to show."""
    rows = [[signs.guarded(schema.name)]] if schema.name else []
    for table, columns in schema.tables.items():
        shown = [_column(column, found.get((table, column), ()), signs) for column in columns]
        rows.append([signs.guarded(table), ITEM.join(shown)])
    return [*rows, *([f"{signs.guarded(a)}{EQUALS}{signs.guarded(b)}"] for a, b in schema.keys)]


def _column(name: str, cells: Sequence[str], signs: Signs) -> str:
    shown = ITEM.join(signs.guarded(" ".join(cell.split())) for cell in cells)
    return f"{signs.guarded(name)} ( {shown} )" if shown else signs.guarded(name)


def read_schema(text: str, signs: Signs) -> dict[str, Any]:
    """The schema of a line as a mapping with `tables`, and `db_id` and `foreign_keys` where it has them.

    >>> read_schema("shop | item : id , name ( red mug ) | sale : item_id | sale.item_id = item.id", Signs())["tables"]
    {'item': ['id', 'name'], 'sale': ['item_id']}
    """
    out: dict[str, Any] = {"tables": {}}
    for place, row in enumerate(signs.rows(text)):
        table, parted, columns = row.partition(f" {signs.cell} ")
        if parted:
            listed = re.sub(r"(?<!\S)\( .*? \)(?!\S)", "", columns).split(ITEM)
            out["tables"][signs.bare(table)] = [signs.bare(column) for column in listed]
        elif EQUALS in row:
            first, _, second = row.partition(EQUALS)
            out.setdefault("foreign_keys", []).append((signs.bare(first), signs.bare(second)))
        elif not place and row.strip():
            out["db_id"] = signs.bare(row)
    return out


def spoken_of(schema: Schema, question: str, *, likeness: int = 100) -> dict[tuple[str, str], list[str]]:
    """The cells of each column that occur in a question, the longest first, at most two.

    Args:
        schema: with its values.
        question: the text.
        likeness: 100 for whole words that are equal but for case; less to accept nearly equal ones, in percent of
            rapidfuzz's ratio.

    Raises:
        ValueError: below 100 without rapidfuzz.

    >>> schema = Schema(tables={"pet": ("name",)}, values={("pet", "name"): ("Rex", "Mia")})
    >>> spoken_of(schema, "How old is rex?")
    {('pet', 'name'): ['Rex']}
    """
    runs = set(_runs(question))
    out = {}
    for place, by_words in schema.spoken.items():
        hits = [value for run in runs.intersection(by_words) for value in by_words[run]]
        if likeness < 100:
            hits += [value for value in _nearly(schema.values[place], runs, likeness) if value not in hits]
        if hits:
            out[place] = sorted(hits, key=lambda value: (-len(value), value))[:MATCHES]
    return out


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _runs(question: str) -> Iterator[str]:
    words = _WORD.findall(question.casefold())
    for start in range(len(words)):
        for stop in range(start + 1, min(start + LONGEST_RUN, len(words)) + 1):
            yield " ".join(words[start:stop])


def _nearly(values: Sequence[str], runs: Iterable[str], likeness: int) -> list[str]:
    try:
        from rapidfuzz import fuzz, process
    except ImportError as cause:
        raise ValueError(
            "`likeness` below 100 needs rapidfuzz: pip install omniline[tables], or leave it at 100"
        ) from cause
    known = {_plain(value): value for value in values}
    found = (
        hit
        for run in runs
        if len(run) > 3
        for hit in process.extract(run, list(known), scorer=fuzz.ratio, score_cutoff=likeness, limit=MATCHES)
    )
    best = sorted(found, key=lambda hit: (-hit[1], hit[0]))
    return list(dict.fromkeys(known[hit[0]] for hit in best))
