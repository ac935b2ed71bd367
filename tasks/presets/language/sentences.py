"""Sentences about rows of real tables: described triples, and answers that stand in a small table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from ..placements import checked_split
from .questions import records_of

HELD_OUT = 0.15
SHOWN, WIDTH = 3, 2
"""Rows and columns of the table that a question is asked about."""
ASKED = {
    "mpg": "mileage",
    "cylinders": "number of cylinders",
    "horsepower": "horsepower",
    "weight": "weight",
    "year": "year",
    "origin": "origin",
}


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
    """A small table, a question about it and the answer in a sentence: columns `database`, `src`, `tgt` and `answer`.

    The cars of a table have different makers. In training each cell, and each name but for its maker, is that of some
    other car: who knew the cars by heart would be wrong, so that reading the table is what is learnt; and tables have
    one row or column or more, up to the held-out size, so that the small ones teach to copy and the others to look up.
    Held-out tables are as they are.

    >>> rows = TableQuestions(split="valid")
    >>> len(rows[0]["database"]), rows[0]["answer"] in rows[0]["tgt"]
    (4, True)
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
        columns, shown = self._table(draw)
        asked, column = draw.choice(shown), draw.choice(columns)
        name, answer = asked["name"], asked[column]
        return {
            "database": _written(columns, shown),
            "src": f"what is the {ASKED[column]} of the {name} ?",
            "tgt": f"its {ASKED[column]} is {answer} .",
            "answer": answer,
        }

    def _draw(self, index: int) -> Random:
        if not 0 <= index < self.rows:
            raise IndexError(f"the index must be in [0, {self.rows}), but is {index}")
        return Random(f"table questions/{self.split}/{index}")

    def _table(self, draw: Random) -> tuple[list[str], list[Mapping[str, str]]]:
        """The columns and rows of a table."""
        training = self.split == "train"
        count, width = (draw.randint(1, SHOWN), draw.randint(1, WIDTH)) if training else (SHOWN, WIDTH)
        columns, makers = draw.sample(list(ASKED), width), draw.sample(list(self._makers), count)
        if training:
            return columns, [self._mixed(maker, columns, draw) for maker in makers]
        return columns, [draw.choice(self._makers[maker]) for maker in makers]

    def _mixed(self, maker: str, columns: Sequence[str], draw: Random) -> Mapping[str, str]:
        _, _, rest = draw.choice(self._cars)["name"].partition(" ")
        return {"name": f"{maker} {rest}".strip(), **{column: draw.choice(self._cars)[column] for column in columns}}


class TableCells(TableQuestions):
    """The tables of `TableQuestions` and all that they say, cell by cell in any order: columns `database` and `cells`,
    triples of a name, what is told of it, and its value. A row of it teaches to look up many times.

    >>> row = TableCells(split="valid")[0]
    >>> len(row["database"]), len(row["cells"])
    (4, 6)
    """

    def __getitem__(self, index: int) -> dict[str, Any]:
        draw = self._draw(index)
        columns, shown = self._table(draw)
        cells = [(row["name"], ASKED[column], row[column]) for row in shown for column in columns]
        draw.shuffle(cells)
        return {"database": _written(columns, shown), "cells": cells}


def _written(columns: Sequence[str], shown: Sequence[Mapping[str, str]]) -> list[list[str]]:
    return [["name", *columns], *([row["name"], *(row[column] for column in columns)] for row in shown)]
