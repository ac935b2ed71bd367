"""Low-rank updates: nothing at first, the same as the merged layer afterwards, and only they learn."""

import pytest
import torch
from torch import nn

from omniline.core.errors import ConfigError
from omniline.core.layers import Linear
from omniline.core.low_rank import LowRank, add_low_rank, merged_state


def network():
    torch.manual_seed(0)
    return nn.Sequential(Linear(6, 5), nn.ReLU(), Linear(5, 4))


def test_an_update_starts_at_zero():
    made, x = network(), torch.randn(3, 6)
    before = made(x)
    assert add_low_rank(made, LowRank(rank=2, targets=("*",))) == ("0", "2")
    assert torch.equal(made(x), before)


def test_merged_weights_do_the_same():
    made, x = network(), torch.randn(3, 6)
    add_low_rank(made, LowRank(rank=2, alpha=3.0, targets=("0",)))
    nn.init.normal_(made[0].low_up)
    plain = network()
    plain.load_state_dict(merged_state(made))
    assert torch.allclose(plain(x), made(x), atol=1e-6)


def test_gradients_reach_the_update_alone():
    made = network()
    add_low_rank(made, LowRank(rank=2, targets=("2",)))
    made.requires_grad_(False)
    made[2].low_down.requires_grad_(True)
    made[2].low_up.requires_grad_(True)
    made(torch.randn(3, 6)).square().sum().backward()
    assert made[2].low_up.grad.abs().sum() > 0 and made[0].weight.grad is None


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"targets": ("3",)}, r"the low-rank target `3` matches nothing in the model; a name is `0`"),
        ({"rank": 0}, "rank of a low-rank update must be at least 1, but is 0"),
        ({"dropout": 1.0}, r"must be in \[0, 1\), but is 1.0"),
    ],
)
def test_mistakes(how, message):
    with pytest.raises(ConfigError, match=message):
        add_low_rank(network(), LowRank(**how))
