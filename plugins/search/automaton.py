"""A pattern as an automaton over the tokens of a vocabulary: tables, and the tokens that may follow each state.

Patterns are small, so all states are made at once, and the tokens that may follow one when it is first stood in.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...core.inventory import Inventory
from ...core.pattern import IMPOSSIBLE, MARK, Pattern, behind, may_be_empty, sets_of, text, then

Ints = np.ndarray[Any, np.dtype[np.int32]]
LOST, FIRST = 0, 1
"""The states of what is no beginning of the pattern, and of nothing yet."""


class Automaton:
    """One pattern over one vocabulary.

    Attributes:
        table: int32 [states, symbols]: the state behind each symbol.
        accepts: bool [states]: whether what was written is of the pattern.
    """

    def __init__(self, pattern: Pattern, inventory: Inventory) -> None:
        self.marks = sorted({symbol - MARK for found in sets_of(pattern) for symbol in found if symbol >= MARK})
        self._make_states(pattern)
        self._sort_tokens(inventory)
        self._follow: dict[int, Ints] = {}

    def _make_states(self, pattern: Pattern) -> None:
        symbols = [*range(MARK), *(MARK + id for id in self.marks)]
        sets = list(dict.fromkeys(sets_of(pattern)))
        alike: dict[tuple[bool, ...], list[int]] = {}
        for place, symbol in enumerate(symbols):
            alike.setdefault(tuple(symbol in one for one in sets), []).append(place)
        states = {IMPOSSIBLE: LOST, pattern: FIRST}
        order, rows = [IMPOSSIBLE, pattern], []
        for state in order:  # grows as it is walked
            row = np.zeros(len(symbols), dtype=np.int32)
            for places in alike.values():
                found = behind(state, symbols[places[0]])
                if found not in states:
                    states[found] = len(order)
                    order.append(found)
                row[places] = states[found]
            rows.append(row)
        self.table: Ints = np.stack(rows)
        self.accepts = np.array([may_be_empty(state) for state in order])

    def _sort_tokens(self, inventory: Inventory) -> None:
        """The tokens as symbols, one behind another, and by place: `columns[j]` has the j-th symbol of all that are
        longer than j, longest first."""
        lengths = np.array([len(token) for token in inventory.tokens], dtype=np.int64)
        starts = np.cumsum(lengths) - lengths
        symbols = np.frombuffer(b"".join(inventory.tokens), dtype=np.uint8).astype(np.int32)
        starts[self.marks] = len(symbols) + np.arange(len(self.marks))
        lengths[self.marks] = 1
        self.symbols: Ints = np.append(symbols, MARK + np.arange(len(self.marks), dtype=np.int32)).astype(np.int32)
        self.starts, self.lengths = starts, lengths
        order = np.argsort(-lengths, kind="stable")
        self.ids = order[: int((lengths > 0).sum())]
        counts = np.bincount(lengths)[::-1].cumsum()[::-1]
        self.columns = [self.symbols[starts[self.ids[:count]] + place] for place, count in enumerate(counts[1:])]

    def follow(self, state: int) -> Ints:
        """The tokens that may follow a state, a bit each: int32 [words]."""
        found = self._follow.get(state)
        if found is None:
            states = np.full(len(self.ids), state, dtype=np.int32)
            for column in self.columns:
                live = np.flatnonzero(states[: len(column)])
                states[live] = self.table[states[live], column[live]]
            may = np.zeros((len(self.lengths) + 31) // 32 * 32, dtype=np.bool_)
            may[self.ids[states != LOST]] = True
            found = np.packbits(may, bitorder="little").view(np.int32)
            self._follow[state] = found
        return found


class Walk:
    """Where a text stands in an automaton; see `constraint.Matcher`."""

    __slots__ = ("automaton", "state")

    def __init__(self, automaton: Automaton, state: int = FIRST) -> None:
        self.automaton, self.state = automaton, state

    @property
    def may_end(self) -> bool:
        return bool(self.automaton.accepts[self.state])

    @property
    def wrong(self) -> str:
        return ""

    def fill(self, row: Ints) -> None:
        row[:] = self.automaton.follow(self.state)

    def take(self, token: int) -> bool:
        automaton, state = self.automaton, self.state
        start, length = int(automaton.starts[token]), int(automaton.lengths[token])
        for symbol in automaton.symbols[start : start + length].tolist():
            state = int(automaton.table[state, symbol])
        if state == LOST or not length:
            return False
        self.state = state
        return True

    def copy(self) -> Walk:
        return Walk(self.automaton, self.state)


def walk(pattern: Pattern, inventory: Inventory, *, opens: bool) -> Walk:
    """The start of a text of a pattern; one that `opens` all begins with what is lost when it is read."""
    return Walk(_automaton(then(text(inventory.drops.decode()), pattern) if opens else pattern, inventory))


@lru_cache(maxsize=8)
def _automaton(pattern: Pattern, inventory: Inventory) -> Automaton:
    return Automaton(pattern, inventory)
