"""One feeding of new rows to the streams of a cache: which keys they see, and attention to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from .cache import StreamCache


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

    @cached_property
    def _masks(self) -> dict[int, Tensor | None]:
        """Masks by how many query rows a new row takes, see `closed`."""
        return {}

    def closed(self, share: int = 1) -> Tensor | None:
        """float [slots or 1, 1, count * share, columns]: -inf at what the `share` queries of each new row do not see.

        The columns are those of the cache's buffer: the source rows too while they are merged. None when all is seen.
        """
        if share not in self._masks:
            self._masks[share] = self._closed(share)
        return self._masks[share]

    def _closed(self, share: int) -> Tensor | None:
        hidden = self.unseen
        front, begins = self.cache.front, self.cache.begins
        if front and max(begins, default=0):
            first = torch.tensor(begins, device=self.x.device)[:, None]
            ahead = (torch.arange(front, device=self.x.device) < first)[:, None, None]
            if hidden is None:
                hidden = ahead.new_zeros(1, 1, 1, 1).expand(len(begins), 1, self.x.shape[1], self.keys)
            ahead = ahead.expand(-1, -1, hidden.shape[2], -1)
            hidden = torch.cat([ahead, hidden.expand(len(begins), -1, -1, -1)], -1)
        elif front and hidden is not None:
            hidden = F.pad(hidden, (front, 0))
        if hidden is None:
            return None
        if share > 1 and hidden.shape[2] > 1:
            hidden = hidden.repeat_interleave(share, 2)
        return torch.zeros(hidden.shape, device=self.x.device, dtype=self.x.dtype).masked_fill_(hidden, float("-inf"))

    def attend_own(self, layer: int, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """New rows towards their stream's target rows, themselves included.

        Args:
            layer: which layer's keys and values.
            q: [slots, count, heads, size]; `k` and `v` alike.
            bias: [slots or 1, heads, count, keys], added to the scores.

        Returns:
            [slots, count, heads, size].
        """
        keys, values = self.cache.append(layer, k, v, self)
        if self.unseen is not None:
            bias = self.closed() if bias is None else bias.masked_fill(self.unseen, float("-inf"))
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
        rows = self.cache.to_lanes(q.transpose(1, 2))
        found = F.scaled_dot_product_attention(rows, keys, values, attn_mask=mask)
        found = self.cache.from_lanes(found, q.shape[1]).transpose(1, 2)
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
        if layer == 0:
            self.cache.settle(self)
        keys, values = self.cache.append(layer, k, v, self)
        rows = q.view(slots, count, few, share, size).transpose(1, 2).reshape(slots, few, count * share, size)
        if self.cache.apart and slots:
            found = self._attend_apart(layer, rows, keys, values)
        else:
            found = F.scaled_dot_product_attention(rows, keys, values, attn_mask=self.closed(share))
        return found.view(slots, few, count, share, size).transpose(1, 2).reshape(slots, count, heads, size)

    def _attend_apart(self, layer: int, rows: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Queries [slots, heads, r, size] towards sources that streams share and rows of their own, as one softmax."""
        r, share = rows.shape[2], rows.shape[2] // self.x.shape[1]
        rows = rows * rows.shape[3] ** -0.5
        scores = rows @ keys.transpose(2, 3)
        closed = self.closed(share)
        if closed is not None:
            scores = scores + closed
        cache, (shared, held) = self.cache, self.cache.memory[layer]
        far = cache.to_lanes(rows) @ shared.transpose(2, 3)
        mask = cache.memory_mask()
        far = cache.from_lanes(far if mask is None else far + mask, r)
        p_far, p_own = torch.cat([far, scores], -1).softmax(-1).split([shared.shape[2], keys.shape[2]], -1)
        out: Tensor = cache.from_lanes(cache.to_lanes(p_far) @ held, r) + p_own @ values
        return out

    def finish(self, hidden: Tensor) -> Tensor:
        """Keep the counted rows, if any, and give hidden states [slots, count, width] in the order of the streams."""
        cache = self.cache
        if self.keep:
            cache.lengths = [have + new for have, new in zip(self.fed, self.counts, strict=True)]
        if cache.slot_of == list(range(cache.streams)):
            return hidden
        return hidden.index_select(0, torch.tensor(cache.slot_of, device=hidden.device))
