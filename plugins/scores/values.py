"""Metrics over boxes, numbers and retrieved candidates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from .raw import check_any, check_lengths

Box = Sequence[float]


class Iou:
    """Mean intersection over union with the true boxes; of a group's boxes those of one place are compared."""

    name = "iou"

    def __init__(self) -> None:
        self.overlaps: list[float] = []

    def update(self, predicted: Sequence[Any], truth: Sequence[Any]) -> None:
        """Add rows: a box (x0, y0, x1, y1) each, both in the same unit, or a list of boxes each.

        An absent box is None: it overlaps an absent box wholly and any other not at all, as does one too many or few.
        """
        check_lengths(self.name, predicted, truth)
        for one, other in zip(predicted, truth, strict=True):
            pairs = zip_longest(_boxes(one), _boxes(other)) if _boxes(one) or _boxes(other) else [(None, None)]
            self.overlaps += [_overlap(p, t) for p, t in pairs]

    def compute(self) -> float:
        """The mean over boxes, 0 to 1.

        >>> metric = Iou()
        >>> metric.update([(0, 0, 2, 2), (0, 0, 1, 1)], [(1, 0, 3, 2), (0, 0, 1, 1)])
        >>> round(metric.compute(), 3)
        0.667
        """
        check_any(self.name, self.overlaps)
        return sum(self.overlaps) / len(self.overlaps)


class IouAccuracy(Iou):
    """Share of boxes whose intersection over union with the true box reaches a threshold."""

    name = "iou_accuracy"

    def __init__(self, *, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def compute(self) -> float:
        """The share, 0 to 1."""
        check_any(self.name, self.overlaps)
        return sum(found >= self.threshold for found in self.overlaps) / len(self.overlaps)


def _boxes(value: Any) -> list[Any]:
    if value is None or (hasattr(value, "__len__") and len(value) == 0):
        return []
    return list(value) if hasattr(value[0], "__len__") else [value]


def _overlap(first: Box | None, second: Box | None) -> float:
    if first is None or second is None:
        return float(first is second)
    return overlap(first, second)


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1), 0 to 1.

    >>> overlap((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333

    Raises:
        ValueError: not four numbers each.
    """
    a, b = (np.asarray(one, dtype=np.float64).reshape(-1) for one in (first, second))
    if a.size != 4 or b.size != 4:
        raise ValueError(
            f"a box must be four numbers x0, y0, x1, y1, but is {a.tolist() if a.size != 4 else b.tolist()}"
        )
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(sides.clip(min=0).prod())
    areas = float((a[2:] - a[:2]).clip(min=0).prod() + (b[2:] - b[:2]).clip(min=0).prod())
    return shared / (areas - shared) if areas > shared else 0.0


class MeanSquaredError:
    """Mean squared error of numbers or arrays; each row counts alike, whatever its size."""

    def __init__(self) -> None:
        self.errors: list[float] = []

    def update(self, predicted: Sequence[Any], truth: Sequence[Any]) -> None:
        """Add rows: numbers, nested lists or arrays of one shape each.

        Raises:
            ValueError: a prediction has another shape than its truth.
        """
        check_lengths("mse", predicted, truth)
        for one, other in zip(predicted, truth, strict=True):
            a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
            if a.shape != b.shape:
                raise ValueError(f"`mse` must get values of one shape, but got {list(a.shape)} for {list(b.shape)}")
            self.errors.append(float(np.square(a - b).mean()))

    def compute(self) -> float:
        """The mean over rows.

        >>> metric = MeanSquaredError()
        >>> metric.update([1.0, [2.0, 4.0]], [2.0, [2.0, 2.0]])
        >>> metric.compute()
        1.5
        """
        check_any("mse", self.errors)
        return sum(self.errors) / len(self.errors)


class RecallAtOne:
    """Share of rows whose own candidate scores strictly highest, so that equal scores earn nothing."""

    def __init__(self) -> None:
        self.hits: list[bool] = []

    def update(self, predicted: Sequence[Sequence[float]], truth: Sequence[int]) -> None:
        """Add rows: the scores of all candidates, and which of them is the row's own.

        >>> metric = RecallAtOne()
        >>> metric.update([[0.9, 0.1], [0.8, 0.3]], [0, 1])
        >>> metric.compute()
        0.5
        """
        check_lengths("recall_at_1", predicted, truth)
        for row, own in zip(predicted, truth, strict=True):
            scores = np.asarray(row, dtype=np.float64)
            self.hits.append(bool((scores < scores[own]).sum() == scores.size - 1))

    def compute(self) -> float:
        """The share, 0 to 1."""
        check_any("recall_at_1", self.hits)
        return sum(self.hits) / len(self.hits)
