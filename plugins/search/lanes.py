"""Partial answers in lock-step: what may come next, how likely it is, and what was chosen.

One lane is one partial answer. The tokens that may follow are columns: of the whole vocabulary, or of the tokens that a
closed set allows, where the output layer is applied to the set's own tokens alone and the softmax runs over the allowed
ones, as in training. Work per step is tensor work; nothing loops over a vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.errors import ConfigError
from ...core.generation_frontier import Frontier
from ...core.port import Head
from ...core.trie import Trie
from .constraint import Constraint
from .output_layer import OutputLayer
from .rules import Penalties, Rules

NEVER = float("-inf")
BLOCK = 256
"""Columns that `top` judges by their largest alone."""
LOWEST = -60.0
"""Exponents are clamped here: what is below adds nothing, and denormal numbers are slow."""


class Options(NamedTuple):
    """What may follow each lane.

    `logits` [m, C] of the columns, -inf for banned ones; `norm` [m] turns them into log-probabilities by subtraction;
    `edges` [m, C] are the trie's edges behind the columns, None when a column is a token; `first` is the token of
    column 0 then. `plain` are the logits of the model alone, where penalties changed them.
    """

    logits: Tensor
    norm: Tensor
    edges: Tensor | None = None
    first: int = 0
    plain: Tensor | None = None

    def log_probability(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Of the columns [m] of all lanes `rows` [m], under the model alone."""
        logits = self.logits if self.plain is None else self.plain
        return logits[rows, columns] - self.norm


class Step(NamedTuple):
    """What was chosen: tokens [m], whether they end their answers [m], and the nodes they lead to."""

    tokens: Tensor
    ended: Tensor
    nodes: Tensor | None


class Lanes:
    """The lanes of one slot: their tokens so far and their nodes in the closed set.

    Args:
        frontier: the slot; lane i is stream i, further streams of the frontier wait.
        rules: what answers keep to; a closed set overrules all but guidance.

    Raises:
        ConfigError: the slot predicts something else than tokens.
    """

    def __init__(self, frontier: Frontier, rules: Rules) -> None:
        if frontier.predicts != "tokens":
            raise ConfigError(
                f"slot `{frontier.name}`: this decoder needs an adapter that predicts tokens, but its adapter predicts "
                f"{frontier.predicts}; write decoder=greedy"
            )
        self.frontier = frontier
        self.rules = rules
        self.penalties: Penalties | None = None
        self.closed = None if frontier.trie is None else ClosedColumns(frontier, frontier.trie)
        ruled = frontier.trie is None and (rules.grammar is not None or frontier.pattern is not None)
        self.constraint = Constraint(frontier, rules.grammar) if ruled else None
        self.output = OutputLayer(frontier.port)
        self.most = frontier.limit if frontier.trie is None else frontier.trie.depth
        self.tokens = torch.zeros(frontier.streams, self.most, dtype=torch.long, device=frontier.device)
        self.nodes = torch.zeros(frontier.streams, dtype=torch.long, device=frontier.device)
        self.length = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def options(self) -> Options:
        """What may follow each lane."""
        made = self.output if self.closed is None else self.closed.logits
        logits = guided(self.frontier, made, self.rules.guidance, lanes=len(self))
        if self.closed is not None:
            return self.closed.options(logits, self.nodes)
        if self.constraint is not None:
            self.constraint.apply(logits)
        return self._ruled(logits, log_sum_exp(logits))

    def _ruled(self, logits: Tensor, norm: Tensor) -> Options:
        """The columns of a whole vocabulary, of which some are banned; none by rules that would ban all."""
        end, rules = self.frontier.end, self.rules
        if end is not None and self.length == self.most - 1:
            return Options(logits[:, end : end + 1], norm, first=end)
        plain = None
        if rules.penalises:
            if self.penalties is None:
                self.penalties = Penalties(self.frontier, rules, logits.shape[1])
            plain, logits = logits, self.penalties.apply(logits)
        short, repeats = self.length < rules.min_length, 0 < rules.no_repeat_ngram <= self.length
        before = logits.clone() if self.constraint is not None and (short or repeats) else None
        if end is not None and short:
            logits[:, [end, *self.frontier.stops]] = NEVER
        if repeats:
            ban_repeats(logits, self.tokens[:, : self.length], rules.no_repeat_ngram, keep=end)
        if before is not None:
            logits = torch.where((logits == NEVER).all(1, keepdim=True), before, logits)
        return Options(logits, norm, plain=plain)

    def step(self, options: Options, rows: Tensor, columns: Tensor) -> Step:
        """What choosing `columns` [m] after the lanes `rows` [m] means."""
        if options.edges is not None and self.closed is not None:
            edges = options.edges[rows, columns]
            nodes = edges + 1
            return Step(self.closed.edge_tokens[edges], self.closed.leaf[nodes], nodes)
        tokens = columns + options.first
        if self.frontier.end is None:
            return Step(tokens, torch.full_like(tokens, self.length == self.most - 1, dtype=torch.bool), None)
        ended = tokens == self.frontier.end
        for stop in self.frontier.stops:
            ended = ended | (tokens == stop)
        return Step(tokens, ended, None)

    def extend(self, step: Step, rows: Tensor | None = None) -> None:
        """Lane i becomes the old lane `rows[i]` with one token more."""
        if rows is not None:
            self.tokens = self.tokens.index_select(0, rows)
        self.tokens[:, self.length] = step.tokens
        self.length += 1
        if self.penalties is not None:
            self.penalties.saw(step.tokens)
        if self.constraint is not None:
            self.constraint.saw(step.tokens.tolist(), None if rows is None else rows.tolist())
        if step.nodes is not None:
            self.nodes = step.nodes

    def keep(self, rows: Tensor) -> None:
        """Drop all lanes but these."""
        self.tokens = self.tokens.index_select(0, rows)
        self.nodes = self.nodes.index_select(0, rows)
        if self.penalties is not None:
            self.penalties.keep(rows)
        if self.constraint is not None:
            self.constraint.keep(rows.tolist())

    def without_end(self, lengths: Tensor) -> Tensor:
        """Token counts of answers of these lengths, end marks not counted."""
        return lengths if self.frontier.end is None else (lengths - 1).clamp(min=0)


