"""Values that the caller forces onto a target side: their rows, and how often they make groups repeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .codec import Array, Encoded
from .generation_program import Decode, Forced, Given, Loop, Step
from .port import Port


class Rows(NamedTuple):
    """Embedded rows [n, k, width], of which stream i has the first `counts[i]`."""

    x: Tensor
    counts: Tensor


class GivenValues:
    """The values of all `Forced` steps of a program, one per stream under each key."""

    def __init__(self, values: Mapping[int, Sequence[Given]], device: torch.device) -> None:
        self.values = values
        self.device = device

    def runs(
        self, step: Forced, ports: Sequence[Port], *, path: Sequence[int], active: Sequence[bool]
    ) -> Iterator[tuple[int, Rows]]:
        """The rows of one step at one place of its groups, as runs of one port each.

        Values that hold others are fed part by part: run j of every stream, port by port, since streams differ in what
        stands where.
        """
        found = [
            value_at(value, path) if live else None for value, live in zip(self.values[step.key], active, strict=True)
        ]
        parts = [parts_of(value, step) for value in found]
        for place in range(max(map(len, parts), default=0)):
            here = [part[place] if place < len(part) else (-1, None) for part in parts]
            for kind in sorted({kind for kind, _ in here} - {-1}):
                rows = self._rows([value if own == kind else None for own, value in here], ports[kind])
                if rows is not None:
                    yield kind, rows

    def _rows(self, found: Sequence[Encoded | None], port: Port) -> Rows | None:
        """Each stream's value of one port as rows; None when no stream has any."""
        counts = [0 if value is None else value.rows for value in found]
        distinct = {id(value): value for value in found if value is not None and value.rows}
        if not distinct:
            return None
        embedded = self._embed(port, list(distinct.values()))
        if len(distinct) == 1 and min(counts) == max(counts):
            x = embedded.expand(len(found), -1, -1)
        else:
            places = {key: place for place, key in enumerate(distinct)}
            which = [0 if value is None or not value.rows else places[id(value)] for value in found]
            x = embedded.index_select(0, torch.tensor(which, device=self.device))
        return Rows(x, torch.tensor(counts, device=self.device))

    def _embed(self, port: Port, values: Sequence[Encoded]) -> Tensor:
        names = values[0].tensors
        flat = port.embed(**{n: _joined([v.tensors[n] for v in values]).to(self.device) for n in names})
        parts = flat.split([value.rows for value in values])
        return torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)

    def repetitions(self, steps: Sequence[Step], path: Sequence[int], stream: int) -> int:
        """How often the values of a group make it repeat at this place; -1 when none says.

        Raises:
            ValueError: two of its values have different lengths.
        """
        lengths: list[int] = []
        for step in steps:
            if isinstance(step, Forced):
                inner = descend(self.values[step.key][stream], path)
                if isinstance(inner, Sequence):
                    lengths.append(len(inner))
            elif isinstance(step, Loop):
                count = self.repetitions(step.steps, path, stream)
                if count >= 0:
                    lengths.append(count)
        if len(set(lengths)) > 1:
            raise ValueError(f"the given values of a group must be equally many, but are {lengths}")
        return lengths[0] if lengths else -1

    def most(self, steps: Sequence[Step]) -> int:
        """The most rows that steps take, groups without a count at their least."""
        total = 0
        for step in steps:
            if isinstance(step, Decode):
                total += step.most
            elif isinstance(step, Loop):
                total += step.least * (self.most(step.steps) + 1) + 1
            else:
                total += max((v.rows for given in self.values[step.key] for v in leaves(given)), default=0)
        return total


def parts_of(value: Encoded | None, step: Forced) -> list[tuple[int, Encoded]]:
    """A value's stretches with the ports that embed them; itself when it holds no others."""
    if value is None:
        return []
    if not value.parts:
        return [(step.kind, value)]
    return [(step.held.get(modality, step.kind), part) for modality, part in value.parts]


def descend(value: Given, path: Sequence[int]) -> Given:
    """What stands at this repetition of each group: a value, a list for inner groups, or None."""
    for place in path:
        if value is None or isinstance(value, Encoded):
            return value
        value = value[place] if place < len(value) else None
    return value


def value_at(value: Given, path: Sequence[int]) -> Encoded | None:
    """The value of one repetition.

    Raises:
        ValueError: lists are nested deeper than groups.
    """
    found = descend(value, path)
    if found is not None and not isinstance(found, Encoded):
        raise ValueError(f"a given value must be one at {len(path)} groups' depth, but is a list of {len(found)}")
    return found


def leaves(value: Given) -> Iterator[Encoded]:
    """All values, however nested."""
    if isinstance(value, Encoded):
        yield value
    elif value is not None:
        for item in value:
            yield from leaves(item)


def _joined(arrays: Sequence[Array]) -> Tensor:
    tensors = [
        array if isinstance(array, Tensor) else torch.from_numpy(np.ascontiguousarray(array)) for array in arrays
    ]
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)
