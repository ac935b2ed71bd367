"""Values out of a row: columns, paths that lead into mappings and map over lists, and absence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .near import nearest

MISSING = object()
"""Stands for an absent value."""
UNKNOWN = ("NAType", "NaTType")
"""The types of pandas' missing values, which are not equal to themselves or have no truth."""


TEXTS = ("TEXT", "CATEGORY", "PHONE")
"""Modalities whose values are what is written, and never the file that it names."""


class Located(str):
    """The path of a file that a text in a data file names, and the text as it is written there."""

    written: str

    def __new__(cls, path: str, written: str) -> Located:
        found = super().__new__(cls, path)
        found.written = written
        return found

    def __reduce__(self) -> tuple[type[Located], tuple[str, str]]:
        return Located, (str(self), self.written)


def as_written(value: Any) -> Any:
    """A value whose located texts are as they were written, in lists too.

    >>> as_written([Located("/data/cat.png", "cat.png"), "dog"])
    ['cat.png', 'dog']
    """
    if isinstance(value, Located):
        return value.written
    if isinstance(value, list | tuple):
        found = [as_written(one) for one in value]
        return value if all(new is old for new, old in zip(found, value, strict=True)) else found
    return value


def read_slot(row: Mapping[str, Any], path: str, modality: str) -> Any:
    """A slot's value in a row, or MISSING: of texts what is written, of all else the file where one is named."""
    value = read_path(row, path)
    return as_written(value) if modality in TEXTS else value


def read_path(row: Mapping[str, Any], path: str) -> Any:
    """The value of a column, or MISSING. A flat key wins over a path; a path through a list maps over it.

    >>> read_path({"anns": [{"bbox": 1}, {"bbox": 2}]}, "anns.bbox")
    [1, 2]
    """
    if path in row:
        return row[path]
    return _descend(row, path.split(".")) if "." in path else MISSING


def _descend(value: Any, keys: Sequence[str]) -> Any:
    for at, key in enumerate(keys):
        if isinstance(value, Mapping):
            if key not in value:
                return MISSING
            value = value[key]
        elif is_list(value):
            found = [_descend(item, keys[at:]) for item in entries(value)]
            return MISSING if any(item is MISSING for item in found) else found
        else:
            return MISSING
    return value


def is_list(value: Any) -> bool:
    """Whether a value holds one entry per repetition of a group: lists, tuples, arrays and tensors, never a string."""
    if isinstance(value, list | tuple):
        return True
    return (type(value).__name__ == "ndarray" or hasattr(value, "detach")) and value.ndim > 0


def entry(value: Any, place: int) -> Any:
    """An entry of a list; one of torchvision's BoundingBoxes keeps the format and canvas of all.

    >>> entry(["a", "b"], 1)
    'b'
    """
    found = value[place]
    if hasattr(value, "canvas_size") and hasattr(value, "format") and value.ndim > 1:
        return type(value)(found[None], format=value.format, canvas_size=value.canvas_size)
    return found


def entries(value: Any) -> list[Any]:
    """All entries of a list."""
    return [entry(value, place) for place in range(len(value))]


def is_absent(value: Any) -> bool:
    """No key, None, or a NaN of any kind: of Python's, numpy's or pandas' numbers and dates."""
    if value is MISSING or value is None or type(value).__name__ in UNKNOWN:
        return True
    scalar = isinstance(value, float) or (hasattr(value, "dtype") and getattr(value, "ndim", None) == 0)
    return scalar and bool(value != value)


def as_member(value: Any) -> Any:
    """A value as a member of a closed set: numbers and truth values become their names, all else stays.

    >>> as_member(3), as_member(True), as_member("cat")
    ('3', 'True', 'cat')
    """
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = float(str(value)) if getattr(value.dtype, "kind", "") == "f" else value.item()  # 0.1, not 0.10000000149
    return str(value) if isinstance(value, int | float) else as_written(value)


def missing_column(path: str, columns: Sequence[str]) -> str:
    """The sentence for a column that a row lacks."""
    near = nearest(path, columns)
    hint = f"; did you mean `{near}`?" if near else ""
    return f"there is no column `{path}`{hint} (columns: {', '.join(columns) or 'none'})"
