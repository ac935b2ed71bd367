"""How noise grows: the share of a value's variance that is left of it at each noise level."""

from __future__ import annotations

import math
from collections.abc import Callable

OFFSET = 0.008
SLOWEST, FASTEST = 0.1, 20.0


def cosine(level: float) -> float:
    """The squared cosine of Nichol & Dhariwal (2021), equation 17.

    >>> cosine(0.0), round(cosine(1.0), 6)
    (1.0, 0.0)
    """
    first = math.cos(OFFSET / (1 + OFFSET) * math.pi / 2) ** 2
    return math.cos((level + OFFSET) / (1 + OFFSET) * math.pi / 2) ** 2 / first


def linear(level: float) -> float:
    """Betas that rise evenly from 0.0001 to 0.02 over a thousand steps (Ho et al., 2020), at any number of steps: the
    continuous form of Song et al. (2021, "Score-based generative modeling", appendix C).

    >>> linear(0.0), round(linear(1.0), 5)
    (1.0, 4e-05)
    """
    return math.exp(-(SLOWEST * level + (FASTEST - SLOWEST) * level**2 / 2))


SCHEDULES: dict[str, Callable[[float], float]] = {"cosine": cosine, "linear": linear}


def share_left(schedule: str, level: float) -> float:
    """What is left, 1 for a clean value to 0 for noise alone, at a level in 0..1."""
    return min(max(SCHEDULES[schedule](level), 0.0), 1.0)
