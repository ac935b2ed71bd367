"""Where generation stands: what a cache was fed, and the point from which a decoder finds one slot's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .codec import PREDICTED_NAME
from .networks import BackboneNetwork, Cache, NewRows
from .port import Port
from .trie import Trie

if TYPE_CHECKING:
    from .generation_program import Decode


class Tape:
    """The target rows fed to n streams. Rows wait until a hidden state is asked for, so that neighbours go together.

    Args:
        network: the backbone.
        cache: what `network.prefill` returned.
        streams: how many it holds.
        device: where counts live.
    """

    def __init__(self, network: BackboneNetwork, cache: Cache, *, streams: int, device: torch.device) -> None:
        self.network = network
        self.cache = cache
        self.used = torch.zeros(streams, dtype=torch.long, device=device)
        self._hidden: Tensor | None = None
        self._waiting: list[NewRows] = []

    @property
    def streams(self) -> int:
        return len(self.used)

    def push(self, x: Tensor, kind: int, counts: Tensor | None = None) -> None:
        """Add rows [streams, k, width] of one port, the first `counts[i]` of stream i; all k by default."""
        n, k = x.shape[:2]
        if k == 0:
            return
        kinds = torch.full((n, k), kind, dtype=torch.long, device=self.used.device)
        if counts is None:
            counts = torch.full((n,), k, dtype=torch.long, device=self.used.device)
        self._waiting.append(NewRows(x, counts, kinds))
        self.used = self.used + counts

    def hidden(self) -> Tensor:
        """The hidden state [streams, width] of each stream's last row, which predicts its next one."""
        if self._waiting:
            rows = self._waiting[0] if len(self._waiting) == 1 else join_rows(self._waiting)
            self._waiting = []
            self._hidden = self._last(self.network.extend(rows, self.cache), rows.counts)
        assert self._hidden is not None, "a target side opens with a mark"
        return self._hidden

    def _last(self, hidden: Tensor, counts: Tensor) -> Tensor:
        if hidden.shape[1] == 1:
            found = hidden[:, 0]
        else:
            found = hidden[torch.arange(len(hidden), device=hidden.device), (counts - 1).clamp(min=0)]
        return found if self._hidden is None else torch.where(counts[:, None] > 0, found, self._hidden)

    def select(self, streams: Tensor) -> None:
        """New stream i is old stream `streams[i]`."""
        self.cache.select(streams)
        self.used = self.used.index_select(0, streams)
        if self._hidden is not None:
            self._hidden = self._hidden.index_select(0, streams)
        self._waiting = [
            NewRows(*(part.index_select(0, streams) for part in (rows.x, rows.counts, rows.kinds)))
            for rows in self._waiting
        ]


def join_rows(parts: Sequence[NewRows]) -> NewRows:
    """Rows that follow each other as one, void rows moved to the end of each stream."""
    x = torch.cat([part.x for part in parts], dim=1)
    kinds = torch.cat([part.kinds for part in parts], dim=1)
    real = torch.cat([torch.arange(p.x.shape[1], device=x.device) < p.counts[:, None] for p in parts], dim=1)
    counts = real.sum(1)
    order = real.logical_not().to(torch.uint8).argsort(dim=1, stable=True)[:, : int(counts.max())]
    return NewRows(x.gather(1, order[..., None].expand(-1, -1, x.shape[-1])), counts, kinds.gather(1, order))


class Frontier:
    """What a decoder works with: n streams at the place of one slot.

    Attributes:
        port: embeds and projects the slot's rows.
        name: the slot's name, for errors.
        predicts: "tokens", "values" or "class".
        limit: most rows, end mark included; for values and tokens without an end mark exactly so many.
        trie: the closed set, if any; the root is where every stream stands.
        active: bool [n]: the streams that take part; the others wait.
        keys: one number a stream, different for every stream and place: the seed of its draws.
        last: nothing follows this slot, so the streams need not be left in order.
    """

    def __init__(
        self, tape: Tape, port: Port, slot: Decode, *, active: Tensor, keys: Sequence[int], last: bool
    ) -> None:
        self._tape = tape
        self._kind = slot.kind
        self.port = port
        self.name = slot.name
        self.predicts = slot.predicts
        self.limit = slot.limit
        self.trie: Trie | None = slot.trie
        self.active = active
        self.keys = tuple(keys)
        self.last = last

    @property
    def streams(self) -> int:
        """How many streams there are now; `select` changes it."""
        return self._tape.streams

    @property
    def device(self) -> torch.device:
        return self._tape.used.device

    @property
    def end(self) -> int | None:
        """The end mark."""
        return self.port.end

    @property
    def hidden(self) -> Tensor:
        """Hidden states [streams, width] that predict the next row."""
        return self._tape.hidden()

    def feed(self, predicted: Tensor, counts: Tensor | None = None) -> None:
        """Give each stream its next rows: tokens or labels [streams, k] or values [streams, k, ...].

        Args:
            predicted: the rows, as the port embeds them.
            counts: int64 [streams]: stream i takes the first `counts[i]`; all k by default.
        """
        flat = predicted.flatten(0, 1)
        x = self.port.embed(**{PREDICTED_NAME[self.predicts]: flat})
        self._tape.push(x.view(*predicted.shape[:2], -1), self._kind, counts)

    def select(self, streams: Tensor) -> None:
        """New stream i is old stream `streams[i]`, int64 [m]: repeats, reorders and drops streams."""
        self._tape.select(streams)
