"""Rules on what may follow a partial answer, which every search over tokens keeps: lengths, repetitions, penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...core.generation_frontier import Frontier
from ...core.inventory import Inventory
from .grammars import grammar_of, start


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a slot's answers must keep to.

    Attributes:
        min_length: tokens before the end mark is allowed.
        no_repeat_ngram: size of token runs that may not come twice; 0 for off.
        guidance: weight of the source against none, see `lanes.guided`.
        repetition_penalty: divides the positive logits of tokens that were read or written, multiplies the negative.
        presence_penalty: taken from the logit of a token that was written.
        frequency_penalty: taken from it as often as it was written.
        grammar: what a text must be, see `grammars`; None for any.
    """

    min_length: int = 0
    no_repeat_ngram: int = 0
    guidance: float = 1.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    grammar: str | None = None

    @property
    def penalises(self) -> bool:
        """Whether logits depend on the tokens so far."""
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0

    def check(self, inventory: Inventory) -> None:
        """Whether what a text must be can be said with these tokens.

        Raises:
            ConfigError: it cannot.
        """
        if self.grammar is not None:
            start(self.grammar, inventory, opens=True)


def rules_of(
    *, regex: str | None = None, json_schema: str | None = None, grammar: str | None = None, **rules: Any
) -> Rules:
    """The rules of a decoder's settings.

    Raises:
        ConfigError: see `grammar_of`.
    """
    return Rules(grammar=grammar_of(regex=regex, json_schema=json_schema, grammar=grammar), **rules)


class Penalties:
    """The tokens that lanes have read and written, and what that takes from their logits.

    The repetition penalty is that of CTRL (Keskar et al., 2019), over prompt and answer; the penalties of presence and
    frequency are those of the common services, over the answer alone.
    """

    def __init__(self, frontier: Frontier, rules: Rules, width: int) -> None:
        self.rules = rules
        self.written = torch.zeros(frontier.streams, width, device=frontier.device)
        self.read = torch.zeros(frontier.streams, width, dtype=torch.bool, device=frontier.device)
        for row, tokens in zip(self.read, frontier.read, strict=False):
            row[tokens.to(frontier.device)] = True

    def apply(self, logits: Tensor) -> Tensor:
        """Logits [m, vocabulary] with the penalties of each lane."""
        factor, wrote = self.rules.repetition_penalty, self.written > 0
        if factor != 1:
            changed = torch.where(logits < 0, logits * factor, logits / factor)
            logits = torch.where(self.read | wrote, changed, logits)
        return logits - self.written * self.rules.frequency_penalty - wrote * self.rules.presence_penalty

    def saw(self, tokens: Tensor) -> None:
        """Take note of what each lane [m] wrote."""
        self.written[torch.arange(len(tokens), device=tokens.device), tokens] += 1

    def keep(self, rows: Tensor) -> None:
        """Lane i becomes the old lane `rows[i]`."""
        self.written, self.read = self.written.index_select(0, rows), self.read.index_select(0, rows)
