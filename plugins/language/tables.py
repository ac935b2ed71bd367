"""Tables of every usual kind as rows of cells: lists, mappings, columns, frames, a head with rows.

The first row is the head where the value has one; a plain list of rows is taken as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .signs import Row, Signs, cell_text, plain

HEADED = (("table_head", "table_content"), ("header", "rows"), ("columns", "rows"), ("columns", "data"))
"""The keys under which a mapping holds a head and rows."""
NAMES = ("table_name", "name", "title", "caption")


class Table(NamedTuple):
    """Rows of cells, the head first where there is one; all equally long."""

    rows: list[Row]
    name: str = ""


def is_headed(raw: Any) -> bool:
    """Whether a value is a mapping that holds a head and rows."""
    return isinstance(raw, Mapping) and any(head in raw and rows in raw for head, rows in HEADED)


def is_columns(raw: Any) -> bool:
    """Whether a mapping holds columns: lists, all equally long.

    >>> is_columns({"name": ["Ann", "Bo"], "age": [31, 4]}), is_columns({"name": "Ann"})
    (True, False)
    """
    if not isinstance(raw, Mapping) or not raw:
        return False
    values = [plain(value) for value in raw.values()]
    return all(isinstance(value, list | tuple) and len(value) == len(values[0]) for value in values)


def is_ragged(raw: Any) -> bool:
    """Whether a mapping holds lists alone, of several lengths: columns that do not fit each other, or no table.

    >>> is_ragged({"name": ["Ann", "Bo"], "age": [31]}), is_ragged({"name": "Ann", "pets": []})
    (True, False)
    """
    if not isinstance(raw, Mapping):
        return False
    values = [plain(value) for value in raw.values()]
    return all(isinstance(value, list | tuple) for value in values) and len({len(value) for value in values}) > 1


def is_frame(raw: Any) -> bool:
    """Whether a value is a pandas or polars frame, known by its methods so that neither needs to be installed."""
    return hasattr(raw, "columns") and (hasattr(raw, "iter_rows") or hasattr(raw, "itertuples"))


def table_of(raw: Any) -> Table:
    """The table that a value is.

    Raises:
        TypeError: nothing that is known as a table.
        ValueError: rows or columns that do not fit each other, or a head that does not fit the rows.

    >>> table_of([{"name": "Ann", "age": 31}]).rows
    [['name', 'age'], ['Ann', '31']]
    """
    if is_frame(raw):
        return Table(_frame_rows(raw))
    if isinstance(raw, Mapping):
        return _of_mapping(raw)
    raw = plain(raw)
    if not isinstance(raw, list | tuple):
        raise TypeError(
            "a structured value must be a list of rows, a list of mappings, a mapping, a data frame, a file or text, "
            f"but is {type(raw).__name__} {raw!r:.40}"
        )
    if any(isinstance(row, Mapping) for row in raw):
        return Table(_of_records(list(raw)))
    return Table(_even([_row(row, place) for place, row in enumerate(raw)]))


def written_table(table: Table, signs: Signs) -> list[list[str]]:
    """The rows as they are written, a row with the name before them."""
    named = [[signs.guarded(table.name)]] if table.name else []
    return [*named, *([signs.guarded(cell) for cell in row] for row in table.rows)]


def read_rows(text: str, signs: Signs) -> list[Row]:
    """The rows of cells of a line; any text has some.

    >>> read_rows("name : age | Ann : 31", Signs())
    [['name', 'age'], ['Ann', '31']]
    """
    return [signs.cells(row) for row in signs.rows(text)]


def records_of(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Mappings named by the first row; short rows are filled with empty cells.

    >>> records_of([["a", "b"], ["1"]])
    [{'a': '1', 'b': ''}]
    """
    names = rows[0]
    return [dict(zip(names, [*row, *[""] * (len(names) - len(row))], strict=False)) for row in rows[1:]]


def _of_mapping(raw: Mapping[Any, Any]) -> Table:
    for head, rows in HEADED:
        if head in raw and rows in raw:
            name = next((cell_text(raw[key]) for key in NAMES if raw.get(key)), "")
            return Table(_headed(plain(raw[head]), plain(raw[rows])), name)
    if is_columns(raw):
        columns = [plain(column) for column in raw.values()]
        return Table(
            [[str(key) for key in raw], *([cell_text(cell) for cell in row] for row in zip(*columns, strict=True))]
        )
    if is_ragged(raw):
        shown = ", ".join(f"`{key}` {len(plain(column))}" for key, column in list(raw.items())[:6])
        raise ValueError(
            f"the columns of a table must be equally long, but their lengths are {shown}; for a mapping of lists write "
            "form=mapping in the slot"
        )
    return Table([[str(key), cell_text(value)] for key, value in raw.items()])


def _headed(head: Any, rows: Any) -> list[Row]:
    if not isinstance(rows, list | tuple):
        raise TypeError(f"the rows of a table must be a list, but are {type(rows).__name__} {rows!r:.40}")
    if rows and isinstance(rows[0], Mapping):
        return _of_records(list(rows))
    body = [_row(row, place) for place, row in enumerate(rows)]
    if not head:
        raise ValueError("a table must have a header, but its list of column names is empty")
    names = _row(head, 0)
    for place, row in enumerate(body):
        if len(row) != len(names):
            raise ValueError(
                f"the rows of a table must fit its header of {len(names)} cells ({', '.join(names)[:60]}), but row "
                f"{place} has {len(row)}"
            )
    return [names, *body]


def _even(rows: list[Row]) -> list[Row]:
    for place, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"the rows of a table must be equally long, but row 0 has {len(rows[0])} cells and row {place} "
                f"{len(row)}"
            )
    return rows


def _row(row: Any, place: int) -> Row:
    row = plain(row)
    if not isinstance(row, list | tuple):
        raise TypeError(
            f"a row of a table must be a list of cells, but row {place} is {type(row).__name__} {row!r:.40}"
        )
    return [cell_text(plain(cell)) for cell in row]


def _of_records(rows: list[Any]) -> list[Row]:
    keys: list[Any] = list(rows[0]) if isinstance(rows[0], Mapping) else []
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TypeError(f"a list of mappings must hold nothing else, but row {place} is {type(row).__name__}")
        if set(row) != set(keys):
            differ = ", ".join(sorted(map(str, set(row) ^ set(keys))))
            raise ValueError(f"the mappings of a table must have equal keys, but row {place} differs in: {differ}")
    return [[str(key) for key in keys], *([cell_text(plain(row[key])) for key in keys] for row in rows)]


def _frame_rows(raw: Any) -> list[Row]:
    rows: Iterable[Any] = raw.iter_rows() if hasattr(raw, "iter_rows") else raw.itertuples(index=False, name=None)
    return [[str(name) for name in raw.columns], *([cell_text(plain(cell)) for cell in row] for row in rows)]
