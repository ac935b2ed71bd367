"""Sudoku grids: square, of 4, 9 or 16 cells a side, whole numbers with 0 for blank.

Written as one sign a cell, rows parted by white space: 1 to 9, A to G for 10 to 16, a dot for blank.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .signs import plain

Grid = list[list[int]]
SIDES = (4, 9, 16)
DIGITS = ".123456789ABCDEFG"
BLANKS = ("", ".", "0", "_", "-", "*")
_LINE = re.compile(r"[.0-9A-Ga-g_*-]+(\s+[.0-9A-Ga-g_*-]+)*")


def is_grid(raw: Any) -> bool:
    """Whether a value can only be a grid: of 4, 9 or 16 rows and columns, every cell blank or a number up to that.

    >>> is_grid([[1, 2, 3, 4]] * 4), is_grid([["a", "b"], ["c", "d"]]), is_grid("." * 81)
    (True, False, True)
    """
    if isinstance(raw, str):
        return bool(_LINE.fullmatch(raw.strip())) and len("".join(raw.split())) in (n * n for n in SIDES)
    try:
        grid_of(raw)
    except (TypeError, ValueError):
        return False
    return True


def grid_of(raw: Any) -> Grid:
    """The grid of a list of rows, an array, or text with a sign for each cell.

    Raises:
        TypeError: none of these.
        ValueError: another size, or a cell that is no number of the grid.

    >>> grid_of("1234 341. 2143 4321")[1]
    [3, 4, 1, 0]
    """
    rows = _of_text(raw) if isinstance(raw, str) else plain(raw)
    if not isinstance(rows, list | tuple):
        raise TypeError(f"a grid must be a list of rows or text, but is {type(raw).__name__} {raw!r:.40}")
    side = len(rows)
    if side not in SIDES:
        raise ValueError(f"a grid must have 4, 9 or 16 rows, but has {side}")
    return [_row(row, number, side) for number, row in enumerate(rows)]


def written_grid(grid: Grid) -> str:
    """The grid as one line.

    >>> written_grid([[1, 2, 3, 4], [3, 4, 1, 0], [2, 1, 4, 3], [4, 3, 2, 1]])
    '1234 341. 2143 4321'
    """
    return " ".join(_signs(row) for row in grid)


def read_grid(text: str) -> Grid | None:
    """The grid of a line that a model wrote, or None for other text."""
    rows = text.split()
    if len(rows) not in SIDES or any(len(row) != len(rows) for row in rows) or not is_grid(text):
        return None
    try:
        return grid_of(text)
    except ValueError:
        return None


def write_grid(grid: Sequence[Sequence[int]], stem: Path) -> Path:
    """The grid as a text file beside `stem`, a line a row, cells parted by spaces and boxes by blank space."""
    box = 2 if len(grid) == 4 else 3 if len(grid) == 9 else 4
    lines = []
    for number, row in enumerate(grid):
        if number and number % box == 0:
            lines.append("")
        lines.append("  ".join(" ".join(_signs(row[at : at + box])) for at in range(0, len(row), box)))
    path = stem.with_name(stem.name + ".txt")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _signs(row: Sequence[int]) -> str:
    return "".join(DIGITS[cell] for cell in row)


def _of_text(text: str) -> list[list[str]]:
    cells = [sign for sign in text if not sign.isspace() and sign not in "|:,;"]
    side = next((n for n in SIDES if n * n == len(cells)), 0)
    if not side:
        raise ValueError(f"a grid must have 16, 81 or 256 cells, but the text {text!r:.40} has {len(cells)}")
    return [cells[at : at + side] for at in range(0, len(cells), side)]


def _row(row: Any, number: int, side: int) -> list[int]:
    row = plain(row)
    if isinstance(row, str):
        row = list(row.replace(" ", ""))
    if not isinstance(row, list | tuple) or len(row) != side:
        has = len(row) if isinstance(row, list | tuple) else f"{type(row).__name__} {row!r:.40}"
        raise ValueError(f"a grid of {side} rows must have {side} cells in each, but row {number} has {has}")
    return [_cell(cell, number, column, side) for column, cell in enumerate(row)]


def _cell(cell: Any, row: int, column: int, side: int) -> int:
    value: int | None = None
    if cell is None or (isinstance(cell, str) and cell.strip() in BLANKS) or cell != cell:
        value = 0
    elif isinstance(cell, str):
        text = cell.strip().upper()
        value = int(text) if text.isascii() and text.isdigit() else DIGITS.find(text) if len(text) == 1 else None
    elif isinstance(cell, int | float) and not isinstance(cell, bool) and float(cell).is_integer():
        value = int(cell)
    if value is None or not 0 <= value <= side:
        raise ValueError(
            f"a cell of a grid must be a number from 1 to {side}, or blank (0 or a dot), but row {row}, column "
            f"{column} is {cell!r:.20}"
        )
    return value
