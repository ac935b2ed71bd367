"""The codec of STRUCT: tables, mappings, graphs, grids and schemas, written out as text and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ...core.codec import Encoded, Reading
from .cutting import fitted
from .databases import read_schema
from .graphs import is_mapping_text, read_mapping
from .grids import read_grid, write_grid
from .signs import Signs
from .structures import Form, structured
from .table_files import write_table
from .tables import read_rows, records_of
from .text import TextCodec, room
from .tokenizer import Tokenizer


class StructCodec:
    """Structured values to the tokens of their text, and predicted text to the wanted form.

    A value that takes more tokens than it may loses whole rows from its end, the head kept; if that does not do, whole
    columns from the right; only then is its text cut. A grid is never cut.

    >>> from .tokenizer import ByteTokenizer
    >>> codec = StructCodec(tokenizer=ByteTokenizer())
    >>> codec.written([["name", "age"], ["Ann", 31]], Reading())
    'name : age | Ann : 31'
    >>> codec.read("name = Ann | home . city = Rome")
    {'name': 'Ann', 'home': {'city': 'Rome'}}
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        form: Form = "auto",
        row_sign: str = "|",
        cell_sign: str = ":",
        question: str | None = None,
        likeness: int = 100,
        uncased: bool = False,
        mask_ratio: float = 0.0,
        noise_ratio: float = 0.0,
    ) -> None:
        """`question` names the slot whose text comes as the reading's leader; see `Struct` for the others."""
        self.form, self.likeness = form, likeness
        self.signs = Signs(row_sign, cell_sign)
        self._text = TextCodec(tokenizer=tokenizer, uncased=uncased, mask_ratio=mask_ratio, noise_ratio=noise_ratio)

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens of the value's text."""
        return self._text.measure(self.written(raw, reading), reading)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a structured value.

        Raises:
            TypeError: nothing that is known as structured.
            ValueError: rows or columns that do not fit each other, nothing at all, a file that cannot be read, a grid
                that would be cut.
        """
        return self._text.encode(self.written(raw, reading), reading)

    def written(self, raw: Any, reading: Reading) -> str:
        """The value as text, cut to what the reading has room for."""
        question = reading.leader if isinstance(reading.leader, str) else None
        value = structured(raw, self.form, signs=self.signs, question=question, likeness=self.likeness)
        return fitted(value, room(reading), self._count)

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> Any:
        """The value in the wanted form."""
        return self.read(self._text.decode(predicted))

    def returned(self, raw: Any) -> Any:
        """A value of the data as it comes back, whatever spelling of it a row holds: what metrics compare with."""
        return self.read(structured(raw, self.form, signs=self.signs).text())

    def spell(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return self._text.spell(tokens)

    def read(self, text: str) -> Any:
        """The value that a text stands for; what a model writes badly is still a value.

        With form "auto" text whose rows all have a key and a value is a mapping, a square of numbers a grid, and all
        else a table: a list of rows of texts.
        """
        if self.form == "text":
            return text
        if self.form == "schema":
            return read_schema(text, self.signs)
        if self.form == "mapping" or (self.form == "auto" and is_mapping_text(text, self.signs)):
            return read_mapping(text, self.signs)
        grid = read_grid(text) if self.form in ("grid", "auto") else None
        if grid is not None:
            return grid
        rows = read_rows(text, self.signs)
        if self.form == "graph":
            return [tuple((row + ["", ""])[:3]) for row in rows]
        return records_of(rows) if self.form == "rows" else rows

    def save(self, value: Any, stem: Path) -> Path:
        """Write a value beside `stem`: a table as .csv, a grid or text as .txt, all else as .json."""
        if isinstance(value, str):
            path = stem.with_name(stem.name + ".txt")
            path.write_text(value, encoding="utf-8")
            return path
        if _is_rows(value) and all(isinstance(cell, int) for row in value for cell in row):
            return write_grid(value, stem)
        if _is_rows(value):
            return write_table([list(row) for row in value], stem)
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            return write_table([list(value[0]), *(list(row.values()) for row in value)], stem)
        path = stem.with_name(stem.name + ".json")
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
        return path

    def _count(self, text: str) -> int:
        return self._text.measure(text, Reading())


def written_texts(settings: Mapping[str, Any], raw: Any) -> list[str]:
    """The text of a value as `StructCodec` with these settings writes it, for the making of a tokenizer: signs and the
    spaces before cells are counted too, and of a database its schema.

    Raises:
        TypeError, ValueError: as `StructCodec.encode`.

    >>> written_texts({"row_sign": "|", "cell_sign": ":"}, [["name", "age"], ["Ann", 31]])
    ['name : age | Ann : 31']
    """
    signs = Signs(settings["row_sign"], settings["cell_sign"])
    text = structured(raw, settings.get("form", "auto"), signs=signs).text()
    return [text.lower() if settings.get("uncased") else text]


def _is_rows(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(row, list) for row in value)
