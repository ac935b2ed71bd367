"""Where generation stands: what a cache was fed, and the point from which a decoder finds one slot's values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .codec import PREDICTED_NAME
from .known import Known
from .levels import Levels
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
        shadow: the cache of the same streams without their source (or with another), which are fed the same rows.
    """

    def __init__(
        self,
        network: BackboneNetwork,
        cache: Cache,
        *,
        streams: int,
        device: torch.device,
        shadow: Cache | None = None,
    ) -> None:
        self.network = network
        self.caches = [cache] if shadow is None else [cache, shadow]
        self.used = torch.zeros(streams, dtype=torch.long, device=device)
        self._hidden: list[Tensor] = []
        self._waiting: list[NewRows] = []

    @property
    def streams(self) -> int:
        return len(self.used)

    def push(self, x: Tensor, kind: int, counts: Tensor | None = None, *, mutual: bool = False) -> None:
        """Add rows [streams, k, width] of one port, the first `counts[i]` of stream i; all k by default."""
        if x.shape[1] == 0:
            return
        rows = self._rows(x, kind, counts, mutual=mutual)
        if mutual:
            self._flush()
        self._waiting.append(rows)
        self.used = self.used + rows.counts
        if mutual:
            self._flush()

    def hidden(self, *, shadow: bool = False) -> Tensor:
        """The hidden state [streams, width] of each stream's last row, which predicts its next one."""
        self._flush()
        assert self._hidden, "a target side opens with a mark"
        return self._hidden[shadow]

    def look(self, x: Tensor, kind: int, counts: Tensor, *, shadow: bool = False) -> Tensor:
        """Hidden states [streams, k, width] of rows that see each other both ways and are not kept."""
        self._flush()
        rows = self._rows(x, kind, counts, mutual=True, keep=False)
        return self.network.extend(rows, self.caches[shadow])

    def _rows(self, x: Tensor, kind: int, counts: Tensor | None, **how: bool) -> NewRows:
        n, k = x.shape[:2]
        kinds = torch.full((n, k), kind, dtype=torch.long, device=self.used.device)
        if counts is None:
            counts = torch.full((n,), k, dtype=torch.long, device=self.used.device)
        return NewRows(x, counts, kinds, **how)

    def _flush(self) -> None:
        if self._waiting:
            rows = self._waiting[0] if len(self._waiting) == 1 else join_rows(self._waiting)
            self._waiting = []
            before: Sequence[Tensor | None] = self._hidden or [None] * len(self.caches)
            found = [self.network.extend(rows, cache) for cache in self.caches]
            self._hidden = [_last(hidden, rows.counts, old) for hidden, old in zip(found, before, strict=True)]

    def select(self, streams: Tensor) -> None:
        """New stream i is old stream `streams[i]`."""
        for cache in self.caches:
            cache.select(streams)
        self.used = self.used.index_select(0, streams)
        self._hidden = [hidden.index_select(0, streams) for hidden in self._hidden]
        self._waiting = [
            NewRows(
                rows.x.index_select(0, streams),
                rows.counts.index_select(0, streams),
                rows.kinds.index_select(0, streams),
            )
            for rows in self._waiting
        ]


