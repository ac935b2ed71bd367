"""Sentences about rows of real tables: described triples, and answers that stand in a small table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from random import Random
from typing import Any

from ..placements import checked_split
from .questions import records_of

HELD_OUT = 0.15
SHOWN = 3
"""Cars of the table that a question is asked about."""
ASKED = ("mpg", "cylinders", "horsepower", "weight", "year", "origin")


def _part(rows: tuple[Mapping[str, str], ...], split: str) -> list[Mapping[str, str]]:
    """The rows of one split, by a hash of their content; rows with missing cells are left out."""
    held = checked_split(split) == "valid"
    whole = [row for row in rows if all(row.values())]
    return [row for row in whole if (hashlib.sha256(repr(row).encode()).digest()[0] < 256 * HELD_OUT) is held]


class TableSentences:
    """Triples about one thing and a sentence that tells them: columns `database` and `tgt`.

    Things are cars, penguins and days; rows of the held-out part are never in training, the manners of telling are.

    >>> row = TableSentences(split="train")[0]
    >>> len(row["database"]) >= 3, len(row["tgt"].split()) > 5
    (True, True)
    """

    def __init__(self, *, split: str, rows: int = 4000) -> None:
        self.split, self.rows = checked_split(split), rows
        self._parts = {name: _part(records_of(name), split) for name in MANNERS}

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.rows:
            raise IndexError(f"the index must be in [0, {self.rows}), but is {index}")
        draw = Random(f"sentences/{self.split}/{index}")
        name = list(MANNERS)[index % len(MANNERS)]
        row = dict(draw.choice(self._parts[name]))
        subject, columns, sentence = draw.choice(MANNERS[name])
        about = subject.format_map(row)
        return {"database": [(about, c, row[c]) for c in columns], "tgt": sentence.format_map(row | {"about": about})}


Manner = tuple[str, tuple[str, ...], str]
MANNERS: dict[str, tuple[Manner, ...]] = {
    "cars": (
        (
            "{name}",
            ("origin", "year", "weight"),
            "the {about} is a car from {origin} of {year} that weighs {weight} pounds .",
        ),
        (
            "{name}",
            ("cylinders", "horsepower", "mpg"),
            "with {cylinders} cylinders and {horsepower} horsepower , the {about} goes {mpg} miles a gallon .",
        ),
    ),
    "penguins": (
        (
            "{species} penguin",
            ("island", "sex", "body_mass_g"),
            "one {sex} {about} of {island} weighs {body_mass_g} grams .",
        ),
        (
            "{species} penguin",
            ("year", "bill_length_mm", "flipper_length_mm"),
            "in {year} one {about} had a bill of {bill_length_mm} and a flipper of {flipper_length_mm} millimetres .",
        ),
    ),
    "weather": (
        (
            "{date}",
            ("weather", "temp_min", "temp_max"),
            "on {about} there was {weather} at {temp_min} to {temp_max} degrees .",
        ),
        (
            "{date}",
            ("weather", "wind", "precipitation"),
            "the {weather} of {about} brought {precipitation} millimetres , and wind of {wind} metres a second .",
        ),
    ),
}


class TableQuestions:
    """A column of a table, a question about one cell, and that cell: columns `database`, `src`, `tgt` and `answer`.

    The cars of a table have different makers and are called by them. In training each cell is that of some other car:
    who knew the cars by heart would be wrong, so that looking up is what is learnt; and tables have one car or more, up
    to the held-out size. Held-out tables hold the cells of held-out cars, as they are.

    >>> row = TableQuestions(split="valid")[0]
    >>> [len(cells) for cells in row["database"].values()], row["answer"] in row["tgt"]
    ([3], True)
    """

    def __init__(self, *, split: str, rows: int = 20_000) -> None:
        self.split, self.rows = checked_split(split), rows
        self._cars = _part(records_of("cars"), split)
        self._makers: dict[str, list[Mapping[str, str]]] = {}
        for car in self._cars:
            self._makers.setdefault(car["name"].partition(" ")[0], []).append(car)

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        draw = self._draw(index)
        column, cells = self._column(draw)
        maker, answer = draw.choice(list(cells.items()))
        return {
            "database": _written(column, cells),
            "src": f"what is the {column} of {maker} ?",
            "tgt": f"{column} = {maker} {answer}",
            "answer": answer,
        }

    def _draw(self, index: int) -> Random:
        if not 0 <= index < self.rows:
            raise IndexError(f"the index must be in [0, {self.rows}), but is {index}")
        return Random(f"table questions/{self.split}/{index}")

    def _column(self, draw: Random) -> tuple[str, dict[str, str]]:
        """A column, and its cells by their makers."""
        training = self.split == "train"
        column = draw.choice(ASKED)
        makers = draw.sample(list(self._makers), draw.randint(1, SHOWN) if training else SHOWN)
        return column, {m: draw.choice(self._cars if training else self._makers[m])[column] for m in makers}


class TableCells(TableQuestions):
    """The tables of `TableQuestions` and all that they say, in another order: columns `database` and `cells`. A row of
    it teaches to look up several times.

    >>> row = TableCells(split="valid")[0]
    >>> [sorted(cells) for cells in row["database"].values()] == [sorted(cells) for cells in row["cells"].values()]
    True
    """

    def __getitem__(self, index: int) -> dict[str, Any]:
        draw = self._draw(index)
        column, cells = self._column(draw)
        shuffled = dict(draw.sample(list(cells.items()), len(cells)))
        return {"database": _written(column, cells), "cells": _written(column, shuffled)}


def _written(column: str, cells: Mapping[str, str]) -> dict[str, list[str]]:
    """A column as a mapping: each value stands right behind its car, where it is found soonest."""
    return {column: [f"{maker} {value}" for maker, value in cells.items()]}
