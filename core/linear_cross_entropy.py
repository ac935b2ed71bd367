"""Cross-entropy of a linear output layer that never holds all logits.

Rows go through in chunks: a chunk's logits become its loss and at once its gradients, so that of rows x vocabulary
only one chunk is alive. That is possible because the weight of each row is known beforehand: the total that is
descended is their weighted sum. Logits more than 60 below their row's largest count as 60 below; this changes no
float32 result and keeps denormal numbers, which slow the products of a CPU thirtyfold, out of the gradients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .errors import DataError
from .kernels.choosing import chosen
from .networks import Choices, LossRows

DEEPEST = -60.0
"""The smallest exponent."""

CPU_CELLS, CPU_CELLS_OF_LARGE = 3 * 2**23, 2**24
"""Logits of one chunk on a CPU, measured with vocabularies of 50,304 and 151,936: larger ones gain no speed."""

LARGE = 2**16
"""Words of a large vocabulary."""

GPU_CELLS = 2**28

STEP = 16
"""Chunks have a multiple of so many rows; in reduced precision on a CPU the last one is filled with rows of no weight,
since oneDNN compiles and keeps a product of half a megabyte for each shape that it meets."""


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    *,
    bias: Tensor | None = None,
    weights: Tensor,
    label_smoothing: float = 0.0,
    choices: Choices | None = None,
    products: torch.dtype | None = None,
    chunk: int | None = None,
) -> LossRows:
    """Cross-entropy of `hidden @ weight.T + bias` against labels.

    Label smoothing takes `label_smoothing` from the label and spreads it evenly over the *other* tokens: over the
    n - 1 others that are allowed where there are choices, over the vocabulary - 1 others where there are none.

    Args:
        hidden: [n, width] rows that predict; n may be 0, and gradients are then zeros.
        weight: [vocabulary, width] of the output layer; its gradient is summed in float32.
        labels: int64 [n].
        bias: [vocabulary].
        weights: [n] factors of the rows, which take no gradient.
        label_smoothing: share of the probability that labels give away, 0 to 1.
        choices: a closed set at each row; logits are made over its tokens only.
        products: dtype of the matrix products, such as bfloat16; by default autocast's where it is on, else that of
            `hidden` and `weight` together. The softmax is float32 in any case (float64 for float64).
        chunk: rows at a time, chosen by device and vocabulary when not given.

    Raises:
        DataError: a label is not among its row's choices.
        ValueError: `weights` wants a gradient.

    >>> hidden, weight = torch.eye(2), torch.tensor([[9.0, 0.0], [0.0, 9.0]])
    >>> rows = linear_cross_entropy(hidden, weight, torch.tensor([0, 1]), weights=torch.ones(2))
    >>> [round(float(x), 4) for x in rows.each]
    [0.0001, 0.0001]
    """
    if weights.requires_grad:
        raise ValueError("the weights of rows must be constants, but take a gradient: detach them")
    allowed, nodes = None, None
    if choices is not None:
        allowed, nodes = choices.allowed, choices.nodes
        labels = columns_of(labels, choices)
        weight = weight.index_select(0, choices.tokens)
        bias = None if bias is None else bias.index_select(0, choices.tokens)
    setup = _Setup(
        products or _product_dtype(hidden, weight),
        chunk or _rows_at_once(hidden.shape[0], weight.shape[0], hidden.device.type),
        label_smoothing,
        any(t is not None and t.requires_grad for t in (hidden, weight, bias)) and torch.is_grad_enabled(),
        choices is None and chosen(hidden),
    )
    rows = hidden.shape[0]
    if (
        chunk is None
        and hidden.device.type == "cpu"
        and setup.products != torch.promote_types(hidden.dtype, weight.dtype)
    ):
        void = -rows % setup.chunk
        hidden = F.pad(hidden, (0, 0, 0, void))
        labels, weights = F.pad(labels, (0, void)), F.pad(weights, (0, void))
        nodes = None if nodes is None else F.pad(nodes, (0, void))
    with torch.autocast(hidden.device.type, enabled=False):
        total, each = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
            hidden, weight, bias, labels, weights, allowed, nodes, setup
        )
    return LossRows(total, each[:rows])


def columns_of(labels: Tensor, choices: Choices) -> Tensor:
    """Which column of the choices' tokens each label [n] is, int64 [n].

    Raises:
        DataError: a label is not allowed at its row.
    """
    if not labels.numel():
        return labels
    columns = torch.searchsorted(choices.tokens, labels).clamp_(max=choices.tokens.numel() - 1)
    legal = (choices.tokens[columns] == labels) & choices.allowed[choices.nodes, columns]
    if not bool(legal.all()):
        row = int((~legal).nonzero()[0])
        raise DataError(
            f"a label must be a token that its closed set allows there, but row {row} is labelled {int(labels[row])}: "
            "the value is not one of the members"
        )
    return columns


class _Setup(NamedTuple):
    products: torch.dtype
    chunk: int
    smoothing: float
    gradients: bool
    fused: bool


class _Chunk(NamedTuple):
    """One chunk, ready for products: `slopes` [k, v] divided by `sums` [k, 1] is the gradient by its logits."""

    each: Tensor
    slopes: Tensor
    sums: Tensor


def _product_dtype(hidden: Tensor, weight: Tensor) -> torch.dtype:
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return torch.promote_types(hidden.dtype, weight.dtype)


def _rows_at_once(rows: int, vocabulary: int, device: str) -> int:
    """Rows of a chunk: as many as the cells allow, at least 64, in chunks of about one size, one of few sizes."""
    cells = GPU_CELLS if device != "cpu" else CPU_CELLS if vocabulary <= LARGE else CPU_CELLS_OF_LARGE
    most = max(64, cells // max(vocabulary, 1))
    chunks = max(1, -(-rows // most))
    return max(1, -(-rows // (chunks * STEP))) * STEP


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one pass over chunks; the backward pass only scales them."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        weights: Tensor,
        allowed: Tensor | None,
        nodes: Tensor | None,
        setup: _Setup,
    ) -> tuple[Tensor, Tensor]:
        exact = torch.promote_types(setup.products, torch.float32)
        small, table = hidden.to(setup.products), weight.to(setup.products)
        each = torch.empty(hidden.shape[0], dtype=exact, device=hidden.device)
        sums = _Sums.zeros(hidden, weight, bias, exact, ctx.needs_input_grad if setup.gradients else (False,) * 3)
        unit = weights.abs().amax().clamp(min=1e-30) if weights.numel() else weights.new_ones(())
        room = _Room.of(min(setup.chunk, hidden.shape[0]), table, sums.weight, setup.fused)
        for start in range(0, hidden.shape[0], setup.chunk):
            part = slice(start, start + setup.chunk)
            mask = None if allowed is None or nodes is None else allowed[nodes[part]]
            made = _one_chunk(small[part], table, bias, labels[part], mask, room, setup)
            each[part] = made.each
            scale = (weights[part] / unit)[:, None] / made.sums
            sums.add(made, part, scale, small, table, room, first=start == 0)
        ctx.save_for_backward(*sums, unit)
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        ctx.mark_non_differentiable(each)
        return (each * weights).sum(), each

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, total: Tensor, each: Tensor) -> tuple[Tensor | None, ...]:
        *sums, unit = ctx.saved_tensors
        factor = total * unit
        again = torch._C._autograd._get_current_graph_task_keep_graph()
        out = [None if x is None else (x * factor if again else x.mul_(factor)) for x in sums]
        return *(None if x is None else x.to(dtype) for x, dtype in zip(out, ctx.dtypes, strict=True)), *(None,) * 5


class _Room(NamedTuple):
    """Memory that all chunks share, as fresh pages cost more than what is written on them: `logits` [chunk, v] in the
    dtype of products, `exact` [chunk, v] for the softmax (the same memory where the dtypes agree), and `product` for a
    chunk's share of the weight's gradient where that is summed in another dtype."""

    logits: Tensor
    exact: Tensor
    product: Tensor | None

    @classmethod
    def of(cls, rows: int, table: Tensor, to_weight: Tensor | None, fused: bool) -> _Room:
        logits = table.new_empty(rows, table.shape[0])
        exact = logits if fused else logits.to(torch.promote_types(table.dtype, torch.float32))
        apart = to_weight is not None and to_weight.dtype != table.dtype
        return cls(logits, exact, torch.empty_like(table) if apart else None)


class _Sums(NamedTuple):
    """The gradients as chunks add to them; None for what takes no gradient."""

    hidden: Tensor | None
    weight: Tensor | None
    bias: Tensor | None

    @classmethod
    def zeros(
        cls, hidden: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, wanted: tuple[bool, ...]
    ) -> _Sums:
        made = [torch.zeros_like(x, dtype=dtype) if x is not None and need else None
                for x, need in zip((hidden, weight, bias), wanted, strict=False)]  # fmt: skip
        return cls(*made)

    def add(
        self, made: _Chunk, part: slice, scale: Tensor, small: Tensor, table: Tensor, room: _Room, *, first: bool
    ) -> None:
        """Add a chunk whose slopes count `scale` [k, 1] times; the first writes where nought stands."""
        if self.bias is not None:
            self.bias.add_((made.slopes * scale.to(self.bias.dtype)).sum(0))
        if self.hidden is None and self.weight is None:
            return
        slopes = made.slopes if room.exact is room.logits else room.logits[: len(made.slopes)].copy_(made.slopes)
        if self.hidden is not None:
            self.hidden[part] = torch.mm(slopes, table) * scale
        if self.weight is not None:
            right = (small[part] * scale).to(table.dtype)
            if room.product is None:
                self.weight.addmm_(slopes.t(), right, beta=0 if first else 1)
            else:
                self.weight.add_(torch.mm(slopes.t(), right, out=room.product))


def _one_chunk(
    hidden: Tensor,
    table: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    mask: Tensor | None,
    room: _Room,
    setup: _Setup,
) -> _Chunk:
    """Losses and slopes of some rows.

    With logits z, their largest m, e = exp(z - m) and s = sum e, the loss is m + log s - z at the label and its
    gradient e / s, less one at the label; the division is left to the products' other operand, which is smaller.
    """
    low = torch.mm(hidden, table.t(), out=room.logits[: len(hidden)])
    if setup.fused:
        return _fused_chunk(low, bias, labels, setup)
    logits = low if room.exact is room.logits else room.exact[: len(hidden)].copy_(low)
    if bias is not None:
        logits += bias
    label = labels[:, None]
    picked = logits.gather(1, label)
    away = _smoothing(logits, mask, setup.smoothing) if setup.smoothing else None
    if away is not None:
        picked = (1 - away.label) * picked + away.other * away.sums
    if mask is not None:
        logits.masked_fill_(~mask, -torch.inf)
    top = logits.amax(1, keepdim=True)
    logits.sub_(top).clamp_(min=DEEPEST).exp_()
    if mask is not None:
        logits.masked_fill_(~mask, 0)
    sums = logits.sum(1, keepdim=True)
    losses = (top + sums.log() - picked)[:, 0]
    if not setup.gradients:
        return _Chunk(losses, logits, sums)
    if setup.products == torch.float16:  # sums overflow it
        logits.div_(sums)
        sums = torch.ones_like(sums)
    return _Chunk(losses, _slopes(logits, sums, label, mask, away), sums)


def _fused_chunk(logits: Tensor, bias: Tensor | None, labels: Tensor, setup: _Setup) -> _Chunk:
    """The same by one kernel: the logits become their gradient in place."""
    from .kernels.chunk_loss import chunk_losses

    losses = chunk_losses(logits, bias, labels, smoothing=setup.smoothing, deepest=DEEPEST, slopes=setup.gradients)
    return _Chunk(losses, logits, torch.ones_like(losses)[:, None])


class _Away(NamedTuple):
    """Smoothing of a chunk, each [k, 1]: what the label's own logit loses, what every legal logit gets, and the sum of
    the legal logits."""

    label: Tensor
    other: Tensor
    sums: Tensor


def _smoothing(logits: Tensor, mask: Tensor | None, smoothing: float) -> _Away:
    """A label that stands alone gives nothing away."""
    if mask is None:
        others = logits.new_full((logits.shape[0], 1), logits.shape[1] - 1)
        sums = logits.sum(1, keepdim=True)
    else:
        others = (mask.sum(1, keepdim=True) - 1).to(logits.dtype)
        sums = logits.masked_fill(~mask, 0).sum(1, keepdim=True)
    share = torch.where(others > 0, smoothing, 0.0).to(logits.dtype)
    other = share / others.clamp(min=1)
    return _Away(share + other, other, sums)


def _slopes(exps: Tensor, sums: Tensor, label: Tensor, mask: Tensor | None, away: _Away | None) -> Tensor:
    if away is None:
        return exps.scatter_add_(1, label, -sums)
    exps -= away.other * sums
    if mask is not None:
        exps.masked_fill_(~mask, 0)
    return exps.scatter_add_(1, label, (away.label - 1) * sums)
