"""The declaration of a weighting: how the losses of many tasks and slots are balanced in one sum."""

from __future__ import annotations

from typing import ClassVar

from .settings import Declaration


class Weighting(Declaration):
    """A weighting, chosen by `fit(weighting=...)` or `Module(weighting=...)`.

    Class attributes:
        build: "module:Class" of the working half, an `nn.Module` made with the settings and `keys`, the names of all
            objectives ("task/slot"); see `LossWeights` in core/networks.py.
        gradients: it wants the size of each objective's gradient at the hidden states.
    """

    build: ClassVar[str]
    gradients: ClassVar[bool] = False
