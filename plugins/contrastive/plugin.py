"""The loss of `<->`: what belongs together is near."""

from __future__ import annotations

from ...core.loss import Loss
from ...core.settings import setting
from ..hookspecs import hookimpl


class Contrastive(Loss):
    """Both sides of a row find each other among the rows of a batch."""

    build = "omniline.plugins.contrastive.contrastive:ContrastiveLoss"
    kind = "match"
    needs_width = True

    temperature: float = setting(0.07, at_least=0.01, at_most=10, help="what cosines are divided by, at the start")
    learned: bool = setting(True, help="learn the temperature")
    dimension: int = setting(256, at_least=1, help="size of the vectors that are compared")


@hookimpl
def losses() -> dict[str, type[Loss]]:
    """Symmetric contrastive."""
    return {"contrastive": Contrastive}
