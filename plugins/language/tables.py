"""Structured values as one line of text, and back: rows are parted by ` | `, cells by ` : `.

A table of a head and rows, a mapping (a row of two cells for each key), triples (rows of three) and a database schema
(a row for each table, its columns parted by ` , `) all become rows of cells first. A sign that stands alone within a
cell is written with a backslash, so that reading back is exact for what white space allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Row = list[str]
ROW, CELL, ITEM = " | ", " : ", " , "
_ALONE = re.compile(r"(?<!\S)(\\*[|:])(?!\S)")
_ESCAPED = re.compile(r"(?<!\S)\\(\\*[|:])(?!\S)")
TABLE_KEYS = ("table_head", "table_content")


def written(raw: Any) -> str:
    """A structured value as text; a string is taken as it stands.

    Raises:
        TypeError: nothing that is known as structured.
        ValueError: rows of different lengths, or keys that differ from row to row.

    >>> written([["name", "age"], ["Ann", 31]])
    'name : age | Ann : 31'
    >>> written([{"name": "Ann", "age": 31}])
    'name : age | Ann : 31'
    >>> written({"tables": {"singer": ["id", "name"]}})
    'singer : id , name'
    """
    return raw if isinstance(raw, str) else _joined(rows_of(raw))


def read_rows(text: str) -> list[Row]:
    """The rows of cells of a text; any text has some.

    >>> read_rows("name : age | Ann : 31")
    [['name', 'age'], ['Ann', '31']]
    """
    return [[_ESCAPED.sub(r"\1", cell.strip()) for cell in row.split(CELL)] for row in text.split(ROW)]


def rows_of(raw: Any) -> list[Row]:
    """Rows of cells of a table, a frame, a mapping, triples or a schema; see `written`."""
    if isinstance(raw, Mapping):
        return _rows_of_mapping(raw)
    frame = _frame_rows(raw)
    if frame is not None:
        return frame
    if hasattr(raw, "tolist"):
        raw = raw.tolist()
    if not isinstance(raw, list | tuple):
        raise TypeError(
            "a structured value must be a list of rows, a list of mappings, a mapping, a data frame or text, but is "
            f"{type(raw).__name__}"
        )
    rows = list(raw)
    if any(isinstance(row, Mapping) for row in rows):
        return _rows_of_records(rows)
    table = [_row(row, place) for place, row in enumerate(rows)]
    lengths = [len(row) for row in table]
    for place, length in enumerate(lengths):
        if length != lengths[0]:
            raise ValueError(
                f"the rows of a table must be equally long, but row 0 has {lengths[0]} cells and row {place} {length}"
            )
    return table


def _row(row: Any, place: int) -> Row:
    if hasattr(row, "tolist"):
        row = row.tolist()
    if not isinstance(row, list | tuple):
        raise TypeError(f"a row of a table must be a list of cells, but row {place} is {type(row).__name__} {row!r}")
    return [_cell(cell) for cell in row]


def _cell(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and value != value) else str(value)


def _rows_of_records(rows: list[Any]) -> list[Row]:
    keys: list[Any] = list(rows[0]) if isinstance(rows[0], Mapping) else []
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TypeError(f"a list of mappings must hold nothing else, but row {place} is {type(row).__name__}")
        if set(row) != set(keys):
            differ = ", ".join(sorted(map(str, set(row) ^ set(keys))))
            raise ValueError(f"the mappings of a table must have equal keys, but row {place} differs in: {differ}")
    return [[str(key) for key in keys], *([_cell(row[key]) for key in keys] for row in rows)]


def _rows_of_mapping(raw: Mapping[Any, Any]) -> list[Row]:
    if all(key in raw for key in TABLE_KEYS):
        name = [[_cell(raw["table_name"])]] if raw.get("table_name") else []
        return [*name, *rows_of([raw["table_head"], *raw["table_content"]])]
    tables = raw.get("tables")
    if isinstance(tables, Mapping):
        name = [[_cell(raw["db_id"])]] if raw.get("db_id") else []
        return [*name, *([str(table), _items(columns)] for table, columns in tables.items())]
    return [[str(key), *_values(value)] for key, value in raw.items()]


def _values(value: Any) -> Row:
    """The cells after a key: a list's own, a mapping's keys, or one."""
    return [_items(value)] if isinstance(value, list | tuple | Mapping) else [_cell(value)]


def _items(values: Iterable[Any]) -> str:
    if isinstance(values, str):
        return values
    return ITEM.join(_cell(value).strip() for value in values)


def _frame_rows(raw: Any) -> list[Row] | None:
    """Head and rows of a pandas or polars frame, known by its methods so that neither needs to be installed."""
    if hasattr(raw, "iter_rows") and hasattr(raw, "columns"):
        rows: Iterable[Any] = raw.iter_rows()
    elif hasattr(raw, "itertuples") and hasattr(raw, "columns"):
        rows = raw.itertuples(index=False, name=None)
    else:
        return None
    return [[str(name) for name in raw.columns], *([_cell(cell) for cell in row] for row in rows)]


def _joined(rows: list[Row]) -> str:
    return ROW.join(CELL.join(_guarded(cell) for cell in row) for row in rows)


def _guarded(cell: str) -> str:
    return _ALONE.sub(r"\\\1", cell.strip())
