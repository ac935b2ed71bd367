"""Turns as tokens of the model's tokenizer: a template's marks around them, tools, thoughts, media.

A mark that the tokenizer has as a token of its own is that token; another is spelt. A turn always ends with a token
that no text is cut into, so nothing that stands in a turn can end it: what spells a mark there is text. What users and
tools say never becomes a mark; the system and the assistant may write those of thoughts and calls themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .chat_answers import CALL, THINK, UNCALL, UNTHINK
from .chat_templates import Template
from .chat_turns import MARK, Content, Turn, as_json
from .masking import Ids
from .tokenizer import Tokenizer


class Stretch(NamedTuple):
    """A run of a written turn: tokens, or a value of another kind; `learnt` when it is supervised."""

    tokens: Ids | None
    content: Content | None = None
    learnt: bool = False


class Atom(NamedTuple):
    """A mark, a text or a value of a turn, before it is cut into tokens.

    `said` is what the assistant says; `edge` what the script's mask supervises in every turn; in text that is not
    `free`, what spells a mark is text.
    """

    text: str
    mark: bool = False
    said: bool = False
    edge: bool = False
    free: bool = True
    content: Content | None = None


class Marks:
    """Writes turns by a tokenizer and a template.

    Args:
        tokenizer: the model's.
        template: see `chat_templates`.
        muted: the empty thought of an answer is given and not learnt: the answer is to come without one.
        edges: supervised are also the marks that open and end every turn.
    """

    def __init__(self, tokenizer: Tokenizer, template: Template, *, muted: bool = False, edges: bool = False) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.muted = muted
        self.edges = edges

    @cached_property
    def end(self) -> int:
        """The token that ends a turn: the template's, or the model's end mark."""
        found = self.tokenizer.special(self.template.end) if self.template.end else None
        return self.tokenizer.end if found is None else found

    def opening(self) -> list[Stretch]:
        """What opens the assistant's turn that is to be found."""
        return list(self._cut([*self._head("assistant"), *(self._thought("") if self.muted else ())], learnt=False))

    def write(self, turn: Turn, *, learnt: bool) -> list[Stretch]:
        """A turn's stretches: head, thought, contents in order, calls, end mark, new line.

        Args:
            turn: its thought is None or what is written, see `chat_order`.
            learnt: whether what the assistant says in it is supervised.

        Raises:
            ValueError: text that is no valid Unicode.
        """
        said = turn.role == "assistant"
        role = "user" if turn.role == "tool" and self.template.answers else turn.role
        thought = () if turn.thought is None else self._thought(turn.thought)
        body = [*self._head(role, turn.name), *thought, *self._contents(turn, said), *self._calls(turn)]
        written = list(self._cut(body, learnt=learnt))
        closed = np.array([self.end], dtype=np.int64)
        written.append(Stretch(closed, learnt=self.edges or (said and learnt)))
        written.append(Stretch(self.tokenizer.array("\n"), learnt=self.edges))
        return written

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
            opens, closes = self.template.around.get(content.modality, ("", ""))
            yield Atom(opens, mark=True)
            yield Atom("", content=content)
            yield Atom(closes, mark=True)

    def _calls(self, turn: Turn) -> Iterator[Atom]:
        for number, call in enumerate(turn.calls):
            if number or turn.text or any(content.modality != "TEXT" for content in turn.contents):
                yield Atom("\n", said=True)
            yield Atom(CALL, mark=True, said=True)
            yield Atom(f'\n{{"name": {as_json(call["name"])}, "arguments": {call["arguments"]}}}\n', said=True)
            yield Atom(UNCALL, mark=True, said=True)

    def _cut(self, atoms: Iterable[Atom], *, learnt: bool) -> Iterator[Stretch]:
        """Neighbouring texts are cut as one, as a template's are; what is said begins a text of its own."""
        waiting: list[Atom] = []
        for atom in atoms:
            id = self.tokenizer.special(atom.text) if atom.mark and atom.text else None
            alone = id is not None or atom.content is not None
            if waiting and (alone or self._kind(atom) != self._kind(waiting[0])):
                yield self._text(waiting, learnt)
                waiting = []
            if id is not None:
                yield Stretch(np.array([id], dtype=np.int64), learnt=self._learns(atom, learnt))
            elif atom.content is not None:
                yield Stretch(None, atom.content)
            elif atom.text:
                waiting.append(atom)
        if waiting:
            yield self._text(waiting, learnt)

    def _kind(self, atom: Atom) -> tuple[bool, bool]:
        return atom.said, atom.edge and self.edges

    def _learns(self, atom: Atom, learnt: bool) -> bool:
        return (atom.said and learnt) or (atom.edge and self.edges)

    def _text(self, atoms: Sequence[Atom], learnt: bool) -> Stretch:
        text = "".join(atom.text for atom in atoms)
        ids = self.tokenizer.array(text) if all(atom.free for atom in atoms) else self.tokenizer.literal(text)
        return Stretch(ids, learnt=self._learns(atoms[0], learnt))
