"""Cross-entropy of a chunk of logits and its gradient in place, in two passes over memory instead of ten.

`core.linear_cross_entropy` says what is computed, and calls this for its chunks on an accelerator.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096


@triton.jit  # type: ignore[untyped-decorator]
def _chunk(
    logits: tl.tensor,
    bias: tl.tensor,
    labels: tl.tensor,
    losses: tl.tensor,
    words: tl.constexpr,
    deepest: tl.tensor,
    label_share: tl.tensor,
    other_share: tl.tensor,
    BIASED: tl.constexpr,
    SLOPES: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    own = logits + row * words
    label = tl.load(labels + row)
    top = -float("inf")
    scale = 0.0
    plain = 0.0
    picked = 0.0
    for start in range(0, words, BLOCK):
        column = start + tl.arange(0, BLOCK)
        inside = column < words
        z = tl.load(own + column, mask=inside, other=0.0).to(tl.float32)
        if BIASED:
            z += tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)
        plain += tl.sum(z)
        picked += tl.sum(tl.where(column == label, z, 0.0))
        z = tl.where(inside, z, -float("inf"))
        higher = tl.maximum(top, tl.max(z))
        scale = scale * tl.exp(top - higher) + tl.sum(tl.exp(z - higher))
        top = higher
    log_sum = top + tl.log(scale)
    tl.store(losses + row, log_sum - (1 - label_share) * picked - other_share * plain)
    if SLOPES:
        for start in range(0, words, BLOCK):
            column = start + tl.arange(0, BLOCK)
            inside = column < words
            z = tl.load(own + column, mask=inside, other=0.0).to(tl.float32)
            if BIASED:
                z += tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)
            p = tl.exp(tl.maximum(z - top, deepest)) / scale
            p -= tl.where(column == label, 1 - label_share, 0.0) + other_share
            tl.store(own + column, p.to(logits.dtype.element_ty), mask=inside)


def chunk_losses(
    logits: Tensor, bias: Tensor | None, labels: Tensor, *, smoothing: float, deepest: float, slopes: bool
) -> Tensor:
    """Losses float32 [rows] of logits [rows, words], which become their own gradient in place where `slopes` are asked.

    Args:
        logits: contiguous, without the bias.
        bias: [words].
        labels: int64 [rows].
        smoothing: share of the probability that labels give to the other words, evenly.
        deepest: logits count as at least so far (negative) from their row's largest.
        slopes: whether a gradient is wanted.
    """
    rows, words = logits.shape
    losses = torch.empty(rows, dtype=torch.float32, device=logits.device)
    other = smoothing / (words - 1) if words > 1 else 0.0
    share = smoothing + other if words > 1 else 0.0
    block = min(BLOCK, triton.next_power_of_2(words))
    _chunk[(rows,)](
        logits, logits if bias is None else bias, labels, losses, words, deepest, share, other,
        bias is not None, slopes, block, num_warps=8,
    )  # fmt: skip
    return losses
