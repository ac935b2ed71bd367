"""How the values of an output become files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..core.encoding import SlotReader
from ..core.opening.pictures import open_picture
from ..core.outputs import Writer, write_value


def writers_of(slots: Sequence[SlotReader], depth: Callable[[SlotReader], int]) -> dict[str, Writer]:
    """A writer for each target slot whose codec has a format; `depth` says in how many lists its values stand.

    A value that was given is written as if the model had found it, whatever spelling of it the row holds.
    """
    found = {}
    for reader in slots:
        if reader.slot.side == "target" and (save := _saving(reader)) is not None:
            found[reader.slot.name] = Writer(save, depth(reader))
    return found


def _saving(reader: SlotReader) -> Callable[[Any, Path], Path] | None:
    if reader.slot.given and reader.slot.modality == "IMAGE":
        return lambda value, stem: write_value(open_picture(value), stem)  # whole, not as large as the model sees it
    save: Callable[[Any, Path], Path] | None = getattr(reader.codec, "save", None)
    returned: Callable[[Any], Any] | None = getattr(reader.codec, "returned", None)
    if not reader.slot.given or returned is None:
        return save
    return lambda value, stem: (save or write_value)(returned(value), stem)
