"""Products in bfloat16 on a CPU have few sizes: void rows fill them up and change nothing."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from omniline.core.layers import Linear, few_sizes, products
from omniline.core.linear_cross_entropy import linear_cross_entropy
from omniline.core.networks import Choices

RANGE = range(900, 1100, 7)


class Sizes(TorchDispatchMode):
    """The shapes of all bfloat16 products."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket is torch.ops.aten.mm and args[0].dtype == torch.bfloat16:
            self.seen.add((*args[0].shape, *args[1].shape))
        return func(*args, **(kwargs or {}))


def test_sizes_grow_by_an_eighth_at_most():
    sizes = [few_sizes(n) for n in range(1, 5000)]
    assert all(n <= size <= max(n * 9 / 8, n + 7) for n, size in enumerate(sizes, 1))
    assert len(set(sizes[512:4096])) <= 25


def test_a_layer_makes_few_products():
    layer = Linear(8, 12)
    with Sizes() as sizes, products(torch.bfloat16):
        for rows in RANGE:
            x = torch.randn(rows, 8, requires_grad=True)
            out = layer(x)
            assert out.shape == (rows, 12)
            out.sum().backward()
            assert x.grad.shape == x.shape
    assert len(sizes.seen) == 3 * len({few_sizes(rows) for rows in RANGE})


def test_a_loss_makes_few_products():
    weight = torch.randn(50, 8, requires_grad=True)
    with Sizes() as sizes:
        for rows in RANGE:
            hidden, labels = torch.randn(rows, 8), torch.randint(0, 50, (rows,))
            given = {"weights": torch.ones(rows), "products": torch.bfloat16}
            assert linear_cross_entropy(hidden, weight, labels, **given).each.shape == (rows,)
    assert len(sizes.seen) <= 2 * len({-(-rows // 16) for rows in RANGE})


@pytest.mark.parametrize("closed", [False, True])
def test_void_rows_do_not_count(closed):
    """The same rows in one chunk of their own size give the same loss and gradients."""
    torch.manual_seed(0)
    rows = 37
    labels = torch.randint(3, 6, (rows,))
    choices = Choices.of([[1, 2], [3, 4, 5]], [1] * rows) if closed else None
    found = []
    for chunk in (None, rows):
        hidden, weight = (torch.linspace(-1, 1, n * 8).view(n, 8).sin().requires_grad_() for n in (rows, 50))
        given = {"weights": torch.rand(rows, generator=torch.Generator().manual_seed(1)), "choices": choices}
        made = linear_cross_entropy(hidden, weight, labels, products=torch.bfloat16, chunk=chunk, **given)
        made.total.backward()
        found.append((made.total, made.each, hidden.grad, weight.grad))
    for filled, plain in zip(*found, strict=True):
        torch.testing.assert_close(filled, plain, rtol=2e-2, atol=1e-3)
