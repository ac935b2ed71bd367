"""The declaration of a metric: what is measured over a task's held-out rows."""

from __future__ import annotations

from typing import ClassVar

from .plan import Part as Part
from .plan import SlotPlan
from .settings import Declaration


class Metric(Declaration):
    """A metric over predicted and true values of one slot.

    `build` is "module:Class"; the class receives the settings as keywords, `update(predicted, truth)` takes two lists
    of raw values and `compute()` returns a float or a mapping from name to float.

    Class attributes:
        build: the working half.
        higher_is_better: for choosing checkpoints and for tables.
        modalities: slot types it suits; empty for all.
    """

    build: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    modalities: ClassVar[tuple[str, ...]] = ()


def default_metrics(slot: SlotPlan) -> tuple[str, ...]:
    """The metrics of a target slot whose task names none.

    >>> default_metrics(SlotPlan(index=0, name="a", path="a", modality="TEXT", side="target", adapter=Part("", ""),
    ...                          predicts="tokens", closed_set=("no", "yes")))
    ('accuracy',)
    """
    if slot.closed_set is not None or slot.predicts == "class":
        return ("accuracy",)
    if slot.modality == "BOX":
        return ("iou",)
    if slot.predicts == "tokens" and slot.modality == "TEXT":
        return ("exact_match", "rouge_l")
    return ("exact_match",) if slot.predicts == "tokens" else ("mse",)
