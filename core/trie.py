"""A closed set as a trie over its members' tokens: which tokens may follow, and which member a path leads to.

Nodes are numbered breadth first and edges by (node, token), so that the edge `e` leads to the node `e + 1`: a few flat
arrays hold the whole tree, and masks for a batch of nodes are sums and gathers without a loop over a vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Reached = tuple[int, int, list[int]]
"""A node, the place of the choice above it in its level, and the tokens from there."""


@dataclass(frozen=True, slots=True)
class Level:
    """Nodes with several children, equally many branchings below the root.

    `above` [m] is each one's place in the level before; `chains` [m, k] the tokens from there, of which `lengths` [m]
    are real.
    """

    nodes: Ints
    above: Ints
    chains: Ints
    lengths: Ints


class Trie:
    """The members of a closed set, as sequences of tokens that end with the end mark where the adapter has one.

    Attributes:
        tokens: int64 [edges]: the token of each edge; the edge `e` leads to node `e + 1`, the root is node 0.
        parents: int64 [edges]: the node that each edge leaves.
        first: int64 [nodes + 1]: the edges of node `i` are `first[i]` up to, not including, `first[i + 1]`.
        member: int64 [nodes]: the member that ends at a node, -1 for inner nodes.
        paths: int64 [members, depth]: the edges of each member, filled up with -1.

    Raises:
        ValueError: no member, a member without tokens, two with the same tokens, or one that begins another.

    >>> trie = Trie([[5, 9], [5, 6, 9], [7, 9]])
    >>> trie.allowed(0).tolist(), trie.walk([5, 6, 9])
    ([5, 7], [0, 1, 3])
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        if not sequences:
            raise ValueError("a closed set must have a member, but has none")
        lengths = np.array([len(sequence) for sequence in sequences])
        if not lengths.all():
            raise ValueError(f"member {int(lengths.argmin())} of the closed set must have tokens, but has none")
        table = np.zeros((len(sequences), int(lengths.max())), dtype=np.int64)
        table[np.arange(table.shape[1]) < lengths[:, None]] = np.concatenate([np.asarray(s) for s in sequences])
        self._grow(table, lengths)
        self._name_leaves(lengths)

    def _grow(self, table: Ints, lengths: Ints) -> None:
        self._span = int(table.max()) + 1
        self.paths: Ints = np.full(table.shape, -1, dtype=np.int64)
        place = np.zeros(len(table), dtype=np.int64)
        keys: list[Ints] = []
        edges = 0
        for depth in range(table.shape[1]):
            live = np.flatnonzero(lengths > depth)
            found, which = np.unique(place[live] * self._span + table[live, depth], return_inverse=True)
            self.paths[live, depth] = edges + which
            place[live] = edges + which + 1
            keys.append(found)
            edges += len(found)
        self._keys = np.concatenate(keys)
        self.parents, self.tokens = np.divmod(self._keys, self._span)
        self.first = np.concatenate([[0], np.cumsum(np.bincount(self.parents, minlength=edges + 1))])

    def _name_leaves(self, lengths: Ints) -> None:
        ends = self.paths[np.arange(len(lengths)), lengths - 1] + 1
        order = np.argsort(ends, kind="stable")
        twins = np.flatnonzero(np.diff(ends[order]) == 0)
        if len(twins):
            a, b = order[twins[0]], order[twins[0] + 1]
            raise ValueError(f"members {a} and {b} of the closed set must differ, but have the same tokens")
        inner = np.flatnonzero(self.counts(ends))
        if len(inner):
            raise ValueError(
                f"member {inner[0]} of the closed set must not begin another one, but does; end each with the end mark"
            )
        self.member = np.full(len(self.first) - 1, -1, dtype=np.int64)
        self.member[ends] = np.arange(len(lengths))

    @property
    def depth(self) -> int:
        """The tokens of the longest member."""
        return int(self.paths.shape[-1])

    @property
    def nodes(self) -> int:
        """How many nodes there are, the root included."""
        return len(self.member)

    def __len__(self) -> int:
        return len(self.paths)

    def counts(self, nodes: Ints) -> Ints:
        """How many tokens may follow each of these nodes; 0 for a leaf."""
        return np.asarray(self.first[nodes + 1] - self.first[nodes])

    def allowed(self, node: int) -> Ints:
        """The tokens that may follow a node, ascending; none for a leaf."""
        return np.asarray(self.tokens[self.first[node] : self.first[node + 1]])

    def step(self, node: int, token: int) -> int:
        """The node that a token leads to, or -1 when it may not follow."""
        key = node * self._span + token
        edge = int(np.searchsorted(self._keys, key))
        inside = 0 <= token < self._span and edge < len(self._keys) and self._keys[edge] == key
        return edge + 1 if inside else -1

    def walk(self, tokens: Sequence[int]) -> list[int]:
        """The node before each token: where `allowed` says what it is chosen from.

        Raises:
            ValueError: the tokens leave the closed set.
        """
        known = self._starts.get(tuple(tokens))
        if known is not None:
            return list(known)
        out, node = [], 0
        for place, token in enumerate(tokens):
            out.append(node)
            node = self.step(node, int(token))
            if node < 0:
                raise ValueError(f"token {token} at place {place} is not in the closed set of {len(self)} members")
        return out

    @cached_property
    def _starts(self) -> dict[tuple[int, ...], list[int]]:
        """The walk of every member, so that training looks it up."""
        out = {}
        for row in range(len(self.paths)):
            path = self.paths[row : row + 1]
            edges = path[path >= 0]
            out[tuple(self.tokens[edges].tolist())] = self.parents[edges].tolist()
        return out

    @cached_property
    def vocabulary(self) -> Ints:
        """The distinct tokens of all members, ascending."""
        return np.unique(self.tokens)

    @cached_property
    def columns(self) -> Ints:
        """int64 [edges]: the place of each edge's token in `vocabulary`."""
        return np.searchsorted(self.vocabulary, self.tokens)

    @cached_property
    def branching(self) -> int:
        """The nodes where something is to be chosen."""
        return int((np.diff(self.first) > 1).sum())

    @cached_property
    def levels(self) -> list[Level]:
        """The nodes where something is to be chosen, level by level from the root."""
        levels: list[Level] = []
        front: list[Reached] = [(0, 0, [])]
        while True:
            reached = [found for start in front if (found := self._next_choice(*start)) is not None]
            if not reached:
                return levels
            levels.append(_level(reached))
            front = [
                (edge + 1, place, [int(self.tokens[edge])])
                for place, (node, _, _) in enumerate(reached)
                for edge in range(int(self.first[node]), int(self.first[node + 1]))
            ]

    def _next_choice(self, node: int, above: int, chain: list[int]) -> Reached | None:
        """Down from a node, past those with one child, to one with several; None when the member ends first."""
        while (children := self.first[node + 1] - self.first[node]) == 1:
            edge = int(self.first[node])
            node, chain = edge + 1, [*chain, int(self.tokens[edge])]
        return (node, above, chain) if children else None

    def __getstate__(self) -> dict[str, Any]:
        derived = ("_starts", "vocabulary", "columns", "branching", "levels")
        return {name: value for name, value in self.__dict__.items() if name not in derived}


def _level(reached: list[Reached]) -> Level:
    lengths = np.array([len(chain) for _, _, chain in reached])
    chains = np.zeros((len(reached), int(lengths.max())), dtype=np.int64)
    for row, (_, _, chain) in zip(chains, reached, strict=True):
        row[: len(chain)] = chain
    nodes, above = (np.array([entry[i] for entry in reached]) for i in range(2))
    return Level(nodes, above, chains, lengths)
