"""Structured values that other libraries hold, as lists, mappings and text; none of the libraries is imported here."""

from __future__ import annotations

from typing import Any

import numpy as np

BINARY = {b"SQLite format 3\0": "an SQLite file", b"PAR1": "a parquet file", b"PK\x03\x04": "a zip or Excel file"}
"""What bytes are, by how they begin, that are read by their path alone."""


def usual(raw: Any) -> Any:
    """A value as lists, mappings, frames or text.

    A series is a mapping by its labels, an arrow table, a structured array and a list of named tuples are tables with
    a head, bytes and an open file are their text.

    Raises:
        ValueError: bytes that are no UTF-8 text.

    >>> usual(b"name,age"), usual(np.array([(1, 2.5)], dtype=[("a", int), ("b", float)]))
    ('name,age', {'a': [1], 'b': [2.5]})
    """
    if hasattr(raw, "read") and hasattr(raw, "seek"):
        raw.seek(0)
        raw = raw.read()
    if isinstance(raw, bytes | bytearray | memoryview):
        return _decoded(bytes(raw))
    if hasattr(raw, "to_pydict") and hasattr(raw, "column_names"):
        return raw.to_pydict()
    if hasattr(raw, "to_dict") and hasattr(raw, "index") and getattr(raw, "ndim", 0) == 1:
        return raw.to_dict()
    if isinstance(raw, np.ndarray) and raw.dtype.names:
        return {name: raw[name].tolist() for name in raw.dtype.names}
    if isinstance(raw, list) and raw and all(isinstance(row, tuple) and hasattr(row, "_asdict") for row in raw):
        return [row._asdict() for row in raw]
    return raw


def _decoded(data: bytes) -> str:
    for start, what in BINARY.items():
        if data.startswith(start):
            raise ValueError(f"a structured value as bytes must be text, but is {what}: give its path")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise ValueError(f"a structured value as bytes must be UTF-8 text, but is not: {cause}") from cause
