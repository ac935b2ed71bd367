"""The output layer of a slot gives what the port gives, however it is computed."""

import pytest
import torch
from torch import nn

from omniline.core.layers import products
from omniline.core.port import Head, Port
from omniline.plugins.search.output_layer import LARGE, REORDER_AFTER, OutputLayer, small_products

WIDTH = 64


class Words(Port):
    def __init__(self, vocabulary, bias, linear=True):
        super().__init__()
        self.vocabulary, self.linear, self.calls = vocabulary, linear, 0
        self.out = nn.Linear(WIDTH, vocabulary, bias=bias)

    def project(self, hidden):
        self.calls += 1
        return self.out(hidden)

    def head(self):
        return Head(self.out.weight, self.out.bias) if self.linear else None


@pytest.mark.parametrize("bias", [True, False])
def test_a_large_layer_gives_the_same_before_and_after_it_is_reordered(bias):
    port = Words(LARGE // WIDTH + 1, bias)
    layer = OutputLayer(port)
    with torch.no_grad():
        for step in range(4 * REORDER_AFTER + 8):
            hidden = torch.randn([1, 3, 12, 40][step % 4], WIDTH)
            torch.testing.assert_close(layer(hidden), port.out(hidden), atol=1e-5, rtol=1e-5)
    assert layer.reordered is not None


@pytest.mark.parametrize("port", [Words(100, True), Words(LARGE // WIDTH + 1, True, linear=False)])
def test_small_and_crooked_layers_are_the_port_s(port):
    layer = OutputLayer(port)
    with torch.no_grad():
        layer(torch.randn(3, WIDTH))
    assert port.calls == 1 and layer.head is None


def test_products_may_be_small():
    port = Words(LARGE // WIDTH + 1, True)
    hidden = torch.randn(5, WIDTH)
    with torch.no_grad(), products(torch.bfloat16):
        found = OutputLayer(port)(hidden)
        exact = port.project(hidden)
    assert found.dtype == torch.float32
    difference = float((found - exact).abs().max())
    assert difference < 0.05 and (difference > 1e-4) == small_products()


def test_no_rows():
    port = Words(LARGE // WIDTH + 1, True)
    with torch.no_grad():
        assert OutputLayer(port)(torch.zeros(0, WIDTH)).shape == (0, port.vocabulary)
