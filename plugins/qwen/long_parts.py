"""One softmax over several sets of keys, each read with a query of its own.

Long contexts cut the keys of a query into parts: those of its own chunk, of the one before, of all farther ones; or
those of the prompt's earlier pieces and of the one at hand. Each part is computed by itself and gives its outputs and
the logarithms of its sums of exponents, from which one softmax over all parts follows. The backward pass gives every
part the merged output and the merged sums, with which its own probabilities come out as those of the one softmax.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default

_CELLS = 1 << 24
"""Query-key pairs times heads whose scores `dense_parts` holds at once."""


class Part(NamedTuple):
    """Some query rows against some key rows.

    Which version of the queries reads them, first row and number of queries and of keys, and whether query i sees
    the first i + 1 keys only; a causal part has as many keys as queries.
    """

    version: int
    q: int
    queries: int
    k: int
    keys: int
    causal: bool


def attend_parts(
    queries: Sequence[Tensor], k: Tensor, v: Tensor, parts: Sequence[Part], dropout: float = 0.0
) -> Tensor:
    """Softmax attention in which every row's softmax goes over all parts that hold it.

    Args:
        queries: versions of the queries, [rows, heads, head size] each.
        k: [key rows, heads or a divisor of it, head size]; fewer heads are shared by neighbouring query heads.
        v: like `k`.
        parts: no two hold the same query and key. Two that share queries have the same ones.
        dropout: share of probabilities to drop, for training.

    Returns:
        [rows, heads, head size]; zeros for rows of no part.

    >>> x = torch.ones(3, 1, 2)
    >>> attend_parts([x, -x], x, x, [Part(0, 2, 1, 1, 2, False), Part(1, 2, 1, 0, 1, False)])[:, 0, 0].round().tolist()
    [0.0, 0.0, 1.0]
    """
    real = [part for part in parts if part.queries and part.keys]
    if queries[0].device.type == "cpu" and dropout == 0.0:
        out: Tensor = _Parts.apply(k, v, tuple(real), *queries)  # type: ignore[no-untyped-call]
        return out
    return dense_parts(queries, k, v, real, dropout)


def dense_parts(queries: Sequence[Tensor], k: Tensor, v: Tensor, parts: Sequence[Part], dropout: float = 0.0) -> Tensor:
    """The same by plain scores and one softmax, some rows at a time: for accelerators, and dropout of probabilities."""
    out = torch.zeros_like(queries[0])
    for (first, count), same in groupby(sorted(parts, key=_span), key=_span):
        own = list(same)
        heads = queries[0].shape[1]
        most = max(1, _CELLS // (heads * sum(part.keys for part in own)))
        for start in range(0, count, most):
            end = min(start + most, count)
            scores = torch.cat([_scores(queries[part.version], k, part, start, end) for part in own], -1)
            p = F.dropout(scores.softmax(-1), dropout)
            keys = torch.cat([v[part.k : part.k + part.keys] for part in own])
            found = p @ _wide_keys(keys, heads)
            out = out.index_copy(0, torch.arange(first + start, first + end, device=out.device), _rows(found))
    return out


def _span(part: Part) -> tuple[int, int]:
    return part.q, part.queries


def _scores(q: Tensor, k: Tensor, part: Part, start: int, end: int) -> Tensor:
    """Scaled scores [key heads, share, rows, keys] of rows `start` to `end` of a part."""
    wide = _wide_queries(q[part.q + start : part.q + end], k.shape[1])
    scores: Tensor = (
        wide @ _wide_keys(k[part.k : part.k + part.keys], q.shape[1]).transpose(-1, -2) * q.shape[-1] ** -0.5
    )
    if part.causal:
        row = torch.arange(start, end, device=q.device)
        scores = scores.masked_fill(torch.arange(part.keys, device=q.device) > row[:, None], float("-inf"))
    return scores


def _wide_queries(x: Tensor, key_heads: int) -> Tensor:
    """[rows, heads, size] as [key heads, share, rows, size], a view."""
    out: Tensor = x.unflatten(1, (key_heads, -1)).permute(1, 2, 0, 3)
    return out


def _wide_keys(x: Tensor, heads: int) -> Tensor:
    """[rows, key heads, size] as [key heads, share, rows, size], a view: no head is copied."""
    return x.transpose(0, 1)[:, None].expand(-1, heads // x.shape[1], -1, -1)


def _rows(x: Tensor) -> Tensor:
    """[key heads, share, rows, size] as [rows, heads, size]."""
    return x.permute(2, 0, 1, 3).flatten(1, 2)


class Merged:
    """Outputs [rows, heads, size] of a growing set of keys, and logarithms of their sums of exponents [rows, heads]."""

    def __init__(self, q: Tensor) -> None:
        self.out = torch.zeros(q.shape, dtype=q.dtype, device=q.device)
        self.log_sum = torch.full(q.shape[:2], float("-inf"), dtype=torch.float32, device=q.device)

    def add(self, first: int, found: Tensor, log_sum: Tensor) -> None:
        """What rows from `first` on, [rows, heads, size] and [rows, heads], found among further keys."""
        rows = slice(first, first + found.shape[0])
        before = self.log_sum[rows]
        if bool((before == float("-inf")).all()):
            self.out[rows], self.log_sum[rows] = found, log_sum
            return
        both = torch.logaddexp(before, log_sum)
        self.out[rows] *= (before - both).exp()[..., None]
        self.out[rows] += found * (log_sum - both).exp()[..., None]
        self.log_sum[rows] = both

    def take(self, q: Tensor, k: Tensor, v: Tensor, part: Part) -> None:
        """Let the rows of a part see its keys."""
        if not part.keys or not part.queries:
            return
        found, log_sum = _each(*_three(q, k, v, part), part.causal)
        self.add(part.q, _rows(found), log_sum.permute(2, 0, 1).flatten(1))


def attend_all(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [rows, size] of one head that all see the same keys: outputs, and logarithms of sums of exponents [rows]."""
    found, log_sum = _each(q[None, None], k[None, None], v[None, None], False)
    return found[0, 0], log_sum[0, 0]


