"""What a structured value is, and how it is written: here tables, mappings, graphs and grids are told apart."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .databases import PATHS, Schema, is_database, read_database, schema_of, spoken_of, written_schema
from .graphs import is_triples, triples_of, written_mapping
from .grids import grid_of, is_grid, written_grid
from .signs import EQUALS, Signs
from .table_files import (
    DATABASES,
    DELIMITERS,
    OTHERS,
    delimiter_in,
    is_file_name,
    parse_table,
    read_json,
    read_json_lines,
    read_parquet,
    read_table,
    suffix_of,
)
from .tables import Table, is_columns, is_frame, is_headed, is_ragged, table_of, written_table
from .usual import usual

Form = Literal["auto", "table", "rows", "mapping", "graph", "grid", "schema", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A value as rows of cells, ready to be joined.

    Attributes:
        rows: guarded cells.
        signs: what parts them.
        by: what parts cells in place of the sign.
        head: rows at the start that stay when others are cut.
        columns: whether columns may be cut.
        whole: whether nothing may be cut.
    """

    rows: list[list[str]]
    signs: Signs
    by: str | None = None
    head: int = 0
    columns: bool = False
    whole: bool = False

    def text(self, rows: int | None = None, columns: int | None = None) -> str:
        """The line of the first rows and columns, all by default."""
        return self.signs.joined((row[:columns] for row in self.rows[:rows]), by=self.by)


def structured(
    raw: Any, form: Form = "auto", *, signs: Signs | None = None, question: str | None = None, likeness: int = 100
) -> Structure:
    """A value as rows of cells.

    Args:
        raw: a table, a mapping, triples, a grid, a schema, text, what `usual` makes such, or the path of a csv, tsv,
            json, jsonl, parquet or SQLite file.
        form: what it is to be read as; "auto" finds out, and takes other text as it stands.
        signs: what parts rows and cells.
        question: for a schema, the text whose cells are shown.
        likeness: see `spoken_of`.

    Raises:
        TypeError: nothing that is known as structured.
        ValueError: it cannot be read, its parts do not fit each other, or it holds nothing at all. A table of columns
            without rows is one.

    >>> structured({"name": "Ann", "pets": ["Rex", "Mia"]}).text()
    'name = Ann | pets = Rex , Mia'
    """
    signs = signs or Signs()
    raw = usual(raw)
    value = _from_text(raw, form) if isinstance(raw, str | os.PathLike) else raw
    found = _structured(value, form, signs, question, likeness)
    if not any(found.rows) or (isinstance(value, str) and not value.strip()):
        file = value is not raw and (not isinstance(raw, str) or is_file_name(raw))
        what = f"the structured file {os.fspath(raw)!r}" if file else "a structured value"
        raise ValueError(
            f"{what} must hold something, but is {_emptiness(value)}; a row that has none leaves it out (None), and "
            "its slot says `optional`"
        )
    return found


def _emptiness(raw: Any) -> str:
    if isinstance(raw, str):
        return "an empty text" if not raw else "text of white space alone"
    if is_frame(raw):
        return "a frame without columns"
    return f"a {type(raw).__name__} of nothing"


def _structured(raw: Any, form: Form, signs: Signs, question: str | None, likeness: int) -> Structure:
    if isinstance(raw, str):
        return Structure(rows=[[raw]], signs=signs)
    if isinstance(raw, Table):
        return _table(raw, signs)
    if form == "grid" or (form in ("auto", "text") and not isinstance(raw, Mapping) and is_grid(raw)):
        return Structure(rows=[[written_grid(grid_of(raw))]], signs=signs, whole=True)
    if isinstance(raw, Schema) or form == "schema" or (form in ("auto", "text") and is_database(raw)):
        return _schema(raw, signs, question, likeness)
    if form == "graph" or is_triples(raw):
        return Structure(rows=[[signs.guarded(part) for part in triple] for triple in triples_of(raw)], signs=signs)
    if form == "mapping" and not isinstance(raw, Mapping):
        raise TypeError(f"with form=mapping a value must be a mapping, but is {type(raw).__name__} {raw!r:.40}")
    if form == "mapping" or (form in ("auto", "text") and _is_mapping(raw)):
        return Structure(rows=written_mapping(raw, signs), signs=signs, by=EQUALS)
    return _table(table_of(raw), signs)


def _is_mapping(raw: Any) -> bool:
    return isinstance(raw, Mapping) and not (is_headed(raw) or is_columns(raw) or is_ragged(raw) or is_frame(raw))


def _table(table: Table, signs: Signs) -> Structure:
    return Structure(rows=written_table(table, signs), signs=signs, head=1 + bool(table.name), columns=True)


def _schema(raw: Any, signs: Signs, question: str | None, likeness: int) -> Structure:
    if isinstance(raw, Mapping):
        question = raw.get("question") or question
        path = next((raw[key] for key in PATHS if isinstance(raw.get(key), str | os.PathLike)), None)
        schema = read_database(os.fspath(path)) if path is not None and "tables" not in raw else schema_of(raw)
    elif isinstance(raw, Schema):
        schema = raw
    else:
        raise TypeError(
            f"a schema must be the path of an SQLite file or a mapping with `tables`, but is {type(raw).__name__} "
            f"{raw!r:.40}"
        )
    found = spoken_of(schema, question, likeness=likeness) if question else {}
    return Structure(rows=written_schema(schema, signs, found), signs=signs, head=1)


def _from_text(raw: Any, form: Form) -> Any:
    """What a text or path stands for; the text itself when it is none of these."""
    text = os.fspath(raw)
    text = os.fsdecode(text) if isinstance(text, bytes) else text
    if not isinstance(raw, str) or is_file_name(text):
        return _from_file(text)
    if form == "grid":
        return grid_of(text)
    bare = text.strip()
    if bare.startswith(("[", "{")) and bare.endswith(("]", "}")):
        try:
            return json.loads(bare)
        except ValueError:
            return text
    if form in ("auto", "table", "rows") and not is_grid(text):
        delimiter = delimiter_in(text)
        if delimiter is not None:
            return parse_table(text, delimiter)
        if form != "auto" and "\n" in bare:
            return parse_table(text, ",", "the text of a table")
    return grid_of(text) if form == "auto" and is_grid(text) else text


def _from_file(path: str) -> Any:
    suffix = suffix_of(path)
    if suffix in DELIMITERS:
        return read_table(path)
    if suffix == ".parquet":
        return read_parquet(path)
    if suffix == ".jsonl":
        return read_json_lines(path)
    if suffix == ".json":
        return read_json(path)
    if suffix in DATABASES:
        return read_database(path)
    raise ValueError(
        f"a structured file must end with one of {', '.join((*DELIMITERS, *OTHERS, *DATABASES))}, but is {path!r}"
    )
