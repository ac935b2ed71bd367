"""Errors and diagnostics: a sentence, its place in the text, and the remedy.

A diagnostic always has a span; what reading finds is collected, never thrown one at a time. The catalogue of codes
is in `instructions/codes.py`; this file holds only the values that travel.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

PRINTED = 10
WIDEST = 160
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` up to, not including, `end` of a source text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Source:
    """A text with the place it came from, so that an error can name file and line."""

    text: str
    name: str = ""
    file: str | None = None
    line: int | None = None

    def place(self) -> str:
        """`file:line` where known, else the name, else nothing."""
        if self.file is None:
            return self.name
        return f"{self.file}:{self.line}" if self.line is not None else self.file


@dataclass(frozen=True, slots=True)
class Label:
    """A short remark that stands under one span."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """An edit that mends the text: replace `span` with `text`."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding about an instruction.

    `str(diagnostic)` is the message with its caret lines and help.
    """

    code: str
    severity: Severity
    message: str
    source: Source
    span: Span
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    fixes: tuple[Fix, ...] = ()

    def __str__(self) -> str:
        return render(self)


class OmnilineError(Exception):
    """Base of every error that this library raises on purpose."""


class InstructionError(OmnilineError, ValueError):
    """The instruction is wrong: `diagnostics` holds all that one reading found, errors first."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__(self._text())

    def _text(self) -> str:
        shown = [str(d) for d in self.diagnostics[:PRINTED]]
        more = len(self.diagnostics) - PRINTED
        if more > 0:
            shown.append(f"... and {more} more")
        return "\n".join(shown)

    def __reduce__(self) -> tuple[type[InstructionError], tuple[tuple[Diagnostic, ...]]]:
        return type(self), (self.diagnostics,)


class PlanError(OmnilineError, ValueError):
    """A stored plan cannot be read: another format, a missing part."""


class PluginError(OmnilineError, LookupError):
    """A part is missing, given twice, or its package does not import."""


class ConfigError(OmnilineError, ValueError):
    """A task file, an override or a setting is wrong."""


class DataError(OmnilineError, ValueError):
    """A row, a column or a value cannot be used; the message names task, row, slot and column.

    `slot` and `column` are their names, empty when it is not about one; `value` is which of a batch's values a loss
    means, -1 for none.
    """

    slot: str = ""
    column: str = ""
    value: int = -1


class BundleError(OmnilineError, ValueError):
    """A saved model cannot be read, or a folder cannot take one."""


def render(diagnostic: Diagnostic) -> str:
    """The message with a caret line per label, as rustc prints it, without colour."""
    head = f"{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"
    place = diagnostic.source.place()
    lines = [head] + ([f" --> {place}"] if place else [])
    lines += carets(diagnostic.source.text, diagnostic.span, diagnostic.labels)
    lines += [f"  = note: {note}" for note in diagnostic.notes]
    if diagnostic.help:
        lines.append(f"  = help: {diagnostic.help}")
    return "\n".join(lines)


def carets(text: str, span: Span, labels: Iterable[Label]) -> list[str]:
    """The lines of `text` that hold marks, each followed by one caret line per mark; long lines are cut around it."""
    marks = list(labels)
    if not any(label.span == span for label in marks):
        marks.insert(0, Label(span, ""))
    marks.sort(key=lambda label: (label.span.start, label.span.end))
    out: list[str] = []
    shown = None
    for label in marks:
        start = min(max(label.span.start, 0), len(text))
        first, last = _excerpt(text, start)
        if (first, last) != shown:
            head, tail = "\u2026" if text[first - 1 : first] not in ("", "\n") else "", text[last : last + 1]
            out.append("  | " + head + _shown(text[first:last]) + ("\u2026" if tail not in ("", "\n") else ""))
            shown = (first, last)
        before = bool(text[first - 1 : first] not in ("", "\n")) + _columns(text[first:start])
        width = max(_columns(text[start : min(label.span.end, last)]), 1)
        out.append(("  | " + " " * before + "^" * width + " " + label.text).rstrip())
    return out


def _excerpt(text: str, start: int) -> tuple[int, int]:
    """The line that holds `start`, or a stretch of it when it is long."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", start)
    last = len(text) if last < 0 else last
    if last - first <= WIDEST:
        return first, last
    low = max(first, min(start - WIDEST // 3, last - WIDEST))
    return low, min(low + WIDEST, last)


def _shown(text: str) -> str:
    """The text with one harmless character for each one that would move the carets or the terminal."""
    if text.isprintable():
        return text
    return "".join(char if unicodedata.category(char) not in ("Cc", "Cs") else _stand_in(char) for char in text)


def _stand_in(char: str) -> str:
    return " " if char == "\t" else "\ufffd"


def _columns(text: str) -> int:
    """How many columns of a terminal the text takes: East Asian letters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char) for char in text)
