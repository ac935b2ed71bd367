"""What a backbone remembers of streams while their targets are made: keys and values, shared and own.

Keys and values of source rows are held once for each source, however many streams (beams) read it; those of target rows
once for each stream, in a buffer that doubles when full. A stream lives in a slot of the buffer: reordering streams
moves no memory, and only a stream whose parent lives on in another slot is copied.

Where no source is read twice and rows come one by one, the source rows may be brought in front of the stream's own, so
that attention is one call over both (`StreamCache.settle`); they are parted again when a stream is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .cache_step import Step
from .layout import Ragged
from .networks import NewRows


class StreamCache:
    """Keys and values of n streams.

    Args:
        memory: for each layer keys and values of the source rows, [rows, heads, head size] each.
        source: the source parts; one stream stands on each at first.
        ends: the place that follows each source, for backbones whose places do not count rows; by default the length.

    Attributes:
        front: columns of the buffer ahead of a stream's own rows, which hold its source, at their end; 0 while parted.
    """

    def __init__(
        self, memory: Sequence[tuple[Tensor, Tensor]], source: Ragged, ends: Sequence[int] | None = None
    ) -> None:
        self.front = 0
        self.repeated = False
        self.sources = source.lengths
        self.ends = self.sources if ends is None else tuple(ends)
        self.memory = [(_spread(k, source), _spread(v, source)) for k, v in memory]
        self.slot_of = list(range(len(self.sources)))
        self.source = list(range(len(self.sources)))
        self.lengths = [0] * len(self.sources)
        self.own: Tensor | None = None
        self._layers: list[tuple[Tensor, Tensor]] = []
        self._lane: Tensor | None = None
        self._place: Tensor | None = None
        self._mask: Tensor | None = None
        self._lay_lanes()

    @property
    def streams(self) -> int:
        return len(self.slot_of)

    @property
    def source_lengths(self) -> list[int]:
        """Source rows that each slot's stream stands on."""
        return [self.sources[s] for s in self.source]

    @property
    def source_ends(self) -> list[int]:
        """The place that follows the source of each slot's stream."""
        return [self.ends[s] for s in self.source]

    def select(self, streams: Tensor) -> None:
        """Keep (and repeat, reorder) streams: new stream i is old stream `streams[i]`, int64 [m]."""
        parents = [self.slot_of[s] for s in streams.tolist()]
        slots, copies = _assign(parents)
        if copies:
            self.repeated = True
            self._part()
        if self.own is not None:
            self._reserve(len(slots), self.own.shape[4])
            self._copy(copies)
        lengths, source = list(self.lengths), list(self.source)
        self.lengths, self.source = [0] * len(slots), [0] * len(slots)
        for slot, parent in zip(slots, parents, strict=True):
            self.lengths[slot], self.source[slot] = lengths[parent], source[parent]
        self.slot_of = slots
        self._forget_sources()
        self._lay_lanes()

    def begin(self, rows: NewRows) -> Step:
        """A step that feeds these rows; ended by `Step.finish`."""
        count = rows.x.shape[1]
        order = None if self.slot_of == list(range(self.streams)) else _inverse(self.slot_of)
        x, kinds, counts = rows.x, rows.kinds, rows.counts.tolist()
        if order is not None:
            at = torch.tensor(order, device=x.device)
            x, kinds, counts = (
                x.index_select(0, at),
                kinds.index_select(0, at.to(kinds.device)),
                [counts[i] for i in order],
            )
        longest = max(self.lengths, default=0) + count
        return Step(
            cache=self,
            x=x,
            kinds=kinds,
            counts=tuple(counts),
            fed=tuple(self.lengths),
            keys=longest,
            mutual=rows.mutual,
            keep=rows.keep,
        )

    def append(self, layer: int, k: Tensor, v: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Write a step's rows [slots, count, heads, size] behind those of each slot.

        Returns:
            All keys and values so far [slots, heads, front + keys, size], as views.
        """
        slots, count, heads, size = k.shape
        ends = self.front + step.keys
        if self.own is None:
            self._hold(k.new_zeros(len(self.memory), 2, slots, heads, max(16, 2 * count), size))
        if layer == 0:
            self._reserve(slots, ends)
        keys, values = self._layers[layer]
        if step.even:
            first = self.front + (step.fed[0] if step.fed else 0)
            keys[:slots].narrow(2, first, count).copy_(k.transpose(1, 2))
            values[:slots].narrow(2, first, count).copy_(v.transpose(1, 2))
        else:
            places = step.places + self.front
            slot = torch.arange(slots, device=k.device)[:, None]
            keys[slot, :, places] = k
            values[slot, :, places] = v
        return keys[:slots].narrow(2, 0, ends), values[:slots].narrow(2, 0, ends)

    def _hold(self, own: Tensor) -> None:
        self.own = own
        self._layers = [(keys, values) for keys, values in own]

    def settle(self, step: Step) -> None:
        """Bring sources in front of the streams' own rows where decoding is plain: one row after the other."""
        plain = step.keep and not step.mutual and step.x.shape[1] == 1
        if plain and not self.repeated and self.own is not None and self.apart and self.lanes == 1:
            self._merge()

    def _merge(self) -> None:
        """Each stream's source in front of its own rows; see `_part`."""
        assert self.own is not None
        front, used = self.memory[0][0].shape[2], max(self.lengths, default=0)
        layers, two, have, heads, _, size = self.own.shape
        joined = self.own.new_zeros(layers, two, have, heads, front + max(64, 2 * used), size)
        joined[:, :, :, :, front : front + used] = self.own[:, :, :, :, :used]
        rows = torch.tensor(self.source, dtype=torch.long, device=joined.device)
        for layer, pair in enumerate(self.memory):
            for place, held in enumerate(pair):
                joined[layer, place, : len(rows), :, :front] = held.index_select(0, rows)
        self._hold(joined)
        self.front, self.memory = front, []

    def _part(self) -> None:
        """Undo `_merge`: sources by themselves again, so that streams can share them."""
        if not self.front or self.own is None:
            return
        used = sorted(set(self.source))
        slots = torch.tensor([self.source.index(s) for s in used], device=self.own.device)
        held = self.own[:, :, :, :, : self.front].index_select(2, slots)
        self.memory = [(k, v) for k, v in held]
        self._hold(self.own[:, :, :, :, self.front :].clone())
        self.front = 0
        self._keep_sources(used)
        self._lay_lanes()

    @property
    def begins(self) -> tuple[int, ...]:
        """The first column of each slot's source in the buffer, while merged."""
        return tuple(self.front - self.sources[s] for s in self.source)

    @property
    def apart(self) -> bool:
        """Whether there are source rows that are held by themselves."""
        return bool(self.memory) and self.memory[0][0].shape[2] > 0

    def to_lanes(self, q: Tensor) -> Tensor:
        """Rows of slots [slots, heads, r, size] beside their sources: [sources, heads, lanes * r, size]."""
        if self._lane is not None:
            q = q.index_select(0, self._lane.to(q.device))
        if self.lanes == 1:
            return q
        slots, heads, r, size = q.shape
        return q.view(-1, self.lanes, heads, r, size).transpose(1, 2).reshape(-1, heads, self.lanes * r, size)

    def from_lanes(self, x: Tensor, rows: int) -> Tensor:
        """[sources, heads, lanes * rows, any] back to slots: [slots, heads, rows, any]."""
        if self.lanes > 1:
            parted = x.view(len(x), x.shape[1], self.lanes, rows, x.shape[3]).transpose(1, 2)
            x = parted.reshape(-1, x.shape[1], rows, x.shape[3])
        return x if self._place is None else x.index_select(0, self._place.to(x.device))

    def memory_mask(self) -> Tensor | None:
        """float [sources, 1, 1, rows]: -inf ahead of a source's begin; None when all fill their rows."""
        if not self.memory or set(self.sources) <= {self.memory[0][0].shape[2]}:
            return None
        if self._mask is None:
            keys = self.memory[0][0]
            ahead = torch.arange(keys.shape[2]) < keys.shape[2] - torch.tensor(self.sources)[:, None]
            self._mask = torch.zeros(ahead.shape).masked_fill_(ahead, float("-inf"))[:, None, None].to(keys)
        return self._mask

    def _copy(self, copies: Sequence[tuple[int, int]]) -> None:
        used = self.front + max(self.lengths, default=0)
        if not copies or not used or self.own is None:
            return
        old, new = (torch.tensor(column, device=self.own.device) for column in zip(*copies, strict=True))
        held = self.own[:, :, :, :, :used]
        held[:, :, new] = held[:, :, old]

    def _reserve(self, slots: int, keys: int) -> None:
        """Room for that many slots and columns, at least doubling what grows."""
        assert self.own is not None
        layers, two, have, heads, room, size = self.own.shape
        if slots <= have and keys <= room:
            return
        wide = have if slots <= have else slots
        deep = room if keys <= room else max(keys, 2 * room)
        grown = self.own.new_zeros(layers, two, wide, heads, deep, size)
        used = self.front + max(self.lengths, default=0)
        grown[:, :, :have, :, :used] = self.own[:, :, :, :, :used]
        self._hold(grown)

    def _forget_sources(self) -> None:
        """Drop sources that no stream reads, once they are half of all, so that the cost of dropping is shared."""
        used = sorted(set(self.source))
        if 2 * len(used) > len(self.sources) or not self.sources:
            return
        if self.memory:
            keep = torch.tensor(used, dtype=torch.long)
            ahead = self.memory[0][0].shape[2] - max((self.sources[s] for s in used), default=0)
            self.memory = [
                (k[:, :, ahead:].index_select(0, keep.to(k.device)), v[:, :, ahead:].index_select(0, keep.to(v.device)))
                for k, v in self.memory
            ]
        self._keep_sources(used)

    def _keep_sources(self, used: Sequence[int]) -> None:
        place = {source: i for i, source in enumerate(used)}
        self.source = [place[s] for s in self.source]
        self.sources = tuple(self.sources[s] for s in used)
        self.ends = tuple(self.ends[s] for s in used)

    def _lay_lanes(self) -> None:
        """Find for each source the slots that read it, so that shared keys are read in place."""
        lanes: list[list[int]] = [[] for _ in self.sources]
        for slot, source in enumerate(self.source):
            lanes[source].append(slot)
        most = max(map(len, lanes), default=0)
        self.lanes = most
        flat = [slot for lane in lanes for slot in lane + [0] * (most - len(lane))]
        self._lane = self._place = self._mask = None
        if flat != list(range(len(self.source))):
            self._lane = torch.tensor(flat, dtype=torch.long)
            place = {slot: s * most + i for s, lane in enumerate(lanes) for i, slot in enumerate(lane)}
            self._place = torch.tensor([place[slot] for slot in range(len(self.source))], dtype=torch.long)


def _spread(x: Tensor, source: Ragged) -> Tensor:
    """Source rows [rows, heads, size] as [sources, heads, longest, size], each at the end, zeros ahead."""
    if set(source.lengths) == {source.longest} and len(x) == len(source.lengths) * source.longest:
        return x.view(len(source.lengths), source.longest, *x.shape[1:]).transpose(1, 2).contiguous()
    wide = x.new_zeros(len(source.lengths), source.longest, *x.shape[1:])
    part, index, real = source.part.to(x.device), source.index.to(x.device), source.real.to(x.device)
    ahead = (source.longest - torch.tensor(source.lengths, dtype=torch.long)).to(x.device)
    part, index = part[real], index[real]
    wide[part, index + ahead[part]] = x[real]
    return wide.transpose(1, 2).contiguous()


def _assign(parents: Sequence[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """A slot for each new stream, and the copies (from, to) that this needs: a parent's first child keeps its slot."""
    slots = [-1] * len(parents)
    taken: set[int] = set()
    for i, parent in enumerate(parents):
        if parent < len(parents) and parent not in taken:
            slots[i] = parent
            taken.add(parent)
    free = iter(slot for slot in range(len(parents)) if slot not in taken)
    copies = []
    for i, parent in enumerate(parents):
        if slots[i] < 0:
            slots[i] = next(free)
            copies.append((parent, slots[i]))
    return slots, copies


def _inverse(slots: Sequence[int]) -> list[int]:
    out = [0] * len(slots)
    for stream, slot in enumerate(slots):
        out[slot] = stream
    return out
