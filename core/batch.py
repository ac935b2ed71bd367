"""A batch: examples of several tasks side by side, each port's values together, with the Layout they stand in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from .example import RowId
from .layout import Layout, Ragged
from .networks import Choices
from .plan import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What one port embeds: the tensors of all its values, concatenated in order."""

    kind: int
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Rows that one loss supervises through one port, of all tasks.

    Attributes:
        kind: the port's index.
        loss: the loss with its settings.
        rows: int64 [n]: the rows whose hidden state predicts: one before the row that is predicted, or that row itself
            where a value's rows see each other.
        labels: each [n, ...].
        keys: names of the objectives, "task/slot".
        key: int64 [n]: which of `keys` each row belongs to.
        weights: factor of each key, before division by its count.
        choices: the closed sets' allowed tokens, None where the vocabulary is open.
        before: int64 [v]: for values that are found all at once the row before each; None for others.
        sizes: int64 [v]: their rows.
        owner: int64 [v]: which of `keys` each belongs to.
    """

    kind: int
    loss: Part
    rows: Tensor
    labels: Mapping[str, Tensor]
    keys: tuple[str, ...]
    key: Tensor
    weights: tuple[float, ...]
    choices: Choices | None = None
    before: Tensor | None = None
    sizes: Tensor | None = None
    owner: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Streams that a match or rank loss compares, of all tasks that share it.

    Attributes:
        objective: "match" or "rank".
        streams: int64 [n]: match: the left sides, then the right sides; rank: branches, preferred first.
        examples: int64 [n]: the example that each stream belongs to.
        key: int64 [examples]: which of `keys` each example belongs to.
    """

    objective: str
    loss: Part
    streams: Tensor
    examples: Tensor
    keys: tuple[str, ...]
    key: Tensor
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Source slots whose rows are aligned to another slot's tokens (CTC), of all tasks that share loss and port.

    `ids` are the rows that the values are from, for errors.
    """

    loss: Part
    kind: int
    rows: Tensor
    lengths: tuple[int, ...]
    tokens: Tensor
    counts: tuple[int, ...]
    keys: tuple[str, ...]
    key: Tensor
    weights: tuple[float, ...]
    ids: tuple[RowId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Examples, packed or padded.

    Attributes:
        layout: the rows' lengths, places and roles.
        inputs: what each port embeds.
        order: int64 [rows]: for each row of the layout its place in the concatenation of all ports' embeddings.
        targets, pairs, alignments: what is supervised.
        ids: the rows it was made from, one per example.
        counts: supervised units per objective, of this batch.
        totals: the same over the optimiser step's micro-batches on this rank; None outside training.
        ports: the ports that any batch of the optimiser step uses on this rank; empty outside training.
        tokens: rows of the layout per task, for logs.
        position: (window, step) of the stream.
        after: the position that follows, as the stream counts.
        failures: rows that were skipped while it was made.
        budget: the tokens that it may have; 0 for no budget.
    """

    layout: Layout
    inputs: tuple[Inputs, ...]
    order: Tensor
    targets: tuple[Target, ...] = ()
    pairs: tuple[Pairs, ...] = ()
    alignments: tuple[Alignment, ...] = ()
    ids: tuple[RowId, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, int] | None = None
    ports: tuple[int, ...] = ()
    tokens: Mapping[str, int] = field(default_factory=dict)
    position: tuple[int, int] = (0, 0)
    after: tuple[Any, ...] = (0, 0)
    failures: tuple[Any, ...] = ()
    budget: int = 0

    def to(self, device: torch.device | str) -> Batch:
        """The batch with its tensors on a device; lengths stay plain numbers."""
        place = torch.device(device)
        return self if self.order.device == place else _moved(self, place)

    def with_totals(self, totals: Mapping[str, int], ports: Iterable[int] = ()) -> Batch:
        """The batch with the counts and ports of its optimiser step."""
        return replace(self, totals=dict(totals), ports=tuple(sorted(ports)))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Batch | Inputs | Target | Pairs | Alignment | Choices | Layout):
        found = {f.name: getattr(value, f.name) for f in fields(value)}
        return type(value)(**{name: _moved(item, device) for name, item in found.items()})
    if isinstance(value, Ragged | Part):
        return value
    if isinstance(value, dict):
        return {name: _moved(item, device) for name, item in value.items()}
    if (
        isinstance(value, tuple)
        and not hasattr(value, "_fields")
        and value
        and not isinstance(value[0], int | float | str)
    ):
        return tuple(_moved(item, device) for item in value)
    return value
