"""Reading one slot: from its `[` to its `]`, with every mistake inside it found and, where possible, read past.

A slot that is right is read by two patterns. Anything else goes the slow way, which cuts the slot at its commas and
judges each piece; it returns a slot as far as it could be read, so that later stages still find *their* mistakes.
"""

from __future__ import annotations

import re
import unicodedata

from ..core.errors import Span
from .diagnostics import Findings
from .nodes import Attribute, Slot, Value

WORD = r'[^\s,=|"\[\]\uff0c\uff1a]+'
HEAD = re.compile(
    r"\[[ \t\n]*([A-Z][A-Z0-9_]*)[ \t\n]*(?::[ \t\n]*([\w-]+(?:\.[\w-]+)*)[ \t\n]*)?([,\]])",
)
ATTRIBUTE = re.compile(
    r"[ \t\n]*([A-Za-z_]\w*(?:\.\w+)?)[ \t\n]*(?:=[ \t\n]*(" + WORD + r")[ \t\n]*)?([,\]])",
)
STOP = re.compile(r'["\[\]]|[ \t\n](?:<->|->)(?![<\-=>])')
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
ESCAPED = re.compile(r'\\(["\\])')
AFTER_QUOTE = re.compile(r"\s*[,|\]\uff0c]")
KEY = re.compile(r"[A-Za-z_]\w*(?:\.\w+)?")
COLON = re.compile(r"([A-Za-z_]\w*(?:\.\w+)?)[ \t]*:[ \t]*([^\s,=|:\"\[\]]+)")
TYPE = re.compile(r"[A-Z][A-Z0-9_]*")
NEST = re.compile(r"\[\s*((?:\[[^\[\]]*\]\s*)+)\](\s*[*+])?")
FORGOTTEN = re.compile(r"\[\s*\w+(?:\s*:\s*[\w-]+(?:\.[\w-]+)*)?(?:\s*,\s*\w+(?:\s*=\s*[^\s,=|\"\[\]]+)?)*")
PLAIN_SLOT = r"[A-Z][A-Z0-9_]*(?:\s*:\s*[\w.-]+)?"
JOINED = re.compile(rf"{PLAIN_SLOT}(?:\s*[|+]\s*{PLAIN_SLOT})+(?:\s*[|+])?|{PLAIN_SLOT}\s*[|+]")
WIDE = {"\uff1a": ":", "\uff0c": ","}


def read_slot(text: str, at: int, findings: Findings) -> tuple[Slot | None, int]:
    """The slot whose `[` stands at `at`, and where the text goes on; None when nothing of it could be read."""
    head = HEAD.match(text, at)
    if head is None:
        return _slowly(text, at, findings)
    end, closing = head.end(), head[3]
    attributes: list[Attribute] = []
    while closing == ",":
        found = ATTRIBUTE.match(text, end)
        if found is None:
            return _slowly(text, at, findings)
        written = (Value(found[2], Span(*found.span(2))),) if found[2] else None
        attributes.append(Attribute(found[1], written, Span(found.start(1), found.end(2) if written else found.end(1))))
        end, closing = found.end(), found[3]
    name_span = Span(*head.span(2)) if head[2] else Span(*head.span(1))
    return Slot(head[1], head[2], tuple(attributes), Span(at, end), Span(*head.span(1)), name_span), end


def is_name(word: str) -> bool:
    """Whether a word can name a column: parts of letters of any script, digits, `_`, `-`, joined by dots."""
    parts = word.split(".")
    return all(parts) and all(_letter(char) for part in parts for char in part)


def _letter(char: str) -> bool:
    return char.isalnum() or char in "_-" or unicodedata.category(char).startswith("M")


def _slowly(text: str, at: int, findings: Findings) -> tuple[Slot | None, int]:
    nested = NEST.match(text, at)
    if nested:
        mended = f"( {nested[1].strip()} ){(nested[2] or '*').strip()}"
        _ancestor(findings, Span(at, nested.end()), "a slot cannot hold slots", mended)
        return None, nested.end()
    end, commas = _extent(text, at, findings)
    if end is None:
        return None, _unclosed(text, at, findings)
    return _pieces(text, at, end, commas, findings), end


