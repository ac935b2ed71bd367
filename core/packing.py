"""Examples into a batch: rows side by side, each port's values together, supervised rows listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batch import Alignment, Batch, Inputs, Pairs, Target
from .codec import SUPERVISED, Array, Encoded
from .example import Example, Piece, RowId, Stream
from .layout import VOID, Layout, Ragged, Segment
from .levels import LEVEL, NO_LEVEL
from .networks import Choices
from .plan import Objective, Part
from .reader import Reader

MARK_LOSS = Part("loss", "cross_entropy", (("label_smoothing", 0.0), ("drop", 0.0)))
"""The loss of continue and stop marks."""


def pack(examples: Sequence[Example], readers: Mapping[str, Reader], *, padded: bool = False) -> Batch:
    """One batch of these examples, whose readers are found by task.

    Args:
        examples: laid-out rows of any tasks of one model.
        readers: the reader of each task.
        padded: fill every stream up to the longest; the losses are the same.
    """
    return _Packer(readers, padded).pack(examples)


@dataclass
class _Supervised:
    """Rows of one (port, loss) while they are gathered."""

    rows: list[np.ndarray[Any, Any]] = field(default_factory=list)
    labels: dict[str, list[Array]] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    key: list[np.ndarray[Any, Any]] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    states: list[tuple[str, int, np.ndarray[Any, Any]]] = field(default_factory=list)
    whole: list[tuple[int, int, int]] = field(default_factory=list)

    def number(self, name: str, weight: float) -> int:
        if name not in self.keys:
            self.keys[name] = len(self.keys)
            self.weights.append(weight)
        return self.keys[name]


class _Packer:
    def __init__(self, readers: Mapping[str, Reader], padded: bool) -> None:
        self.readers = readers
        self.padded = padded
        self.values: dict[int, list[Piece]] = {}
        self.places: dict[int, list[tuple[int, int]]] = {}
        self.supervised: dict[tuple[int, Part, bool], _Supervised] = {}
        self.counts: dict[str, int] = {}

    def pack(self, examples: Sequence[Example]) -> Batch:
        streams = [(e, i, s) for e in examples for i, s in enumerate(e.streams)]
        sizes = [s.sizes() for _, _, s in streams]
        source, target = (self._ragged([size[side] for size in sizes]) for side in (0, 1))
        rows = source.rows + target.rows
        kinds, roles = np.zeros(rows, np.int64), np.full(rows, VOID, np.uint8)
        grid = np.zeros((rows, 3), np.float32)
        segments = []
        for number, (example, branch, stream) in enumerate(streams):
            at = source.starts[number]
            left = self._lay(stream.source, at, kinds, roles, grid)
            at = source.rows + target.starts[number]
            right = self._lay(stream.target, at, kinds, roles, grid)
            segments.append((left, right))
            self._supervise(example, branch, stream, at)
        layout = Layout(
            source=source,
            target=target,
            kinds=torch.from_numpy(kinds),
            grid=torch.from_numpy(grid),
            roles=torch.from_numpy(roles),
            segments=tuple(segments),
            examples=tuple(i for i, e in enumerate(examples) for _ in e.streams),
        )
        inputs, order = self._inputs(rows)
        pairs = tuple(_pairs(examples, self.readers, self.counts))
        alignments = tuple(self._alignments(streams, source))
        tokens: dict[str, int] = {}
        for example in examples:
            tokens[example.id.task] = tokens.get(example.id.task, 0) + example.rows()
        return Batch(
            layout=layout,
            inputs=inputs,
            order=order,
            targets=tuple(self._target(key, found) for key, found in self.supervised.items()),
            pairs=pairs,
            alignments=alignments,
            ids=tuple(e.id for e in examples),
            counts=self.counts,
            tokens=tokens,
        )

    def _ragged(self, lengths: list[int]) -> Ragged:
        return Ragged(tuple(lengths), max(lengths, default=0) if self.padded else None)

    def _lay(self, pieces: list[Piece], at: int, kinds: Any, roles: Any, grid: Any) -> tuple[Segment, ...]:
        first, out = at, []
        for piece in pieces:
            encoded, end = piece.encoded, at + piece.encoded.rows
            kinds[at:end] = piece.kind
            roles[at:end] = piece.role if encoded.roles is None else _numpy(encoded.roles)
            if encoded.grid is not None:
                grid[at:end] = _numpy(encoded.grid)
            gridded = encoded.grid is not None
            out.append(Segment(piece.kind, at - first, encoded.rows, gridded, encoded.mutual, piece.clock))
            self.values.setdefault(piece.kind, []).append(piece)
            self.places.setdefault(piece.kind, []).append((at, encoded.rows))
            at = end
        return tuple(out)

    def _supervise(self, example: Example, branch: int, stream: Stream, at: int) -> None:
        reader = self.readers[example.id.task]
        wording = reader.plan.alternatives[example.wording]
        for piece in stream.target:
            if piece.role == SUPERVISED:
                objective = _predicting(wording.objectives, piece.slot)
                if objective is not None:
                    self._add(
                        example, piece, objective, at, wording.slots[piece.slot].name if piece.slot >= 0 else "marks"
                    )
            at += piece.encoded.rows

    def _add(self, example: Example, piece: Piece, objective: Objective, at: int, name: str) -> None:
        encoded = piece.encoded
        loss = objective.loss if piece.slot >= 0 else MARK_LOSS
        group = self.supervised.setdefault((piece.kind, loss, piece.nodes is not None), _Supervised())
        key = f"{example.id.task}/{name}"
        number = group.number(key, objective.weight)
        keep = None if encoded.roles is None else _numpy(encoded.roles) == SUPERVISED
        first = at if encoded.mutual else at - 1
        if encoded.mutual and encoded.rows:
            group.whole.append((at - 1, encoded.rows, number))
        rows = np.arange(first, first + encoded.rows)
        rows = rows if keep is None else rows[keep]
        group.rows.append(rows)
        group.key.append(np.full(len(rows), number))
        for label, values in encoded.labels.items():
            group.labels.setdefault(label, []).append(values if keep is None else values[keep])
        if piece.nodes is not None:
            group.states.append((example.id.task, piece.trie, piece.nodes if keep is None else piece.nodes[keep]))
        self.counts[key] = self.counts.get(key, 0) + len(rows)

    def _inputs(self, rows: int) -> tuple[tuple[Inputs, ...], Tensor]:
        order = np.zeros(rows, np.int64)
        inputs, base = [], 0
        for kind in sorted(self.values):
            tensors = _stacked([piece.encoded for piece in self.values[kind]])
            inputs.append(Inputs(kind=kind, tensors=tensors))
            for at, length in self.places[kind]:
                order[at : at + length] = np.arange(base, base + length)
                base += length
        return tuple(inputs), torch.from_numpy(order)

    def _target(self, key: tuple[int, Part, bool], found: _Supervised) -> Target:
        kind, loss, closed = key
        return Target(
            kind=kind,
            loss=loss,
            rows=torch.from_numpy(np.concatenate(found.rows)),
            labels={name: _joined(values) for name, values in found.labels.items()},
            keys=tuple(found.keys),
            key=torch.from_numpy(np.concatenate(found.key)),
            weights=tuple(found.weights),
            choices=self._choices(found.states) if closed else None,
            **_whole(found.whole),
        )

    def _choices(self, states: list[tuple[str, int, np.ndarray[Any, Any]]]) -> Choices:
        """The allowed tokens of every closed set's states that occur, as one compact table."""
        seen: dict[tuple[str, int, int], int] = {}
        allowed: list[Sequence[int]] = []
        nodes: list[int] = []
        for task, trie, path in states:
            for state in path.tolist():
                number = seen.get((task, trie, state))
                if number is None:
                    number = seen[task, trie, state] = len(allowed)
                    allowed.append(self.readers[task].tries[trie].allowed(state).tolist())
                nodes.append(number)
        return Choices.of(allowed, nodes)

    def _alignments(self, streams: list[tuple[Example, int, Stream]], source: Ragged) -> Iterable[Alignment]:
        found: dict[tuple[int, Part], list[tuple[str, float, np.ndarray[Any, Any], np.ndarray[Any, Any], RowId]]] = {}
        for number, (example, _, stream) in enumerate(streams):
            wording = self.readers[example.id.task].plan.alternatives[example.wording]
            for objective in (o for o in wording.objectives if o.kind == "align"):
                tokens = [p for p in stream.target if p.slot == objective.against]
                for slot, rows in _values(stream.source, source.starts[number]):
                    if slot in objective.slots and tokens:
                        labels = _numpy(tokens[0].encoded.labels["tokens"])
                        key = f"{example.id.task}/{wording.slots[slot].name}"
                        found.setdefault((tokens[0].kind, objective.loss), []).append(
                            (key, objective.weight, rows, labels, example.id)
                        )
                        self.counts[key] = self.counts.get(key, 0) + 1
        for (kind, loss), items in found.items():
            keys = tuple(dict.fromkeys(item[0] for item in items))
            yield Alignment(
                loss=loss,
                kind=kind,
                rows=torch.from_numpy(np.concatenate([item[2] for item in items])),
                lengths=tuple(len(item[2]) for item in items),
                tokens=torch.from_numpy(np.concatenate([item[3] for item in items])),
                counts=tuple(len(item[3]) for item in items),
                keys=keys,
                key=torch.tensor([keys.index(item[0]) for item in items]),
                weights=tuple({item[0]: item[1] for item in items}.values()),
                ids=tuple(item[4] for item in items),
            )


