"""Mixtures of experts in place of a feed-forward block: Qwen2-MoE with a shared expert, Qwen3-MoE without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.kernels.choosing import swiglu
from ...core.layers import Linear, linear
from .routing import Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """The shape of a mixture.

    Attributes:
        width: of a row.
        experts: how many there are.
        ffn: inner size of each.
        top: how many of them a row goes through.
        norm: whether their probabilities are scaled to sum to 1.
        shared: inner size of the expert that all rows go through, behind a gate; 0 for none.

    Raises:
        ValueError: a row goes through more experts than there are.
    """

    width: int
    experts: int
    ffn: int
    top: int
    norm: bool
    shared: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.top <= self.experts:
            raise ValueError(f"a row must go through 1 to {self.experts} experts, but `expert_top` is {self.top}")


class Routed(NamedTuple):
    """What a router did: `chosen` int64 [rows, top], and over the rows that are real `counts` [experts], how often each
    expert was chosen, and `sums` [experts], its probabilities."""

    chosen: Tensor
    counts: Tensor
    sums: Tensor


class SwiGLU(nn.Module):
    """A gated feed-forward block (Shazeer, 2020) without biases."""

    def __init__(self, width: int, ffn: int) -> None:
        super().__init__()
        self.gate = Linear(width, ffn, bias=False)
        self.up = Linear(width, ffn, bias=False)
        self.down = Linear(ffn, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rows [rows, width]."""
        out: Tensor = self.down(swiglu(self.gate(x), self.up(x)))
        return out


