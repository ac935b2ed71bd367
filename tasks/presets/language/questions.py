"""Questions over three real tables, made by a small grammar with the SQL that answers them.

The tables are penguins, cars and days of weather; they are read from the samples and written once into an SQLite file
in the cache. A question is a pure function of (split, index); a query is in one split, by its hash, with all wordings.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from ..fetching import cache_folder
from ..placements import checked_split
from ..readers import read_table

HELD_OUT = 0.15
NAMES = ("penguins", "cars", "weather")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One table: what its rows are called, its columns of words and of numbers, and the column that names a row."""

    table: str
    noun: str
    words: Mapping[str, str]
    numbers: Mapping[str, str]
    key: str = ""


SOURCES = (
    Source(
        table="penguins",
        noun="penguins",
        words={"species": "species", "island": "island", "sex": "sex"},
        numbers={
            "bill_length_mm": "bill length",
            "bill_depth_mm": "bill depth",
            "flipper_length_mm": "flipper length",
            "body_mass_g": "body mass",
        },
    ),
    Source(
        table="cars",
        noun="cars",
        words={"origin": "origin", "cylinders": "number of cylinders", "year": "year"},
        numbers={"mpg": "mileage", "horsepower": "horsepower", "weight": "weight", "acceleration": "acceleration"},
        key="name",
    ),
    Source(
        table="weather",
        noun="days",
        words={"weather": "weather"},
        numbers={
            "precipitation": "precipitation",
            "temp_max": "highest temperature",
            "temp_min": "lowest temperature",
            "wind": "wind",
        },
        key="date",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query with the wordings of its question; all mean the same."""

    sql: str
    wordings: tuple[str, ...]


class SqlQuestions:
    """Questions with their SQL: columns `src`, `tgt` and `database`, the path of an SQLite file.

    >>> row = SqlQuestions(split="train")[0]
    >>> sorted(row), row["tgt"].split()[0]
    (['database', 'src', 'tgt'], 'SELECT')
    """

    def __init__(self, *, split: str, rows: int = 4000) -> None:
        self.split, self.rows = checked_split(split), rows
        self.database = database_path()

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.rows:
            raise IndexError(f"the index must be in [0, {self.rows}), but is {index}")
        draw = Random(f"sql/{self.split}/{index}")
        query = drawn(draw, self.split)
        return {"src": draw.choice(query.wordings), "tgt": query.sql, "database": self.database}


class Paraphrases:
    """Two questions each: columns `sent1`, `sent2` and `label`, yes where one query answers both.

    >>> sorted(Paraphrases(split="valid")[0])
    ['label', 'sent1', 'sent2']
    """

    def __init__(self, *, split: str, rows: int = 8000) -> None:
        self.split, self.rows = checked_split(split), rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, str]:
        if not 0 <= index < self.rows:
            raise IndexError(f"the index must be in [0, {self.rows}), but is {index}")
        draw = Random(f"paraphrase/{self.split}/{index}")
        first = drawn(draw, self.split)
        if draw.random() < 0.5:
            sent1, sent2 = draw.sample(first.wordings, 2)
            return {"sent1": sent1, "sent2": sent2, "label": "yes"}
        other = drawn(draw, self.split)
        while other.sql == first.sql or len(other.wordings) != len(first.wordings) or _table(other) != _table(first):
            other = drawn(draw, self.split)
        one, two = draw.sample(range(len(first.wordings)), 2)
        return {"sent1": first.wordings[one], "sent2": other.wordings[two], "label": "no"}


def _table(query: Query) -> str:
    return query.sql.partition(" FROM ")[2].split()[0]


def drawn(draw: Random, split: str) -> Query:
    """A query of a split."""
    while True:
        query = _query(draw, draw.choice(SOURCES))
        held = hashlib.sha256(query.sql.encode()).digest()[0] < 256 * HELD_OUT
        if held is (split == "valid"):
            return query


def _query(draw: Random, source: Source) -> Query:
    table, noun = source.table, source.noun
    word, said = draw.choice(list(source.words.items()))
    number, measured = draw.choice(list(source.numbers.items()))
    value = draw.choice(values_of(table, word))
    where = f"{word} = {value}" if value.isdigit() else f"{word} = '{value}'"
    kind = draw.choice(
        ("count", "extreme", "extreme where", "compare", "each", "distinct", *(["top"] * bool(source.key)))
    )
    if kind == "count":
        return Query(
            sql=f"SELECT count(*) FROM {table} WHERE {where}",
            wordings=(
                f"how many {noun} have {said} {value} ?",
                f"count the {noun} whose {said} is {value} .",
                f"what is the number of {noun} with {said} {value} ?",
            ),
        )
    if kind.startswith("extreme"):
        name, function = draw.choice((("average", "avg"), ("largest", "max"), ("smallest", "min")))
        of, end = ("", "") if kind == "extreme" else (f" with {said} {value}", f" WHERE {where}")
        return Query(
            sql=f"SELECT {function}({number}) FROM {table}{end}",
            wordings=(
                f"what is the {name} {measured} of {noun}{of} ?",
                f"find the {name} {measured} among {noun}{of} .",
                f"among {noun}{of} , what {measured} is the {name} ?",
            ),
        )
    if kind == "compare":
        level = draw.choice(values_of(table, number))
        name, sign = draw.choice((("above", ">"), ("below", "<")))
        return Query(
            sql=f"SELECT count(*) FROM {table} WHERE {number} {sign} {level}",
            wordings=(
                f"how many {noun} have a {measured} {name} {level} ?",
                f"count the {noun} whose {measured} is {name} {level} .",
                f"what is the number of {noun} with a {measured} {name} {level} ?",
            ),
        )
    if kind == "each":
        return Query(
            sql=f"SELECT {word}, count(*) FROM {table} GROUP BY {word}",
            wordings=(f"how many {noun} are there for each {said} ?", f"count the {noun} by {said} ."),
        )
    if kind == "distinct":
        return Query(
            sql=f"SELECT DISTINCT {word} FROM {table}",
            wordings=(f"what {said} do the {noun} have ?", f"list every {said} of the {noun} once ."),
        )
    name, order = draw.choice((("largest", " DESC"), ("smallest", "")))
    return Query(
        sql=f"SELECT {source.key} FROM {table} WHERE {number} IS NOT NULL ORDER BY {number}{order} LIMIT 1",
        wordings=(
            f"which {source.key} has the {name} {measured} ?",
            f"name the {source.key} with the {name} {measured} .",
        ),
    )


@cache
def records_of(table: str) -> tuple[Mapping[str, str], ...]:
    """The rows of a table, all values as text."""
    return tuple(read_table(f"tables/{table}.csv", ","))


@cache
def values_of(table: str, column: str) -> tuple[str, ...]:
    """The distinct values of a column, sorted; missing ones left out."""
    return tuple(sorted({row[column] for row in records_of(table) if row[column]}))


def database_path() -> str:
    """The path of the three tables as an SQLite file, written into the cache when it is not there."""
    content = repr([records_of(name) for name in NAMES]).encode()
    path = cache_folder() / "language" / f"tables-{hashlib.sha256(content).hexdigest()[:12]}" / "records.sqlite"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"records-{os.getpid()}.part")
        write_database(part)
        part.replace(path)
    return str(path)


def write_database(path: Path) -> None:
    """Write the three tables, numbers as numbers, into a new SQLite file."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as opened:
        for name in NAMES:
            rows = records_of(name)
            columns = list(rows[0])
            kinds = [_kind(values_of(name, column)) for column in columns]
            made = ", ".join(f"{column} {kind}" for column, kind in zip(columns, kinds, strict=True))
            opened.execute(f"CREATE TABLE {name} ({made})")
            marks = ", ".join("?" * len(columns))
            opened.executemany(
                f"INSERT INTO {name} VALUES ({marks})", [[row[c] or None for c in columns] for row in rows]
            )
        opened.commit()


def _kind(values: tuple[str, ...]) -> str:
    try:
        return "INTEGER" if all(float(value) == int(float(value)) and "." not in value for value in values) else "REAL"
    except ValueError:
        return "TEXT"
