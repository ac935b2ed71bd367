"""What a backbone remembers of streams while their targets are made: keys and values, shared and own.

Keys and values of source rows are held once for each source, however many streams (beams) read it; those of target rows
once for each stream, in a buffer that doubles when full. A stream lives in a slot of the buffer: reordering streams
moves no memory, and only a stream whose parent lives on in another slot is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import Ragged
from .networks import NewRows


class StreamCache:
    """Keys and values of n streams.

    Args:
        memory: for each layer keys and values of the source rows, [rows, heads, head size] each.
        source: the source parts; one stream stands on each at first.
        ends: the place that follows each source, for backbones whose places do not count rows; by default the length.
    """

    def __init__(
        self, memory: Sequence[tuple[Tensor, Tensor]], source: Ragged, ends: Sequence[int] | None = None
    ) -> None:
        self.sources = source.lengths
        self.ends = self.sources if ends is None else tuple(ends)
        self.memory = [(_spread(k, source), _spread(v, source)) for k, v in memory]
        self.slot_of = list(range(len(self.sources)))
        self.source = list(range(len(self.sources)))
        self.lengths = [0] * len(self.sources)
        self.own: Tensor | None = None
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

    def append(self, layer: int, k: Tensor, v: Tensor, keys: int) -> tuple[Tensor, Tensor]:
        """Write rows [slots, count, heads, size] behind those of each slot; all keys and values so far, as views."""
        slots, count, heads, size = k.shape
        if self.own is None:
            self.own = k.new_zeros(len(self.memory), 2, slots, heads, max(16, 2 * count), size)
        self._reserve(slots, keys)
        buffer = self.own[layer, :, :slots]
        first = self.lengths[0] if self.lengths else 0
        if all(length == first for length in self.lengths):
            buffer[0, :, :, first : first + count] = k.transpose(1, 2)
            buffer[1, :, :, first : first + count] = v.transpose(1, 2)
        else:
            places = torch.tensor(self.lengths, device=k.device)[:, None] + torch.arange(count, device=k.device)
            slot = torch.arange(slots, device=k.device)[:, None]
            buffer[0, slot, :, places] = k
            buffer[1, slot, :, places] = v
        return buffer[0, :, :, :keys], buffer[1, :, :, :keys]

    def to_lanes(self, q: Tensor) -> Tensor:
        """Rows of slots [slots, r, heads, size] beside their sources: [sources, heads, lanes * r, size]."""
        if self._lane is not None:
            q = q.index_select(0, self._lane.to(q.device))
        return q.reshape(len(self.sources), self.lanes * q.shape[1], *q.shape[2:]).transpose(1, 2)

    def from_lanes(self, x: Tensor, rows: int) -> Tensor:
        """[sources, heads, lanes * rows, any] back to slots: [slots, rows, heads, any]."""
        flat = x.transpose(1, 2).reshape(len(self.sources) * self.lanes, rows, x.shape[1], x.shape[3])
        return flat if self._place is None else flat.index_select(0, self._place.to(x.device))

    def memory_mask(self) -> Tensor | None:
        """float [sources, 1, 1, rows]: -inf behind a source's end; None when all fill their rows."""
        if not self.memory or set(self.sources) <= {self.memory[0][0].shape[2]}:
            return None
        if self._mask is None:
            keys = self.memory[0][0]
            behind = torch.arange(keys.shape[2]) >= torch.tensor(self.sources)[:, None]
            self._mask = torch.zeros(behind.shape).masked_fill_(behind, float("-inf"))[:, None, None].to(keys)
        return self._mask

    def _copy(self, copies: Sequence[tuple[int, int]]) -> None:
        used = max(self.lengths, default=0)
        if not copies or not used or self.own is None:
            return
        old, new = (torch.tensor(column, device=self.own.device) for column in zip(*copies, strict=True))
        held = self.own[:, :, :, :, :used]
        held[:, :, new] = held[:, :, old]

    def _reserve(self, slots: int, keys: int) -> None:
        """Room for that many slots and keys, at least doubling what grows."""
        assert self.own is not None
        layers, two, have, heads, room, size = self.own.shape
        if slots <= have and keys <= room:
            return
        wide = have if slots <= have else slots
        deep = room if keys <= room else max(keys, 2 * room)
        grown = self.own.new_zeros(layers, two, wide, heads, deep, size)
        used = max(self.lengths, default=0)
        grown[:, :, :have, :, :used] = self.own[:, :, :, :, :used]
        self.own = grown

    def _forget_sources(self) -> None:
        """Drop sources that no stream reads, once they are half of all, so that the cost of dropping is shared."""
        used = sorted(set(self.source))
        if 2 * len(used) > len(self.sources) or not self.sources:
            return
        keep = torch.tensor(used, dtype=torch.long)
        longest = max((self.sources[s] for s in used), default=0)
        self.memory = [
            (k[:, :, :longest].index_select(0, keep.to(k.device)), v[:, :, :longest].index_select(0, keep.to(v.device)))
            for k, v in self.memory
        ]
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


