"""Softmax attention over the groups of a ragged batch.

On the CPU one autograd node covers the whole batch, and nothing of size [streams, heads, T, T] is ever held. Without a
bias torch's flash kernel runs both ways; with a learned one the forward pass is flash and the backward pass recomputes
the probabilities, as the kernel knows no gradient of its mask. On accelerators groups are padded and go through SDPA.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .attention_groups import CLOSED, SPECIAL, Group

_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default


def attend_groups(
    q: Tensor, k: Tensor, v: Tensor, groups: Sequence[Group], table: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """Softmax attention of grouped rows, scores scaled by the root of the head size.

    Args:
        q: [rows, heads, head size].
        k: [key rows, heads or a divisor of it, head size]; fewer heads are shared by neighbouring query heads.
        v: like `k`.
        groups: which rows see which; query rows in no group get zeros.
        table: bias [heads, entries] for groups with an index, else None.
        dropout: share of probabilities to drop, for training.

    Returns:
        [rows, heads, head size].
    """
    if k.shape[1] != q.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    if q.device.type == "cpu" and dropout == 0.0:
        out: Tensor = _Ragged.apply(q, k, v, table, tuple(groups))  # type: ignore[no-untyped-call]
        return out
    return dense_attention(q, k, v, groups, table, dropout)


def dense_attention(
    q: Tensor, k: Tensor, v: Tensor, groups: Sequence[Group], table: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """The same by torch's own SDPA over padded groups with a mask: for accelerators, and dropout of probabilities."""
    out = torch.zeros_like(q)
    scores = None if table is None else _with_special(table)
    for group in groups:
        rows, keys, places = (x.to(q.device) for x in (group.query_rows, group.key_rows, group.real_queries))
        wide, wide_k, wide_v = (
            x.index_select(0, at).view(len(group.pieces), -1, *x.shape[1:]).transpose(1, 2)
            for x, at in ((q, rows), (k, keys), (v, keys))
        )
        mask = None if group.mask is None else group.mask.to(q)
        if scores is not None:
            blind = ~group.seen.any(-1)[:, None, :, None]
            mask = _bias(scores, group).transpose(0, 1).to(q.dtype).masked_fill(blind.to(q.device), 0.0)
        found = F.scaled_dot_product_attention(
            wide, wide_k, wide_v, attn_mask=mask, dropout_p=dropout, is_causal=group.flag and mask is None
        )
        flat = found.transpose(1, 2).reshape(-1, *q.shape[1:])
        out = out.index_copy(0, rows.index_select(0, places), flat.index_select(0, places).to(out.dtype))
    return out


def _with_special(table: Tensor) -> Tensor:
    special = table.new_zeros(table.shape[0], SPECIAL)
    special[:, CLOSED] = float("-inf")
    return torch.cat([special, table], 1)


def _bias(scores: Tensor, group: Group) -> Tensor:
    """The scores that a group's index asks for, [heads, n, queries, keys]."""
    assert group.index is not None
    found = scores.index_select(1, group.index.to(scores.device))
    return found.view(-1, len(group.pieces), group.queries, group.keys)


