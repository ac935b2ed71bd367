"""Sudoku grids of 4 or 9 cells a side, each with one solution, as a pure function of (split, index)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from itertools import product
from math import isqrt
from random import Random
from typing import Any

from ....core.errors import ConfigError
from ..placements import checked_split

Grid = list[list[int]]
HELD_OUT = 0.2
BLANKS = {4: 6, 9: 40}
"""Cells that are blanked out when nothing is said."""


class Sudokus:
    """Grids with blanks and their solutions: columns `src` and `tgt`, lists of rows with 0 for blank.

    Solutions are split by a hash, so that no solution of the held-out part is in training.

    Args:
        split: train or valid.
        side: 4 or 9.
        blanks: most cells to blank out; fewer where more would allow a second solution.
        rows: how many puzzles.

    Raises:
        ConfigError: another side or number of blanks.

    >>> row = Sudokus(split="train")[0]
    >>> sum(cell == 0 for line in row["src"] for cell in line), solutions(row["src"])
    (6, 1)
    """

    def __init__(self, *, split: str, side: int = 4, blanks: int | None = None, rows: int = 20_000) -> None:
        if side not in BLANKS:
            raise ConfigError(f"the side of a sudoku must be 4 or 9, but is {side}")
        self.split, self.side, self.rows = checked_split(split), side, rows
        self.blanks = BLANKS[side] if blanks is None else blanks
        if not 1 <= self.blanks < side * side:
            raise ConfigError(f"the blanks of a sudoku must be in 1..{side * side - 1}, but are {blanks}")

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.rows:
            raise IndexError(f"the index must be in [0, {self.rows}), but is {index}")
        draw = Random(f"sudoku/{self.split}/{self.side}/{index}")
        solved = _solved(self.side, draw)
        while is_held_out(solved) is not (self.split == "valid"):
            solved = _solved(self.side, draw)
        return {"src": _blanked(solved, self.blanks, draw), "tgt": solved}


def is_held_out(solved: Grid) -> bool:
    """Whether a solution belongs to the held-out part."""
    digest = hashlib.sha256(str(solved).encode()).digest()
    return digest[0] < 256 * HELD_OUT


def _solved(side: int, draw: Random) -> Grid:
    """A full grid: the cyclic pattern with bands, rows, stacks, columns and digits shuffled."""
    box = isqrt(side)
    places = [
        [band * box + line for band in draw.sample(range(box), box) for line in draw.sample(range(box), box)]
        for _ in range(2)
    ]
    digits = draw.sample(range(1, side + 1), side)
    return [[digits[(box * (row % box) + row // box + column) % side] for column in places[1]] for row in places[0]]


def _blanked(solved: Grid, blanks: int, draw: Random) -> Grid:
    grid = [list(row) for row in solved]
    cells = list(product(range(len(grid)), repeat=2))
    draw.shuffle(cells)
    for row, column in cells:
        kept, grid[row][column] = grid[row][column], 0
        if solutions(grid) != 1:
            grid[row][column] = kept
        elif (blanks := blanks - 1) == 0:
            break
    return grid


def solutions(grid: Grid, most: int = 2) -> int:
    """How many solutions a grid has, counted up to `most`.

    >>> solutions([[0] * 4] * 4)
    2
    """
    return sum(1 for _, _ in zip(_solve([list(row) for row in grid]), range(most), strict=False))


def _solve(grid: Grid) -> Iterator[Grid]:
    best: tuple[int, int] | None = None
    free: list[int] = []
    for row, column in _blank_cells(grid):
        found = _free(grid, row, column)
        if best is None or len(found) < len(free):
            best, free = (row, column), found
            if len(free) < 2:
                break
    if best is None:
        yield grid
        return
    for digit in free:
        grid[best[0]][best[1]] = digit
        yield from _solve(grid)
    grid[best[0]][best[1]] = 0


def _blank_cells(grid: Grid) -> list[tuple[int, int]]:
    return [(row, column) for row, column in product(range(len(grid)), repeat=2) if not grid[row][column]]


def _free(grid: Grid, row: int, column: int) -> list[int]:
    taken = {grid[r][c] for r, c in _peers(len(grid), row, column)}
    return [digit for digit in range(1, len(grid) + 1) if digit not in taken]


@cache
def _peers(side: int, row: int, column: int) -> tuple[tuple[int, int], ...]:
    box = isqrt(side)
    top, left = row // box * box, column // box * box
    near = {(top + r, left + c) for r, c in product(range(box), repeat=2)}
    lines = {(row, c) for c in range(side)} | {(r, column) for r in range(side)}
    return tuple(sorted((near | lines) - {(row, column)}))