def _each(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
    """Attention [key heads, share, rows, size] with its logarithms of sums [key heads, share, rows]."""
    if q.device.type == "cpu":
        found: tuple[Tensor, Tensor] = _FLASH(q, k, v, 0.0, causal)
        return found
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return scores.softmax(-1).to(v.dtype) @ v, scores.logsumexp(-1)


def merge_parts(queries: Sequence[Tensor], k: Tensor, v: Tensor, parts: Sequence[Part]) -> Merged:
    """The outputs and sums of all rows, without a gradient."""
    merged = Merged(queries[0])
    for part in parts:
        merged.take(queries[part.version], k, v, part)
    return merged


def _three(q: Tensor, k: Tensor, v: Tensor, part: Part) -> tuple[Tensor, Tensor, Tensor]:
    heads, rows = q.shape[1], slice(part.k, part.k + part.keys)
    return (
        _wide_queries(q[part.q : part.q + part.queries], k.shape[1]),
        _wide_keys(k[rows], heads),
        _wide_keys(v[rows], heads),
    )


class _Parts(torch.autograd.Function):
    """All parts as one node; see `attend_parts`."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, k: Tensor, v: Tensor, parts: tuple[Part, ...], *queries: Tensor) -> Tensor:
        merged = merge_parts(queries, k, v, parts)
        ctx.save_for_backward(k, v, merged.out, merged.log_sum, *queries)
        ctx.parts = parts
        return merged.out

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        k, v, out, log_sum, *queries = ctx.saved_tensors
        to_k, to_v = torch.zeros_like(k), torch.zeros_like(v)
        to_queries = [torch.zeros_like(q) for q in queries]
        for part in ctx.parts:
            rows, keys = slice(part.q, part.q + part.queries), slice(part.k, part.k + part.keys)
            down, whole = (_wide_queries(x[rows], k.shape[1]) for x in (grad, out))
            sums = log_sum[rows].unflatten(1, (k.shape[1], -1)).permute(1, 2, 0)
            found = _FLASH_BACKWARD(down, *_three(queries[part.version], k, v, part), whole, sums, 0.0, part.causal)
            to_queries[part.version][rows] += _rows(found[0])
            to_k[keys] += found[1].sum(1).transpose(0, 1)
            to_v[keys] += found[2].sum(1).transpose(0, 1)
        return to_k, to_v, None, *to_queries
