"""Collecting and showing findings: one reading gathers all of them, then they are raised, listed or printed.

Plain text is `str(diagnostic)`; here are the coloured form for a terminal and the JSON form for a program.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import Diagnostic, Fix, InstructionError, Label, Severity, Source, Span

if TYPE_CHECKING:
    from rich.text import Text as RichText

COLOURS = {"error": "bold red", "warning": "bold yellow"}


class Findings:
    """What one reading of one source has found so far; the only mutable thing in this room."""

    __slots__ = ("found", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.found: list[Diagnostic] = []

    def error(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        label: str = "",
        labels: Sequence[Label] = (),
        notes: Sequence[str] = (),
        help: str | None = None,
        fix: str | None = None,
        fixes: Sequence[Fix] = (),
        severity: Severity = "error",
    ) -> None:
        """Record a finding at `span`; `label` stands under it, `fix` replaces it."""
        if label:
            labels = (Label(span, label), *labels)
        if fix is not None:
            fixes = (Fix(span, fix), *fixes)
        self.found.append(
            Diagnostic(
                code=code,
                severity=severity,
                message=message,
                source=self.source,
                span=span,
                labels=tuple(labels),
                notes=tuple(notes),
                help=help,
                fixes=tuple(fixes),
            )
        )

    def warning(self, code: str, message: str, span: Span, **more: Any) -> None:
        """Record a warning; takes what `error` takes."""
        self.error(code, message, span, severity="warning", **more)

    @property
    def failed(self) -> bool:
        """Whether an error is among them."""
        return any(d.severity == "error" for d in self.found)

    def ordered(self) -> list[Diagnostic]:
        """Errors before warnings, each kind in reading order."""
        return sorted(self.found, key=lambda d: (d.severity != "error", d.span.start, d.span.end, d.code))

    def raise_errors(self) -> None:
        """Raise what was found when an error is among it.

        Raises:
            InstructionError: with every finding, errors first.
        """
        if self.failed:
            raise InstructionError(self.ordered())


def apply_fixes(diagnostics: Iterable[Diagnostic], text: str) -> str:
    """The text with every mechanical repair made, from right to left; of two that overlap the later is left out.

    >>> from omniline.core.errors import Source
    >>> found = Findings(Source("[TEXT:a] => [TEXT:b]"))
    >>> found.error("OL100", "no arrow", Span(9, 11), fix="->")
    >>> apply_fixes(found.found, "[TEXT:a] => [TEXT:b]")
    '[TEXT:a] -> [TEXT:b]'
    """
    edits = sorted({(f.span.start, f.span.end, f.text) for d in diagnostics for f in d.fixes})
    kept: list[tuple[int, int, str]] = []
    for start, end, new in edits:
        if not kept or start >= kept[-1][1]:
            kept.append((start, end, new))
    for start, end, new in reversed(kept):
        text = text[:start] + new + text[end:]
    return text


def as_json(diagnostics: Iterable[Diagnostic]) -> str:
    """The findings as a JSON list, for editors and other programs; places are character offsets."""
    return json.dumps([_plain(d) for d in diagnostics], ensure_ascii=False, indent=2)


def _plain(found: Diagnostic) -> dict[str, Any]:
    return {
        "code": found.code,
        "severity": found.severity,
        "message": found.message,
        "file": found.source.file,
        "line": found.source.line,
        "name": found.source.name,
        "text": found.source.text,
        "span": [found.span.start, found.span.end],
        "labels": [{"span": [at.span.start, at.span.end], "text": at.text} for at in found.labels],
        "notes": list(found.notes),
        "help": found.help,
        "fixes": [{"span": [fix.span.start, fix.span.end], "text": fix.text} for fix in found.fixes],
    }


def as_rich(found: Diagnostic) -> RichText:
    """The finding with colours, for `rich.print`."""
    from rich.text import Text as RichText

    colour = COLOURS[found.severity]
    out = RichText()
    for number, line in enumerate(str(found).split("\n")):
        if number:
            out.append("\n")
        if number == 0:
            head, _, message = line.partition(": ")
            out.append(head, style=colour).append(": " + message, style="bold")
        elif line.startswith("  | ") and line[4:].lstrip().startswith("^"):
            out.append(line[:4], style="blue").append(line[4:], style=colour)
        elif line.startswith(("  = ", "  | ", " --> ")):
            out.append(line[:5], style="blue").append(line[5:])
        else:
            out.append(line)
    return out
