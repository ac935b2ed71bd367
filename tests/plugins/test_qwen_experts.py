"""Mixtures of experts: transformers' numbers, gradients without rows, even loads, routes replayed, dense to sparse."""

import pytest
import torch
from torch.nn import functional as F
from transformers.models.qwen2_moe.configuration_qwen2_moe import Qwen2MoeConfig
from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeSparseMoeBlock, load_balancing_loss_func
from transformers.models.qwen3_moe.configuration_qwen3_moe import Qwen3MoeConfig
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

from omniline.core.balance import Balance
from omniline.core.layers import products
from omniline.core.layout import plain_layout
from omniline.plugins.qwen.experts import Experts, Mixture, SwiGLU, count, grouped, shapes, upcycled
from omniline.plugins.qwen.network import DecoderNetwork
from omniline.plugins.qwen.routing import recorded, replayed

SIZES = {"hidden_size": 16, "moe_intermediate_size": 24, "num_experts": 6, "num_experts_per_tok": 2}


def experts(norm=True, shared=0, top=2, count=6):
    torch.manual_seed(0)
    made = Experts(Mixture(width=16, experts=count, ffn=24, top=top, norm=norm, shared=shared))
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(std=0.3)
    return made


def theirs(ours, norm):
    shared = ours.mixture.shared
    if shared:
        block = Qwen2MoeSparseMoeBlock(
            Qwen2MoeConfig(**SIZES, shared_expert_intermediate_size=shared, norm_topk_prob=norm)
        )
    else:
        block = Qwen3MoeSparseMoeBlock(Qwen3MoeConfig(**SIZES, norm_topk_prob=norm))
    state = ours.state_dict()
    names = {"router.weight": "gate.weight", "gate_up": "experts.gate_up_proj", "down": "experts.down_proj"}
    names |= {f"shared.{part}.weight": f"shared_expert.{part}_proj.weight" for part in ("gate", "up", "down")}
    names["shared_gate.weight"] = "shared_expert_gate.weight"
    block.load_state_dict({names[name]: value for name, value in state.items()}, strict=True)
    return block


@pytest.mark.parametrize(("norm", "shared"), [(True, 0), (False, 0), (False, 40), (True, 40)])
def test_numbers_and_gradients_of_transformers(norm, shared):
    ours = experts(norm, shared)
    block = theirs(ours, norm)
    x = torch.randn(9, 16)
    mine, yours = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, _ = ours(mine)
    reference = block(yours[None])[0]
    torch.testing.assert_close(out, reference, rtol=0, atol=1e-5)
    weights = torch.randn(9, 16)
    (out * weights).sum().backward()
    (reference * weights).sum().backward()
    torch.testing.assert_close(mine.grad, yours.grad, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.gate_up.grad, block.experts.gate_up_proj.grad, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.router.weight.grad, block.gate.weight.grad, rtol=0, atol=1e-5)


def test_the_switch_of_the_norm():
    """The worked example of the reports: logits 2, 1, 0, -1."""
    p = torch.tensor([2.0, 1.0, 0.0, -1.0]).softmax(-1)
    made = Experts(Mixture(width=1, experts=4, ffn=1, top=2, norm=False))
    with torch.no_grad():
        made.router.weight.copy_(torch.tensor([[2.0], [1.0], [0.0], [-1.0]]))
        made.gate_up.fill_(1.0)
        made.down.copy_(torch.tensor([1.0, 10.0, 100.0, 1000.0]).view(4, 1, 1))
    each = F.silu(torch.ones(()))
    for norm, weights in ((False, (0.643914, 0.236883)), (True, (0.731059, 0.268941))):
        made.mixture = Mixture(width=1, experts=4, ffn=1, top=2, norm=norm)
        out, routed = made(torch.ones(1, 1))
        assert routed.chosen.tolist() == [[0, 1]]
        torch.testing.assert_close(out.squeeze(), each * (weights[0] + 10 * weights[1]), rtol=1e-5, atol=0)
    torch.testing.assert_close(routed.sums, p)


def test_the_order_of_experts_does_not_matter():
    ours, other = experts(shared=8), experts(shared=8)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        for name in ("router.weight", "gate_up", "down"):
            own = other.get_parameter(name)
            own.copy_(ours.get_parameter(name)[order])
    x = torch.randn(7, 16)
    torch.testing.assert_close(ours(x)[0], other(x)[0], rtol=0, atol=1e-6)