@dataclass(frozen=True)
class Step:
    """One feeding of new rows; everything is in the order of the cache's slots.

    Attributes:
        cache: where keys and values go.
        x: [slots, count, width] the new rows.
        kinds: int64 [slots, count].
        counts: rows of each slot that are kept.
        fed: target rows of each slot before this step.
        keys: the most target rows that any slot has after it.
        mutual: the new rows see each other both ways.
        keep: they stay in the cache.
    """

    cache: StreamCache
    x: Tensor
    kinds: Tensor
    counts: tuple[int, ...]
    fed: tuple[int, ...]
    keys: int
    mutual: bool = False
    keep: bool = True

    @cached_property
    def even(self) -> bool:
        """Whether all slots are equally far."""
        return len(set(self.fed)) <= 1

    @cached_property
    def places(self) -> Tensor:
        """int64 [slots, count]: running index of each new row in its target part."""
        fed = torch.tensor(self.fed, dtype=torch.long, device=self.x.device)
        return fed[:, None] + torch.arange(self.x.shape[1], device=self.x.device)

    @cached_property
    def distance(self) -> Tensor:
        """int64 [slots or 1, count, keys]: how far each key lies before each new row; negative ones are unseen."""
        places = self.places[:1] if self.even else self.places
        return places[:, :, None] - torch.arange(self.keys, device=self.x.device)

    @cached_property
    def unseen(self) -> Tensor | None:
        """bool [slots or 1, 1, count, keys], or None when every new row sees every key."""
        count = self.x.shape[1]
        if not self.mutual:
            return None if self.even and count == 1 else (self.distance < 0)[:, None]
        ends = [max(fed + kept, 1) for fed, kept in zip(self.fed, self.counts, strict=True)]
        if min(ends, default=self.keys) == self.keys:
            return None
        behind = torch.arange(self.keys, device=self.x.device) >= torch.tensor(ends, device=self.x.device)[:, None]
        return behind[:, None, None].expand(-1, -1, count, -1)

    def attend_own(self, layer: int, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """New rows towards their stream's target rows, themselves included.

        Args:
            layer: which layer's keys and values.
            q: [slots, count, heads, size]; `k` and `v` alike.
            bias: [slots or 1, heads, count, keys], added to the scores.

        Returns:
            [slots, count, heads, size].
        """
        keys, values = self.cache.append(layer, k, v, self.keys)
        if self.unseen is not None:
            closed = torch.zeros(self.unseen.shape, device=q.device, dtype=q.dtype) if bias is None else bias
            bias = closed.masked_fill(self.unseen, float("-inf"))
        return F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, attn_mask=bias).transpose(1, 2)

    def attend_memory(self, layer: int, q: Tensor) -> Tensor:
        """New rows [slots, count, heads, size] towards their source; zeros for an empty one."""
        keys, values = self.cache.memory[layer]
        if not keys.shape[2] or not q.shape[0]:
            return torch.zeros_like(q)
        mask = self.cache.memory_mask()
        empty = 0 in self.cache.sources
        if mask is not None and empty:
            nothing = torch.tensor([n == 0 for n in self.cache.sources], device=q.device)
            mask = mask.masked_fill(nothing[:, None, None, None], 0.0)
        found = F.scaled_dot_product_attention(self.cache.to_lanes(q), keys, values, attn_mask=mask)
        found = self.cache.from_lanes(found, q.shape[1])
        if empty:
            have = torch.tensor([n > 0 for n in self.cache.source_lengths], device=q.device)
            found = found * have[:, None, None, None]
        return found

    def attend_both(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """New rows towards source and target rows in one softmax, as [slots, count, heads, size].

        `k` and `v` may have fewer heads, shared by neighbouring query heads.
        """
        slots, count, heads, size = q.shape
        few = k.shape[2]
        share = heads // few
        rows = q.view(slots, count, few, share, size).transpose(2, 3).reshape(slots, count * share, few, size)
        rows = rows * size**-0.5
        keys, values = self.cache.append(layer, k, v, self.keys)
        scores = rows.transpose(1, 2) @ keys.transpose(2, 3)
        if self.unseen is not None:
            scores = scores.masked_fill(self.unseen.repeat_interleave(share, 2), float("-inf"))
        shared, held = self.cache.memory[layer]
        found: Tensor
        if not shared.shape[2] or not slots:
            found = (scores.softmax(-1) @ values).transpose(1, 2)
        else:
            far = self.cache.to_lanes(rows) @ shared.transpose(2, 3)
            mask = self.cache.memory_mask()
            far = self.cache.from_lanes(far if mask is None else far + mask, count * share)
            p = torch.cat([far.transpose(1, 2), scores], -1).softmax(-1)
            p_far, p_own = p.split([shared.shape[2], keys.shape[2]], -1)
            found = self.cache.from_lanes(self.cache.to_lanes(p_far.transpose(1, 2)) @ held, count * share)
            found = found + (p_own @ values).transpose(1, 2)
        return found.reshape(slots, count, share, few, size).transpose(2, 3).reshape(slots, count, heads, size)

    def finish(self, hidden: Tensor) -> Tensor:
        """Keep the counted rows, if any, and give hidden states [slots, count, width] in the order of the streams."""
        cache = self.cache
        if self.keep:
            cache.lengths = [have + new for have, new in zip(self.fed, self.counts, strict=True)]
        if cache.slot_of == list(range(cache.streams)):
            return hidden
        return hidden.index_select(0, torch.tensor(cache.slot_of, device=hidden.device))


def _spread(x: Tensor, source: Ragged) -> Tensor:
    """Source rows [rows, heads, size] as [sources, heads, longest, size], zeros behind each end."""
    wide = x.new_zeros(len(source.lengths), source.longest, *x.shape[1:])
    part, index, real = source.part.to(x.device), source.index.to(x.device), source.real.to(x.device)
    wide[part[real], index[real]] = x[real]
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
