"""Rotary places in one pass over memory, both ways; `choosing.rotate` says what it computes."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable


@triton.jit  # type: ignore[untyped-decorator]
def _turn(
    x: tl.tensor,
    cos: tl.tensor,
    sin: tl.tensor,
    out: tl.tensor,
    heads: tl.tensor,
    half: tl.tensor,
    sign: tl.constexpr,
    HEADS: tl.constexpr,
    HALF: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    head, pair = tl.arange(0, HEADS)[:, None], tl.arange(0, HALF)[None, :]
    inside = (head < heads) & (pair < half)
    at = row * heads * half * 2 + head * half * 2 + pair
    first = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(x + at + half, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(cos + row * half + pair, mask=pair < half, other=0.0).to(tl.float32)
    s = tl.load(sin + row * half + pair, mask=pair < half, other=0.0).to(tl.float32) * sign
    tl.store(out + at, (first * c - second * s).to(out.dtype.element_ty), mask=inside)
    tl.store(out + at + half, (second * c + first * s).to(out.dtype.element_ty), mask=inside)


def _launch(x: Tensor, cos: Tensor, sin: Tensor, sign: int) -> Tensor:
    x = x.contiguous()
    out = torch.empty_like(x)
    heads, size = x.shape[-2:]
    blocks = triton.next_power_of_2(heads), triton.next_power_of_2(size // 2)
    _turn[(x.numel() // (heads * size),)](x, cos, sin, out, heads, size // 2, sign, *blocks)
    return out


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        cos, sin = cos.contiguous(), sin.contiguous()
        ctx.save_for_backward(cos, sin)
        return _launch(x, cos, sin, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _launch(grad, cos, sin, -1), None, None


def fused_rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rows [..., heads, size] turned by [..., 1, size / 2], which take no gradient."""
    out: Tensor = _Rotate.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return out
