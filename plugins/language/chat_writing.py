"""How a turn reads in a template: marks, texts and values in order, before any of them is cut into tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .chat_answers import CALL, THINK, UNCALL, UNTHINK
from .chat_templates import Template
from .chat_turns import MARK, Content, Turn, as_json


class Atom(NamedTuple):
    """A mark, a text or a value of a turn, before it is cut into tokens.

    `said` is what the assistant says; `edge` what the script's mask supervises in every turn; in text that is not
    `free`, what spells a mark is text; a mark `beside` a clip stands around it and its sound.
    """

    text: str
    mark: bool = False
    said: bool = False
    edge: bool = False
    free: bool = True
    content: Content | None = None
    beside: Content | None = None


class Writing:
    """Writes turns in a template.

    Args:
        template: see `chat_templates`.
        muted: the empty thought of an answer is given and not said: the answer is to come without one.
    """

    def __init__(self, template: Template, *, muted: bool = False) -> None:
        self.template = template
        self.muted = muted

    def opening(self) -> list[Atom]:
        """What opens the assistant's turn that is to be found."""
        return [*self._head("assistant"), *(self._thought("") if self.muted else ())]

    def turn(self, turn: Turn) -> list[Atom]:
        """A turn: head, thought, contents in order, calls; the end mark and the new line behind it are not among them.

        Args:
            turn: its thought is None or what is written, see `chat_order`.
        """
        said = turn.role == "assistant"
        role = "user" if turn.role == "tool" and self.template.answers else turn.role
        thought = () if turn.thought is None else self._thought(turn.thought)
        return [*self._head(role, turn.name), *thought, *self._contents(turn, said), *self._calls(turn)]

    def _head(self, role: str, name: str = "") -> Iterator[Atom]:
        if self.template.before:
            yield Atom(self.template.before, mark=True, edge=True)
        yield Atom(role + (f" name={name}" if name and self.template.names else "") + self.template.behind)

    def _thought(self, thought: str) -> Iterator[Atom]:
        said = bool(thought) or not self.muted
        yield Atom(THINK, mark=True, said=said)
        yield Atom(f"\n{thought}\n", said=said)
        yield Atom(UNTHINK, mark=True, said=said)
        yield Atom("\n\n", said=said)

    def _contents(self, turn: Turn, said: bool) -> Iterator[Atom]:
        free = turn.role in ("assistant", "system")
        for content in turn.contents:
            if content.modality in ("TEXT", MARK):
                yield Atom(content.value, mark=content.modality == MARK, said=said, free=free)
                continue
            both = content.sound is not None
            kinds = (content.modality, "AUDIO") if both else (content.modality,)
            around = [self.template.around.get(kind, ("", "")) for kind in kinds]
            for opens, _ in around:
                yield Atom(opens, mark=True, beside=content if both else None)
            yield Atom("", content=content)
            for _, closes in reversed(around):
                yield Atom(closes, mark=True, beside=content if both else None)

    def _calls(self, turn: Turn) -> Iterator[Atom]:
        for number, call in enumerate(turn.calls):
            if number or turn.text or any(content.modality != "TEXT" for content in turn.contents):
                yield Atom("\n", said=True)
            yield Atom(CALL, mark=True, said=True)
            yield Atom(f'\n{{"name": {as_json(call["name"])}, "arguments": {call["arguments"]}}}\n', said=True)
            yield Atom(UNCALL, mark=True, said=True)
