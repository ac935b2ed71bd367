"""How the losses of many tasks are balanced. Declarations alone; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.settings import setting
from ...core.weighting import Weighting
from ..hookspecs import hookimpl


class Uncertainty(Weighting):
    """Each objective's weight is learned, as the inverse of its uncertainty."""

    build = "omniline.plugins.weighting.uncertainty:Uncertainty"


class GradientNorm(Weighting):
    """Each objective's gradient is brought towards the mean size of all."""

    build = "omniline.plugins.weighting.gradient_norm:GradientNorm"
    gradients = True

    alpha: float = setting(1.0, at_least=0.0, at_most=2.0, help="1 makes all gradients equal, 0 changes nothing")
    memory: float = setting(0.9, at_least=0.0, at_most=0.9999, help="how much of the past the sizes keep each step")


@hookimpl
def weightings() -> Mapping[str, type[Weighting]]:
    """The weightings of this room."""
    return {"uncertainty": Uncertainty, "gradient_norm": GradientNorm}