def _extent(text: str, at: int, findings: Findings) -> tuple[int | None, list[int]]:
    """Where the slot ends, after its `]`, and its quoted stretches as alternating starts and ends; None: nowhere."""
    quotes: list[int] = []
    place = at + 1
    while True:
        stop = STOP.search(text, place)
        if stop is None:
            return None, quotes
        found = stop[0]
        if found == "]":
            return stop.end(), quotes
        if found == "[":
            return None, quotes
        before = text[place if quotes and place == quotes[-1] else at : stop.start()].rstrip()[-1:]
        opens = before in ("=", "|") and before != ""
        if found != '"':
            if opens:
                place = stop.end()
                continue
            return None, quotes
        if not opens:
            place = stop.end()
            continue
        whole = QUOTED.match(text, stop.start())
        cut = text.find("]", stop.start())
        if whole is None or (0 <= cut < whole.end() and not AFTER_QUOTE.match(text, whole.end())):
            findings.error(
                "OL110",
                "the quote is not closed",
                Span(stop.start(), cut if cut >= 0 else len(text)),
                label="opened here",
                help='close it with `"`; a literal one inside is `\\"`',
            )
            return (cut + 1 if cut >= 0 else len(text)), [*quotes, stop.start(), cut if cut >= 0 else len(text)]
        quotes += [stop.start(), whole.end()]
        place = whole.end()


def _unclosed(text: str, at: int, findings: Findings) -> int:
    """Report a `[` without its `]`; the text goes on after what is plainly the slot's."""
    match = FORGOTTEN.match(text, at)
    end = match.end() if match else at + 1
    wide = text[end : end + 1] == "\uff3d"
    findings.error(
        "OL112" if wide else "OL102",
        "a full-width `\uff3d` does not close a slot" if wide else "`[` is not closed",
        Span(end, end + 1) if wide else Span(at, end),
        label="" if wide else "the slot begins here",
        help="write `]`" if wide else r"close it with `]`; a literal one is `\[`",
        fix="]" if wide else text[at:end] + "]",
    )
    return end + 1 if wide else end


def _ancestor(findings: Findings, span: Span, message: str, mended: str) -> None:
    findings.error("OL113", message, span, help=f"write `{mended}`", fix=mended)


def _pieces(text: str, at: int, end: int, quotes: list[int], findings: Findings) -> Slot | None:
    """Cut the inside at commas outside quotes and judge head and attributes."""
    inside = list(text[at + 1 : max(end - 1, at + 1)])
    for start, stop in zip(quotes[::2], quotes[1::2], strict=True):
        inside[start - at - 1 : stop - at - 1] = "q" * len(inside[start - at - 1 : stop - at - 1])
    for offset, char in enumerate(inside):
        if char in WIDE:
            place = at + 1 + offset
            findings.error(
                "OL112",
                f"a full-width `{char}` inside a slot",
                Span(place, place + 1),
                help=f"write `{WIDE[char]}`; in a value, quote it",
                fix=WIDE[char],
            )
            inside[offset] = WIDE[char]
    flat = "".join(inside)
    spans, start = [], at + 1
    for piece in flat.split(","):
        spans.append(_trim(text, start, start + len(piece)))
        start += len(piece) + 1
    if not flat.strip():
        findings.error("OL105", "an empty slot", Span(at, end), help=r"write its type, as `[TEXT:name]`, or `\[\]`")
        return None
    head = _head(text, flat, at, end, spans[0], findings)
    attributes = [_attribute(text, flat, at, span, findings) for span in spans[1:]]
    if head is None:
        return None
    kind, type_span, name, name_span = head
    return Slot(kind, name, tuple(a for a in attributes if a), Span(at, end), type_span, name_span)


