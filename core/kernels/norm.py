"""RMSNorm, of a sum where there is one, in one pass over memory; `choosing.add_rms_norm` says what it computes."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

_PROGRAMS = 512
"""Programs that share the rows in the backward pass; each sums its part of the weight's gradient."""


@triton.jit  # type: ignore[untyped-decorator]
def _forward(
    x: tl.tensor,
    residual: tl.tensor,
    weight: tl.tensor,
    out: tl.tensor,
    total: tl.tensor,
    scale: tl.tensor,
    width: tl.tensor,
    eps: tl.tensor,
    ADDS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < width
    at = row * width + column
    # Sums and products are of float32, rounded where torch rounds them.
    full = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if ADDS:
        full += tl.load(residual + at, mask=inside, other=0.0).to(tl.float32)
        full = full.to(total.dtype.element_ty).to(tl.float32)
        tl.store(total + at, full.to(total.dtype.element_ty), mask=inside)
    factor = tl.rsqrt(tl.sum(full * full) / width + eps)
    tl.store(scale + row, factor)
    w = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    normed = (full * factor).to(x.dtype.element_ty).to(tl.float32)
    tl.store(out + at, (normed * w).to(out.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _backward(
    grad: tl.tensor,
    to_total: tl.tensor,
    total: tl.tensor,
    scale: tl.tensor,
    weight: tl.tensor,
    to_x: tl.tensor,
    to_weight: tl.tensor,
    rows: tl.tensor,
    width: tl.tensor,
    each: tl.constexpr,
    ADDS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    program = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    w = tl.load(weight + column, mask=column < width, other=0.0).to(tl.float32)
    summed = tl.zeros((BLOCK,), dtype=tl.float32)
    for number in range(each):
        row = program * each + number
        inside = (column < width) & (row < rows)
        at = row * width + column
        factor = tl.load(scale + row, mask=row < rows, other=0.0)
        normed = tl.load(total + at, mask=inside, other=0.0).to(tl.float32) * factor
        d = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32)
        summed += d * normed
        d *= w
        found = (d - normed * (tl.sum(d * normed) / width)) * factor
        if ADDS:
            found += tl.load(to_total + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(to_x + at, found.to(to_x.dtype.element_ty), mask=inside)
    tl.store(to_weight + program * width + column, summed, mask=column < width)


def _warps(block: int) -> int:
    """Threads by 32 for a row that one program holds."""
    return 4 if block < 2048 else 8 if block < 8192 else 16


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        x, weight = x.contiguous(), weight.contiguous()
        width = x.shape[-1]
        rows = x.numel() // width
        adds = residual is not None
        total = torch.empty_like(x) if adds else x
        out = torch.empty(x.shape, dtype=torch.promote_types(x.dtype, weight.dtype), device=x.device)
        scale = torch.empty(rows, dtype=torch.float32, device=x.device)
        block = triton.next_power_of_2(width)
        other = x if residual is None else residual.contiguous()
        _forward[(rows,)](x, other, weight, out, total, scale, width, eps, adds, block, num_warps=_warps(block))
        ctx.save_for_backward(total, scale, weight)
        ctx.adds = adds
        if not adds:
            ctx.mark_non_differentiable(total)
        return out, total if adds else total.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, to_total: Tensor) -> tuple[Tensor | None, ...]:
        total, scale, weight = ctx.saved_tensors
        width, rows = total.shape[-1], scale.numel()
        programs = min(rows, _PROGRAMS)
        each = triton.next_power_of_2(triton.cdiv(rows, programs))  # a constant of the kernel: few of them
        to_x = torch.empty_like(total)
        parts = torch.empty(programs, width, dtype=torch.float32, device=total.device)
        block = triton.next_power_of_2(width)
        ends = (grad.contiguous(), to_total.contiguous() if ctx.adds else grad)
        _backward[(programs,)](
            *ends, total, scale, weight, to_x, parts, rows, width, each, ctx.adds, block, num_warps=_warps(block)
        )
        return to_x, to_x if ctx.adds else None, parts.sum(0).to(weight.dtype), None


def fused_norm(x: Tensor, residual: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The normalised rows [..., width] of `x`, or of `x + residual`, and the rows that were normalised.

    The second carries a gradient only where there is a residual of the same shape and dtype.
    """
    out: tuple[Tensor, Tensor] = _Norm.apply(x, residual, weight, eps)  # type: ignore[no-untyped-call]
    return out
