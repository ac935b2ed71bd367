"""Correlations of predicted and true numbers, by torchmetrics. A number may be written as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .raw import check_lengths


class _Numbers:
    """Collects predicted and true numbers."""

    name = ""

    def __init__(self) -> None:
        self.predicted: list[float] = []
        self.truth: list[float] = []

    def update(self, predicted: Sequence[Any], truth: Sequence[Any]) -> None:
        """Add rows: a number each, and the true one.

        Raises:
            ValueError: a true value is no number.
        """
        check_lengths(self.name, predicted, truth)
        for one, other in zip(predicted, truth, strict=True):
            true = number_of(other)
            if math.isnan(true):
                raise ValueError(f"`{self.name}` must get true values that are numbers, but got {other!r:.40}")
            self.predicted.append(number_of(one))
            self.truth.append(true)

    def numbers(self) -> tuple[Tensor, Tensor]:
        """Predicted and true numbers, float64 [n]; what is no number is predicted as the mean of those that are.

        Raises:
            ValueError: fewer than two rows.
        """
        if len(self.truth) < 2:
            raise ValueError(f"`{self.name}` must see at least 2 rows, but has seen {len(self.truth)}")
        predicted = torch.tensor(self.predicted, dtype=torch.float64)
        known = ~predicted.isnan()
        middle = predicted[known].mean() if known.any() else torch.zeros((), dtype=torch.float64)
        return torch.where(known, predicted, middle), torch.tensor(self.truth, dtype=torch.float64)


class Pearson(_Numbers):
    """Pearson's correlation, -1 to 1; 0 when either side is constant."""

    name = "pearson"

    def compute(self) -> float:
        """The correlation over all rows.

        >>> metric = Pearson()
        >>> metric.update(["1", "2.5", 4], [2, 5, 8])
        >>> round(metric.compute(), 6)
        1.0
        """
        from torchmetrics.functional.regression import pearson_corrcoef

        return _defined(*self.numbers(), pearson_corrcoef)


class Spearman(_Numbers):
    """Spearman's rank correlation, -1 to 1; 0 when either side is constant."""

    name = "spearman"

    def compute(self) -> float:
        """The correlation of ranks over all rows.

        >>> metric = Spearman()
        >>> metric.update([1, 2, 30], [1, 2, 3])
        >>> round(metric.compute(), 4)
        1.0
        """
        from torchmetrics.functional.regression import spearman_corrcoef

        return _defined(*self.numbers(), spearman_corrcoef)


def number_of(value: Any) -> float:
    """A finite number, or one that a text spells; NaN for all else.

    >>> number_of(" 3.5 "), number_of("many")
    (3.5, nan)
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _defined(predicted: Tensor, truth: Tensor, correlation: Any) -> float:
    if min(float(predicted.std()), float(truth.std())) < 1e-12:
        return 0.0
    return float(correlation(predicted, truth))
