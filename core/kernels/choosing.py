"""The one place that chooses between a Triton kernel and the torch code that computes the same.

Kernels run on an accelerator, on rows that fit their blocks, and outside `torch.compile`, which fuses such code itself.
On a CPU they never run, and Triton is not imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

WIDEST = 16_384
"""Elements of a row that one program holds."""

_ALLOWED: ContextVar[bool] = ContextVar("kernels", default=True)


@contextmanager
def kernels(allowed: bool) -> Iterator[None]:
    """Within it kernels run where they can, or never.

    >>> with kernels(False):
    ...     chosen(torch.ones(1))
    False
    """
    token = _ALLOWED.set(allowed)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def chosen(x: Tensor, *, row: int | None = None) -> bool:
    """Whether a kernel takes this tensor.

    Args:
        x: the largest operand.
        row: elements that one program must hold at once; by default none.
    """
    if torch.compiler.is_compiling() or x.device.type != "cuda" or not x.numel() or not _ALLOWED.get():
        return False
    small = x.dtype in (torch.float32, torch.bfloat16, torch.float16)
    return small and (row is None or row <= WIDEST) and _installed()


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root-mean-square normalisation (Zhang and Sennrich, 2019) over the last dimension, in float32 up to the weight.

    Args:
        x: [..., width].
        weight: [width].
        eps: added to the mean of squares.

    >>> [round(float(x), 4) for x in rms_norm(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.ones(4), 1e-6)]
    [0.3651, 0.7303, 1.0954, 1.4606]
    """
    if chosen(x, row=x.shape[-1]):
        from .norm import fused_norm

        return fused_norm(x, None, weight, eps)[0]
    if x.dtype == torch.float32 and not torch.is_grad_enabled():  # few rows cost what calls cost: half as many
        square = torch.linalg.vecdot(x, x).unsqueeze_(-1).mul_(1 / x.shape[-1])
        out: Tensor = (x * square.add_(eps).rsqrt_()).mul_(weight)
        return out
    full = x.float()
    scale = torch.rsqrt(full.square().mean(-1, keepdim=True) + eps)
    return (full * scale).to(x.dtype) * weight


def add_rms_norm(x: Tensor, residual: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The normalised sum of two [..., width], and the sum itself.

    >>> normed, total = add_rms_norm(torch.ones(2), torch.ones(2), torch.ones(2), 0.0)
    >>> normed.tolist(), total.tolist()
    ([1.0, 1.0], [2.0, 2.0])
    """
    if chosen(x, row=x.shape[-1]) and x.dtype == residual.dtype:
        from .norm import fused_norm

        return fused_norm(x, residual, weight, eps)
    total = x + residual
    return rms_norm(total, weight, eps), total


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """`silu(gate) * up` (Shazeer, 2020), both [..., width].

    >>> round(float(swiglu(torch.tensor(1.0), torch.tensor(2.0))), 6)
    1.462117
    """
    if chosen(gate) and gate.dtype == up.dtype:
        from .gated import fused_swiglu

        return fused_swiglu(gate, up)
    return F.silu(gate) * up


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rows [..., heads, size] whose halves, as the two coordinates of each pair, turn by [..., 1, size / 2].

    Which place turns which pair (time, height and width, Wang et al., 2024) is in the cosines and sines, which all
    layers share.

    >>> rotate(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 1), torch.ones(1, 1)).tolist()
    [[0.0, 1.0]]
    """
    if chosen(x, row=x.shape[-1] * x.shape[-2]) and cos.shape[:-2] == x.shape[:-2]:
        from .turning import fused_rotate

        return fused_rotate(x, cos, sin)
    first, second = x.chunk(2, -1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