def _last(hidden: Tensor, counts: Tensor, before: Tensor | None) -> Tensor:
    """The hidden state [n, width] of each stream's last new row; `before` for streams without new rows."""
    if hidden.shape[1] == 1:
        found = hidden[:, 0]
    else:
        found = hidden[torch.arange(len(hidden), device=hidden.device), (counts - 1).clamp(min=0)]
    return found if before is None else torch.where(counts[:, None] > 0, found, before)


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
        known: rows of the value that are given, of the streams as they stand at first; None when there are none.
        stops: tokens beside `end` that end an answer.
        thoughts: the tokens around a thought that may open an answer; None where none does.
        inventory: what the slot's tokens write; None when no decoder asks.
        pattern: what every text of the slot is, see `core/pattern.py`; None when its codec does not say.
        read: the tokens of the slot's port that each stream has before it, of the streams as they stand at first; empty
            when no decoder asks.
        watch: to be told tokens of a single stream as soon as they are sure, end marks apart; None when nobody listens.
    """

    def __init__(
        self,
        tape: Tape,
        port: Port,
        slot: Decode,
        *,
        active: Tensor,
        keys: Sequence[int],
        last: bool,
        levels: Levels | None = None,
        known: Known | None = None,
        read: Sequence[Tensor] = (),
        watch: Callable[[Sequence[int]], None] | None = None,
    ) -> None:
        self._tape = tape
        self._kind = slot.kind
        self._end = slot.end
        self.stops = slot.stops
        self.thoughts = slot.thoughts
        self.inventory, self.pattern = slot.inventory, slot.pattern
        self.port = port
        self.name = slot.name
        self.predicts = slot.predicts
        self.limit = slot.limit
        self.trie: Trie | None = slot.trie
        self.active = active
        self.keys = tuple(keys)
        self.last = last
        self.known = known
        self.read = read
        self.watch = watch
        self._levels = levels
        self._fed = torch.zeros(tape.streams, dtype=torch.long, device=self.device)

    @property
    def streams(self) -> int:
        """How many streams there are now; `select` changes it."""
        return self._tape.streams

    @property
    def device(self) -> torch.device:
        return self._tape.used.device

    @property
    def end(self) -> int | None:
        """The end mark: the slot's own, or the port's."""
        return self.port.end if self._end is None else self._end

    @property
    def hidden(self) -> Tensor:
        """Hidden states [streams, width] that predict the next row."""
        return self._tape.hidden()

    @property
    def told_rows(self) -> Tensor | None:
        """How many rows each stream's value likely has, int64 [streams]; None when no value that is found all at once
        was ever learned."""
        return None if self._levels is None else self._levels.lengths.rows(self.hidden)

    @property
    def shadowed(self) -> bool:
        """Whether the streams also run without their source (or with a negative one), for guidance."""
        return len(self._tape.caches) > 1

    @property
    def shadow_hidden(self) -> Tensor:
        """`hidden` of the same streams without their source.

        Raises:
            ValueError: they run with their source alone.
        """
        self._check_shadow()
        return self._tape.hidden(shadow=True)

    def feed(self, predicted: Tensor, counts: Tensor | None = None, *, mutual: bool = False) -> None:
        """Give each stream its next rows: tokens or labels [streams, k] or values [streams, k, ...].

        Args:
            predicted: the rows, as the port embeds them.
            counts: int64 [streams]: stream i takes the first `counts[i]`; all k by default.
            mutual: they see each other both ways, as clean values that were denoised.
        """
        self._tape.push(self._embed(predicted, 0.0 if mutual else None), self._kind, counts, mutual=mutual)
        self._fed = self._fed + (predicted.shape[1] if counts is None else counts)

    def look(self, values: Tensor, counts: Tensor, level: float, *, shadow: bool = False) -> Tensor:
        """Hidden states [streams, k, width] of noisy values [streams, k, ...] at the slot's place, which are not kept.

        Args:
            values: the rows, of which stream i has the first `counts[i]`; they see each other both ways.
            counts: int64 [streams].
            level: how noisy they are, 0 to 1.
            shadow: without the streams' source.
        """
        if shadow:
            self._check_shadow()
        return self._tape.look(self._embed(values, level), self._kind, counts, shadow=shadow)

    def _embed(self, predicted: Tensor, level: float | None) -> Tensor:
        flat = predicted.flatten(0, 1)
        named = {PREDICTED_NAME[self.predicts]: flat}
        if self.port.indexed:
            named["index"] = (self._fed[:, None] + torch.arange(predicted.shape[1], device=self.device)).flatten()
        x = self.port.embed(**named)
        if level is not None and self._levels is not None:
            x = x + self._levels(torch.full((1,), level, device=x.device))
        return x.view(*predicted.shape[:2], -1)

    def _check_shadow(self) -> None:
        if not self.shadowed:
            raise ValueError(f"slot `{self.name}`: guidance needs streams without their source beside those with it")

    def select(self, streams: Tensor) -> None:
        """New stream i is old stream `streams[i]`, int64 [m]: repeats, reorders and drops streams."""
        self._tape.select(streams)
        self._fed = self._fed.index_select(0, streams)
