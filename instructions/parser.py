"""Tokens to nodes: alternatives are parted, each at its arrow, and each side is built.

`parse` is grammar alone and knows no catalog. Inside the room `read` is used instead: it returns as much of the
instruction as could be read together with all findings, so that the compiler can report its own mistakes as well.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from ..core.errors import Fix, Label, Source, Span
from ..core.plan import Arrow
from .diagnostics import Findings
from .lexer import MOST_CHARACTERS, Token, tokenize
from .nodes import Instruction, Slot, Wording
from .sides import build

NEAR_ARROW = re.compile(r"-[ \t]+>|=+>|<-(?![\w>-])|<-+|-->+|->>+|<[ \t]*-[ \t]*>|<=+>?")
OTHER_ARROW = re.compile(r"[\u2190-\u21ff\u27f0-\u27ff]")
OTHER_RUN = re.compile(r"[<\-=>]+")
JOIN = " ||| "


class Reading(NamedTuple):
    """What could be read: `instruction` is None when nothing was; `loose` are slots without an arrow, so no sides."""

    instruction: Instruction | None
    loose: tuple[Slot, ...]
    findings: Findings


def parse(
    text: str | Sequence[str], *, name: str = "", file: str | None = None, line: int | None = None
) -> Instruction:
    """Read an instruction; a list of texts is joined as alternatives.

    Args:
        text: the instruction, at most 16,384 characters.
        name: what errors call it, usually the task's name.
        file: the file it stands in.
        line: its line in that file, from 1.

    Raises:
        InstructionError: with all mistakes that one reading finds.
        TypeError: `text` is neither text nor a list of texts.

    >>> parse("[IMAGE:img] what is it? -> [TEXT:cap]").wordings[0].arrow
    '->'
    """
    reading = read(Source(as_text(text), name, file, line))
    reading.findings.raise_errors()
    assert reading.instruction is not None, "without an error there is an instruction"
    return reading.instruction


def as_text(text: object) -> str:
    """The text of an instruction, a list of wordings joined.

    Raises:
        TypeError: anything else, by name.
    """
    if isinstance(text, str):
        return str(text)
    if isinstance(text, (list, tuple)) and text and all(isinstance(part, str) for part in text):
        return JOIN.join(text)
    shown = f"{type(text).__name__}"
    if isinstance(text, (list, tuple)):
        wrong = next((part for part in text if not isinstance(part, str)), None)
        shown = f"a {shown} that holds {type(wrong).__name__}" if text else f"an empty {shown}"
    elif isinstance(text, bytes):
        shown += "; decode it first"
    raise TypeError(f"an instruction must be text or a list of texts, but is {shown}")


def read(source: Source) -> Reading:
    """Read as far as possible; never raises for the text's sake."""
    findings = Findings(source)
    text = source.text
    if len(text) > MOST_CHARACTERS:
        findings.error(
            "OL115",
            f"an instruction has at most {MOST_CHARACTERS:,} characters, but this one has {len(text):,}",
            Span(MOST_CHARACTERS, min(len(text), MOST_CHARACTERS + 40)),
            help="long text belongs into a column of the data, read by a TEXT slot",
        )
        return Reading(None, (), findings)
    tokens = tokenize(text, findings)
    wordings: list[Wording] = []
    loose: list[Slot] = []
    for part, bar in _alternatives(tokens):
        if not any(token.kind != "text" or token.text.strip() for token in part):
            _empty(text, bar, findings)
            continue
        wording = _wording(text, part, _trimmed(text, Span(part[0].start, part[-1].end)), findings, loose)
        if wording:
            wordings.append(wording)
    return Reading(Instruction(tuple(wordings), source) if wordings else None, tuple(loose), findings)


