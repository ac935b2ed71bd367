"""The trivial baseline: what the best constant answer would score, by the metrics that judge the model.

The candidates are the most frequent training values and, where values have one, their mean; each is judged on the
same rows as the model, and for each metric the best one counts, so that the bar is rather too high than too low. For
`<->` it is chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from ...core.errors import ConfigError, DataError
from ...core.outputs import Output
from ...core.plan import SlotPlan
from ...core.rows import is_absent
from ..binding import Bound
from ..comparing import returned
from ..evaluation import judge, metrics_of

WRITTEN = ("STRUCT", "PHONE")
"""Types whose values have several spellings in data, of which one comes back."""
CANDIDATES = 4
COUNTED_ROWS = 256
Constant = Any | Callable[[Mapping[str, Any]], Any]


def trivial_values(
    bound: Bound, truths: Sequence[Mapping[str, Any]], *, constant: Mapping[str, Constant] | None = None
) -> dict[str, float]:
    """Each metric's value for the best constant answer.

    Args:
        bound: the task with its data.
        truths: the rows to judge on, as `Evaluation.truths` has them.
        constant: the answer by target slot instead of those that are tried; a function is called with each row, as
            for a baseline that copies its input.

    Raises:
        ConfigError: `constant` names no target slot.
        DataError: none of the answers that were tried can be judged: give one.
    """
    if bound.plan.alternatives[0].arrow == "<->":
        return {name: 1 / max(len(truths), 1) for name in ("match/recall_at_1", "match/recall_at_1_back")}
    judged = {slot.name: slot for slot, _ in metrics_of(bound)}
    for name in constant or {}:
        if name not in judged:
            raise ConfigError(f"`constant` names `{name}`, which is no judged target slot ({', '.join(judged)})")
    tried = {slot.name: _answers(bound, slot, constant or {}) for slot in judged.values()}
    best: dict[str, float] = {}
    causes: list[str] = []
    for turn in range(max((len(answers) for answers in tried.values()), default=0)):
        chosen = {name: answers[min(turn, len(answers) - 1)] for name, answers in tried.items()}
        outputs = [Output({name: answer(row) for name, answer in chosen.items()}, {}) for row in truths]
        try:
            values, lower = judge(bound, truths, outputs)
        except DataError as cause:
            causes.append(str(cause))
            continue
        for name, value in values.items():
            better = min if name in lower else max
            best[name] = better(best.get(name, value), value)
    if causes and not best:
        raise DataError(f"no constant answer can be judged, give one with `constant=`: {causes[0]}")
    return best


def _answers(
    bound: Bound, slot: SlotPlan, constant: Mapping[str, Constant]
) -> list[Callable[[Mapping[str, Any]], Any]]:
    if slot.name in constant:
        given = constant[slot.name]
        return [given if callable(given) else _always(given)]
    return [_always(value) for value in candidates(bound, slot)]


def _always(value: Any) -> Callable[[Mapping[str, Any]], Any]:
    return lambda row: value


def candidates(bound: Bound, slot: SlotPlan) -> list[Any]:
    """Constant answers worth trying for a slot: the commonest training values, the mean, else the first value.

    Raises:
        DataError: the task has no training rows with that slot.
    """
    rows = bound.rows.get("train") or bound.rows["valid"]
    read = islice(rows.values(slot.path, COUNTED_ROWS if rows.finite else None), COUNTED_ROWS)
    values = [value for value in read if not is_absent(value)]
    if not slot.depth and slot.modality in WRITTEN:
        values = list(map(returned(slot, bound.task.catalog), values))
    if not values:
        raise DataError(f"task `{bound.task.name}`: its training rows have no value of `{slot.path}`")
    if slot.closed_set is not None:
        values = [value if isinstance(value, str | list | tuple) else str(value) for value in values]
    middle = mean_of(values)
    return [*_commonest(values), *([middle] if middle is not None else [])]


def _commonest(values: Sequence[Any]) -> list[Any]:
    """The most frequent values; of a row with several references the first one stands for all."""
    plain = [value[0] if _references(value) else value for value in values]
    keys = [repr(value) if isinstance(value, str | int | float | list | tuple | dict) else id(value) for value in plain]
    first = dict(zip(reversed(keys), reversed(plain), strict=True))
    return [first[key] for key, _ in Counter(keys).most_common(CANDIDATES)]


def _references(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) and " " in one for one in value)


def mean_of(values: Sequence[Any]) -> Any | None:
    """The mean of numbers, of equally long tuples of numbers, of pictures or of arrays; None where there is none.

    >>> mean_of([(0, 2), (2, 4)]), mean_of(["a", "b"]) is None
    ((1.0, 3.0), True)
    """
    first = values[0]
    if isinstance(first, Image.Image):
        arrays = [
            np.asarray(one.convert("RGB").resize(first.size), dtype=np.float64) for one in values[: CANDIDATES * 16]
        ]
        return Image.fromarray(np.mean(arrays, 0).round().astype(np.uint8))
    if isinstance(first, bool | str | bytes | Mapping):
        return None
    try:
        arrays = [np.asarray(one, dtype=np.float64) for one in values]
    except (TypeError, ValueError):
        return None
    if arrays[0].ndim > 3 or arrays[0].size == 0 or any(one.shape[1:] != arrays[0].shape[1:] for one in arrays):
        return None
    if any(one.ndim != arrays[0].ndim for one in arrays):
        return None
    length = min(len(one) for one in arrays) if arrays[0].ndim else 0
    middle = np.mean([one[:length] if one.ndim else one for one in arrays], 0)
    if isinstance(first, tuple | list):
        same = all(len(one) == len(first) for one in values)
        return tuple(map(float, middle)) if same and middle.ndim == 1 else None
    return float(middle) if middle.ndim == 0 else middle.astype(np.float32)
