"""Mean average precision of named boxes, by torchmetrics and pycocotools."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch

from ...core.errors import ConfigError
from .raw import check_any, check_lengths


class MeanAveragePrecision:
    """COCO's mean average precision: over ten overlaps from 0.5 to 0.95 and over all names, 0 to 1.

    Lin et al., "Microsoft COCO: Common Objects in Context", 2014. A row's value is a list of boxes x0, y0, x1, y1. A
    box counts once, for a true box of the same name that it overlaps enough; without names all are of one kind. Boxes
    are ranked by how sure the model is of the box and its name.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def update(
        self,
        predicted: Sequence[Any],
        truth: Sequence[Any],
        *,
        scores: Sequence[Any] | None = None,
        names: Sequence[Any] | None = None,
        true_names: Sequence[Any] | None = None,
    ) -> None:
        """Add rows: the boxes of each, with the score of each predicted box, and the names.

        Raises:
            ValueError: boxes and names of a row differ in number.
        """
        check_lengths("map", predicted, truth)
        blank = [None] * len(truth)
        columns = (predicted, truth, scores or blank, names or blank, true_names or blank)
        for boxes, wanted, sure, said, meant in zip(*columns, strict=True):
            found = _listed(boxes)
            self.rows.append(
                (
                    found,
                    _listed(wanted),
                    _filled(sure, len(found), 1.0, "scores"),
                    _filled(said, len(found), "", "names"),
                    _filled(meant, len(_listed(wanted)), "", "true names"),
                )
            )

    def compute(self) -> dict[str, float]:
        """The mean over overlaps, and as `50` at an overlap of 0.5; where no row has a box, 1 if none was found.

        >>> metric = MeanAveragePrecision()
        >>> boxes = [(0, 0, 2, 2), (5, 5, 9, 9)]
        >>> metric.update([boxes[:1]], [boxes], names=[["cat"]], true_names=[["cat", "dog"]])
        >>> {name: round(value, 3) for name, value in metric.compute().items()}
        {'': 0.5, '50': 0.5}

        Raises:
            ConfigError: pycocotools is missing; it comes with `pip install omniline[metrics]`.
        """
        check_any("map", self.rows)
        if not any(row[1] for row in self.rows):
            found_none = float(not any(row[0] for row in self.rows))
            return {"": found_none, "50": found_none}
        measure = _measure()
        known = sorted({str(name) for row in self.rows for name in (*row[3], *row[4])})
        number = {name: i for i, name in enumerate(known)}
        for boxes, wanted, sure, said, meant in self.rows:
            labels = torch.tensor([number[str(name)] for name in said], dtype=torch.int64)
            found = {"boxes": _tensor(boxes), "scores": torch.tensor(sure, dtype=torch.float32), "labels": labels}
            truth = torch.tensor([number[str(name)] for name in meant], dtype=torch.int64)
            measure.update([found], [{"boxes": _tensor(wanted), "labels": truth}])
        result = measure.compute()
        return {"": max(0.0, float(result["map"])), "50": max(0.0, float(result["map_50"]))}


def _measure() -> Any:
    if find_spec("pycocotools") is None:
        raise ConfigError("the metric `map` needs pycocotools: pip install omniline[metrics]")
    from torchmetrics.detection.mean_ap import MeanAveragePrecision as Measure

    measure = Measure(box_format="xyxy", iou_type="bbox")
    measure.warn_on_many_detections = False  # that the best hundred count is COCO's rule
    return measure


def _listed(boxes: Any) -> list[Any]:
    """The boxes of one row: a list of boxes at any depth, one box, or None."""
    if boxes is None or len(boxes) == 0:
        return []
    if not hasattr(boxes[0], "__len__"):
        return [boxes]
    return [box for part in boxes for box in _listed(part)]


def _filled(values: Any, count: int, default: Any, what: str) -> list[Any]:
    """One value a box: those given, or the default for each."""
    if values is None:
        return [default] * count
    flat = _flat(values)
    if len(flat) != count:
        raise ValueError(f"`map` must get one of the {what} for each box, but got {len(flat)} for {count} boxes")
    return [default if value is None else value for value in flat]


def _flat(values: Any) -> list[Any]:
    if isinstance(values, list | tuple):
        return [item for value in values for item in _flat(value)]
    return [values]


def _tensor(boxes: Sequence[Any]) -> torch.Tensor:
    return torch.tensor([list(map(float, box)) for box in boxes], dtype=torch.float32).reshape(-1, 4)
