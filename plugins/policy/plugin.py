"""Losses that learn from rewards of drawn answers, and the rewards."""

from __future__ import annotations

from collections.abc import Callable

from ...core.loss import Loss
from ...core.settings import setting
from ..hookspecs import hookimpl
from .rewards import contains, equal, number, regex


class Grpo(Loss):
    """Group-relative policy optimisation: advantages within the answers to one question, ratios clipped by token."""

    build = ""
    kind = "rollout"
    needs = ("tokens", "class")

    clip: float = setting(0.2, at_least=0, help="how far a token's probability ratio counts, either way")
    kl: float = setting(0.0, at_least=0, help="weight of the divergence from the frozen copy")


class Gspo(Loss):
    """Group sequence policy optimisation: the ratio of the whole answer is clipped."""

    build = ""
    kind = "rollout"
    needs = ("tokens", "class")

    clip_low: float = setting(3e-4, at_least=0, help="how far the answer's ratio counts below 1")
    clip_high: float = setting(4e-4, at_least=0, help="how far the answer's ratio counts above 1")


class Sapo(Loss):
    """Soft adaptive policy optimisation: ratios fade by a sigmoid instead of a clip."""

    build = ""
    kind = "rollout"
    needs = ("tokens", "class")

    positive: float = setting(1.0, at_least=0, help="steepness for answers better than their group")
    negative: float = setting(1.05, at_least=0, help="steepness for answers worse than their group")


@hookimpl
def losses() -> dict[str, type[Loss]]:
    """Losses of rollouts."""
    return {"grpo": Grpo, "gspo": Gspo, "sapo": Sapo}


@hookimpl
def rewards() -> dict[str, Callable[..., float]]:
    """Checkable rewards."""
    return {"equal": equal, "contains": contains, "regex": regex, "number": number}