def test_all_experts_are_a_dense_mixture():
    ours = experts(top=6)
    x = torch.randn(5, 16)
    gate, up = torch.einsum("nd,eid->eni", x, ours.gate_up).chunk(2, -1)
    each = torch.einsum("eni,edi->end", F.silu(gate) * up, ours.down)
    wanted = torch.einsum("ne,end->nd", ours.router(x).softmax(-1), each)
    torch.testing.assert_close(ours(x)[0], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rows", [0, 1])
def test_every_weight_has_a_gradient_whatever_the_rows(rows):
    ours = experts(shared=8)
    out, routed = ours(torch.randn(rows, 16))
    (out.sum() + routed.sums.sum()).backward()
    for name, weight in ours.named_parameters():
        assert weight.grad is not None, name
    idle = routed.counts == 0
    assert idle.sum() >= 4
    assert not ours.gate_up.grad[idle].any()
    assert not ours.down.grad[idle].any()


def test_products_in_bfloat16_are_those_of_the_layers():
    ours, x = experts(), torch.randn(40, 16)
    with products(torch.bfloat16):
        rounded, routed = ours(x)
    exact, same = ours(x)
    assert torch.equal(routed.chosen, same.chosen)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()


def test_groups_are_multiplied_one_by_one():
    x, weight, counts = torch.randn(7, 4), torch.randn(3, 5, 4), torch.tensor([2, 0, 5])
    wanted = torch.cat([x[:2] @ weight[0].T, x[2:] @ weight[2].T])
    torch.testing.assert_close(grouped(x, weight, counts), wanted)


def loss_of(logits, top=2):
    """Our loss of router logits [rows, experts]."""
    p = logits.softmax(-1)
    counts = count(p.topk(top, -1).indices, logits.shape[1])
    return Balance(counts, p.sum(0), len(logits), 0.01).loss(counts, len(logits))


def test_the_loss_of_transformers():
    logits = [torch.randn(11, 6), torch.randn(11, 6)]
    torch.testing.assert_close(loss_of(torch.cat(logits)), load_balancing_loss_func(tuple(logits), 6, 2))


def test_even_and_collapsed_routers():
    even = torch.eye(4).repeat(1, 1) * 0
    counts = torch.tensor([2.0, 2.0, 2.0, 2.0])
    assert float(Balance(counts, even.softmax(-1).sum(0), 4, 0.01).loss(counts, 4)) == pytest.approx(2.0)
    collapsed = torch.tensor([[10.0, 9.0, 0.0, 0.0]]).repeat(8, 1)
    assert float(loss_of(collapsed)) == pytest.approx(3.99973, abs=1e-5)


def test_ranks_of_one_kind_each_are_even_together():
    """Two ranks, each on a pair of experts of its own: every batch is uneven, the step is not."""
    sides = [torch.tensor([[10.0, 9.0, 0.0, 0.0]]).repeat(8, 1), torch.tensor([[0.0, 0.0, 10.0, 9.0]]).repeat(8, 1)]
    told = [(count(s.softmax(-1).topk(2, -1).indices, 4), s.softmax(-1).sum(0)) for s in sides]
    together = sum(counts for counts, _ in told)
    each = [float(Balance(counts, sums, 8, 0.01).loss(together, 16)) for counts, sums in told]
    assert sum(each) / 2 == pytest.approx(2.0, abs=1e-4)
    assert float(Balance(*told[0], 8, 0.01).loss(told[0][0], 8)) == pytest.approx(3.9997, abs=1e-4)


def network(**options):
    torch.manual_seed(0)
    small = {"width": 16, "heads": 2, "key_heads": 1, "ffn": 24, "layers": 3, "positions": 64}
    mixed = {"experts": 6, "expert_ffn": 24, "expert_top": 2, "dense_layers": ("1",)}
    return DecoderNetwork(kinds=1, **small, **mixed, **options)


def test_a_network_tells_its_balance_in_training_alone():
    made, layout = network(), plain_layout([5, 0, 3], [2, 4, 1])
    x = torch.randn(layout.rows, 16)
    made(x, layout)
    assert made.balance.rows == 2 * 15
    assert made.balance.counts.sum() == 2 * 2 * 15
    assert float(made.balance.sums.detach().sum()) == pytest.approx(30, rel=1e-5)
    made.eval()(x, layout)
    assert made.balance is None


def test_void_rows_do_not_count():
    made = network()
    packed, padded = plain_layout([5, 0, 3], [2, 4, 1]), plain_layout([5, 0, 3], [2, 4, 1], padded=True)
    x = torch.randn(packed.rows, 16)
    wide = torch.randn(padded.rows, 16)
    wide[torch.cat([padded.source.real, padded.target.real])] = x
    made(x, packed)
    one = made.balance
    made(wide, padded)
    assert torch.equal(one.counts, made.balance.counts)
    torch.testing.assert_close(one.sums, made.balance.sums)
    assert one.rows == made.balance.rows


def test_routes_are_recorded_and_forced():
    first, second = network().eval(), network().eval()
    layout = plain_layout([5, 3], [2, 1])
    x = torch.randn(layout.rows, 16)
    with torch.no_grad():
        for layer in (0, 2):
            second.layers[layer].experts.router.weight.normal_()
    with recorded() as routes:
        first(x, layout)
    assert [route.shape for route in routes] == [(2, 11, 2)]
    with recorded() as own:
        second(x, layout)
    assert not torch.equal(routes[0], own[0])
    with recorded() as again, replayed(routes):
        forced = second(x, layout)
    assert torch.equal(routes[0], again[0])
    free = second(x, layout)
    with replayed(own):
        assert torch.equal(second(x, layout), free)
    assert not torch.allclose(forced, free)


def test_forced_routes_still_train_the_router():
    made, layout = network(checkpoint=True), plain_layout([4], [3])
    x = torch.randn(layout.rows, 16)
    route = torch.stack([torch.tensor([[5, 4]]).repeat(7, 1)] * 2)
    with replayed([route]):
        made(x, layout).square().sum().backward()
    experts_ = made.layers[0].experts
    assert experts_.router.weight.grad.abs().sum() > 0
    assert not experts_.gate_up.grad[:4].any()
    assert experts_.gate_up.grad[4:].any()


def test_routes_of_another_pass_are_refused():
    made, layout = network(), plain_layout([4], [3])
    x = torch.randn(layout.rows, 16)
    with replayed([torch.zeros(2, 3, 2, dtype=torch.long)]), pytest.raises(ValueError, match="of 2 layers and 7 rows"):
        made(x, layout)
    with replayed([]), pytest.raises(ValueError, match="as many passes as were recorded"):
        made(x, layout)


def test_which_layers_have_experts():
    mixture = Mixture(width=8, experts=2, ffn=8, top=1, norm=True)
    assert [one is not None for one in shapes(6, mixture, 2, [3])] == [False, True, False, False, False, True]
    with pytest.raises(ValueError, match="must be numbers from 0 to 5, but one is 6"):
        shapes(6, mixture, 1, [6])
    with pytest.raises(ValueError, match="must go through 1 to 2 experts, but `expert_top` is 3"):
        Mixture(width=8, experts=2, ffn=8, top=3, norm=True)


def summed(gate_up, down, x):
    gate, up = torch.einsum("nd,eid->eni", x, gate_up).chunk(2, -1)
    return torch.einsum("eni,edi->nd", F.silu(gate) * up, down)


def test_experts_out_of_a_dense_block():
    torch.manual_seed(0)
    dense, x = SwiGLU(16, 24), torch.randn(5, 16)
    parts = [layer.weight.detach() for layer in (dense.gate, dense.up, dense.down)]
    gate_up, down = upcycled(*parts, experts=4, ffn=6, renewed=0.0)
    assert gate_up.shape == (4, 12, 16)
    assert down.shape == (4, 16, 6)
    torch.testing.assert_close(summed(gate_up, down, x), dense(x).detach(), rtol=0, atol=1e-5)
    more, _ = upcycled(*parts, experts=8, ffn=9, renewed=0.5, seed=3)
    kept = torch.isin(more, gate_up).float().mean()
    assert 0.45 < kept < 0.55
    assert torch.equal(more, upcycled(*parts, experts=8, ffn=9, renewed=0.5, seed=3)[0])
