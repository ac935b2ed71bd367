"""Readers of the sample files: handwritten digits and English definitions, as map-style sources.

Both are split by source item, by a hash that `make_samples.py` wrote into the tables. The digits carry no mark of
their writer, so the same hand may be in both splits. Definitions are never repeated, but two may be much alike.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from PIL import Image

from ...core.errors import ConfigError
from .placements import SAMPLES, checked_split

CELL = 8


class Digits:
    """Scans of handwritten digits: rows `{"img": PIL image, "digit": "0" ... "9"}`, light ink on black, one channel.

    The scans have 8 x 8 pixels and 17 levels; they are enlarged (bicubic) to `size` x `size`.

    Args:
        split: `train` (1,438 scans) or `valid` (359).
        size: side of the pictures in pixels.

    Raises:
        ConfigError: an unknown split, or a size below the 8 pixels of a scan.

    >>> rows = Digits("valid")
    >>> len(rows), rows[0]["digit"], rows[0]["img"].size, rows[0]["img"].mode
    (359, '0', (32, 32), 'L')
    """

    def __init__(self, split: str, *, size: int = 32) -> None:
        if size < CELL:
            raise ConfigError(f"the size of a digit must be at least {CELL} pixels, but is {size}")
        self.size = size
        self.split = checked_split(split)
        with Image.open(SAMPLES / "digits" / "sheet.png") as sheet:
            self._sheet = sheet.convert("L")
        rows = read_table("digits/digits.csv", ",")
        self.items = [(int(row["item"]), row["digit"]) for row in rows if row["split"] == split]

    def __len__(self) -> int:
        return len(self.items)

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column in order; digits without making a picture."""
        for index, (_, digit) in enumerate(self.items):
            yield digit if name == "digit" else self[index][name]

    def __getitem__(self, index: int) -> dict[str, Any]:
        item, digit = self.items[index]
        columns = self._sheet.width // CELL
        left, top = item % columns * CELL, item // columns * CELL
        scan = self._sheet.crop((left, top, left + CELL, top + CELL))
        return {"img": scan.resize((self.size, self.size), Image.Resampling.BICUBIC), "digit": digit}


class English:
    """Definitions of English nouns: rows `{"text", "word", "group"}`, for example
    `{"text": "a flask for carrying water", "word": "canteen", "group": "artifact"}`.

    The text is lower case, without a full stop, of 5 to 20 words.

    Args:
        split: `train` (15,227 definitions) or `valid` (832).

    Raises:
        ConfigError: an unknown split.

    >>> rows = English("train")
    >>> len(rows), rows[0]["text"]
    (15227, 'an organism belonging to the same species as another organism')
    """

    def __init__(self, split: str) -> None:
        self.split = checked_split(split)
        self.items = [row for row in read_table("english/english.tsv", "\t") if row["split"] == split]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, str]:
        return {name: self.items[index][name] for name in ("text", "word", "group")}


def read_table(path: str, delimiter: str) -> list[dict[str, str]]:
    """The rows of a table under `samples/`, all values as text."""
    with (SAMPLES / path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))