def _values(pieces: Sequence[Piece], at: int) -> Iterable[tuple[int, np.ndarray[Any, Any]]]:
    """The slot and the rows of each value of a side that starts at row `at`; one that was cut by time is one."""
    found: dict[tuple[int, int], list[np.ndarray[Any, Any]]] = {}
    for number, piece in enumerate(pieces):
        rows = np.arange(at, at + piece.encoded.rows)
        found.setdefault((piece.slot, piece.clock if piece.clock >= 0 else -1 - number), []).append(rows)
        at += piece.encoded.rows
    return [(slot, np.concatenate(rows)) for (slot, _), rows in found.items() if slot >= 0]


def _predicting(objectives: tuple[Objective, ...], slot: int) -> Objective | None:
    """The predict objective of a slot; a mark goes with the first one."""
    for objective in objectives:
        if objective.kind == "predict" and (slot < 0 or slot in objective.slots):
            return objective
    return None


def _pairs(examples: Sequence[Example], readers: Mapping[str, Reader], counts: dict[str, int]) -> Iterable[Pairs]:
    found: dict[tuple[str, Part, str], list[tuple[str, float, list[int]]]] = {}
    at = 0
    for example in examples:
        here = list(range(at, at + len(example.streams)))
        at += len(example.streams)
        for objective in readers[example.id.task].plan.alternatives[example.wording].objectives:
            if objective.kind in ("match", "rank"):
                key = f"{example.id.task}/{objective.kind}"
                group = (objective.kind, objective.loss, example.id.task)
                found.setdefault(group, []).append((key, objective.weight, here))
                counts[key] = counts.get(key, 0) + 1
    for (kind, loss, _), items in found.items():
        keys = tuple(dict.fromkeys(item[0] for item in items))
        number = range(len(items))
        if kind == "match":
            streams = [item[2][0] for item in items] + [item[2][1] for item in items]
            owners = [*number, *number]
        else:
            streams = [stream for item in items for stream in item[2]]
            owners = [i for i in number for _ in items[i][2]]
        yield Pairs(
            objective=kind,
            loss=loss,
            streams=torch.tensor(streams),
            examples=torch.tensor(owners),
            keys=keys,
            key=torch.tensor([keys.index(item[0]) for item in items]),
            weights=tuple({item[0]: item[1] for item in items}.values()),
        )


