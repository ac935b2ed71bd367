"""Metrics of sudoku grids, of 4, 9 or 16 cells a side. Grids are lists of rows, arrays, or text with a sign a cell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import isqrt
from typing import Any

from .raw import check_any, check_lengths

Grid = list[list[int]]
SIGNS = ".123456789ABCDEFG"


class SudokuSolved:
    """Share of grids that are solved: each number once in every row, column and box, and every given one kept."""

    def __init__(self) -> None:
        self.hits: list[bool] = []

    def update(self, predicted: Sequence[Any], truth: Sequence[Any], *, struct: Sequence[Any]) -> None:
        """Add rows: a grid each, the true one, and the given one. Another solution than the true one counts too."""
        check_lengths("sudoku_solved", predicted, truth)
        for found, given in zip(predicted, struct, strict=True):
            self.hits.append(is_solved(read_cells(found), known_grid("sudoku_solved", given)))

    def compute(self) -> float:
        """The share, 0 to 1."""
        check_any("sudoku_solved", self.hits)
        return sum(self.hits) / len(self.hits)


class SudokuCells:
    """Share of the blank cells that are filled as in the true grid, 0 to 1."""

    def __init__(self) -> None:
        self.right = 0
        self.blank = 0

    def update(self, predicted: Sequence[Any], truth: Sequence[Any], *, struct: Sequence[Any]) -> None:
        """Add rows: a grid each, the true one, and the given one."""
        check_lengths("sudoku_cells", predicted, truth)
        for found, true, given in zip(predicted, truth, struct, strict=True):
            cells = read_cells(found)
            whole, start = known_grid("sudoku_cells", true), known_grid("sudoku_cells", given)
            for row, column in product(range(len(start)), repeat=2):
                if not start[row][column]:
                    self.blank += 1
                    self.right += cells is not None and _at(cells, row, column) == whole[row][column]

    def compute(self) -> float:
        """The share over all rows."""
        if not self.blank:
            raise ValueError("`sudoku_cells` must get grids with blank cells, but has seen none")
        return self.right / self.blank


def is_solved(grid: Grid | None, given: Grid) -> bool:
    """Whether a grid solves the given one.

    >>> is_solved(read_cells("1234341221434321"), read_cells("1...............") or [])
    True
    """
    side = len(given)
    if grid is None or [len(row) for row in grid] != [side] * side:
        return False
    if any(g not in (0, grid[r][c]) for r, row in enumerate(given) for c, g in enumerate(row)):
        return False
    box = isqrt(side)
    columns = [list(column) for column in zip(*grid, strict=True)]
    boxes = [
        [grid[top + r][left + c] for r, c in product(range(box), repeat=2)]
        for top, left in product(range(0, side, box), repeat=2)
    ]
    return all(sorted(group) == list(range(1, side + 1)) for group in (*grid, *columns, *boxes))


def known_grid(metric: str, raw: Any) -> Grid:
    """A grid of the data.

    Raises:
        ValueError: it is none.
    """
    grid = read_cells(raw)
    if grid is None or isqrt(len(grid)) ** 2 != len(grid) or any(len(row) != len(grid) for row in grid):
        raise ValueError(f"`{metric}` must get square grids of 4, 9 or 16 rows, but got {raw!r:.60}")
    return grid


def read_cells(raw: Any) -> Grid | None:
    """The cells of a grid, 0 for blank, or None for what is none.

    >>> read_cells([["1", ""], [None, 2]])
    [[1, 0], [0, 2]]
    """
    raw = raw.tolist() if hasattr(raw, "tolist") else raw
    if isinstance(raw, str):
        signs = [sign for sign in raw if not sign.isspace() and sign not in "|:,;"]
        side = isqrt(len(signs))
        raw = [signs[at : at + side] for at in range(0, side * side, side)] if side * side == len(signs) else None
    if not isinstance(raw, list | tuple) or not raw:
        return None
    rows = [row.tolist() if hasattr(row, "tolist") else row for row in raw]
    if not all(isinstance(row, str | list | tuple) for row in rows):
        return None
    cells = [[_cell(cell) for cell in row] for row in rows]
    return None if any(cell is None for row in cells for cell in row) else cells  # type: ignore[return-value]


def _cell(cell: Any) -> int | None:
    text = "" if cell is None else str(cell).strip().upper()
    if text in ("", ".", "0", "_", "-", "*"):
        return 0
    if text.isascii() and text.isdigit():
        return int(text)
    found = SIGNS.find(text) if len(text) == 1 else -1
    return found if found > 0 else None


def _at(grid: Grid, row: int, column: int) -> int:
    return grid[row][column] if row < len(grid) and column < len(grid[row]) else 0
