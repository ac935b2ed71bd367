"""Printing for people: colours on a terminal, plain text elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from ...core.errors import PRINTED, Diagnostic, InstructionError


def line(text: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def part(text: str) -> None:
    """A part of a line on standard output, seen at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def note(text: str) -> None:
    """One line on standard error, where it does not disturb what is piped on."""
    sys.stderr.write(text + "\n")


def error(found: Exception) -> None:
    """A mistake on standard error: its caret lines where it has some, else its sentence."""
    if isinstance(found, InstructionError):
        diagnostics(found.diagnostics, sys.stderr)
        return
    text = str(found)
    if isinstance(found, OSError) and found.strerror:
        text = f"{found.strerror}: {found.filename}" if found.filename else found.strerror
    if sys.stderr.isatty():
        sys.stderr.write(f"\033[1;31merror:\033[0m {text}\n")
    else:
        sys.stderr.write(f"error: {text}\n")


def diagnostics(found: Sequence[Diagnostic], stream: TextIO | None = None) -> None:
    """Findings with their caret lines, the first ten of them."""
    stream = stream or sys.stdout
    if stream.isatty():
        from rich.console import Console

        from ...instructions.diagnostics import as_rich

        console = Console(file=stream)
        for one in found[:PRINTED]:
            console.print(as_rich(one), soft_wrap=True)
    else:
        stream.writelines(f"{one}\n" for one in found[:PRINTED])
    if len(found) > PRINTED:
        stream.write(f"... and {len(found) - PRINTED} more\n")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns side by side; the last one is not filled up."""
    held = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in held) for column in range(len(heads) - 1)]
    for number, row in enumerate(held):
        cells = [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]
        text = "  ".join(cells).rstrip()
        line(f"\033[1m{text}\033[0m" if number == 0 and sys.stdout.isatty() else text)
