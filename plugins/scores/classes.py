"""Metrics over classes, most by torchmetrics; classes are numbered in the order of their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .raw import check_any, check_lengths


class _Classes:
    """Collects predicted and true classes as texts; a missing prediction is a class of its own, never a true one."""

    name = ""

    def __init__(self) -> None:
        self.predicted: list[str | None] = []
        self.truth: list[str] = []

    def update(self, predicted: Sequence[Any], truth: Sequence[Any]) -> None:
        """Add rows: a predicted and a true class each.

        Raises:
            ValueError: a row has several true classes.
        """
        check_lengths(self.name, predicted, truth)
        several = next((t for p, t in zip(predicted, truth, strict=True) if _several(t) and not _several(p)), None)
        if several is not None:
            raise ValueError(f"`{self.name}` must get one true class a row, but got {several!r:.80}")
        self.predicted += [None if one is None else str(one) for one in predicted]
        self.truth += [str(one) for one in truth]

    def numbered(self) -> tuple[Tensor, Tensor, list[str]]:
        """Predicted and true classes as int64 [n], and the names that they number; the last number is no class.

        Raises:
            ValueError: no rows were given.
        """
        check_any(self.name, self.truth)
        names = sorted({*self.truth, *(one for one in self.predicted if one is not None)})
        number: dict[str | None, int] = {one: i for i, one in enumerate(names)} | {None: len(names)}
        return torch.tensor([number[p] for p in self.predicted]), torch.tensor([number[t] for t in self.truth]), names


def _several(value: Any) -> bool:
    return isinstance(value, list | tuple | Mapping)


class Accuracy(_Classes):
    """Share of rows whose class is the true one, 0 to 1."""

    name = "accuracy"

    def __init__(self, *, average: str = "micro") -> None:
        super().__init__()
        self.average = average

    def compute(self) -> float:
        """The share over all rows, or for `macro` the mean of each true class's share.

        >>> metric = Accuracy()
        >>> metric.update(["cat", "dog", "dog"], ["cat", "dog", "cat"])
        >>> round(metric.compute(), 3)
        0.667
        """
        check_any(self.name, self.truth)
        right = [one == true for one, true in zip(self.predicted, self.truth, strict=True)]
        if self.average == "micro":
            return sum(right) / len(right)
        by_class: dict[str, list[bool]] = {}
        for hit, true in zip(right, self.truth, strict=True):
            by_class.setdefault(true, []).append(hit)
        return sum(sum(hits) / len(hits) for hits in by_class.values()) / len(by_class)


class F1(_Classes):
    """The F1 measure of classes, 0 to 1."""

    name = "f1"

    def __init__(self, *, average: str = "macro", positive: str | None = None) -> None:
        super().__init__()
        if average == "binary" and positive is None:
            raise ValueError('`f1` with average="binary" must be told which class counts: `positive` is missing')
        self.average, self.positive = average, positive

    def compute(self) -> float:
        """F1 over the classes that occur, predicted or true; for `binary` that of the positive class.

        >>> metric = F1(average="binary", positive="yes")
        >>> metric.update(["yes", "yes", "no"], ["yes", "no", "no"])
        >>> round(metric.compute(), 3)
        0.667
        """
        from torchmetrics.functional.classification import multiclass_f1_score

        predicted, truth, names = self.numbered()
        if self.average == "micro":
            return float(multiclass_f1_score(predicted, truth, len(names) + 1, average="micro"))
        each = multiclass_f1_score(predicted, truth, len(names) + 1, average=None)[: len(names)]
        if self.average == "macro":
            return float(each.mean())
        return float(each[names.index(self.positive)]) if self.positive in names else 0.0


class Matthews(_Classes):
    """Matthews' correlation coefficient, -1 to 1; 0 when either side knows one class only."""

    name = "matthews"

    def compute(self) -> float:
        """The correlation over all rows.

        >>> metric = Matthews()
        >>> metric.update(["a", "b", "a"], ["a", "b", "a"])
        >>> metric.compute()
        1.0
        """
        from torchmetrics.functional.classification import multiclass_matthews_corrcoef

        predicted, truth, names = self.numbered()
        return float(multiclass_matthews_corrcoef(predicted, truth, len(names) + 1))
