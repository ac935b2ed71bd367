"""The declaration of a metric: what is measured over a task's held-out rows."""

from __future__ import annotations

from typing import ClassVar

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
