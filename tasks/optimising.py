"""The optimiser and the shape of its learning rate over the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from ..core.errors import ConfigError

SCHEDULES = ("cosine", "linear", "constant")
DENORMAL = 1e-30


def adamw(
    network: nn.Module,
    extra: Sequence[nn.Parameter],
    *,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
) -> torch.optim.AdamW:
    """AdamW, fused; matrices decay, vectors, the tables of embeddings and `extra` do not."""
    decayed, plain = by_decay(network)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": [*plain, *extra], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate, betas=betas, fused=True)


def check_rates(schedule: str, learning_rate: float, warmup: float) -> None:
    """See that a schedule, its highest rate and its share of steps to rise in make sense.

    Raises:
        ConfigError: one of them does not.
    """
    if schedule not in SCHEDULES:
        raise ConfigError(f"schedule must be one of {', '.join(SCHEDULES)}, but is {schedule!r}")
    if not learning_rate > 0:
        raise ConfigError(f"learning_rate must be above 0, but is {learning_rate!r}")
    if not 0 <= warmup <= 1:
        raise ConfigError(f"warmup must be a share of the steps, 0 to 1, but is {warmup!r}")


def shape_at(step: int, *, steps: int, warmup: float, schedule: str) -> float:
    """The learning rate at a step as a share of the highest: a rise over `warmup` of the steps, then the schedule.

    >>> [round(shape_at(s, steps=100, warmup=0.1, schedule="linear"), 2) for s in (0, 9, 55, 100)]
    [0.1, 1.0, 0.55, 0.1]
    """
    rise = max(1, int(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    if schedule == "constant":
        return 1.0
    done = min(1.0, (step - rise) / max(1, steps - rise))
    fall = (1 + math.cos(math.pi * done)) / 2 if schedule == "cosine" else 1 - done
    return 0.1 + 0.9 * fall if schedule == "linear" else max(fall, 0.02)


def clear_denormal(optimizer: torch.optim.Optimizer) -> None:
    """Zero the denormal moments of idle rows: they slow a CPU tenfold."""
    for state in optimizer.state.values():
        for name in ("exp_avg", "exp_avg_sq"):
            moment = state.get(name)
            if moment is not None:
                moment = getattr(moment, "_local_tensor", moment)
                moment.masked_fill_(moment.abs() < DENORMAL, 0.0)


def by_decay(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices, and the rest: vectors and the tables of embeddings."""
    tables = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in network.parameters():
        if parameter.requires_grad:
            (plain if parameter.ndim < 2 or id(parameter) in tables else decayed).append(parameter)
    return decayed, plain
