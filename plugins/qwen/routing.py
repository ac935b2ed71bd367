"""Which experts a network's rows go through: recorded in one pass, and forced in another.

A policy that answers in one engine and is trained in another chooses other experts for the same tokens, which a ratio
of probabilities must not see: training replays the routes of the answers (Ma et al., 2025; Zheng et al., 2025).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor

Route = Tensor
"""int64 [layers with a mixture, rows, top], rows in the joined order of a pass, or flat over those that extend."""

_RECORD: ContextVar[list[Route] | None] = ContextVar("record", default=None)
_REPLAY: ContextVar[Iterator[Route] | None] = ContextVar("replay", default=None)


@contextmanager
def recorded() -> Iterator[list[Route]]:
    """Within it every pass of a network with mixtures appends where its rows went.

    >>> with recorded() as routes:
    ...     note([torch.tensor([[0, 1]])])
    >>> [route.shape for route in routes]
    [torch.Size([1, 1, 2])]
    """
    held: list[Route] = []
    token = _RECORD.set(held)
    try:
        yield held
    finally:
        _RECORD.reset(token)


@contextmanager
def replayed(routes: Sequence[Route]) -> Iterator[None]:
    """Within it each pass takes the next of these routes; its probabilities are still the router's own."""
    token = _REPLAY.set(iter(routes))
    try:
        yield
    finally:
        _REPLAY.reset(token)


def watched() -> bool:
    """Whether routes are recorded or replayed here, so that a pass must be the pass that it looks like."""
    return _RECORD.get() is not None or _REPLAY.get() is not None


def note(chosen: Sequence[Tensor]) -> None:
    """Tell where the rows of a pass went, layer by layer [rows, top]."""
    held = _RECORD.get()
    if held is not None and chosen:
        held.append(torch.stack([one.detach() for one in chosen]))


class Way(NamedTuple):
    """What a mixture is told of its rows: `forced` int64 [rows, top], the experts to go through instead of the
    likeliest, and `real` bool [rows], which of them count; None for the router's choice, and for all."""

    forced: Tensor | None = None
    real: Tensor | None = None


def ways_of(layers: int, rows: int, real: Tensor | None = None) -> Sequence[Way]:
    """What the mixtures of a pass are told, layer by layer.

    Raises:
        ValueError: there are no more routes, or the next is of another pass.
    """
    held = _REPLAY.get()
    if held is None or not layers:
        return [Way(real=real)] * layers
    route = next(held, None)
    if route is None:
        raise ValueError("routes must be replayed by as many passes as were recorded, but there is one more")
    if route.shape[:2] != (layers, rows):
        raise ValueError(
            f"a route must be of {layers} layers and {rows} rows, but is of {route.shape[0]} and {route.shape[1]}: it "
            "was recorded in another pass"
        )
    return [Way(one, real) for one in route]
