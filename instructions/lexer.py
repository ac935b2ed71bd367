"""Text to tokens, in one pass whose cost grows with the length alone.

A token is a run of prompt text with its escapes undone, a whole slot, a round bracket (a closing one together with
the quantifier after it), an arrow, a lone `>`, or the `|||` between alternatives. Which brackets are groups and which
are text is the parser's decision, because it depends on what they hold.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from ..core.errors import Span
from .diagnostics import Findings
from .nodes import Slot
from .slots import read_slot

MOST_CHARACTERS = 16_384
MOST_CONTROLS = 20

Kind = Literal["text", "slot", "bad", "open", "close", "arrow", "gt", "alt"]

ARROWS = ("->", "<->")
PLAIN = re.compile(r"[^\\\[\]()<\-=>|\uff3b]+")
RUN = re.compile(r"[<\-=>]+")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
NUMBERED = re.compile(r"\{(\d{1,6})(,?)(\d{0,6})\}")
NEAR = re.compile(r"[ \t\n]*(?:[*+]+|\{(?:[\d,. \t]|-(?=\d))*\}?)+")
WIDE = re.compile(
    r"\uff3b\s*(?:[A-Z][A-Z0-9_]*\s*[:\uff1a,\uff0c\]\uff3d]|[A-Za-z]\w*\s*[:\uff1a])[^\[\]\uff3b\uff3d]*[\]\uff3d]?"
)
TO_ASCII = str.maketrans("\uff3b\uff3d\uff0c\uff1a", "[],:")


class Quantifier(NamedTuple):
    """What follows a `)`: repetitions when it is right, else `least` is None and `text` is a near miss."""

    text: str
    least: int | None
    most: int | None


class Token(NamedTuple):
    """A piece of the text; `text` is what it says as prompt text, escapes undone."""

    kind: Kind
    start: int
    end: int
    text: str = ""
    slot: Slot | None = None
    quantifier: Quantifier | None = None

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


def tokenize(text: str, findings: Findings) -> list[Token]:
    """The tokens of a text; what is wrong with its characters and slots goes to `findings`."""
    _controls(text, findings)
    tokens: list[Token] = []
    at, size = 0, len(text)
    while at < size:
        plain = PLAIN.match(text, at)
        if plain:
            tokens.append(Token("text", at, plain.end(), plain[0]))
            at = plain.end()
            continue
        token = _special(text, at, findings)
        tokens.append(token)
        at = token.end
    return tokens


def _special(text: str, at: int, findings: Findings) -> Token:
    char = text[at]
    if char == "[":
        slot, end = read_slot(text, at, findings)
        return Token("slot" if slot else "bad", at, end, slot=slot)
    if char == "\\":
        return _escape(text, at)
    if char in "<-=>":
        return _run(text, at)
    if char == "(":
        return Token("open", at, at + 1, "(")
    if char == ")":
        return _close(text, at)
    if char == "|":
        return _bar(text, at)
    if char == "]":
        findings.error(
            "OL104", "`]` closes nothing", Span(at, at + 1), label="no `[` before it", help=r"a literal one is `\]`"
        )
        return Token("bad", at, at + 1, "]")
    return _wide(text, at, findings)


def _escape(text: str, at: int) -> Token:
    following = text[at + 1 : at + 2]
    if following and following in "[]()>\\":
        return Token("text", at, at + 2, following)
    if following == "|" and text.startswith("|||", at + 1):
        return Token("text", at, at + 4, "|||")
    run = RUN.match(text, at + 1)
    if run and run[0] in ARROWS:
        return Token("text", at, run.end(), run[0])
    return Token("text", at, at + 1, "\\")


def _run(text: str, at: int) -> Token:
    run = RUN.match(text, at)
    assert run is not None, "a run starts where one of its characters stands"
    if run[0] in ARROWS:
        return Token("arrow", at, run.end(), run[0])
    return Token("gt" if run[0] == ">" else "text", at, run.end(), run[0])


def _close(text: str, at: int) -> Token:
    near = NEAR.match(text, at + 1)
    if near is None:
        return Token("close", at, at + 1, ")")
    written = near[0]
    if written in ("*", "+"):
        return Token("close", at, near.end(), ")" + written, None, Quantifier(written, int(written == "+"), None))
    exact = NUMBERED.fullmatch(written)
    least, most = None, None
    if exact:
        low, comma, high = exact.groups()
        most = int(high) if high else (None if comma else int(low))
        least = int(low) if most is None or (most >= int(low) and most > 0) else None
    if written.strip() in ("{", ""):
        return Token("close", at, at + 1, ")")
    return Token("close", at, near.end(), ")" + written, None, Quantifier(written, least, most))


def _bar(text: str, at: int) -> Token:
    if text.startswith("|||", at):
        before, after = text[at - 1 : at], text[at + 3 : at + 4]
        if (not before or before.isspace()) and (not after or after.isspace()):
            return Token("alt", at, at + 3, "|||")
    return Token("text", at, at + 1, "|")


def _wide(text: str, at: int, findings: Findings) -> Token:
    shape = WIDE.match(text, at)
    if shape is None:
        return Token("text", at, at + 1, text[at])
    mended = shape[0].translate(TO_ASCII)
    findings.error(
        "OL112",
        "a slot is written with full-width brackets",
        Span(at, shape.end()),
        label="reads as text",
        help=f"write `{mended}`",
        fix=mended,
    )
    return Token("bad", at, shape.end())


def _controls(text: str, findings: Findings) -> None:
    for count, found in enumerate(CONTROL.finditer(text)):
        if count == MOST_CONTROLS:
            break
        findings.error(
            "OL114",
            f"the character U+{ord(found[0]):04X} cannot stand in an instruction",
            Span(found.start(), found.end()),
            help="only newline and tab may; delete it",
            fix="",
        )
