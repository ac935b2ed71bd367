"""A witness tells every change of a network, also those that leave its tensors' versions as they were."""

import gc

import pytest
import torch
from torch import nn

from omniline.core.layers import Linear, products
from omniline.core.low_rank import LowRank, add_low_rank
from omniline.core.witness import Witness, bits


def network():
    torch.manual_seed(0)
    made = nn.Sequential(Linear(6, 5), nn.Dropout(0.1), nn.BatchNorm1d(5), Linear(5, 3)).eval()
    made.register_buffer("step", torch.tensor(3))
    return made


def fused_step(made):
    loss = made(torch.ones(4, 6)).square().sum()
    loss.backward()
    torch.optim.AdamW(made.parameters(), lr=1e-4, fused=True).step()


def rewritten(made):
    """One element, past all that torch counts."""
    made[3].weight.data[1, 2] += 1e-3


def same_place(made):
    """Another tensor, which may lie where the first one lay."""
    for _ in range(4):
        made[0].weight.data = torch.randn(5, 6)


CHANGES = {
    "a fused step": fused_step,
    "one element through .data": rewritten,
    "other data": same_place,
    "a loaded state": lambda made: made.load_state_dict({k: v + 1 for k, v in made.state_dict().items()}),
    "a buffer": lambda made: made.step.add_(1),
    "a dtype": lambda made: made.to(torch.bfloat16),
    "a layer": lambda made: made.__setitem__(0, Linear(6, 5)),
    "one layer more": lambda made: made.append(nn.Identity()),
    "an update of low rank": lambda made: add_low_rank(made, LowRank(rank=1, targets=("0",))),
    "a setting": lambda made: setattr(made[2], "eps", 0.1),
    "training": lambda made: made.train(),
    "a hook": lambda made: made[0].register_forward_hook(lambda *_: None),
    "rows in another order": lambda made: made[3].weight.data.copy_(made[3].weight.data.flip(0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change):
    made = network()
    witness = Witness(made)
    assert witness.holds(made)
    CHANGES[change](made)
    assert not witness.holds(made)


def test_an_update_of_low_rank_turned_off_is_seen():
    made = network()
    add_low_rank(made, LowRank(rank=1, targets=("0",)))
    witness = Witness(made)
    made[0].scale = 0.0
    assert not witness.holds(made)


def test_how_products_are_made_is_seen():
    made = network()
    witness = Witness(made)
    with products(torch.bfloat16):
        assert not witness.holds(made)
    with torch.autocast("cpu", torch.bfloat16):
        assert not witness.holds(made)
    assert witness.holds(made)


def test_another_network_of_the_same_weights_is_another():
    made, other = network(), network()
    assert not Witness(made).holds(other)


def test_nothing_is_kept_alive_and_nothing_new_is_taken_for_it():
    made = network()
    witness = Witness(made)
    del made
    gc.collect()
    assert all(module() is None for module in witness.modules)
    assert not witness.holds(network())


def test_what_cannot_be_seen_is_not_vouched_for():
    made = network()
    made[0].weight = nn.Parameter(torch.randn(5, 6).to_sparse())
    witness = Witness(made)
    assert not witness.sure and not witness.holds(made)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.uint8, torch.bool])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 4), (2, 0), (3, 1)])
def test_bits_are_all_bytes(dtype, shape):
    x = torch.ones(shape).to(dtype)
    found = bits(x)
    assert found.nbytes == x.nbytes and (not x.numel() or bool((found != 0).any()))