def _whole(values: list[tuple[int, int, int]]) -> dict[str, Tensor]:
    """Row before, rows and objective of the values that are found all at once."""
    if not values:
        return {}
    return dict(zip(("before", "sizes", "owner"), torch.tensor(values).unbind(1), strict=True))


def _stacked(values: Sequence[Encoded]) -> dict[str, Tensor]:
    """The tensors of one port's values by name; rows of values without a noise level get NO_LEVEL."""
    names = dict.fromkeys(values[0].tensors)
    if any(LEVEL in value.tensors for value in values):
        names[LEVEL] = None
        none = [np.full(v.rows, NO_LEVEL, np.float32) for v in values]
        levels = [value.tensors.get(LEVEL, gap) for value, gap in zip(values, none, strict=True)]
        return {name: _joined([v.tensors[name] for v in values] if name != LEVEL else levels) for name in names}
    return {name: _joined([value.tensors[name] for value in values]) for name in names}


def _numpy(array: Array) -> np.ndarray[Any, Any]:
    return array.numpy() if isinstance(array, Tensor) else array


def _joined(arrays: Sequence[Array]) -> Tensor:
    if isinstance(arrays[0], Tensor):
        return torch.cat([a if isinstance(a, Tensor) else torch.from_numpy(a) for a in arrays])
    return torch.from_numpy(np.concatenate([_numpy(a) for a in arrays]))
