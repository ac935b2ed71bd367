"""Which round brackets are groups, which are text, and which were meant as groups but are not written as such."""

from __future__ import annotations

import bisect
import re

from ..core.errors import Fix, Label, Span
from ..core.plan import Arrow, Side
from .diagnostics import Findings
from .lexer import Token

LOOSE_QUANTIFIER = re.compile(r"[ \t]*(?:\*|\+(?=\s|$|[,.;])|\{\d+(?:,\d*)?\})")


def group_brackets(text: str, tokens: list[Token], side: Side, arrow: Arrow, findings: Findings) -> set[int]:
    """Indexes of the brackets that open and close groups; near misses are reported and taken for groups."""
    waiting: list[tuple[int, int]] = []
    groups: set[int] = set()
    slots = 0
    textual: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind in ("slot", "bad"):
            slots += 1
        elif token.kind == "open":
            waiting.append((index, slots))
        elif token.kind == "close":
            if not waiting:
                if token.quantifier and slots:
                    _unopened(token, findings)
                continue
            opener, before = waiting.pop()
            if slots == before:
                textual += [index] if token.quantifier else []
            elif token.quantifier:
                groups |= {opener, index}
                if token.quantifier.least is None:
                    _near(tokens[opener], token, findings)
            elif side == "target" and arrow == "->":
                _plain_brackets(tokens[opener], token, findings)
    if waiting:
        _unbalanced(text, tokens, [opener for opener, _ in waiting], textual, findings)
    _loose_quantifiers(text, tokens, side, arrow, findings, bool(waiting))
    return groups


def _unopened(token: Token, findings: Findings) -> None:
    findings.error(
        "OL117",
        f"`{token.text}` closes no group",
        token.span,
        label="no `(` before it",
        help=r"open it with `(`; a literal one is `\)`",
    )


def _near(opener: Token, token: Token, findings: Findings) -> None:
    assert token.quantifier is not None, "only quantified brackets are near misses"
    written = token.quantifier.text
    span = Span(token.start + 1, token.end)
    stripped = written.strip()
    numbers = re.sub(r"[^\d,]", "", stripped)
    fix = None
    if stripped in ("*", "+"):
        fix = stripped
    elif re.fullmatch(r"[*+]+", stripped):
        fix = "*" if "*" in stripped else "+"
    elif re.fullmatch(r",\d{1,6}", numbers) and int(numbers[1:]):
        fix = "{0" + numbers + "}"
    elif re.fullmatch(r"\d{1,6},\d{1,6}", numbers):
        low, high = sorted(int(number) for number in numbers.split(","))
        fix = f"{{{low},{high}}}" if high else None
    findings.error(
        "OL116",
        f"`{written}` is not a quantifier",
        span,
        labels=(Label(opener.span, "of the group that opens here"),),
        help=(f"write `){fix}`" if fix else "write `*`, `+`, `{m}`, `{m,}` or `{m,n}` with 0 <= m <= n and n > 0")
        + r"; literal brackets are `\(` and `\)`",
        fix=fix,
    )


def _plain_brackets(opener: Token, token: Token, findings: Findings) -> None:
    findings.warning(
        "OL119",
        "brackets around a slot without a quantifier are text",
        Span(opener.start, token.end),
        help=r"a list is `( ... )*`; literal brackets are `\(` and `\)`",
        fixes=(Fix(Span(token.end, token.end), "*"),),
    )


def _unbalanced(text: str, tokens: list[Token], openers: list[int], textual: list[int], findings: Findings) -> None:
    """A `(` that nothing closes, with a slot and then a quantifier after it, was meant as a group."""
    loose = [index for index, token in enumerate(tokens) if _quantified(text, token)]
    slots = [index for index, token in enumerate(tokens) if token.kind in ("slot", "bad")]
    for opener in openers:
        first = bisect.bisect(slots, opener)
        quantified = bisect.bisect(loose, opener)
        place = tokens[loose[quantified]].end if quantified < len(loose) else None
        closed = first < len(slots) and bool(textual) and textual[-1] > slots[first]
        if place is None and not closed:
            continue
        findings.error(
            "OL117",
            "the group is not closed",
            tokens[opener].span,
            label="opens here",
            help=r"close it with `)` and a quantifier; a literal one is `\(`",
            fixes=(Fix(Span(place, place), " )"),) if place is not None else (),
        )


def _quantified(text: str, token: Token) -> bool:
    return token.kind == "slot" and LOOSE_QUANTIFIER.match(text, token.end) is not None


def _loose_quantifiers(
    text: str, tokens: list[Token], side: Side, arrow: Arrow, findings: Findings, unbalanced: bool
) -> None:
    if side == "source" or arrow != "->" or unbalanced:
        return
    for token in tokens:
        mark = LOOSE_QUANTIFIER.match(text, token.end) if token.kind == "slot" else None
        if mark:
            written = text[token.start : token.end]
            findings.warning(
                "OL120",
                f"`{mark[0].strip()}` after a slot is text",
                Span(mark.end() - len(mark[0].strip()), mark.end()),
                help=f"a list is written `( {written} ){mark[0].strip()}`",
                fixes=(Fix(Span(token.start, mark.end()), f"( {written} ){mark[0].strip()}"),),
            )
