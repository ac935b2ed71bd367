"""What a mixture will come to: each task's share of rows, tokens and supervised tokens, from its first rows."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.errors import DataError
from ..core.example import RowId
from ..core.packing import pack
from .binding import Bound, bind, trial_reader
from .mixture import Mixture
from .tokenizing import tokenizer_for

LOOKED_AT = 64


class Share(NamedTuple):
    """One task's part of a mixture, each 0 to 1 over all tasks."""

    task: str
    rows: float
    tokens: float
    supervised: float


def predicted_shares(mixture: Mixture, *, tokenizer: Any = None, step: int = 0, most: int = LOOKED_AT) -> list[Share]:
    """The shares at an optimiser step.

    Args:
        mixture: the tasks, of which those without training rows have no part.
        tokenizer: as in `fit`.
        step: where schedules stand.
        most: rows of each task that are encoded to know their mean length.

    Raises:
        InstructionError, DataError: rows do not suit a line.
    """
    catalog = next(iter(mixture)).catalog
    bounds = {task.name: bind(task) for task in mixture if task.train is not None}
    tool = tokenizer_for(tokenizer, list(bounds.values()), catalog)
    shares = mixture.shares({name: bound.size("train") for name, bound in bounds.items()}, step=step)
    means = {name: _means(bound, tool, most) for name, bound in bounds.items()}
    sums = [sum(shares[name] * means[name][kind] for name in bounds) or 1.0 for kind in (0, 1)]
    return [
        Share(name, shares[name], *(shares[name] * means[name][kind] / sums[kind] for kind in (0, 1)))
        for name in bounds
    ]


def _means(bound: Bound, tokenizer: Any, most: int) -> tuple[float, float]:
    """Mean tokens and mean supervised tokens of a row."""
    reader, rows = trial_reader(bound, tokenizer), bound.rows["train"]
    examples = []
    for index in range(min(most, len(rows)) if rows.finite else most):
        try:
            examples.append(reader.example(bound.read("train", index), RowId(bound.task.name, index)))
        except DataError as cause:
            if bound.task.on_error == "raise":
                raise bound.placed("train", index, cause) from cause
    if not examples:
        return 0.0, 0.0
    batch = pack(examples, {bound.task.name: reader})
    return batch.layout.rows / len(examples), sum(batch.counts.values()) / len(examples)
