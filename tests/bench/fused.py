"""Triton kernels on an accelerator, forward and backward, against torch, `torch.compile`, and Liger where it is.

Without an accelerator there is nothing to measure, and no figure.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any

import torch
from torch import Tensor

from omniline.core.kernels import choosing
from omniline.core.linear_cross_entropy import linear_cross_entropy

from .measuring import Figure, calibrate

ROWS, WIDTH, INNER, WORDS, LOSS_ROWS = 8_192, 3_584, 18_944, 151_936, 4_096
TIMES = 20
Call = Callable[..., Any]


def measure() -> list[Figure]:
    """Times of the others over ours, by kernel."""
    if not torch.cuda.is_available():
        return []
    calibration, found = calibrate(), []
    for name, (ours, liger, inputs) in _cases().items():
        with choosing.kernels(True):
            mine = _milliseconds(ours, inputs)
        others: dict[str, Call | None] = {"torch": ours, "torch.compile": torch.compile(ours), "liger": liger}
        for other, call in others.items():
            if call is None:
                continue
            with choosing.kernels(False):
                theirs = _milliseconds(call, inputs)
            detail = {"device": torch.cuda.get_device_name(), "ours_ms": mine, "theirs_ms": theirs}
            label = f"kernels-{name}-{other}"
            figure = Figure(section="kernels", name=label, value=theirs / mine, calibration=calibration, detail=detail)
            found.append(figure)
    return found


def _cases() -> dict[str, tuple[Call, Call | None, tuple[Tensor, ...]]]:
    """Ours (which takes a kernel or not), Liger's and the inputs of each."""
    angle = torch.randn(ROWS, 1, 64, device="cuda")
    labels = torch.randint(0, WORDS, (LOSS_ROWS,), device="cuda")
    weights = torch.full((LOSS_ROWS,), 1 / LOSS_ROWS, device="cuda")

    def loss(hidden: Tensor, table: Tensor) -> Tensor:
        return linear_cross_entropy(hidden, table, labels, weights=weights, products=torch.bfloat16).total

    return {
        "norm": (
            lambda x, r, w: choosing.add_rms_norm(x, r, w, 1e-6),
            _liger("fused_add_rms_norm", "LigerFusedAddRMSNormFunction", 1e-6),
            (_drawn(ROWS, WIDTH), _drawn(ROWS, WIDTH), _drawn(WIDTH)),
        ),
        "swiglu": (choosing.swiglu, _liger("swiglu", "LigerSiLUMulFunction"), (_drawn(ROWS, INNER),) * 2),
        "rotate": (lambda x: choosing.rotate(x, angle.cos(), angle.sin()), None, (_drawn(ROWS, 28, 128),)),
        "loss": (
            loss,
            _liger("fused_linear_cross_entropy", "LigerFusedLinearCrossEntropyFunction", labels),
            (_drawn(LOSS_ROWS, WIDTH), _drawn(WORDS, WIDTH)),
        ),
    }


def _liger(module: str, name: str, *more: Any) -> Call | None:
    """A function of Liger's, if it is installed."""
    if find_spec("liger_kernel") is None:
        return None
    function = getattr(import_module(f"liger_kernel.ops.{module}"), name)
    return lambda *inputs: function.apply(*inputs, *more)


def _drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16) * 0.1


def _milliseconds(call: Call, inputs: tuple[Tensor, ...]) -> float:
    """Median time of forward and backward."""
    own = [x.detach().requires_grad_() for x in inputs]
    found = []
    for _ in range(TIMES + 3):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        out = call(*own)
        outs = [x for x in (out if isinstance(out, tuple) else (out,)) if x is not None and x.requires_grad]
        torch.autograd.backward(outs, [torch.ones_like(x) for x in outs])
        end.record()
        torch.cuda.synchronize()
        found.append(begin.elapsed_time(end))
        for x in own:
            x.grad = None
    return median(found[3:])
