"""Evaluation: predictions over held-out rows, judged by each task's metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..core.errors import DataError
from ..core.example import RowId
from ..core.metric import Metric
from ..core.metric_name import part_name, resolve_metric
from ..core.outputs import Output
from ..core.parts import working_half
from ..core.plan import SlotPlan
from ..core.rows import is_absent, read_path
from .binding import Bound, note_place
from .comparing import compared, neighbours, truth_of
from .ledger import Failure
from .metrics import chosen_metrics
from .mixture import Mixture, mixture_of
from .model import Model
from .predicting import Predictor
from .task import Split, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One task's result.

    Attributes:
        task: its name.
        split: the rows that were used.
        values: each metric by "slot/metric"; higher is better unless `lower` names it.
        lower: the metrics of which less is better.
        rows: how many rows were answered.
        outputs: their outputs, in order.
        truths: their rows, in order.
        failures: rows that could not be read, where the task skips them.
    """

    task: str
    split: Split
    values: Mapping[str, float]
    lower: frozenset[str]
    rows: int
    outputs: Sequence[Output]
    truths: Sequence[Mapping[str, Any]]
    failures: Sequence[Failure] = ()


def evaluate(
    model: Model,
    tasks: Mixture | Task | Iterable[Task],
    *,
    split: Split = "valid",
    rows: int | None = None,
    **settings: Any,
) -> list[Evaluation]:
    """Predict the rows of a split and judge them.

    Args:
        model: a trained model that knows the tasks' ports.
        tasks: the tasks; those without that split are left out.
        split: "valid" or "test".
        rows: most rows of a task, from the first; all by default.
        settings: as `Model.predict` takes them.

    Raises:
        ConfigError: an unknown metric, or one that does not suit its slot.
    """
    out = []
    for task in mixture_of(tasks):
        bound = model.bound(task)
        if split in bound.rows:
            out.append(_evaluate(model, bound, split, rows, settings))
    return out


def _evaluate(model: Model, bound: Bound, split: Split, most: int | None, settings: dict[str, Any]) -> Evaluation:
    count = bound.rows_of_a_pass(split, most or 1000) or most or 1000
    failures: list[Failure] = []
    read = {index: _row(bound, split, index, failures) for index in range(min(count, most or count))}
    numbers = [index for index, row in read.items() if row is not None]
    held = [row for row in read.values() if row is not None]
    training = model.network.training
    model.network.eval()
    try:
        predictor = Predictor(
            model,
            model.reader(bound),
            mode="valid",
            on_error=bound.task.on_error,
            place=lambda number: bound.rows[split].place(numbers[number]),
            **settings,
        )
        found = predictor.answers(held)
    except DataError as cause:
        raise note_place(DataError(f"task `{bound.task.name}`, {split} {cause}"), bound.plan) from cause
    finally:
        model.network.train(training)
        if training:
            model.prefixes.clear()
    kept = [(row, output) for row, output in zip(held, found, strict=True) if output is not None]
    truths, outputs = [row for row, _ in kept], [output for _, output in kept]
    values, lower = judge(bound, truths, outputs)
    return Evaluation(
        task=bound.task.name,
        split=split,
        values=values,
        lower=frozenset(lower),
        rows=len(outputs),
        outputs=outputs,
        truths=truths,
        failures=[*failures, *(_renumbered(one, numbers, split) for one in predictor.failures)],
    )


def _renumbered(failure: Failure, numbers: Sequence[int], split: Split) -> Failure:
    """A failure of the predictor, which counts the rows that it was given, by the row of the data."""
    return failure._replace(id=RowId(failure.id.task, numbers[failure.id.row]), split=split)


def _row(bound: Bound, split: Split, index: int, failures: list[Failure]) -> Mapping[str, Any] | None:
    """A row, or None for one that cannot be read where the task skips such."""
    try:
        return bound.read(split, index)
    except DataError as cause:
        if bound.task.on_error == "raise":
            raise bound.placed(split, index, cause) from cause
        failures.append(Failure.of(RowId(bound.task.name, index), bound.rows[split].place(index), cause, split))
        return None


def judge(
    bound: Bound, truths: Sequence[Mapping[str, Any]], outputs: Sequence[Output]
) -> tuple[dict[str, float], set[str]]:
    """Each metric over these rows, and the names of those of which less is better."""
    if bound.plan.alternatives[0].arrow == "<->":
        return _retrieval(outputs), set()
    values: dict[str, float] = {}
    lower: set[str] = set()
    for slot, name in metrics_of(bound):
        declaration = resolve_metric(name, bound.task.catalog)
        made = working_half(declaration.build, f"the metric `{name}`")(**declaration.settings())
        kept = [(r, o) for r, o in zip(truths, outputs, strict=True) if _judged(r, o, slot, declaration)]
        if not kept:
            continue
        rows, answers = [row for row, _ in kept], [output for _, output in kept]
        beside = _beside(bound, declaration.reads, rows)
        if declaration.paired:
            beside |= neighbours(bound.plan.alternatives[0], slot, rows, answers)
        plain = compared(slot, bound.task.catalog)
        try:
            true = [plain.true(truth_of(row, slot)) for row in rows]
            made.update([plain.found(output[slot.name]) for output in answers], true, **beside)
            found = made.compute()
        except (TypeError, ValueError) as cause:
            text = f"task `{bound.task.name}`, slot `{slot.name}` (column `{slot.path}`): {cause}"
            raise note_place(DataError(text), bound.plan) from cause
        named = found if isinstance(found, Mapping) else {"": found}
        for part, value in named.items():
            key = f"{slot.name}/{part_name(name, part)}"
            values[key] = float(value)
            if not declaration.higher_is_better:
                lower.add(key)
    return values, lower


def metrics_of(bound: Bound) -> list[tuple[SlotPlan, str]]:
    """The metrics of a task, see `chosen_metrics`."""
    return chosen_metrics(bound.task.name, bound.plan, bound.task.metrics)


def _beside(bound: Bound, reads: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """What a metric reads beside the slot that it judges: of each type the first slot on the source side."""
    found: dict[str, list[Any]] = {}
    for modality in reads:
        first = next(s for s in bound.plan.slots if s.side == "source" and s.modality == modality)
        found[modality.lower()] = [read_path(row, first.path) for row in rows]
    return found


def _judged(row: Mapping[str, Any], output: Output, slot: SlotPlan, declaration: Metric) -> bool:
    """Whether a metric judges a row: it was answered, and has a truth or an absence that counts."""
    counts = declaration.absent and slot.depth > 0
    return slot.name in output and (counts or not is_absent(read_path(row, slot.path)))


def _retrieval(outputs: Sequence[Output]) -> dict[str, float]:
    """Recall at 1 of each side among all rows' other sides, in both directions, by cosine similarity."""
    if not outputs:
        return {}
    left = torch.nn.functional.normalize(torch.stack([o.embeddings["source"] for o in outputs]), dim=-1)
    right = torch.nn.functional.normalize(torch.stack([o.embeddings["target"] for o in outputs]), dim=-1)
    scores = left @ right.T
    own = torch.arange(len(outputs))
    return {
        "match/recall_at_1": float((scores.argmax(1) == own).float().mean()),
        "match/recall_at_1_back": float((scores.argmax(0) == own).float().mean()),
    }