class Experts(nn.Module):
    """A router over experts, of which each row goes through a few (Shazeer et al., 2017).

    Weights of all experts lie in two tensors, `gate_up` [experts, 2 ffn, width] and `down` [experts, width, ffn].
    """

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        self.mixture = mixture
        self.router = nn.Linear(mixture.width, mixture.experts, bias=False)
        self.gate_up = nn.Parameter(torch.empty(mixture.experts, 2 * mixture.ffn, mixture.width).normal_(std=0.02))
        self.down = nn.Parameter(torch.empty(mixture.experts, mixture.width, mixture.ffn).normal_(std=0.02))
        nn.init.normal_(self.router.weight, std=0.02)
        self.shared = SwiGLU(mixture.width, mixture.shared) if mixture.shared else None
        self.shared_gate = Linear(mixture.width, 1, bias=False) if mixture.shared else None

    def forward(self, x: Tensor, way: Way | None = None) -> tuple[Tensor, Routed]:
        """Rows [rows, width], and where they went."""
        forced, real = way or Way()
        probabilities = F.linear(x, self.router.weight).softmax(-1, dtype=torch.float32)
        weights, chosen = probabilities.topk(self.mixture.top, -1)
        if forced is not None:
            chosen = forced.to(x.device)
            weights = probabilities.gather(-1, chosen)
        if self.mixture.norm:
            weights = weights / weights.sum(-1, keepdim=True)
        out = self._through(x, chosen, weights.to(x.dtype))
        if self.shared is not None and self.shared_gate is not None:
            out = out + self.shared_gate(x).sigmoid() * self.shared(x)
        return out, self._routed(probabilities, chosen, real)

    def _through(self, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """The weighted sum of the experts' outputs: rows sorted by expert, multiplied in groups, and put back."""
        rows, top = chosen.shape
        order = chosen.flatten().argsort(stable=True)
        counts = count(chosen, self.mixture.experts)
        inner = grouped(x.index_select(0, order // top), self.gate_up, counts)
        gate, up = inner.chunk(2, -1)
        found = grouped(swiglu(gate, up), self.down, counts)
        back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        return (found.index_select(0, back).view(rows, top, x.shape[1]) * weights[..., None]).sum(1)

    def _routed(self, probabilities: Tensor, chosen: Tensor, real: Tensor | None) -> Routed:
        if real is not None:
            kept = real.to(chosen.device)
            return Routed(chosen, count(chosen[kept], self.mixture.experts), probabilities[kept].sum(0))
        return Routed(chosen, count(chosen, self.mixture.experts), probabilities.sum(0))


def count(chosen: Tensor, experts: int) -> Tensor:
    """How often each expert is chosen, int64 [experts].

    >>> count(torch.tensor([[0, 2], [2, 1]]), 4).tolist()
    [1, 1, 2, 0]
    """
    flat = chosen.flatten()
    return torch.zeros(experts, dtype=torch.long, device=flat.device).scatter_add_(0, flat, torch.ones_like(flat))


def grouped(x: Tensor, weight: Tensor, counts: Tensor) -> Tensor:
    """Rows of groups, each times the matrix of its group, transposed: [rows, out] of x [rows, in].

    Args:
        x: the rows, one group behind the other.
        weight: [groups, out, in].
        counts: int64 [groups], rows of each group; a group without rows gets a gradient of zeros.

    >>> grouped(torch.ones(3, 1), torch.tensor([[[2.0]], [[5.0]], [[7.0]]]), torch.tensor([2, 0, 1])).flatten().tolist()
    [2.0, 2.0, 7.0]
    """
    fits = x.dtype == torch.bfloat16 and not any(size % 8 for size in weight.shape[1:])  # 16 bytes at a time
    if x.device.type == "cuda" and fits and len(x):
        return F.grouped_mm(x, weight.transpose(1, 2), offs=counts.cumsum(0).int())
    parts = x.split(counts.tolist())
    # all matrices come from one `unbind`, whose backward pass makes one tensor, and fills in those without rows
    found = [linear(part, own) for part, own in zip(parts, weight.unbind(0), strict=True) if len(part)]
    if found:
        return torch.cat(found)
    return x.new_zeros(0, weight.shape[1]) + (weight.reshape(-1)[:0].sum() + x.sum())  # of both, for ranks to agree


def upcycled(
    gate: Tensor, up: Tensor, down: Tensor, *, experts: int, ffn: int, renewed: float = 0.5, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Experts out of a dense block: copies of it, each shuffled along the inner size, cut into equal slices.

    Where `experts * ffn` is the block's own inner size and nothing is renewed, the experts' outputs sum to the block's.

    Args:
        gate: [dense ffn, width], as `up`.
        up: the other half of the inner rows.
        down: [width, dense ffn].
        experts: how many to make.
        ffn: inner size of each.
        renewed: share of each expert's weights that are drawn anew (0.5 in the Qwen2 report, section 2.2.2).
        seed: of the shuffles and the new weights.

    Returns:
        `gate_up` [experts, 2 ffn, width] and `down` [experts, width, ffn].
    """
    inner = gate.shape[0]
    random = torch.Generator().manual_seed(seed)
    copies = -(-experts * ffn // inner)
    places = torch.cat([torch.randperm(inner, generator=random) for _ in range(copies)])[: experts * ffn]
    groups = places.view(experts, ffn)
    made = torch.cat([gate[groups], up[groups]], 1), down.t()[groups].transpose(1, 2).contiguous()
    return _renewed(made[0], renewed, random), _renewed(made[1], renewed, random)


def _renewed(weight: Tensor, share: float, random: torch.Generator) -> Tensor:
    fresh = torch.randn(weight.shape, generator=random, dtype=torch.float32).to(weight) * weight.std()
    return torch.where(torch.rand(weight.shape, generator=random) < share, fresh, weight)


def shapes(layers: int, mixture: Mixture | None, every: int, dense: Sequence[int]) -> list[Mixture | None]:
    """Which layers have a mixture: those whose number, from 1, is a multiple of `every`, and that are not in `dense`
    (counted from 0).

    Raises:
        ValueError: a dense layer that is none.
    """
    odd = [number for number in dense if not 0 <= number < layers]
    if odd:
        raise ValueError(f"the dense layers must be numbers from 0 to {layers - 1}, but one is {odd[0]}")
    return [None if n in dense or (n + 1) % every else mixture for n in range(layers)]