def _trim(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return Span(start + len(piece) - len(piece.lstrip()) if piece.strip() else start, start + len(piece.rstrip()))


def _head(
    text: str, flat: str, at: int, end: int, span: Span, findings: Findings
) -> tuple[str, Span, str | None, Span] | None:
    head = flat[span.start - at - 1 : max(span.end - at - 1, span.start - at - 1)]
    if JOINED.fullmatch(head):
        _joined(text, head, at, end, findings)
        return None
    kind, colon, name = head.partition(":")
    type_span = _trim(text, span.start, span.start + len(kind))
    kind = kind.strip()
    if not _type(kind, colon, at, type_span, findings):
        return None
    if not colon:
        return kind.upper(), type_span, None, type_span
    name_span = _trim(text, span.start + head.index(":") + 1, span.start + len(head))
    if not _name(text, name.strip(), name_span, span.start + head.index(":"), findings):
        return kind.upper(), type_span, None, type_span
    return kind.upper(), type_span, name.strip(), name_span


def _joined(text: str, head: str, at: int, end: int, findings: Findings) -> None:
    """Slots joined by `|` or `+` in one pair of brackets."""
    words = [f"[{part.strip()}]" for part in re.split(r"[+|]", head) if part.strip()]
    if "|" in head:
        _ancestor(findings, Span(at, end), "matching is written with an arrow", " <-> ".join(words))
        return
    repeated = text[end : end + 1] in ("*", "+") and end < len(text)
    mended = f"( {' '.join(words)} ){text[end] if repeated else '*'}"
    _ancestor(findings, Span(at, end + repeated), "slots that repeat together are a group", mended)


def _type(kind: str, colon: str, at: int, span: Span, findings: Findings) -> bool:
    """Whether the type is a word; `text` is recovered in upper case."""
    if TYPE.fullmatch(kind):
        return True
    if not kind:
        place = Span(at + 1, max(span.end, at + 2))
        findings.error("OL106", "the slot has no type", place, help="write it first, as `[TEXT:name]`")
        return False
    if TYPE.fullmatch(kind.upper()):
        findings.error(
            "OL106",
            f"a type is written in upper case, but is `{kind}`",
            span,
            help=f"write `{kind.upper()}`; literal brackets are `\\[` and `\\]`",
            fix=kind.upper(),
        )
        return True
    first, _, rest = kind.partition(" ")
    spaced = not colon and TYPE.fullmatch(first) and is_name(rest.strip())
    findings.error(
        "OL106",
        f"`{kind}` is not a type",
        span,
        help=f"write `{first}:{rest.strip()}`" if spaced else r"types are upper-case words; a literal `[` is `\[`",
        fix=f"{first}:{rest.strip()}" if spaced else None,
    )
    return False


def _name(text: str, name: str, span: Span, colon: int, findings: Findings) -> bool:
    if is_name(name):
        return True
    if not name:
        findings.error("OL107", "the name is empty", Span(colon, colon + 1), help="write one, or drop the `:`", fix="")
        return False
    fix = help = None
    gap = re.fullmatch(r"([\w.-]+)\s*[\s;]\s*([A-Za-z_][\w.]*\s*(?:=\s*[^\s=]+)?)", name)
    if gap:
        mended = f"{gap[1]},{gap[2]}"
        fix = mended if "=" in mended or ";" in name else None
        help = f"attributes follow a `,`: `{mended}`" + ("" if fix else '; another column is `column="..."`')
    else:
        help = 'names are letters, digits, `_`, `-` and dots; any other column is `column="..."`'
    findings.error("OL107", f"`{text[span.start : span.end]}` is not a name", span, help=help, fix=fix)
    return False


def _attribute(text: str, flat: str, at: int, span: Span, findings: Findings) -> Attribute | None:
    piece = flat[span.start - at - 1 : max(span.end - at - 1, span.start - at - 1)]
    if not piece.strip():
        comma = Span(span.start - 1 if span.start - 1 > at else at, span.start)
        findings.error("OL108", "an empty attribute", comma, label="nothing between it and the next", fix="")
        return None
    key, equals, _ = piece.partition("=")
    key = key.rstrip()
    key_span = Span(span.start, span.start + max(len(key), 1))
    if colon := COLON.fullmatch(piece):
        mended = f"{colon[1]}={colon[2]}"
        findings.error("OL108", f"`{piece}` is not an attribute", span, help=f"write `{mended}`", fix=mended)
        return None
    if not KEY.fullmatch(key):
        findings.error(
            "OL108",
            f"`{text[key_span.start : key_span.end]}` is not an attribute",
            key_span,
            help="attributes are `key` or `key=value`, parted by `,`",
        )
        return None
    if not equals:
        return Attribute(key, None, span)
    start = span.start + piece.index("=") + 1
    values = _values(text, flat, at, start, span.end, findings)
    if values is None:
        return None
    return Attribute(key, values, span)


def _values(text: str, flat: str, at: int, start: int, end: int, findings: Findings) -> tuple[Value, ...] | None:
    """The values after `=`, cut at `|` outside quotes; None when one is wrong."""
    found: list[Value] = []
    for piece in flat[start - at - 1 : max(end - at - 1, start - at - 1)].split("|"):
        span = _trim(text, start, start + len(piece))
        start += len(piece) + 1
        written = text[span.start : span.end]
        if not piece.strip():
            findings.error("OL109", "a value is missing", Span(max(span.start - 1, at), span.start), help="write one")
            return None
        if written.startswith('"') and len(written) > 1 and QUOTED.fullmatch(written):
            found.append(Value(ESCAPED.sub(r"\1", written[1:-1]), span))
        elif re.fullmatch(WORD, written):
            found.append(Value(written, span))
        elif written.startswith('"') and '"' not in written[1:].replace('\\"', ""):
            return None
        else:
            _bad_value(written, span, findings)
            return None
    return tuple(found)


def _bad_value(written: str, span: Span, findings: Findings) -> None:
    quotable = '"' not in written
    mended = f'"{written}"'.replace("\\", "\\\\") if quotable else None
    findings.error(
        "OL109",
        f"`{written}` is not a value",
        span,
        help=f"quote it: `{mended}`" if mended else 'a value is a word or `"quoted"`; a literal quote is `\\"`',
        fix=mended,
    )
