"""The Layout: what every tensor of a batch travels with, so that packed and padded rows mean the same.

Rows stand side by side in a fixed order: the source rows of all streams, then the target rows of all streams. A stream
is one sequence that a backbone sees; an example has one (a prediction), two (`<->`) or one per branch of a ranking.
In a padded layout every stream's part is filled up to the longest; void rows have role VOID.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .attention import attend_groups
from .attention_groups import Bias, Group, Piece, group_pieces

View = Literal["source", "target", "cross", "joined", "causal"]
"""Which rows attend to which: the source part to itself, the target part to itself, target to source, both joined with
the source seen both ways, or both joined with every row looking back alone."""

VOID = 3
"""Role of a padding row, beside those of `codec`."""


class Segment(NamedTuple):
    """A run of rows of one value or prompt.

    Port index, first row within its stream's part, rows, whether it has a grid (an image) rather than a running index
    (text), and whether its rows see each other both ways on the target side too. Segments of one `clock` (-1 for none),
    which follow each other, are of one recording: the marks before its values share a place, the values a start in time
    by their grids, and the marks behind them a place.
    """

    kind: int
    start: int
    length: int
    gridded: bool
    mutual: bool = False
    clock: int = -1


@dataclass(frozen=True)
class Ragged:
    """Lengths of the parts of one side: packed rows, or `stride` rows for each part when padded."""

    lengths: tuple[int, ...]
    stride: int | None = None

    @property
    def rows(self) -> int:
        """All rows, void ones included."""
        return sum(self.lengths) if self.stride is None else self.stride * len(self.lengths)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First row of each part."""
        if self.stride is not None:
            return tuple(self.stride * i for i in range(len(self.lengths)))
        out, at = [], 0
        for length in self.lengths:
            out.append(at)
            at += length
        return tuple(out)

    @cached_property
    def longest(self) -> int:
        return max(self.lengths, default=0)

    @cached_property
    def index(self) -> Tensor:
        """int64 [rows]: running index of each row within its part (in padded parts it runs on over void rows)."""
        if self.stride is not None:
            return torch.arange(self.stride).repeat(len(self.lengths))
        if not self.rows:
            return torch.zeros(0, dtype=torch.long)
        starts = torch.tensor(self.starts)
        return torch.arange(self.rows) - torch.repeat_interleave(starts, torch.tensor(self.lengths))

    @cached_property
    def part(self) -> Tensor:
        """int64 [rows]: which part each row belongs to."""
        sizes = self.lengths if self.stride is None else (self.stride,) * len(self.lengths)
        return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes, dtype=torch.long))

    @cached_property
    def real(self) -> Tensor:
        """bool [rows]: False for void rows."""
        return self.index < torch.tensor(self.lengths, dtype=torch.long)[self.part]


