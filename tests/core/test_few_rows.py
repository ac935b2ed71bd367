"""Products of few rows are those of `F.linear`, before and after a weight was brought into order."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from omniline.core import few_rows
from omniline.core.few_rows import AFTER, LARGE, often
from omniline.core.layers import Linear

WIDTH = 128
ROWS = (1, 3, 8, 13, 64, 70)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return Linear(WIDTH, LARGE // WIDTH)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(), (1,), (2, 2)])
def test_the_same_before_and_after(bias, shape):
    torch.manual_seed(0)
    layer = Linear(WIDTH, LARGE // WIDTH, bias=bias)
    with torch.no_grad(), often():
        for step in range(AFTER + 9):
            x = torch.randn(*shape, ROWS[step % len(ROWS)], WIDTH)
            torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-5, rtol=1e-5)
        held = few_rows._OFTEN.get()
        assert held is not None and len(held.held) == 1 and held.weights == [layer.weight]


def test_copies_live_no_longer_than_the_search(layer):
    x = torch.randn(4, WIDTH)
    with torch.no_grad():
        for _ in range(2):
            with often():
                for _ in range(AFTER + 2):
                    found = layer(x)
            assert few_rows._OFTEN.get() is None
            torch.testing.assert_close(found, F.linear(x, layer.weight, layer.bias), atol=1e-5, rtol=1e-5)
            layer.weight.mul_(2)


def test_weights_made_on_the_way_are_never_held():
    """Their memory may be another's the next time."""
    with torch.no_grad(), often():
        for step in range(AFTER + 4):
            weight = torch.full((LARGE // WIDTH, WIDTH), float(step))
            found = few_rows.few_linear(torch.ones(2, WIDTH), weight, None)
            assert bool((found == WIDTH * step).all())
            del weight
        held = few_rows._OFTEN.get()
        assert held is not None and not held.held and not held.weights


def test_a_single_row_asks_for_no_copy(layer):
    with torch.no_grad(), often():
        for _ in range(AFTER + 4):
            layer(torch.randn(1, WIDTH))
        held = few_rows._OFTEN.get()
        assert held is not None and not held.held


def test_copies_keep_to_their_room(layer):
    with torch.no_grad(), often():
        held = few_rows._OFTEN.get()
        assert held is not None
        held.room = layer.weight.nbytes - 1
        x = torch.randn(8, WIDTH)
        for _ in range(AFTER + 4):
            torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-5, rtol=1e-5)
        assert not held.held


def test_gradients_and_other_dtypes_go_the_plain_way(layer):
    with often():
        assert few_rows._OFTEN.get() is None
        layer(torch.randn(3, WIDTH)).sum().backward()
    assert layer.weight.grad is not None
    small = nn.Parameter(layer.weight.detach().bfloat16())
    with torch.no_grad(), often():
        for _ in range(AFTER + 2):
            assert few_rows.few_linear(torch.ones(3, WIDTH).bfloat16(), small, None).dtype == torch.bfloat16
            assert few_rows.few_linear(torch.ones(0, WIDTH), layer.weight, None).shape == (0, LARGE // WIDTH)
        held = few_rows._OFTEN.get()
        assert held is not None and not held.held
