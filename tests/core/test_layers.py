"""Dropout, stochastic depth, products in bfloat16, and recomputation."""

import pytest
import torch

from omniline.core.layers import Linear, RMSNorm, drop_path, dropout, products, products_dtype, rerun


def test_dropout_keeps_the_mean_and_drops_its_share():
    torch.manual_seed(0)
    out = dropout(torch.ones(400, 500), 0.1, training=True)
    assert set(out.unique().tolist()) == {0.0, out.max().item()}
    assert abs((out == 0).float().mean().item() - 26 / 256) < 2e-3
    assert abs(out.mean().item() - 1) < 2e-3


def test_dropout_is_independent_between_neighbours():
    torch.manual_seed(0)
    gone = (dropout(torch.ones(1_000_000), 0.5, training=True) == 0).float()
    for lag in (1, 2, 7, 8, 9):
        assert abs((gone[lag:] * gone[:-lag]).mean().item() - 0.25) < 2e-3


def test_the_gradient_of_dropout_passes_where_values_did():
    x = torch.full((50, 50), 2.0, requires_grad=True)
    out = dropout(x, 0.3, training=True)
    (grad,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(grad * 2, out)


def test_dropout_draws_from_the_global_generator():
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(dropout(torch.ones(1000), 0.5, training=True))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize("p, training", [(0.0, True), (0.5, False)])
def test_dropout_that_drops_nothing_is_free(p, training):
    x = torch.ones(3)
    state = torch.get_rng_state()
    assert dropout(x, p, training=training) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_of_no_rows():
    assert dropout(torch.ones(0, 4), 0.5, training=True).shape == (0, 4)


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_dropout_must_be_a_share(p):
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), but is"):
        dropout(torch.ones(1), p, training=True)


def test_whole_streams_skip_a_branch():
    torch.manual_seed(0)
    part = torch.arange(1000).repeat_interleave(3)
    out = drop_path(torch.ones(3000, 2), part, 1000, 0.4, training=True).view(1000, 6)
    assert ((out == 0).all(1) | (out > 1).all(1)).all()
    assert abs((out[:, 0] == 0).float().mean().item() - 0.4) < 0.05


def test_products_in_bfloat16_round_operands_only():
    torch.manual_seed(0)
    layer, x = Linear(64, 32), torch.randn(5, 7, 64, requires_grad=True)
    with products(torch.bfloat16):
        out = layer(x)
        assert products_dtype() == torch.bfloat16
    assert products_dtype() is None and out.dtype == torch.float32
    exact = layer(x)
    assert not torch.equal(out, exact)
    inputs = (x, layer.weight, layer.bias)
    down = torch.randn_like(out)
    near, true = (torch.autograd.grad(o, inputs, down) for o in (out, exact))
    for one, other in zip((out, *near), (exact, *true), strict=True):
        assert one.dtype == torch.float32
        assert torch.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.9999


def test_products_of_no_rows_give_zero_gradients():
    layer = Linear(4, 3)
    with products(torch.bfloat16):
        layer(torch.ones(0, 4)).sum().backward()
    assert torch.equal(layer.weight.grad, torch.zeros(3, 4))


def test_a_layer_that_runs_again_gives_the_same_gradient():
    class Noisy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = Linear(8, 8)

        def forward(self, x):
            return dropout(self.linear(x).tanh(), 0.5, training=True)

    layer, x = Noisy(), torch.randn(6, 8)
    found = []
    for run in (lambda: layer(x), lambda: rerun(layer, x)):
        torch.manual_seed(0)
        with products(torch.bfloat16):
            out = run()
        found.append(torch.autograd.grad(out.sum(), layer.linear.weight)[0])
    assert torch.equal(found[0], found[1])


def test_rms_norm_is_that_of_torch():
    x, norm = torch.randn(3, 10), RMSNorm(10)
    torch.testing.assert_close(norm(x), torch.nn.functional.rms_norm(x, (10,), norm.weight, 1e-6))
