"""Layers that every backbone needs: a Linear whose products may be bfloat16, cheap dropout, stochastic depth, RMSNorm.

On a CPU with bfloat16 units autocast gains nothing, as each small operation converts its inputs. Here only the matrix
products are bfloat16, inside `with products(torch.bfloat16)`; sums, norms, attention and softmax stay float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from .few_rows import few_linear
from .kernels.choosing import add_rms_norm, rms_norm

_PRODUCTS: ContextVar[torch.dtype | None] = ContextVar("products", default=None)


@contextmanager
def products(dtype: torch.dtype | None) -> Iterator[None]:
    """Within it every `Linear` multiplies in this dtype; None is the dtype of its inputs.

    >>> layer = Linear(2, 2)
    >>> with products(torch.bfloat16):
    ...     layer(torch.ones(1, 2)).dtype
    torch.float32
    """
    token = _PRODUCTS.set(dtype)
    try:
        yield
    finally:
        _PRODUCTS.reset(token)


def products_dtype() -> torch.dtype | None:
    """The dtype that `products` asks for here, or None."""
    return _PRODUCTS.get()


def rerun(layer: nn.Module, *inputs: Any) -> Any:
    """A layer that keeps nothing for the backward pass and runs again there, with the same dropout and products."""
    return checkpoint(layer, *inputs, use_reentrant=False, context_fn=same_products)


def same_products() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The contexts of a layer that runs again in the backward pass: none, then the products of now."""
    return nullcontext(), products(products_dtype())


class Linear(nn.Linear):
    """`nn.Linear` that obeys `products`: float32 in and out, float32 weights and gradients. Weights of another dtype
    bring what comes in to theirs, such as sounds and places, which come in float32."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""
        if self.weight.dtype != torch.float32 and input.dtype != self.weight.dtype:
            input = input.to(self.weight.dtype)
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear` that obeys `products`; code that `torch.compile` traces multiplies in the dtype of its inputs."""
    if torch.compiler.is_compiling():
        return F.linear(x, weight, bias)
    dtype = _PRODUCTS.get()
    if dtype is None or dtype == x.dtype:
        return few_linear(x, weight, bias)
    out: Tensor = _Product.apply(x, weight, bias, dtype)  # type: ignore[no-untyped-call]
    return out


class _Product(torch.autograd.Function):
    """`x @ weight.T + bias` with operands rounded to a smaller dtype, in both directions."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        small, weights = _small(flat, dtype), weight.to(dtype)
        ctx.save_for_backward(small, weights)
        ctx.shape, ctx.biased = x.shape, bias is not None
        out = torch.mm(small, weights.t())[: len(flat)].to(x.dtype)
        if bias is not None:
            out += bias
        return out.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        small, weights = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1])
        rounded = _small(flat, small.dtype)
        to_x = torch.mm(rounded, weights)[: len(flat)].to(grad.dtype) if ctx.needs_input_grad[0] else None
        to_weight = torch.mm(rounded.t(), small).to(grad.dtype) if ctx.needs_input_grad[1] else None
        to_bias = flat.sum(0) if ctx.biased and ctx.needs_input_grad[2] else None
        return None if to_x is None else to_x.view(ctx.shape), to_weight, to_bias, None


def _small(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows [n, width] in another dtype; on the CPU with rows of zeros behind them, up to the next of few sizes."""
    if x.device.type != "cpu":
        return x.to(dtype)
    out = x.new_empty(few_sizes(len(x)), x.shape[1], dtype=dtype)
    out[: len(x)] = x
    out[len(x) :] = 0
    return out


def few_sizes(count: int) -> int:
    """The next number of rows, at most an eighth more, of which there are eight between powers of two.

    oneDNN compiles a product for each shape that it meets and keeps a thousand of them, half a megabyte each, which
    batches of ever different lengths would fill.

    >>> [few_sizes(n) for n in (0, 1, 100, 1000, 1025)]
    [0, 8, 104, 1024, 1152]
    """
    step = 1 << max(3, count.bit_length() - 4)
    return -(-count // step) * step


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Zero a share `p` of the elements and scale the others up; `x` itself when nothing is to be dropped.

    On the CPU the mask is eight draws from each 64-bit number of torch's global generator, ten times cheaper than one
    draw each; `p` is then a multiple of 1/256, and the scale is that of the true share.

    Raises:
        ValueError: `p` is not in [0, 1).
    """
    if not 0.0 <= p < 1.0:
        raise ValueError(f"dropout must be in [0, 1), but is {p}")
    if not training or p == 0.0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, p, True)
    out: Tensor = _Dropout.apply(x, min(255, max(1, round(p * 256))))  # type: ignore[no-untyped-call]
    return out


class _Dropout(torch.autograd.Function):
    """Keep the elements whose random byte is at least `low`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: int) -> Tensor:
        keep = torch.ge(_random_bytes(x.shape), low, out=torch.empty(x.shape, dtype=torch.uint8))
        ctx.save_for_backward(keep)
        ctx.scale = 256 / (256 - low)
        return torch.mul(x, keep).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return torch.mul(grad, keep).mul_(ctx.scale), None


def _random_bytes(shape: torch.Size) -> Tensor:
    count = shape.numel()
    words = torch.empty(count // 8 + 1, dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.uint8)[:count].view(shape)


def drop_path(x: Tensor, part: Tensor, streams: int, p: float, training: bool) -> Tensor:
    """Zero a residual branch for whole streams with probability `p`, scaling the others up (stochastic depth).

    Args:
        x: [rows, width].
        part: int64 [rows], the stream of each row.
        streams: how many streams there are.
        p: probability.
        training: nothing happens outside training.
    """
    if not training or p == 0.0:
        return x
    keep = (torch.rand(streams, device=x.device) >= p).to(x.dtype) / (1.0 - p)
    return x * keep.index_select(0, part)[:, None]


class RMSNorm(nn.Module):
    """Root-mean-square normalisation (Zhang and Sennrich, 2019): `x / sqrt(mean(x ** 2) + eps) * weight`."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., width], normalised over the last dimension in float32."""
        return rms_norm(x, self.weight, self.eps)

    def add(self, x: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """The normalised sum of two [..., width], and the sum."""
        return add_rms_norm(x, residual, self.weight, self.eps)
