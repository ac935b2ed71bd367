"""Nodes to text: the canonical spelling, which reads back equal, and the place of each slot in it."""

from __future__ import annotations

import re

from ..core.errors import Span
from .nodes import Attribute, Instruction, Item, Ranking, Slot, Text, Value, Wording

WORD = re.compile(r'[^\s,=|"\[\]\uff0c\uff1a]+')
SPECIAL = re.compile(r"[\\\[\]()<\-=>|]")
RUN = re.compile(r"[<\-=>]+")
BARS = re.compile(r"\|+")
JOIN = " ||| "


def spell(instruction: Instruction) -> str:
    """The canonical spelling."""
    return spell_with_places(instruction)[0]


def spell_with_places(instruction: Instruction) -> tuple[str, tuple[tuple[Span, ...], ...]]:
    """The canonical spelling, and per alternative the places of its slots (brackets included) in reading order."""
    printer = _Printer()
    places: list[tuple[Span, ...]] = []
    for number, wording in enumerate(instruction.wordings):
        if number:
            printer.put(JOIN)
        printer.places = []
        printer.wording(wording)
        places.append(tuple(printer.places))
    return "".join(printer.pieces), tuple(places)


def quantifier(least: int, most: int | None) -> str:
    """How a group's repetitions are written.

    >>> quantifier(0, None), quantifier(1, None), quantifier(2, 2), quantifier(0, 1), quantifier(2, None)
    ('*', '+', '{2}', '{0,1}', '{2,}')
    """
    if most is None:
        return {0: "*", 1: "+"}.get(least, f"{{{least},}}")
    return f"{{{least}}}" if least == most else f"{{{least},{most}}}"


def slot_text(slot: Slot) -> str:
    """A slot in canonical spelling."""
    name = f":{slot.name}" if slot.name else ""
    return "[" + ",".join([slot.type + name, *map(_attribute, slot.attributes)]) + "]"


def _attribute(attribute: Attribute) -> str:
    if attribute.values is None:
        return attribute.key
    return attribute.key + "=" + "|".join(map(_value, attribute.values))


def _value(value: Value) -> str:
    if WORD.fullmatch(value.text):
        return value.text
    return '"' + value.text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Printer:
    """Collects pieces and remembers where the slots came to stand."""

    __slots__ = ("pieces", "places", "size")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.places: list[Span] = []
        self.size = 0

    def put(self, piece: str) -> None:
        self.pieces.append(piece)
        self.size += len(piece)

    def wording(self, wording: Wording) -> None:
        encoded = wording.arrow == "<->"
        self.side(wording.source, True)
        self.put((" " if wording.source else "") + wording.arrow + (" " if wording.target else ""))
        self.side(wording.target, encoded)

    def side(self, items: tuple[Item, ...], encoded: bool) -> None:
        for index, item in enumerate(items):
            before = items[index - 1] if index else None
            after = items[index + 1] if index + 1 < len(items) else None
            if before and not isinstance(before, Text) and not isinstance(item, Text) and not encoded:
                self.put(" ")
            if isinstance(item, Text):
                self.put(_text(item.text, before, after))
            elif isinstance(item, Slot):
                self.slot(item)
            elif isinstance(item, Ranking):
                for place, slot in enumerate(item.slots):
                    self.put(" > " if place else "")
                    self.slot(slot)
            else:
                self.put("( ")
                self.side(item.items, encoded)
                self.put(" )" + quantifier(item.least, item.most))

    def slot(self, slot: Slot) -> None:
        written = slot_text(slot)
        self.places.append(Span(self.size, self.size + len(written)))
        self.put(written)


def _text(text: str, before: Item | None, after: Item | None) -> str:
    """Prompt text with the escapes that it needs beside its neighbours."""
    if SPECIAL.search(text) is None:
        return text
    loose = _unpaired(text)
    touching = _touching(text, before, after)
    out: list[str] = []
    at = 0
    while at < len(text):
        special = SPECIAL.search(text, at)
        if special is None:
            out.append(text[at:])
            break
        out.append(text[at : special.start()])
        at = special.start()
        run = RUN.match(text, at) or BARS.match(text, at)
        piece = run[0] if run else text[at]
        literal = piece in ("->", "<->", "|||", "[", "]") or at in loose or (piece == ">" and at in touching)
        if literal or (piece == "\\" and _escapes(text, at + 1, after)):
            out.append("\\")
        out.append(piece)
        at += len(piece)
    return "".join(out)


def _escapes(text: str, at: int, after: Item | None) -> bool:
    """Whether a backslash before `at` would take what follows for a literal."""
    following = text[at : at + 1]
    if not following:
        return after is not None
    return following in "[]()<>-\\|="


def _unpaired(text: str) -> set[int]:
    """The round brackets that are not balanced within this text, so that they might pair around a slot."""
    opened: list[int] = []
    loose: set[int] = set()
    for at, char in enumerate(text):
        if char == "(":
            opened.append(at)
        elif char == ")":
            if opened:
                opened.pop()
            else:
                loose.add(at)
    return loose | set(opened)


def _touching(text: str, before: Item | None, after: Item | None) -> set[int]:
    """Where a lone `>` stands beside a slot."""
    ends: set[int] = set()
    if isinstance(before, (Slot, Ranking)):
        ends.add(len(text) - len(text.lstrip()))
    if isinstance(after, (Slot, Ranking)):
        ends.add(len(text.rstrip()) - 1)
    return ends
