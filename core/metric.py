"""The declaration of a metric: what is measured over a task's held-out rows."""

from __future__ import annotations

from typing import ClassVar

from .plan import SlotPlan
from .settings import Declaration

DEFAULT_METRICS: dict[str, tuple[str, ...]] = {
    "TEXT": ("exact_match", "rouge_l"),
    "PHONE": ("wer",),
    "BOX": ("iou",),
    "STRUCT": ("struct_match",),
    "CHAT": ("exact_match", "rouge_l"),
    "IMAGE": ("psnr",),
    "AUDIO": ("mcd",),
    "VIDEO": (),
    "MOTION": ("motion",),
}
"""What suits an open target slot of a modality; others are judged by what they predict."""
CASED = ("exact_match", "struct_match")
"""Those that tell upper from lower case."""


class Metric(Declaration):
    """A metric over predicted and true values of one slot.

    `build` is "module:Class"; the class receives the settings as keywords, `update(predicted, truth)` takes two lists
    of raw values and `compute()` returns a float or a mapping from name to float.

    Class attributes:
        build: the working half.
        higher_is_better: for choosing checkpoints and for tables.
        modalities: slot types it suits; empty for all.
        reads: slot types whose values on the source side it judges by too; `update` receives them as lists under the
            type's name in lower case.
        paired: it judges values with what stands beside them; `update` receives `scores`, how sure the model was, and
            `names` and `true_names`, the values of the first text or class in the same group.
        absent: it also judges rows whose optional group is empty, where a value is None.
    """

    build: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    modalities: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ()
    paired: ClassVar[bool] = False
    absent: ClassVar[bool] = False


def default_metrics(slot: SlotPlan) -> tuple[str, ...]:
    """The metrics of a target slot whose task names none; () where only the loss can judge.

    A class or a closed set has its accuracy, a text its exact matches and ROUGE-L, numbers their squared error. The
    values of a group are lists, of which only a whole match is judged. Where a slot drops case, so do they.

    >>> from omniline.core.plan import Part, SlotPlan
    >>> slot = SlotPlan(index=0, name="a", path="a", modality="TEXT", side="target", adapter=Part("adapter", "text"),
    ...                 predicts="tokens", closed_set=("no", "yes"))
    >>> default_metrics(slot)
    ('accuracy',)
    """
    found: tuple[str, ...]
    counted = slot.predicts in ("tokens", "class")
    if slot.depth:
        found = ("exact_match",) if counted and slot.modality not in ("BOX", "IMAGE", "VIDEO") else ()
    elif slot.predicts == "class" or slot.closed_set is not None:
        found = ("accuracy",)
    else:
        found = DEFAULT_METRICS.get(slot.modality, ("exact_match",) if counted else ("mse",))
    uncased = slot.closed_set is None and slot.adapter.options().get("uncased")
    return tuple(f"{name},uncased=true" if uncased and name in CASED else name for name in found)