class _Ragged(torch.autograd.Function):
    """Attention of all groups as one node; see `attend_groups`."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, table: Tensor | None, groups: tuple[Group, ...]) -> Tensor:
        covered = sum(p.queries for g in groups for p in g.pieces) == q.shape[0]
        out = torch.empty(q.shape, dtype=q.dtype) if covered else torch.zeros(q.shape, dtype=q.dtype)
        scores = None if table is None else _with_special(table)
        sums = []
        for group in groups:
            wide = _gather(q, group, "q"), _gather(k, group, "k"), _gather(v, group, "k")
            mask = _mask(scores, group, q.dtype)
            found, sum_exp = _FLASH(*wide, 0.0, group.flag and mask is None, attn_mask=mask)
            _scatter(out, found, group, "q")
            sums.append(sum_exp)
        ctx.save_for_backward(q, k, v, table, out, *sums)
        ctx.groups = groups
        return out

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        q, k, v, table, out, *sums = ctx.saved_tensors
        to_q, to_k, to_v = (torch.zeros(x.shape, dtype=x.dtype) for x in (q, k, v))
        scores = None if table is None else _with_special(table)
        to_scores = None if scores is None else torch.zeros_like(scores)
        for group, sum_exp in zip(ctx.groups, sums, strict=True):
            parts = [_gather(x, group, side) for x, side in ((q, "q"), (k, "k"), (v, "k"), (out, "q"))]
            down = _gather(grad, group, "q", clear=True)
            if scores is None or to_scores is None:
                mask = _mask(None, group, q.dtype)
                found = _FLASH_BACKWARD(down, *parts, sum_exp, 0.0, group.flag, attn_mask=mask)
            else:
                found = _recompute(parts, down, sum_exp, group, scores, to_scores)
            for into, part, side in zip((to_q, to_k, to_v), found, "qkk", strict=True):
                _scatter(into, part, group, side)
        to_table = None if to_scores is None else to_scores[:, SPECIAL:]
        return to_q, to_k, to_v, to_table, None


def _recompute(
    parts: Sequence[Tensor], down: Tensor, sum_exp: Tensor, group: Group, scores: Tensor, to_scores: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values; adds that of the bias to `to_scores`."""
    n, heads, queries, size = parts[0].shape
    q, k, v, out, down = (x.reshape(n * heads, -1, size) for x in (*parts, down))
    bias = _bias(scores, group).transpose(0, 1).reshape(n * heads, queries, -1)
    scale = size**-0.5
    p = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=scale)
    p = p.sub_(sum_exp.reshape(n * heads, queries, 1)).exp_()
    d = torch.bmm(down, v.transpose(1, 2)).sub_((down * out).sum(-1, keepdim=True)).mul_(p)
    by_entry = d.view(n, heads, -1).transpose(0, 1).reshape(heads, -1)
    assert group.index is not None
    to_scores.index_add_(1, group.index.long(), by_entry)  # twenty times faster than with int32
    to_q = torch.bmm(d, k).mul_(scale)
    to_k = torch.bmm(d.transpose(1, 2), q).mul_(scale)
    to_v = torch.bmm(p.transpose(1, 2), down)
    return tuple(x.view(n, heads, -1, size) for x in (to_q, to_k, to_v))  # type: ignore[return-value]


def _mask(scores: Tensor | None, group: Group, dtype: torch.dtype) -> Tensor | None:
    if scores is not None:
        return _bias(scores, group).transpose(0, 1)
    return None if group.mask is None else group.mask.to(dtype)


def _gather(x: Tensor, group: Group, side: str, clear: bool = False) -> Tensor:
    """Rows of a group as [n, heads, queries or keys, head size], a view when it stands alone.

    `clear` zeroes padding.
    """
    if group.single:
        first, count = group.pieces[0][1:3] if side == "q" else group.pieces[0][3:5]
        return x[first : first + count].transpose(0, 1)[None]
    rows, places = (group.query_rows, group.real_queries) if side == "q" else (group.key_rows, group.real_keys)
    if clear and len(places) < len(rows):
        found = x.new_zeros(len(rows), *x.shape[1:])
        found[places] = x.index_select(0, rows.index_select(0, places))
    else:
        found = x.index_select(0, rows)
    return found.view(len(group.pieces), -1, *x.shape[1:]).transpose(1, 2)


def _scatter(into: Tensor, found: Tensor, group: Group, side: str) -> None:
    """Put (queries) or add (keys, which several groups may share) the rows of a group, without its padding."""
    if group.single:
        first, count = group.pieces[0][1:3] if side == "q" else group.pieces[0][3:5]
        rows = into[first : first + count]
        own = found[0].transpose(0, 1)
        if side == "q":
            rows.copy_(own)
        else:
            rows.add_(own)
        return
    rows, places = (group.query_rows, group.real_queries) if side == "q" else (group.key_rows, group.real_keys)
    flat = found.transpose(1, 2).reshape(-1, *into.shape[1:])
    if len(places) < len(rows):
        rows, flat = rows.index_select(0, places), flat.index_select(0, places)
    if side == "q":
        into.index_copy_(0, rows, flat)
    else:
        into.index_add_(0, rows, flat)