@dataclass(frozen=True)
class Layout:
    """Lengths, places and roles of all rows.

    Attributes:
        source: the source parts, one per stream.
        target: the target parts, one per stream.
        kinds: int64 [rows]: index of the port that made the row.
        grid: float32 [rows, 3]: time, height, width in the value's own grid; zeros for text-like rows.
        roles: uint8 [rows].
        segments: per stream, its source and its target segments.
        examples: the example that each stream belongs to.
    """

    source: Ragged
    target: Ragged
    kinds: Tensor
    grid: Tensor
    roles: Tensor
    segments: tuple[tuple[tuple[Segment, ...], tuple[Segment, ...]], ...]
    examples: tuple[int, ...]

    @property
    def streams(self) -> int:
        return len(self.source.lengths)

    @property
    def rows(self) -> int:
        return self.source.rows + self.target.rows

    @property
    def padded(self) -> bool:
        return self.source.stride is not None

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Source rows and target rows of [rows, ...], as views."""
        return x[: self.source.rows], x[self.source.rows :]

    @cached_property
    def joined(self) -> Ragged:
        """One part per stream: its source, then its target (a decoder-only backbone's view)."""
        lengths = tuple(s + t for s, t in zip(self.source.lengths, self.target.lengths, strict=True))
        return Ragged(lengths, max(lengths, default=0) if self.padded else None)

    @cached_property
    def join_order(self) -> Tensor:
        """int64 [joined.rows]: for each row of the joined view the row of this layout; void rows point at row 0."""
        order = torch.zeros(self.joined.rows, dtype=torch.long)
        shift = self.source.rows
        for i, (s, t) in enumerate(zip(self.source.lengths, self.target.lengths, strict=True)):
            at = self.joined.starts[i]
            order[at : at + s] = torch.arange(self.source.starts[i], self.source.starts[i] + s)
            first = shift + self.target.starts[i]
            order[at + s : at + s + t] = torch.arange(first, first + t)
        return order

    def join(self, x: Tensor) -> Tensor:
        """[rows, ...] in the joined order."""
        return x.index_select(0, self.join_order.to(x.device))

    @cached_property
    def unjoin_order(self) -> Tensor:
        """int64 [rows]: for each row of this layout its row in the joined view; void rows point at row 0."""
        order = torch.zeros(self.rows, dtype=torch.long)
        real = self.joined.real
        order[self.join_order[real]] = torch.arange(self.joined.rows)[real]
        return order

    def unjoin(self, x: Tensor) -> Tensor:
        """The joined view [joined.rows, ...] back in this layout's order."""
        return x.index_select(0, self.unjoin_order.to(x.device))

    @cached_property
    def gridded(self) -> Tensor:
        """int64: the source rows that have a grid."""
        starts = zip(self.source.starts, self.segments, strict=True)
        found = [
            torch.arange(at + s.start, at + s.start + s.length) for at, (own, _) in starts for s in own if s.gridded
        ]
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.long)

    def pieces(self, part: View) -> tuple[Piece, ...]:
        """Which rows see which.

        A source part sees itself both ways; a row of a target part sees itself, what is before it, and in a mutual
        segment all rows of that segment. In "cross" a target part sees its source; in "joined" (rows of the joined
        view) it sees its source and what it sees of itself; in "causal" a source row, too, sees only what is before it.
        """
        source, target = self.source, self.target
        if part == "source":
            own = zip(source.starts, source.lengths, strict=True)
            return tuple(Piece(i, at, n, at, n, False) for i, (at, n) in enumerate(own))
        if part == "target":
            return tuple(piece for i, at in enumerate(target.starts) for piece in self._looking_back(i, at, 0))
        lengths = list(zip(source.lengths, target.lengths, strict=True))
        if part == "cross":
            starts = zip(source.starts, target.starts, strict=True)
            return tuple(Piece(i, t, lengths[i][1], s, lengths[i][0], False) for i, (s, t) in enumerate(starts))
        if part == "joined":
            both = list(enumerate(self.joined.starts))
            prefix = [Piece(i, at, lengths[i][0], at, lengths[i][0], False) for i, at in both]
            rest = [piece for i, at in both for piece in self._looking_back(i, at, lengths[i][0])]
            return tuple(prefix + rest)
        if part == "causal":
            both = list(enumerate(self.joined.starts))
            return tuple(piece for i, at in both for piece in self._causal(i, at, *lengths[i]))
        raise ValueError(f"part must be source, target, cross, joined or causal, but is {part!r}")

    def _causal(self, stream: int, at: int, source: int, target: int) -> list[Piece]:
        """A stream of the joined view, which starts at row `at`, every row of it looking back."""
        if not any(segment.mutual for segment in self.segments[stream][1]):
            return [Piece(stream, at, source + target, at, source + target, True)]
        return [Piece(stream, at, source, at, source, True), *self._looking_back(stream, at, source)]

    def _looking_back(self, stream: int, at: int, before: int) -> list[Piece]:
        """The target part of a stream that starts at row `at`, `before` rows of its source ahead of it."""
        runs = target_runs(self.segments[stream][1], self.target.lengths[stream])
        return [Piece(stream, at + before + a, b - a, at, before + b, causal) for a, b, causal in runs]

    @cached_property
    def _groups(self) -> dict[tuple[str, str, int], tuple[Group, ...]]:
        return {}

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, part: View, bias: Bias | None = None, dropout: float = 0.0
    ) -> Tensor:
        """Softmax attention of one part, each stream by itself.

        Args:
            q: [rows of the part, heads, head size]; in "cross" the target rows, in "joined" and "causal" the joined
                view's.
            k: [rows seen, heads or a divisor of it, head size]; in "cross" the source rows.
            v: like `k`.
            part: see `pieces`.
            bias: a learned bias planned for the same part.
            dropout: share of probabilities to drop, for training.

        Returns:
            [rows, heads, head size]; zeros for void rows and for rows that see nothing.

        Raises:
            ValueError: the bias was planned for another part.

        >>> layout = plain_layout([3, 0], [2, 1])
        >>> x = torch.ones(3, 1, 4)
        >>> layout.attend(x, x, x, "target").shape
        torch.Size([3, 1, 4])
        """
        if bias is not None:
            if bias.plan.part != part:
                raise ValueError(f"the bias must be planned for the part {part}, but is for {bias.plan.part}")
            return attend_groups(q, k, v, bias.plan.groups, bias.table, dropout)
        row_size = q.shape[1] * q.shape[2]
        key = (part, q.device.type, row_size)
        if key not in self._groups:
            self._groups[key] = group_pieces(self.pieces(part), row_size=row_size, device=q.device.type)
        return attend_groups(q, k, v, self._groups[key], None, dropout)


def target_runs(segments: Sequence[Segment], length: int) -> list[tuple[int, int, bool]]:
    """A target part of `length` rows cut into runs (first row, end, causal): each mutual segment is one of its own.

    >>> target_runs((Segment(0, 1, 3, False, True),), 5)
    [(0, 1, True), (1, 4, False), (4, 5, True)]
    """
    out, at = [], 0
    for segment in segments:
        if segment.mutual and segment.length:
            end = segment.start + segment.length
            out += [(at, segment.start, True)] * (segment.start > at) + [(segment.start, end, False)]
            at = end
    return out + [(at, length, True)] * (length > at or not out)


def plain_layout(source: Sequence[int], target: Sequence[int], *, padded: bool = False) -> Layout:
    """A layout of text-like rows from lengths alone, for tests and benchmarks.

    >>> plain_layout([3, 2], [1, 4]).joined.lengths
    (4, 6)
    """
    left = Ragged(tuple(source), max(source, default=0) if padded else None)
    right = Ragged(tuple(target), max(target, default=0) if padded else None)
    rows = left.rows + right.rows
    real = torch.cat([left.real, right.real])
    return Layout(
        source=left,
        target=right,
        kinds=torch.zeros(rows, dtype=torch.long),
        grid=torch.zeros(rows, 3),
        roles=torch.where(real, 0, VOID).to(torch.uint8),
        segments=tuple(
            ((Segment(0, 0, s, False),) if s else (), (Segment(0, 0, t, False),) if t else ())
            for s, t in zip(source, target, strict=True)
        ),
        examples=tuple(range(len(source))),
    )