def _alternatives(tokens: list[Token]) -> list[tuple[list[Token], Token | None]]:
    """The tokens of each alternative, with the `|||` beside it when there are several."""
    bars = [index for index, token in enumerate(tokens) if token.kind == "alt"]
    edges = [-1, *bars, len(tokens)]
    parts = [tokens[start + 1 : end] for start, end in itertools.pairwise(edges)]
    return [(part, tokens[bars[max(number - 1, 0)]] if bars else None) for number, part in enumerate(parts)]


def _wording(text: str, tokens: list[Token], span: Span, findings: Findings, loose: list[Slot]) -> Wording | None:
    arrows = [index for index, token in enumerate(tokens) if token.kind == "arrow"]
    if not arrows:
        _no_arrow(text, tokens, span, findings)
        loose += [token.slot for token in tokens if token.slot]
        return None
    if len(arrows) > 1:
        _many_arrows(text, [tokens[index] for index in arrows], findings)
    cut = arrows[0]
    arrow: Arrow = "<->" if tokens[cut].text == "<->" else "->"
    right = [token for token in tokens[cut + 1 :] if token.kind != "arrow"]
    source = build(text, tokens[:cut], "source", arrow, findings)
    target = build(text, right, "target", arrow, findings)
    if not any(token.kind in ("slot", "bad") for token in tokens):
        _no_slot(span, findings)
        return None
    return Wording(arrow, source, target, span)


def _empty(text: str, bar: Token | None, findings: Findings) -> None:
    if bar is None:
        help = "write `[IMAGE:img] what is it? -> [TEXT:cap]`"
        findings.error("OL100", "the instruction is empty", Span(0, len(text)), help=help)
        return
    findings.error(
        "OL125",
        "an alternative is empty",
        bar.span,
        help=r"` ||| ` stands between two whole instructions; a literal one is `\|||`",
    )


def _no_arrow(text: str, tokens: list[Token], span: Span, findings: Findings) -> None:
    """No arrow: the nearest thing to one is the place, the whole alternative else."""
    masked = list(" " * len(text))
    for token in tokens:
        if token.kind in ("text", "gt") and token.end - token.start == len(token.text):
            masked[token.start : token.end] = token.text
    shown = "".join(masked)
    near = NEAR_ARROW.search(shown, span.start, span.end)
    if near:
        wanted = "<->" if near[0].startswith("<") and near[0].endswith(">") else "->"
        findings.error(
            "OL100",
            f"no arrow, but `{near[0]}`",
            Span(near.start(), near.end()),
            label="reads as text",
            help=f"write `{wanted}`",
            fix=wanted,
        )
        return
    other = OTHER_ARROW.search(shown, span.start, span.end) or OTHER_RUN.search(shown, span.start, span.end)
    wanted = "an arrow is written `->`, or `<->` for matching"
    findings.error(
        "OL100",
        "no arrow between source and target",
        Span(other.start(), other.end()) if other else span,
        help=wanted + ("" if other else "; a language model is `-> [TEXT:page]`"),
    )


def _trimmed(text: str, span: Span) -> Span:
    piece = text[span.start : span.end]
    return Span(span.start + len(piece) - len(piece.lstrip()), span.start + len(piece.rstrip()))


def _many_arrows(text: str, arrows: list[Token], findings: Findings) -> None:
    first, second = arrows[0], arrows[1]
    between = text.find("|||", first.end, second.start)
    fixes = (Fix(Span(between, between + 3), JOIN),) if between >= 0 else ()
    help = rf"one arrow parts source and target; a literal one is `\{second.text}`"
    if fixes:
        help = "put white space around `|||` between alternatives"
    findings.error(
        "OL101",
        "more than one arrow",
        second.span,
        labels=(Label(first.span, "the first"), *(Label(arrow.span, "another") for arrow in arrows[1:])),
        help=help,
        fixes=fixes,
    )


def _no_slot(span: Span, findings: Findings) -> None:
    findings.error(
        "OL124",
        "an instruction needs at least one slot",
        span,
        help="a slot is written `[TEXT:name]`; its value comes from the column `name`",
    )
