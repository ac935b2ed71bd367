"""Greedy search, and the lock-step loop that sampling shares with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...core.generation_frontier import Frontier
from ...core.networks import Found
from .lanes import Lanes, Options, guided, log_sum_exp, peak
from .rules import rules_of
from .thinking import Budget

Choose = Callable[[Options, Tensor, int], Tensor]
"""Columns [m] from options, the streams [m] that the lanes belong to, and the number of the step."""


class Greedy:
    """The likeliest token at each step; the likeliest class; values fed back as they are predicted."""

    def __init__(
        self,
        *,
        guidance: float = 1.0,
        negative: str | None = None,
        thinking_budget: int | None = None,
        **rules: Any,
    ) -> None:
        """`rules` are those of `rules_of`."""
        self.rules = rules_of(guidance=guidance, **rules)
        self.thinking_budget = thinking_budget
        self.guidance, self.negative = guidance, negative

    def __call__(self, frontier: Frontier) -> Found:
        """See `DecoderSearch`."""
        if frontier.predicts == "values":
            return roll_values(frontier)
        if frontier.predicts == "class":
            return choose_class(frontier, likeliest, guidance=self.guidance)
        return choose_tokens(Lanes(frontier, self.rules), likeliest, budget=budget_of(frontier, self.thinking_budget))


def budget_of(frontier: Frontier, most: int | None) -> Budget | None:
    """The budget of a slot's thoughts, if there is one."""
    return None if most is None else Budget(frontier, most)


def likeliest(options: Options, streams: Tensor, step: int) -> Tensor:
    """The likeliest column of each lane."""
    return peak(options.logits)


def choose_tokens(lanes: Lanes, choose: Choose, *, budget: Budget | None = None) -> Found:
    """One token at a time for every stream until all have ended; `budget` rules what may follow.

    Streams that are done are fed nothing; when nothing follows the slot they are dropped once they are the half.
    """
    frontier = lanes.frontier
    n = len(lanes)
    answers = lanes.tokens.clone()
    score = torch.zeros(n, device=frontier.device)
    lengths = torch.zeros(n, dtype=torch.long, device=frontier.device)
    home = torch.arange(n, device=frontier.device)
    alive = frontier.active
    while bool(alive.any()):
        if frontier.last and int(alive.sum()) * 2 <= len(alive):
            kept = alive.nonzero()[:, 0]
            frontier.select(kept)
            lanes.keep(kept)
            home, alive = home[kept], alive[kept]
            if budget is not None:
                budget.keep(kept)
        options = lanes.options()
        if budget is not None:
            budget.rule(options, lanes.length)
        columns = choose(options, home, lanes.length)
        rows = torch.arange(len(lanes), device=frontier.device)
        step = lanes.step(options, rows, columns)
        score[home] += torch.where(alive, options.log_probability(rows, columns), 0.0)
        lengths[home] += alive
        answers[home, lanes.length] = step.tokens
        lanes.extend(step)
        if budget is not None:
            budget.saw(step.tokens, lanes.length)
        frontier.feed(step.tokens[:, None], alive.long())
        alive = alive & ~step.ended
        if frontier.watch is not None and bool(alive[0]):
            frontier.watch(step.tokens.tolist())
    predictions = torch.ones_like(lengths) if lanes.closed else lengths
    return Found(answers, lanes.without_end(lengths), score, predictions)


def choose_class(frontier: Frontier, choose: Choose, *, guidance: float = 1.0) -> Found:
    """One label for every stream."""
    logits = guided(frontier, lambda hidden: frontier.port.project(hidden).float(), guidance)
    options = Options(logits, log_sum_exp(logits))
    streams = torch.arange(len(logits), device=frontier.device)
    labels = choose(options, streams, 0)
    ones = torch.ones_like(labels)
    frontier.feed(labels[:, None], frontier.active.long())
    return Found(labels[:, None], ones, logits[streams, labels] - options.norm, ones)


def roll_values(frontier: Frontier, *, stop: float = 0.5) -> Found:
    """Rows of values, each predicted from those before it; they have no probability.

    A slot of a fixed number of rows gets them all; where the port says when to stop, a stream ends with the first row
    whose probability to be the last reaches `stop`.
    """
    rows: list[Tensor] = []
    lengths = torch.zeros_like(frontier.active, dtype=torch.long)
    alive = frontier.active
    while not rows or (len(rows) < frontier.limit and bool(alive.any())):
        hidden = frontier.hidden
        values, ends = frontier.port.project(hidden).float(), frontier.port.stop(hidden)
        rows.append(values)
        lengths = lengths + alive
        frontier.feed(values[:, None], alive.long())
        alive = alive if ends is None else alive & (ends.float().sigmoid() < stop)
    return Found(torch.stack(rows, dim=1), lengths, None, lengths)
