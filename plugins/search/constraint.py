"""What the lanes of one slot may write, so that every text that ends is one of a grammar, or of its codec's pattern.

A lane's matcher stands where its text stands; it follows its lane when lanes are dropped or grow from one another. The
probabilities are of the model among the tokens that may follow, as within a closed set.

An answer that may open with a thought is ruled from where its thought has ended, and one that opens with none from its
start. New lines may stand between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...core.errors import ConfigError
from ...core.generation_frontier import Frontier
from ...core.inventory import Inventory
from .automaton import walk
from .grammars import start

THOUGHT, BODY, ENDED = "thought", "body", "ended"
GAP = 2
"""Tokens of new lines alone that may stand behind a thought."""
Words = np.ndarray[Any, np.dtype[np.int32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
SHOWN = 40


class Matcher(Protocol):
    """Where a text stands in what it must be."""

    @property
    def may_end(self) -> bool:
        """Whether the text is whole."""
        ...

    @property
    def wrong(self) -> str:
        """Why it cannot go on, if that is too much for a library."""
        ...

    def fill(self, row: Words) -> None:
        """Write the tokens that may follow, a bit each, into int32 [words]."""
        ...

    def take(self, token: int) -> bool:
        """Go on behind a token; False where it may not follow."""
        ...

    def copy(self) -> Matcher:
        """The same place for another text."""
        ...


@dataclass(slots=True)
class Place:
    """Where one lane stands: before or in its thought, in what is ruled, or behind its end.

    `gap` counts the tokens of new lines that may still come before the text.
    """

    phase: str
    matcher: Matcher
    gap: int = 0

    def copy(self) -> Place:
        """The same place for another lane."""
        return Place(self.phase, self.matcher.copy(), self.gap)


class Constraint:
    """The places of all lanes of a slot.

    Args:
        frontier: the slot; lane i is stream i.
        grammar: see `grammars.grammar_of`; None for the pattern that the slot's codec says.

    Raises:
        ConfigError: the slot is not written as text, or the grammar does not suit the vocabulary.
    """

    def __init__(self, frontier: Frontier, grammar: str | None) -> None:
        if frontier.inventory is None:
            raise ConfigError(f"slot `{frontier.name}`: only what is written as text can be told what it must be")
        self.name, self.inventory = frontier.name, frontier.inventory
        self.grammar, self.pattern = grammar, frontier.pattern
        self.thoughts = frontier.thoughts
        self.ends = [end for end in (frontier.end, *frontier.stops) if end is not None]
        self.lines = blank_lines(self.inventory)
        self.places = [Place(BODY, self._start(opens=True)) for _ in range(frontier.streams)]
        self.written: list[list[int]] = [[] for _ in self.places]

    def _start(self, *, opens: bool) -> Matcher:
        if self.grammar is not None:
            return start(self.grammar, self.inventory, opens=opens)
        assert self.pattern is not None, "a constraint is a grammar or a pattern"
        return walk(self.pattern, self.inventory, opens=opens)

    def apply(self, logits: Tensor) -> None:
        """Ban, in place, of logits [lanes, vocabulary] what may not follow.

        Raises:
            ConfigError: nothing may follow a lane, as the vocabulary cannot write what the grammar wants.
        """
        width = logits.shape[1]
        words = np.zeros((len(self.places), (width + 31) // 32), dtype=np.int32)
        for row, place in zip(words, self.places, strict=True):
            if place.phase == BODY:
                place.matcher.fill(row)
        allowed = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little", count=width).view(np.bool_)
        for number, place in enumerate(self.places):
            self._amend(allowed[number], place, first=not self.written[number])
            if not allowed[number].any():
                raise self._stuck(number)
        banned = torch.from_numpy(allowed).logical_not().to(logits.device)
        logits.masked_fill_(banned, -torch.inf)

    def _amend(self, allowed: Mask, place: Place, *, first: bool) -> None:
        """What the matcher does not know of: ends, thoughts, and lanes that it does not rule."""
        if place.phase == ENDED:
            allowed[:] = True
            return
        if place.phase == THOUGHT:
            allowed[:] = True
            allowed[self.ends] = False
            return
        allowed[self.inventory.end] = False
        allowed[self.ends] = place.matcher.may_end
        if first:
            allowed[list(self.inventory.late)] = False
        if self.thoughts is not None:
            allowed[[self.thoughts.opens, self.thoughts.closes]] = False
            allowed[self.thoughts.opens] = first
        if place.gap:
            allowed[self.lines] = True

    def saw(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> None:
        """Lane i becomes the old lane `rows[i]` (itself by default) with the token `tokens[i]` more.

        Raises:
            ConfigError: a lane's text is too much for the library.
        """
        if rows is not None:
            self.keep(rows)
        for number, token in enumerate(tokens):
            place = self.places[number]
            self._step(place, token, first=not self.written[number])
            self.written[number].append(token)
            if place.phase == BODY and place.matcher.wrong:
                raise self._stuck(number)

    def keep(self, rows: Sequence[int]) -> None:
        """Lane i becomes the old lane `rows[i]`."""
        taken: set[int] = set()
        places, written = [], []
        for row in rows:
            again = row in taken
            places.append(self.places[row].copy() if again else self.places[row])
            written.append(list(self.written[row]) if again else self.written[row])
            taken.add(row)
        self.places, self.written = places, written

    def _step(self, place: Place, token: int, *, first: bool) -> None:
        thoughts = self.thoughts
        if place.phase == THOUGHT:
            assert thoughts is not None, "a thought has marks"
            if token == thoughts.closes:
                place.phase, place.gap = BODY, GAP
        elif place.phase == BODY and thoughts is not None and first and token == thoughts.opens:
            place.phase, place.matcher = THOUGHT, self._start(opens=False)
        elif place.phase == BODY and place.gap and token in self.lines:
            place.gap -= 1
        elif place.phase == BODY:
            place.gap = 0
            taken = token not in self.ends and place.matcher.take(token)
            if not taken and not place.matcher.wrong:
                place.phase = ENDED

    def _stuck(self, number: int) -> ConfigError:
        text = self.inventory.text(self.written[number]).decode("utf-8", errors="replace")
        said = self.places[number].matcher.wrong
        why = said if "limit" in said or "too" in said.lower() else "the tokenizer's tokens cannot write it"
        shown = text if len(text) <= SHOWN else "..." + text[-SHOWN:]
        return ConfigError(f"slot `{self.name}`: nothing may follow {shown!r} of what the answer must be: {why}")


@lru_cache(maxsize=8)
def blank_lines(inventory: Inventory) -> tuple[int, ...]:
    """The tokens that write new lines and nothing else."""
    return tuple(id for id, token in enumerate(inventory.tokens) if token and not token.strip(b"\n"))
