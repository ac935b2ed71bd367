"""A budget for thoughts: an answer that still thinks when it is used up is told to stop, and answers from what it has.

As in Qwen3 (arXiv:2505.09388, section 4.3 and 4.7): the thought is broken off with a sentence that ends it, and the
answer goes on behind. It is a rule on what may follow, so that all streams go on in lock-step, and an answer that
thinks no longer than its budget is the one that it would have been.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.errors import ConfigError
from ...core.generation_frontier import Frontier
from .lanes import NEVER, Options


class Budget:
    """What the lanes of one slot may think.

    Args:
        frontier: the slot; lane i is stream i.
        most: tokens behind the mark that opens a thought, the one that closes it among them.

    Raises:
        ConfigError: the slot's answers have no thoughts, or there is no room for an answer behind one.
    """

    def __init__(self, frontier: Frontier, most: int) -> None:
        thoughts = frontier.thoughts
        if thoughts is None:
            raise ConfigError(
                f"slot `{frontier.name}`: `thinking_budget` needs answers that open with a thought: a conversation, "
                "not with thinking=off, and a tokenizer that has `<think>` and `</think>` as tokens"
            )
        need = 1 + most + len(thoughts.breaks) + 1
        if need > frontier.limit:
            raise ConfigError(
                f"slot `{frontier.name}`: a thought of {most:,} tokens, what breaks it off and an answer need at least "
                f"{need:,} tokens, but there is room for {frontier.limit:,}: lower `thinking_budget`, or raise "
                "`most_tokens`"
            )
        self.thoughts = thoughts
        self.starts = 1 + most
        self.thinks = torch.zeros(frontier.streams, dtype=torch.bool, device=frontier.device)
        self.broken = self.thinks

    def rule(self, options: Options, length: int) -> None:
        """Leave, in place, of what may follow `length` tokens what the budget allows."""
        if options.edges is not None or options.first:
            return
        if length == self.starts:
            self.broken = self.thinks.clone()
        place = length - self.starts
        if place < 0 or not bool(self.broken.any()):
            return
        if place >= len(self.thoughts.breaks):
            for mark in (self.thoughts.opens, self.thoughts.closes):
                options.logits[self.broken, mark] = NEVER
            return
        token = self.thoughts.breaks[place]
        forced = options.logits[self.broken, token].nan_to_num(neginf=0.0)
        options.logits[self.broken] = NEVER
        options.logits[self.broken, token] = forced

    def saw(self, tokens: Tensor, length: int) -> None:
        """Take note of the tokens [lanes] that stand at the place `length - 1`."""
        if length == 1:
            self.thinks = tokens == self.thoughts.opens
        else:
            self.thinks = self.thinks & (tokens != self.thoughts.closes)

    def keep(self, rows: Tensor) -> None:
        """Drop all lanes but these."""
        self.thinks, self.broken = self.thinks.index_select(0, rows), self.broken.index_select(0, rows)
