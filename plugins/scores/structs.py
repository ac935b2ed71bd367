"""Metrics over structured values: tables, mappings, graphs and grids, whatever spelling of them a row holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .raw import check_any, check_lengths

HEADED = (("table_head", "table_content"), ("header", "rows"), ("columns", "rows"), ("columns", "data"))
Rows = list[tuple[str, ...]]


class StructMatch:
    """Share of values that are the true one, cell by cell as texts; and how many of their rows agree."""

    def __init__(self, *, uncased: bool = False) -> None:
        self.uncased = uncased
        self.hits: list[bool] = []
        self.shares: list[float] = []

    def update(self, predicted: Sequence[Any], truth: Sequence[Any]) -> None:
        """Add rows: tables, mappings, triples, grids or texts."""
        check_lengths("struct_match", predicted, truth)
        for one, other in zip(predicted, truth, strict=True):
            found, true = self._rows(one), self._rows(other)
            self.hits.append(found == true)
            shared = sum((Counter(found) & Counter(true)).values())
            self.shares.append(2 * shared / (len(found) + len(true)) if found or true else 1.0)

    def compute(self) -> dict[str, float]:
        """The share of equal values, and as `rows` the mean F1 of rows (of a mapping's leaves) in any order.

        >>> metric = StructMatch()
        >>> metric.update([[["a", "b"], ["1", "2"]]], [{"header": ["a", "b"], "rows": [[1, 2]]}])
        >>> metric.compute()
        {'': 1.0, 'rows': 1.0}
        """
        check_any("struct_match", self.hits)
        return {"": sum(self.hits) / len(self.hits), "rows": sum(self.shares) / len(self.shares)}

    def _rows(self, value: Any) -> Rows:
        rows = list(rows_of(value))
        return [tuple(cell.casefold() for cell in row) for row in rows] if self.uncased else rows


def rows_of(value: Any) -> Iterator[tuple[str, ...]]:
    """A value as rows of texts: a table's head first, a mapping's leaves after their path."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        value = {str(name): list(value[name]) for name in value.columns}
    if value is None:
        return
    if isinstance(value, Mapping):
        headed = next(((h, r) for h, r in HEADED if h in value and r in value), None)
        if headed is not None:
            yield from rows_of([value[headed[0]], *value[headed[1]]])
        elif _even(list(value.values())):
            yield from rows_of([list(value), *zip(*value.values(), strict=True)])
        else:
            yield from _leaves(value, ())
    elif isinstance(value, list | tuple):
        if value and all(isinstance(row, Mapping) for row in value):
            yield tuple(str(name) for name in value[0])
            value = [[row.get(name) for name in value[0]] for row in value]
        for row in value:
            row = row.tolist() if hasattr(row, "tolist") else row
            yield tuple(map(_text, row)) if isinstance(row, list | tuple) else (_text(row),)
    else:
        yield (_text(value),)


def _even(columns: list[Any]) -> bool:
    lists = [column for column in columns if isinstance(column, list | tuple)]
    return bool(lists) and len(lists) == len(columns) and len({len(column) for column in lists}) == 1


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, Mapping) and value:
        for key in sorted(value, key=str):
            yield from _leaves(value[key], (*path, str(key)))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _leaves(item, (*path, str(number)))
    else:
        yield (*path, _text(value))


def _text(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and cell != cell):
        return ""
    if isinstance(cell, list | tuple):
        return " , ".join(map(_text, cell))
    return " ".join(str(cell).split())
