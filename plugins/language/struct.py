"""The codec of STRUCT: tables and their like, written out as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from ...core.codec import Encoded, Reading
from .tables import read_rows, written
from .text import TextCodec
from .tokenizer import Tokenizer

Form = Literal["table", "rows", "mapping", "text"]


class StructCodec:
    """Structured values to the tokens of their text, and predicted text to the wanted form.

    `form` says what a prediction becomes: "table" a list of rows of strings, "rows" a list of mappings named by the
    first row, "mapping" one mapping from first cell to the rest, "text" the text itself.
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        form: Form = "table",
        uncased: bool = False,
        mask_ratio: float = 0.0,
        noise_ratio: float = 0.0,
    ) -> None:
        self.form = form
        self._text = TextCodec(tokenizer=tokenizer, uncased=uncased, mask_ratio=mask_ratio, noise_ratio=noise_ratio)

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens of the value's text."""
        return self._text.measure(written(raw), reading)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a structured value.

        Raises:
            TypeError: nothing that is known as structured.
            ValueError: rows that do not fit each other.
        """
        return self._text.encode(written(raw), reading)

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> Any:
        """The value in the wanted form; short rows are filled with empty cells where names need them."""
        text = self._text.decode(predicted)
        if self.form == "text":
            return text
        rows = read_rows(text)
        if self.form == "table":
            return rows
        if self.form == "mapping":
            return {row[0]: row[1] if len(row) == 2 else row[1:] for row in rows}
        names = rows[0]
        return [dict(zip(names, row + [""] * (len(names) - len(row)), strict=False)) for row in rows[1:]]
