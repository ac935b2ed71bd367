"""Beam search over the tokens of one slot, all streams in lock-step.

At each step the best continuations of a stream's beams compete; those that end are kept by their score, log-probability
over length to the power `length_penalty` (Wu et al. 2016 without the constant), the others go on. A stream is done when
no running beam can still win, or by `early_stop` when as many answers as beams have ended.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...core.generation_frontier import Frontier
from ...core.networks import Found
from .greedy import choose_class, likeliest
from .lanes import NEVER, Lanes, Step, top
from .rules import rules_of


class Beam:
    """The best of several answers that are kept at each step."""

    def __init__(
        self,
        *,
        beams: int = 5,
        length_penalty: float = 1.0,
        early_stop: bool = True,
        **rules: Any,
    ) -> None:
        """`rules` are those of `rules_of`."""
        self.beams = beams
        self.length_penalty = length_penalty
        self.early_stop = early_stop
        self.rules = rules_of(**rules)

    def __call__(self, frontier: Frontier) -> Found:
        """See `DecoderSearch`."""
        if frontier.predicts == "class":
            return choose_class(frontier, likeliest)
        lanes = Lanes(frontier, self.rules)
        return Search(lanes, self).run()


class Ranked(NamedTuple):
    """The best continuations of each stream, best first: their log-probabilities [s, k], the lanes they continue and
    the columns they take [s * k].
    """

    scores: Tensor
    lanes: Tensor
    columns: Tensor


class Search:
    """One search: the running beams, and the best ended answer of each stream.

    The lanes of the i-th stream that is still searched stand side by side; `home` says which stream it is. When
    something follows the slot, an untouched copy of each stream waits behind the lanes, to be fed the answer.
    """

    def __init__(self, lanes: Lanes, rules: Beam) -> None:
        self.lanes = lanes
        self.frontier = lanes.frontier
        self.rules = rules
        n = len(lanes)
        device = self.frontier.device
        self.home = torch.arange(n, device=device)
        self.done = ~self.frontier.active
        self.running = torch.zeros(n, 1, device=device)
        self.waiting: Tensor | None = None
        self.ended = torch.zeros(n, dtype=torch.long, device=device)
        self.best = torch.full((n,), NEVER, device=device)
        self.score = torch.zeros(n, device=device)
        self.length = torch.zeros(n, dtype=torch.long, device=device)
        self.answers = lanes.tokens.clone()

    def run(self) -> Found:
        """Search until every stream is done."""
        while not bool(self.done.all()):
            self._advance()
        if not self.frontier.last:
            self._restore()
        predictions = torch.ones_like(self.length) if self.lanes.closed else self.length
        return Found(self.answers, self.lanes.without_end(self.length), self.score, predictions)

    def _advance(self) -> None:
        options = self.lanes.options()
        values, columns = top(options.logits, 2 * self.rules.beams)
        ranked = self._rank(values - options.norm[:, None], columns)
        step = self.lanes.step(options, ranked.lanes, ranked.columns)
        ended = step.ended.view_as(ranked.scores)
        self._finish(ranked, ended, step.tokens.view_as(ranked.scores))
        if self.lanes.constraint is not None and self.lanes.length == self.lanes.most - 1:
            self._cut()
        if bool(self.done.all()):
            return
        scores, places = ranked.scores.masked_fill(ended, NEVER).topk(min(self.rules.beams, ended.shape[1]), dim=1)
        self._judge(scores[:, 0])
        if bool(self.done.all()):
            return
        if self.frontier.last and int(self.done.sum()) * 2 >= len(self.done):
            kept = (~self.done).nonzero()[:, 0]
            self.home, self.done, scores = self.home[kept], self.done[kept], scores[kept]
            places = places[kept] + kept[:, None] * ended.shape[1]
        else:
            places = places + torch.arange(len(places), device=places.device)[:, None] * ended.shape[1]
        self.running = scores
        chosen = places.flatten()
        nodes = None if step.nodes is None else step.nodes[chosen]
        self._go_on(Step(step.tokens[chosen], step.ended[chosen], nodes), ranked.lanes[chosen])

    def _rank(self, scores: Tensor, columns: Tensor) -> Ranked:
        streams, width = self.running.shape
        each = scores.shape[1]
        total = (scores.view(streams, width, each) + self.running[:, :, None]).flatten(1)
        best, places = total.topk(min(2 * self.rules.beams, width * each), dim=1)
        lanes = places // each + torch.arange(streams, device=places.device)[:, None] * width
        flat = (lanes * each + places % each).flatten()
        return Ranked(best, lanes.flatten(), columns.flatten()[flat])

    def _finish(self, ranked: Ranked, ended: Tensor, tokens: Tensor) -> None:
        """Keep the best of the answers that ended among the first beams."""
        size = self.rules.beams
        ended = ended[:, :size] & (ranked.scores[:, :size] > NEVER) & ~self.done[:, None]
        if not bool(ended.any()):
            return
        length = self.lanes.length + 1
        scores = ranked.scores[:, :size].masked_fill(~ended, NEVER) / length**self.rules.length_penalty
        value, place = scores.max(1)
        home = self.home
        self.ended[home] += ended.sum(1)
        better = (value > self.best[home]).nonzero()[:, 0]
        place, home = place[better], home[better]
        self.best[home] = value[better]
        self.score[home] = ranked.scores[better, place]
        self.length[home] = length
        lanes = ranked.lanes.view_as(ranked.scores)[better, place]
        self.answers[home, : length - 1] = self.lanes.tokens[lanes, : length - 1]
        self.answers[home, length - 1] = tokens[better, place]
        if self.rules.early_stop:
            self.done = self.done | (self.ended[self.home] >= size)

    def _cut(self) -> None:
        """At the last place: of streams without an answer the best beam is one, cut where it stands, improbable."""
        lost = ((self.best[self.home] == NEVER) & ~self.done).nonzero()[:, 0]
        lanes = lost * self.running.shape[1] + self.running[lost].argmax(1)
        home, length = self.home[lost], self.lanes.length
        self.answers[home, :length] = self.lanes.tokens[lanes, :length]
        self.answers[home, length] = self.frontier.end or 0
        self.score[home], self.length[home] = NEVER, length + 1

    def _judge(self, running: Tensor) -> None:
        """A stream is done when its best running beam, grown as long as may be, loses to its best answer."""
        reach = running / self.lanes.most**self.rules.length_penalty
        self.done = self.done | (reach <= self.best[self.home])

    def _go_on(self, step: Step, parents: Tensor) -> None:
        """The lanes become `parents`, each with one token more."""
        streams, tokens = parents, step.tokens
        live = (~self.done).long().repeat_interleave(len(parents) // len(self.done))
        if not self.frontier.last:
            behind = torch.arange(len(self.home), device=parents.device)
            streams = torch.cat([parents, behind if self.waiting is None else self.waiting])
            self.waiting = behind + len(parents)
            tokens = torch.cat([tokens, torch.zeros_like(behind)])
            live = torch.cat([live, torch.zeros_like(behind)])
        self.frontier.select(streams)
        self.lanes.extend(step, parents)
        self.frontier.feed(tokens[:, None], live)

    def _restore(self) -> None:
        """Back to one stream each, fed the answers that won."""
        if self.waiting is not None:
            self.frontier.select(self.waiting)
        self.frontier.feed(self.answers, self.length * self.frontier.active)
