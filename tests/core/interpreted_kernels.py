"""Triton kernels in Triton's interpreter on the CPU, forward and backward, each against its torch twin.

Run by `test_kernels.py` in a process of its own, as Triton decides when it is imported whether it interprets.
"""

import pytest
import torch

from omniline.core.kernels import choosing, chunk_loss, norm
from omniline.core.linear_cross_entropy import linear_cross_entropy


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """As on an accelerator: every tensor takes the kernel, unless kernels are not allowed."""
    monkeypatch.setattr(choosing, "chosen", lambda x, *, row=None: choosing._ALLOWED.get())


def both(call, *tensors):
    """Results and gradients of a call by its kernel and by its twin."""
    found = []
    for allowed in (True, False):
        own = [x.clone().requires_grad_() for x in tensors]
        with choosing.kernels(allowed):
            out = call(*own)
        outs = out if isinstance(out, tuple) else (out,)
        weights = [torch.randn(x.shape, generator=torch.Generator().manual_seed(i)) for i, x in enumerate(outs)]
        sum((x.float() * w).sum() for x, w in zip(outs, weights, strict=True)).backward()
        found.append([*(x.detach() for x in outs), *(x.grad for x in own if x.grad is not None)])
    return found


def drawn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def close(found, wanted, **tolerance):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        torch.testing.assert_close(one, other, **tolerance)


TOLERANCE = {torch.float32: {"rtol": 1e-5, "atol": 1e-6}, torch.bfloat16: {"rtol": 2e-2, "atol": 2e-2}}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


@DTYPES
@pytest.mark.parametrize("shape", [(3, 8), (5, 37), (2, 2, 24)], ids=str)
def test_norm(shape, dtype):
    x, weight = drawn(*shape, dtype=dtype), drawn(shape[-1], seed=1).to(dtype)
    close(*both(lambda x, w: choosing.rms_norm(x, w, 1e-6), x, weight), **TOLERANCE[dtype])


@DTYPES
def test_norm_of_a_sum(dtype):
    """Both results go on, and both carry a gradient back."""
    x, residual, weight = (drawn(4, 20, seed=seed, dtype=dtype) for seed in range(3))
    found, wanted = both(lambda x, r, w: choosing.add_rms_norm(x, r, w, 1e-5), x, residual, weight[0])
    close(found, wanted, **TOLERANCE[dtype])


def test_norm_with_more_rows_than_programs(monkeypatch):
    monkeypatch.setattr(norm, "_PROGRAMS", 3)
    found, wanted = both(lambda x, w: choosing.rms_norm(x, w, 1e-6), drawn(7, 8), drawn(8, seed=1))
    close(found, wanted, **TOLERANCE[torch.float32])


def test_norm_keeps_small_rows_apart():
    """The eps is that of the twin: rows of a thousandth show it."""
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]]) * 1e-3
    for eps, wanted in (
        (1e-6, [0.342997, 0.685994, 1.028991, 1.371989]),
        (1e-5, [0.239046, 0.478091, 0.717137, 0.956183]),
    ):
        torch.testing.assert_close(choosing.rms_norm(x, torch.ones(4), eps), torch.tensor([wanted]), rtol=0, atol=1e-6)


@DTYPES
@pytest.mark.parametrize("shape", [(3, 8), (5, 411)], ids=str)
def test_swiglu(shape, dtype):
    gate, up = drawn(*shape, dtype=dtype), drawn(*shape, seed=1, dtype=dtype)
    close(*both(choosing.swiglu, gate, up), **TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize("shape", [(4, 3, 8), (2, 3, 1, 6)], ids=str)
def test_rotate(shape, dtype):
    angle = drawn(*shape[:-2], 1, shape[-1] // 2, seed=1)
    x = drawn(*shape, dtype=dtype)
    close(*both(lambda x: choosing.rotate(x, angle.cos(), angle.sin()), x), **TOLERANCE[dtype])


def test_rotate_by_time_height_and_width():
    from omniline.plugins.qwen.rotary import Rotary, rotate, turn

    places = torch.randint(0, 40, (3, 5), generator=torch.Generator().manual_seed(0))
    by = turn(places, Rotary(size=12, sections=(2, 2, 2)))
    close(*both(lambda x: rotate(x, by), drawn(5, 2, 12)), **TOLERANCE[torch.float32])


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("words", "block"), [(29, 4096), (29, 8)])
def test_linear_cross_entropy(words, block, smoothing, bias, monkeypatch):
    """Losses and gradients of supervised rows in chunks; rows that count nothing too."""
    monkeypatch.setattr(chunk_loss, "BLOCK", block)
    labels, weights = torch.randint(0, words, (7,), generator=torch.Generator().manual_seed(3)), torch.rand(7)
    weights[2] = 0

    def call(hidden, table, *more):
        rows = linear_cross_entropy(
            hidden, table, labels, bias=more[0] if more else None, weights=weights, label_smoothing=smoothing, chunk=3
        )
        return rows.total, rows.each.clone()

    tensors = [drawn(7, 12), drawn(words, 12, seed=1), *([drawn(words, seed=2)] if bias else [])]
    found, wanted = [], []
    for into, allowed in ((found, True), (wanted, False)):
        own = [x.clone().requires_grad_() for x in tensors]
        with choosing.kernels(allowed):
            total, each = call(*own)
        total.backward()
        into += [total.detach(), each, *(x.grad for x in own)]
    close(found, wanted, rtol=1e-5, atol=1e-6)


def test_linear_cross_entropy_in_bfloat16():
    """Logits and slopes in half the memory; the losses stay float32."""
    labels, weights = torch.arange(6), torch.ones(6)
    found = []
    for allowed in (True, False):
        hidden, table = drawn(6, 16).requires_grad_(), drawn(40, 16, seed=1).requires_grad_()
        with choosing.kernels(allowed):
            rows = linear_cross_entropy(hidden, table, labels, weights=weights, products=torch.bfloat16, chunk=4)
        rows.total.backward()
        found.append([rows.each, hidden.grad, table.grad])
    close(*found, rtol=2e-2, atol=2e-2)
