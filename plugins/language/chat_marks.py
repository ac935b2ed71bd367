"""Turns as tokens of the model's tokenizer.

A mark that the tokenizer has as a token of its own is that token; another is spelt. A turn always ends with a token
that no text is cut into, so nothing that stands in a turn can end it: what spells a mark there is text. What users and
tools say never becomes a mark; the system and the assistant may write those of thoughts and calls themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...core.conversing import Thoughts
from .chat_answers import THINK, UNTHINK
from .chat_turns import Content, Turn
from .chat_writing import Atom, Writing
from .masking import Ids
from .tokenizer import Tokenizer

STOP = "There is no time to think any further, so I answer from what I have thought so far."
"""What breaks a thought off."""


class Stretch(NamedTuple):
    """A run of a written turn: tokens, or a value of another kind; `learnt` when it is supervised.

    Tokens `beside` a clip are the marks around it and its sound.
    """

    tokens: Ids | None
    content: Content | None = None
    learnt: bool = False
    beside: Content | None = None


class Marks:
    """Writes turns by a tokenizer and a template.

    Args:
        tokenizer: the model's.
        writing: how turns read.
        edges: supervised are also the marks that open and end every turn.
    """

    def __init__(self, tokenizer: Tokenizer, writing: Writing, *, edges: bool = False) -> None:
        self.tokenizer = tokenizer
        self.writing = writing
        self.edges = edges

    @cached_property
    def end(self) -> int:
        """The token that ends a turn: the template's, or the model's end mark."""
        name = self.writing.template.end
        found = self.tokenizer.special(name) if name else None
        return self.tokenizer.end if found is None else found

    @property
    def stops(self) -> tuple[int, ...]:
        """The other tokens that end an answer: those that end a text."""
        return tuple(id for id in (self.tokenizer.end, *self.tokenizer.stops) if id != self.end)

    def opening(self) -> list[Stretch]:
        """What opens the assistant's turn that is to be found."""
        return list(self._cut(self.writing.opening(), learnt=False))

    def thoughts(self) -> Thoughts | None:
        """The tokens around a thought; None when an answer opens with none, or the tokenizer lacks their marks."""
        opens, closes = self.tokenizer.special(THINK), self.tokenizer.special(UNTHINK)
        if self.writing.muted or opens is None or closes is None:
            return None
        said, answer = self.tokenizer.array(f"\n\n{STOP}\n").tolist(), self.tokenizer.array("\n\n").tolist()
        return Thoughts(opens, closes, (*said, closes, *answer))

    def write(self, turn: Turn, *, learnt: bool) -> list[Stretch]:
        """A turn's stretches: head, thought, contents in order, calls, end mark, new line.

        Args:
            turn: its thought is None or what is written, see `chat_order`.
            learnt: whether what the assistant says in it is supervised.

        Raises:
            ValueError: text that is no valid Unicode.
        """
        written = list(self._cut(self.writing.turn(turn), learnt=learnt))
        learnt = learnt and turn.role == "assistant"
        closed = np.array([self.end], dtype=np.int64)
        written.append(Stretch(closed, learnt=self.edges or learnt))
        written.append(Stretch(self.tokenizer.array("\n"), learnt=self.edges))
        return written

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
                yield Stretch(np.array([id], dtype=np.int64), learnt=self._learns(atom, learnt), beside=atom.beside)
            elif atom.content is not None:
                yield Stretch(None, atom.content)
            elif atom.text:
                waiting.append(atom)
        if waiting:
            yield self._text(waiting, learnt)

    def _kind(self, atom: Atom) -> tuple[bool, bool, int]:
        return atom.said, atom.edge and self.edges, id(atom.beside)

    def _learns(self, atom: Atom, learnt: bool) -> bool:
        return (atom.said and learnt) or (atom.edge and self.edges)

    def _text(self, atoms: Sequence[Atom], learnt: bool) -> Stretch:
        text = "".join(atom.text for atom in atoms)
        ids = self.tokenizer.array(text) if all(atom.free for atom in atoms) else self.tokenizer.literal(text)
        return Stretch(ids, learnt=self._learns(atoms[0], learnt), beside=atoms[0].beside)
