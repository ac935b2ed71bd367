"""SwiGLU in one pass over memory, both ways; `choosing.swiglu` says what it computes."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 1024


@triton.jit  # type: ignore[untyped-decorator]
def _forward(gate: tl.tensor, up: tl.tensor, out: tl.tensor, count: tl.tensor, BLOCK: tl.constexpr) -> None:
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    g = tl.load(gate + at, mask=inside, other=0.0).to(tl.float32)
    u = tl.load(up + at, mask=inside, other=0.0).to(tl.float32)
    # Rounded twice, as torch does.
    opened = (g * tl.sigmoid(g)).to(gate.dtype.element_ty).to(tl.float32)
    tl.store(out + at, (opened * u).to(out.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _backward(
    grad: tl.tensor,
    gate: tl.tensor,
    up: tl.tensor,
    to_gate: tl.tensor,
    to_up: tl.tensor,
    count: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    d = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(gate + at, mask=inside, other=0.0).to(tl.float32)
    u = tl.load(up + at, mask=inside, other=0.0).to(tl.float32)
    s = tl.sigmoid(g)
    tl.store(to_up + at, (d * g * s).to(to_up.dtype.element_ty), mask=inside)
    found = d * u * s * (1 + g * (1 - s))
    tl.store(to_gate + at, found.to(to_gate.dtype.element_ty), mask=inside)


class _SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        out = torch.empty_like(gate)
        _forward[(triton.cdiv(gate.numel(), BLOCK),)](gate, up, out, gate.numel(), BLOCK)
        ctx.save_for_backward(gate, up)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        to_gate, to_up = torch.empty_like(gate), torch.empty_like(up)
        grid = (triton.cdiv(gate.numel(), BLOCK),)
        _backward[grid](grad.contiguous(), gate, up, to_gate, to_up, gate.numel(), BLOCK)
        return to_gate, to_up


def fused_swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """`silu(gate) * up` of two tensors of one shape and dtype."""
    out: Tensor = _SwiGlu.apply(gate, up)  # type: ignore[no-untyped-call]
    return out
