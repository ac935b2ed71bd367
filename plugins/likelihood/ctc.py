"""Connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import DataError
from ...core.networks import LossRows
from ...core.port import Port


class CtcLoss(nn.Module):
    """Minus the log-probability of all alignments of a value's rows with its tokens, divided by the tokens.

    Graves et al., "Connectionist Temporal Classification", 2006. The blank is a learned output beside those of the
    port that reads the tokens, so the vocabulary needs no blank of its own; the end mark of a value is left out.
    """

    def __init__(self, *, width: int, too_short: str = "raise") -> None:
        super().__init__()
        self.too_short = too_short
        self.blank = nn.Linear(width, 1)

    def forward(
        self, hidden: Tensor, lengths: Sequence[int], port: Port, tokens: Tensor, counts: Sequence[int], weights: Tensor
    ) -> LossRows:
        """Hidden [sum lengths, width], tokens int64 [sum counts], and n lengths, counts and weights.

        Raises:
            DataError: a value has fewer rows than its tokens need, and `too_short` is "raise".
        """
        tokens_of = [_without_end(own, port.end) for own in tokens.split(list(counts))]
        tokens, counts = torch.cat([*tokens_of, tokens[:0]]), [len(own) for own in tokens_of]
        if self.too_short == "raise":
            for place, (length, own) in enumerate(zip(lengths, tokens_of, strict=True)):
                _check_length(place, length, own)
        logs, columns = self._logs(hidden, port, tokens)
        if not lengths:
            return LossRows(logs.sum() * 0, weights.new_zeros(0))
        padded = nn.utils.rnn.pad_sequence(list(logs.split(list(lengths))))
        each = F.ctc_loss(
            padded,
            columns,
            torch.tensor(lengths),
            torch.tensor(counts),
            blank=logs.shape[1] - 2,
            reduction="none",
            zero_infinity=self.too_short == "ignore",
        )
        return LossRows.of(each / torch.tensor(counts, device=each.device).clamp(min=1), weights)

    def _logs(self, hidden: Tensor, port: Port, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [rows, u + 2] of the u tokens that occur, the blank and all other tokens together, and the
        column of each token. The padded copies that CTC makes are then as wide as the batch's tokens, not as the
        vocabulary."""
        logits = port.project(hidden).float()
        occurring, columns = torch.unique(tokens, return_inverse=True)
        lowest = torch.finfo(logits.dtype).min / 2
        rest = logits.index_fill(1, occurring, lowest).logsumexp(1, keepdim=True)
        kept = torch.cat([logits.index_select(1, occurring), self.blank(hidden).float(), rest], 1)
        return kept.log_softmax(1), columns


def _without_end(tokens: Tensor, end: int | None) -> Tensor:
    """A value's tokens without its end mark, of which nothing is heard."""
    return tokens[:-1] if end is not None and len(tokens) and int(tokens[-1]) == end else tokens


def _check_length(place: int, length: int, tokens: Tensor) -> None:
    """A repeated token needs a blank between."""
    needed = tokens.numel() + int((tokens[1:] == tokens[:-1]).sum())
    if length < needed:
        error = DataError(
            f"a value aligned by `ctc` must have at least {needed} rows for its {tokens.numel()} tokens, but has "
            f"{length}; write `too_short=ignore` to leave such values out"
        )
        error.value = place
        raise error
