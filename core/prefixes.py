"""Leading rows that requests share, read once: those of one batch together, those of earlier calls from a store.

The store is a tree. A node holds a run of rows with their keys and values, and its children are the runs that went on
from there; two children differ in their first row. Rows are the same when the embeddings that enter the first layer and
the places are the same, bit by bit; nothing is compared by a hash. All is dropped when the network is no more what it
was, see `core.witness`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import RLock
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .errors import ConfigError
from .layout import Layout, Ragged
from .networks import BackboneNetwork, Cache, LookingBack, Memory, Reading, Span
from .witness import Witness, bits

MEGABYTE = 1 << 20
KEPT = 256
"""Megabytes of read prompts that a model keeps."""
SHORT = 64
"""Sources of fewer rows are just read: to look for them would cost more."""
WORTH = 8
"""Rows are shared from one in so many on: fewer would not pay for reading in several passes."""


class Stretch(NamedTuple):
    """Rows of one stream as they are compared, int64 or smaller [rows, any] each, and their keys and values."""

    rows: Tensor
    marks: Tensor
    memory: Memory

    def cut(self, first: int, end: int) -> Stretch:
        """Rows `first` to `end`."""
        own = slice(first, end)
        return Stretch(self.rows[own], self.marks[own], [(k[own], v[own]) for k, v in self.memory])

    def copied(self) -> Stretch:
        """In memory of its own."""
        return Stretch(self.rows.clone(), self.marks.clone(), [(k.clone(), v.clone()) for k, v in self.memory])

    def key(self) -> bytes:
        """All bits of the first row."""
        parts = (self.rows[:1], self.marks[:1])
        return b"".join(part.cpu().numpy().tobytes() for part in parts)

    def common(self, other: Stretch) -> int:
        """How many leading rows are the same in both."""
        count = min(len(self.rows), len(other.rows))
        same = (self.rows[:count] == other.rows[:count]).all(1) & (self.marks[:count] == other.marks[:count]).all(1)
        return count if bool(same.all()) else int(same.to(torch.uint8).argmin())

    def size(self) -> int:
        """What it takes."""
        return sum(x.nbytes for x in (self.rows, self.marks, *(x for pair in self.memory for x in pair)))


class _Node:
    """A run of rows, and those that went on from it."""

    def __init__(self, own: Stretch | None, parent: _Node | None) -> None:
        self.own, self.parent = own, parent
        self.children: dict[bytes, _Node] = {}
        self.used = 0

    def split(self, at: int) -> _Node:
        """Part it in two, the first `at` rows in a new parent, which is returned."""
        assert self.own is not None and self.parent is not None
        upper = _Node(self.own.cut(0, at).copied(), self.parent)
        upper.used = self.used
        self.parent.children[self.own.key()] = upper
        self.own, self.parent = self.own.cut(at, len(self.own.rows)).copied(), upper
        upper.children[self.own.key()] = self
        return upper


class PrefixStore:
    """Keys and values of rows that were read, of one network, the longest unused dropped first.

    Args:
        limit: the most bytes that it holds.

    Attributes:
        size: the bytes that it holds.
        read: how many source rows were read, and ...
        reused: ... how many were not, since it was made.
    """

    def __init__(self, limit: int = KEPT * MEGABYTE) -> None:
        self.limit = limit
        self.size = self.read = self.reused = 0
        self._witness: Witness | None = None
        self._root = _Node(None, None)
        self._time = 0
        self._lock = RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of a model starts with nothing."""
        return type(self), (self.limit,)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._root, self._witness, self.size = _Node(None, None), None, 0

    def resize(self, limit: int) -> None:
        """Hold at most so many bytes from now on."""
        with self._lock:
            self.limit = limit
            self._shrink()

    def serve(self, network: nn.Module) -> bool:
        """Forget what another network made, or this one when it was another; whether anything may be kept of it."""
        with self._lock:
            if self._witness is None or not self._witness.holds(network):
                self.clear()
                self._witness = Witness(network)
            return self._witness.sure

    def find(self, asked: Stretch) -> list[Stretch]:
        """The leading rows of a stream that are held, in pieces."""
        with self._lock:
            return [node.own.cut(0, count) for node, count in self._walk(asked) if node.own is not None]

    def keep(self, made: Stretch, most: int) -> int:
        """Hold the rows of a stream, as many of them as take `most` bytes; the bytes that this took."""
        with self._lock:
            path = list(self._walk(made))
            at, (node, count) = sum(count for _, count in path), path[-1] if path else (self._root, 0)
            rest = made.cut(at, len(made.rows))
            rest = rest.cut(0, max(0, min(most, self.limit)) * len(rest.rows) // max(rest.size(), 1))
            if not len(rest.rows):
                return 0
            if node.own is not None and count < len(node.own.rows):
                node = node.split(count)
            leaf = node.children[rest.key()] = _Node(rest.copied(), node)
            leaf.used = self._time
            self.size += rest.size()
            self._shrink()
            return rest.size()

    def _walk(self, asked: Stretch) -> Iterator[tuple[_Node, int]]:
        """The nodes that hold a stream's leading rows, each with how many of its own."""
        self._time += 1
        node, at = self._root, 0
        while at < len(asked.rows):
            rest = asked.cut(at, len(asked.rows))
            child = node.children.get(rest.key())
            count = 0 if child is None or child.own is None else child.own.common(rest)
            if child is None or child.own is None or not count:
                return
            child.used = self._time
            yield child, count
            if count < len(child.own.rows):
                return
            node, at = child, at + count

    def _shrink(self) -> None:
        while self.size > self.limit:
            oldest = min((node for node in _below(self._root) if not node.children), key=lambda node: node.used)
            assert oldest.own is not None and oldest.parent is not None
            del oldest.parent.children[oldest.own.key()]
            self.size -= oldest.own.size()


def _below(node: _Node) -> Iterator[_Node]:
    waiting = list(node.children.values())
    while waiting:
        found = waiting.pop()
        waiting.extend(found.children.values())
        yield found


def sized(store: PrefixStore, megabytes: float) -> PrefixStore:
    """The store, from now on of that size; for 0 another without room, and this one stays as it is.

    Raises:
        ConfigError: the size is no number from 0 on.
    """
    if isinstance(megabytes, bool) or not isinstance(megabytes, int | float) or not 0 <= megabytes < float("inf"):
        raise ConfigError(f"`prefix_cache` must be megabytes, a number from 0 on, but is {megabytes!r}")
    if not megabytes:
        return PrefixStore(0)
    store.resize(int(megabytes * MEGABYTE))
    return store


def prefill(network: BackboneNetwork, x: Tensor, layout: Layout, store: PrefixStore) -> Cache:
    """What `network.prefill` gives; leading rows that streams share, or that the store holds, are not read again."""
    reading = None
    if store.limit > 0 and layout.source.longest >= SHORT and isinstance(network, LookingBack):
        reading = network.reading(x, layout)
    if reading is None:
        return network.prefill(x, layout)
    assert isinstance(network, nn.Module)
    kept = store.serve(network)
    asked = _streams(reading, layout.joined, ())
    held = [store.find(own) if kept else [] for own in asked]
    saved = _read(reading, layout.joined, asked, held)
    store.reused += saved
    store.read += sum(layout.joined.lengths) - saved
    if kept:
        room = store.limit // 2
        for own in _streams(reading, layout.joined, reading.memory):
            room -= store.keep(own, room)
    return reading.cache()


def _streams(reading: Reading, joined: Ragged, memory: Memory) -> list[Stretch]:
    """The rows of each stream."""
    whole = Stretch(bits(reading.rows.detach()), reading.marks, memory)
    return [whole.cut(at, at + length) for at, length in zip(joined.starts, joined.lengths, strict=True)]


def _read(reading: Reading, joined: Ragged, asked: Sequence[Stretch], held: Sequence[Sequence[Stretch]]) -> int:
    """Read all rows that are not held, those that all streams have in common once; how many were spared."""
    known = [sum(len(piece.rows) for piece in pieces) for pieces in held]
    common = min((asked[0].common(own) for own in asked[1:]), default=0)
    first = max(range(len(known)), key=lambda i: known[i])
    ahead = [max(count, common) for count in known]
    saved = sum(ahead) - max(common - known[first], 0)
    if saved * WORTH < sum(joined.lengths):
        reading.read_all()
        return 0
    for at, pieces in zip(joined.starts, held, strict=True):
        for piece in pieces:
            _fill(reading.memory, at, piece.memory)
            at += len(piece.rows)
    if known[first] < common:
        reading.read([Span(first, known[first], common)])
    for i, at in enumerate(joined.starts):
        if known[i] < common:
            begin = joined.starts[first]
            _fill(
                reading.memory, at, [(k[begin : begin + common], v[begin : begin + common]) for k, v in reading.memory]
            )
    reading.read([Span(i, n, end) for i, (n, end) in enumerate(zip(ahead, joined.lengths, strict=True)) if n < end])
    return saved


def _fill(memory: Memory, at: int, held: Memory) -> None:
    """Put keys and values from a row on."""
    for (k, v), (own_k, own_v) in zip(memory, held, strict=True):
        k[at : at + len(own_k)], v[at : at + len(own_v)] = own_k, own_v