def guided(
    frontier: Frontier, logits: Callable[[Tensor], Tensor], guidance: float, *, lanes: int | None = None
) -> Tensor:
    """Logits of the first `lanes` streams, led away from those of the same streams without their source.

    They are `without + guidance * (with - without)` (Ho & Salimans, 2022), of whole logits as Gafni et al. (2022) have
    it for tokens; plain ones where guidance is 1 or no stream runs without a source.
    """
    found = logits(frontier.hidden[:lanes])
    if guidance == 1 or not frontier.shadowed:
        return found
    without = logits(frontier.shadow_hidden[:lanes])
    return without + guidance * (found - without)


class ClosedColumns:
    """The columns that a closed set allows at each of its nodes."""

    def __init__(self, frontier: Frontier, trie: Trie) -> None:
        device = frontier.device
        self.port = frontier.port
        self.vocabulary = torch.from_numpy(trie.vocabulary).to(device)
        self.columns = torch.from_numpy(trie.columns).to(device)
        self.edge_tokens = torch.from_numpy(trie.tokens).to(device)
        self.first = torch.from_numpy(trie.first).to(device)
        self.leaf = torch.from_numpy(trie.member).to(device) >= 0
        head = self.port.head()
        self.head = None if head is None else narrow(head, self.vocabulary)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [m, u] of the set's own tokens."""
        if self.head is None:
            return self.port.project(hidden).index_select(1, self.vocabulary).float()
        return torch.nn.functional.linear(hidden, *self.head).float()

    def options(self, logits: Tensor, nodes: Tensor) -> Options:
        """The columns [m, C] of these nodes, C those of the widest, out of the set's own [m, u]."""
        start, counts = self.first[nodes], self.first[nodes + 1] - self.first[nodes]
        place = torch.arange(max(int(counts.max()), 1), device=nodes.device)
        edges = (start[:, None] + place).clamp(max=len(self.columns) - 1)
        logits = logits.gather(1, self.columns[edges])
        logits = logits.masked_fill(place >= counts[:, None], NEVER)
        return Options(logits, log_sum_exp(logits), edges)


def narrow(head: Head, tokens: Tensor) -> Head:
    """The output layer of these tokens alone."""
    return Head(head.weight.index_select(0, tokens), None if head.bias is None else head.bias.index_select(0, tokens))


def log_sum_exp(logits: Tensor) -> Tensor:
    """[m] of [m, C]; finite also for lanes where nothing is allowed, so that their log-probabilities stay -inf."""
    peak = logits.amax(1, keepdim=True).nan_to_num(neginf=0.0)
    return (logits - peak).clamp_(min=LOWEST).exp_().sum(1).log_().add_(peak[:, 0])


def ban_repeats(logits: Tensor, tokens: Tensor, size: int, *, keep: int | None) -> None:
    """Ban, in place, every token that would end a run of `size` tokens that a lane already has.

    Args:
        logits: [m, vocabulary].
        tokens: [m, t], t >= size: the lanes so far.
        size: of the runs.
        keep: a token never banned, the end mark.
    """
    runs = tokens.unfold(1, size, 1)
    tail = tokens[:, tokens.shape[1] - size + 1 :]
    hit = (runs[:, :, :-1] == tail[:, None]).all(-1)
    last = runs[:, :, -1]
    if keep is not None:
        hit = hit & (last != keep)
    logits.scatter_reduce_(1, last, torch.where(hit, NEVER, float("inf")).to(logits.dtype), "amin")


def peak(logits: Tensor) -> Tensor:
    """The column [m] of the largest of each row [m, C], the first of equals; `argmax` takes five times as long."""
    m, width = logits.shape
    blocks = width // BLOCK
    if blocks < 4:
        return logits.argmax(1)
    body = logits[:, : blocks * BLOCK].view(m, blocks, BLOCK)
    largest, block = body.amax(2).max(1)
    inside = body[torch.arange(m, device=logits.device), block].argmax(1) + block * BLOCK
    if blocks * BLOCK == width:
        return inside
    rest, column = logits[:, blocks * BLOCK :].max(1)
    return torch.where(rest > largest, column + blocks * BLOCK, inside)


def top(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest `count` of each row [m, C], sorted, and their columns; exact.

    Over a large vocabulary only the blocks of the largest block maxima are looked at.
    """
    m, width = logits.shape
    count = min(count, width)
    blocks = width // BLOCK
    if blocks < 4 * count:
        values, columns = logits.topk(count, dim=1)
        return values, columns
    body = logits[:, : blocks * BLOCK].view(m, blocks, BLOCK)
    best = body.amax(2).topk(count, dim=1).indices
    inside = body.gather(1, best[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    places = (best[:, :, None] * BLOCK + torch.arange(BLOCK, device=logits.device)).flatten(1)
    rest = torch.arange(blocks * BLOCK, width, device=logits.device).expand(m, -1)
    values, picked = torch.cat([inside, logits[:, blocks * BLOCK :]], dim=1).topk(count, dim=1)
    return values, torch.cat([places, rest], dim=1).gather(1, picked)
