"""The signs that part structured values in a line of text: ` | ` rows, ` : ` cells, ` = ` a key from its value.

A sign counts where white space (or an end) stands on both sides of it. One that stands so within a cell is written with
a backslash, so that reading back is exact for what white space allows: cells lose white space at their ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Row = list[str]
EQUALS, ITEM, STEP = " = ", " , ", " . "
ABSENT = ("NAType", "NaTType")
"""Missing values of pandas, which are not equal to themselves or have no truth."""
FINER = ("ns", "ps", "fs", "as")
"""Units of time that Python's dates do not have."""
INNER = ("=", ",", ".", "(", ")")
"""Signs that are the same whatever `row` and `cell` are: of keys, lists, paths and remarks."""


@dataclass(frozen=True)
class Signs:
    r"""What parts rows and cells, each one word.

    Raises:
        ValueError: a sign is empty, holds white space or a backslash, or serves twice.

    >>> signs = Signs()
    >>> signs.joined([["name", "age"], ["Ann", "31"]]), signs.guarded("a | b")
    ('name : age | Ann : 31', 'a \\| b')
    """

    row: str = "|"
    cell: str = ":"

    def __post_init__(self) -> None:
        for name, sign in (("row_sign", self.row), ("cell_sign", self.cell)):
            if not sign or len(sign.split()) != 1 or sign != sign.strip() or "\\" in sign or sign in INNER:
                raise ValueError(f"{name} must be one word, and none of {' '.join(INNER)}, but is {sign!r}")
        if self.row == self.cell:
            raise ValueError(f"row_sign and cell_sign must differ, but both are {self.row!r}")

    @cached_property
    def _alone(self) -> re.Pattern[str]:
        every = "|".join(re.escape(sign) for sign in sorted((self.row, self.cell, *INNER), key=len, reverse=True))
        return re.compile(rf"(?<!\S)(\\*(?:{every}))(?!\S)")

    @cached_property
    def _escaped(self) -> re.Pattern[str]:
        return re.compile(self._alone.pattern.replace(r"(\\*", r"\\(\\*", 1))

    def guarded(self, text: str) -> str:
        """The text of one cell, with a backslash before every sign that stands alone in it."""
        return self._alone.sub(r"\\\1", text.strip())

    def bare(self, text: str) -> str:
        """What `guarded` was given."""
        return self._escaped.sub(r"\1", text.strip())

    def joined(self, rows: Iterable[Iterable[str]], *, by: str | None = None) -> str:
        """Rows of guarded cells as one line; `by` parts cells in place of the sign."""
        joint = f" {self.cell} " if by is None else by
        return f" {self.row} ".join(joint.join(row) for row in rows)

    def rows(self, text: str) -> list[str]:
        """The rows of a line."""
        return text.split(f" {self.row} ")

    def cells(self, row: str) -> Row:
        """The cells of a row, bare."""
        return [self.bare(cell) for cell in row.split(f" {self.cell} ")]


def cell_text(value: Any) -> str:
    """One value as a cell: nothing for None and NaN, a list's items parted by commas, a mapping as JSON.

    >>> cell_text(["actor", "poet"]), cell_text(None), cell_text(31)
    ('actor , poet', '', '31')

    Raises:
        TypeError: it is bytes.
    """
    if value is None or (isinstance(value, float) and value != value) or type(value).__name__ in ABSENT:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"a cell must be text, a number or a list, but is {bytes(value)!r:.40}; decode it first")
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, list | tuple | set | frozenset):
        return ITEM.join(cell_text(item).strip() for item in value)
    return str(value)


def plain(value: Any) -> Any:
    """Arrays and tensors as lists and numbers, of short floats the fewest digits that tell them; all else as it is.

    >>> plain(np.array([0.1, 2], dtype=np.float32)), plain(np.datetime64("2020-01-02T03:04:05.000000000"))
    ([0.1, 2.0], datetime.datetime(2020, 1, 2, 3, 4, 5))
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        value = value.numpy()
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind in "mM" and any(f"[{unit}]" in str(value.dtype) for unit in FINER):
            value = value.astype(f"{value.dtype.kind}8[us]")
        if value.dtype.kind == "f" and value.dtype.itemsize < 8:
            value = value.astype(str).astype(np.float64)
    return value.tolist() if hasattr(value, "tolist") else value
