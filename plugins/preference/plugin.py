"""Losses of `preferred > other`."""

from __future__ import annotations

from ...core.loss import Loss
from ...core.settings import setting
from ..hookspecs import hookimpl


class BradleyTerry(Loss):
    """A reward model: a score per answer, higher for the preferred."""

    build = "omniline.plugins.preference.bradley_terry:BradleyTerryLoss"
    kind = "rank"
    needs_width = True


class Dpo(Loss):
    """Direct preference optimisation against a frozen copy of the model."""

    build = ""
    kind = "rank"
    needs = ("tokens", "class")

    beta: float = setting(0.1, at_least=0, help="how strongly the frozen copy holds")


@hookimpl
def losses() -> dict[str, type[Loss]]:
    """Bradley-Terry and DPO."""
    return {"bradley_terry": BradleyTerry, "dpo": Dpo}
