"""The best member of a closed set, by scoring all of them.

The model is asked only where the set branches: at each such node the softmax runs over the tokens that the set allows,
as in training, so a token without a rival has probability one, and the members' probabilities sum to one. Members share
their prefixes; all branching nodes at the same number of branchings from the root are asked in one step.
"""

from __future__ import annotations

import torch

from ...core.errors import ConfigError
from ...core.generation_frontier import Frontier
from ...core.networks import Found
from ...core.trie import Level, Trie
from .beam import Beam
from .greedy import choose_class, likeliest
from .lanes import NEVER, ClosedColumns


class ClosedSet:
    """The best member of a closed set: all are scored, or a large set is searched by beams."""

    def __init__(self, *, most_scored: int = 512, beams: int = 16) -> None:
        self.most_scored = most_scored
        self.beams = beams

    def __call__(self, frontier: Frontier) -> Found:
        """See `DecoderSearch`.

        Raises:
            ConfigError: the slot has no closed set.
        """
        if frontier.predicts == "class":
            return choose_class(frontier, likeliest)
        if frontier.trie is None:
            raise ConfigError(
                f"slot `{frontier.name}`: decoder=closed_set needs a closed set, but the slot has none; write "
                "closed_set=a|b, or decoder=greedy"
            )
        if frontier.trie.branching > self.most_scored:
            return Beam(beams=self.beams, length_penalty=0.0, early_stop=False)(frontier)
        return score_members(frontier, frontier.trie)


def score_members(frontier: Frontier, trie: Trie) -> Found:
    """Log-probabilities of all members for every stream; the best is found and fed."""
    columns = ClosedColumns(frontier, trie)
    n, device = frontier.streams, frontier.device
    edges = torch.zeros(n, len(trie.tokens) + 1, device=device)
    width, moved = 1, False
    for level in trie.levels:
        if level.chains.shape[1]:
            _descend(frontier, level, n, width)
            moved = True
        width = len(level.nodes)
        logits = columns.logits(frontier.hidden[: n * width])
        options = columns.options(logits, torch.from_numpy(level.nodes).to(device).repeat(n))
        assert options.edges is not None
        scores = (options.logits - options.norm[:, None]).view(n, -1)
        real = (options.logits > NEVER).view(n, -1)[0]
        edges[:, options.edges.view(n, -1)[0][real]] = scores[:, real]
    paths = torch.from_numpy(trie.paths).to(device)
    score, member = edges[:, paths].sum(2).max(1)
    lengths = (paths >= 0).sum(1)[member]
    answers = columns.edge_tokens[paths.clamp(min=0)][member]
    if not frontier.last:
        if moved:
            frontier.select(torch.arange(n, device=device) + n * width)
        frontier.feed(answers, lengths * frontier.active)
    ends = 0 if frontier.end is None else 1
    return Found(answers, lengths - ends, score, torch.ones_like(lengths))


def _descend(frontier: Frontier, level: Level, n: int, width: int) -> None:
    """From the lanes of one level, `width` a stream, to those of the next.

    When something follows the slot, an untouched copy of each stream stays behind the lanes.
    """
    device = frontier.device
    streams = torch.arange(n, device=device)
    lanes = (streams[:, None] * width + torch.from_numpy(level.above).to(device)).flatten()
    tokens = torch.from_numpy(level.chains).to(device).repeat(n, 1)
    counts = torch.from_numpy(level.lengths).to(device).repeat(n)
    if not frontier.last:
        lanes = torch.cat([lanes, streams if frontier.streams == n else streams + n * width])
        tokens = torch.cat([tokens, tokens.new_zeros(n, tokens.shape[1])])
        counts = torch.cat([counts, counts.new_zeros(n)])
    frontier.select(lanes)
    frontier.feed(tokens, counts)
