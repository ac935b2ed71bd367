"""Long contexts in a whole decoder: contracts with each switch, caches, pieces, sparse prompts, refined budgets."""

import pytest
import torch

from omniline.core.errors import ConfigError
from omniline.core.layout import plain_layout
from omniline.core.networks import NewRows
from omniline.plugins.qwen.long_refine import refining
from omniline.plugins.qwen.network import DecoderNetwork
from omniline.plugins.qwen.plugin import DecoderOnly
from omniline.testing import BackboneContract

SMALL = {"width": 32, "heads": 4, "key_heads": 2, "ffn": 48, "layers": 2, "positions": 512, "prefix": "causal"}
DUAL = {"dual_chunk": 10, "dual_chunk_local": 4}
FULL = {"sparse_vertical": 512, "sparse_slash": 512, "sparse_beyond": 0}


class TestDualChunks(BackboneContract):
    backbone = DecoderOnly(**SMALL, **(DUAL | {"dual_chunk": 12, "dual_chunk_local": 3}))


class TestDualChunksOfTheReport(BackboneContract):
    backbone = DecoderOnly(**SMALL, dual_chunk=11, dual_chunk_local=2, dual_chunk_form="report")


class TestScaledQueries(BackboneContract):
    backbone = DecoderOnly(**SMALL, log_n=4, attention_temperature=5)


class TestPieces(BackboneContract):
    backbone = DecoderOnly(**SMALL, prefill_chunk=2)


class TestSparse(BackboneContract):
    backbone = DecoderOnly(**SMALL, **FULL, sparse_prefill=True, prefill_chunk=4, log_n=4)


class TestAll(BackboneContract):
    backbone = DecoderOnly(
        **SMALL,
        **FULL,
        dual_chunk=11,
        dual_chunk_local=2,
        sparse_prefill=True,
        prefill_chunk=4,
        log_n=4,
        attention_temperature=4,
        rope_scaling="yarn",
        rope_factor=2.0,
        rope_original=8,
    )


del BackboneContract


def network(**settings):
    """One with the same weights for all settings, far from their start."""
    torch.manual_seed(0)
    made = DecoderNetwork(kinds=1, **SMALL, **settings).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.15)
    return made


def rows(count, seed=1):
    return torch.randn(count, 32, generator=torch.Generator().manual_seed(seed))


def after_prefill(net, lengths=(90,), seed=1):
    """What three new rows become behind prompts, and the cache."""
    with torch.no_grad():
        cache = net.prefill(rows(sum(lengths), seed), plain_layout(lengths, [0] * len(lengths)))
        fed = rows(3 * len(lengths), 7).view(len(lengths), 3, 32)
        counts = torch.full((len(lengths),), 3)
        return net.extend(NewRows(fed, counts, torch.zeros(len(lengths), 3, dtype=torch.long)), cache), cache


def in_one_pass(net, lengths=(90,), seed=1):
    layout = plain_layout(lengths, [3] * len(lengths))
    with torch.no_grad():
        hidden = net(torch.cat([rows(sum(lengths), seed), rows(3 * len(lengths), 7)]), layout)
    return hidden[sum(lengths) :].view(len(lengths), 3, 32)


SWITCHES = {
    "plain": {},
    "dual": DUAL,
    "dual report": DUAL | {"dual_chunk_form": "report"},
    "scaled": {"log_n": 16, "attention_temperature": 20},
    "all": DUAL | {"log_n": 16, "attention_temperature": 20, "rope_scaling": "linear", "rope_factor": 2.0},
}


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
@pytest.mark.parametrize("pieces", [{}, {"prefill_chunk": 7}, {"prefill_chunk": 32}, {"prefill_chunk": 512}])
@pytest.mark.parametrize("kept", [{}, {"sparse_prefill": True, **FULL}], ids=["dense", "sparse"])
def test_reading_and_extending_equal_one_pass(switches, pieces, kept):
    """In pieces or at once, densely or with budgets as long as the prompt."""
    lengths = (90, 0, 4, 31)
    wanted = in_one_pass(network(**switches), lengths)
    found, _ = after_prefill(network(**switches, **pieces, **kept), lengths)
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_the_cache_of_pieces(switches):
    whole, cut = (after_prefill(network(**switches, **pieces))[1] for pieces in ({}, {"prefill_chunk": 13}))
    for one, other in zip(whole.memory, cut.memory, strict=True):
        for left, right in zip(one, other, strict=True):
            torch.testing.assert_close(left, right, rtol=0, atol=1e-5)


@pytest.mark.parametrize("switches", [DUAL, {"log_n": 16}, {"attention_temperature": 16}], ids=str)
def test_switches_change_long_streams_alone(switches):
    plain, other = network(), network(**switches)
    assert torch.equal(in_one_pass(plain, (2,)), in_one_pass(other, (2,)))
    assert not torch.allclose(in_one_pass(plain), in_one_pass(other), atol=1e-3)


@pytest.mark.parametrize("scaling", ["dynamic", "ntk"])
def test_growing_scalings(scaling):
    """Short streams stay as they are; rows behind a cached prompt turn by the length so far."""
    settings = {"rope_scaling": scaling, "rope_factor": 2.0, "rope_original": 16}
    plain, other = network(), network(**settings)
    assert torch.equal(in_one_pass(plain, (6,)), in_one_pass(other, (6,)))
    assert torch.equal(after_prefill(plain, (6,))[0], after_prefill(other, (6,))[0])
    assert not torch.allclose(after_prefill(plain)[0], after_prefill(other)[0], atol=1e-3)


def test_small_budgets_come_near():
    """The error of sparse reading falls as budgets grow, and what is kept is a part of it all."""
    exact = after_prefill(network(), (300,))[0]
    errors = []
    for budget in (1, 60, 150, 300):
        settings = {"sparse_vertical": budget, "sparse_slash": budget, "sparse_beyond": 0}
        found = after_prefill(network(sparse_prefill=True, **settings), (300,))[0]
        errors.append(float((found - exact).abs().mean()))
    assert errors[0] > 1e-3 and errors[-1] < 1e-5 and errors[2] < errors[0]


def test_short_prompts_stay_dense():
    settings = {"sparse_vertical": 1, "sparse_slash": 1, "sparse_prefill": True}
    exact = after_prefill(network(prefill_chunk=512), (300,))[0]
    assert torch.equal(after_prefill(network(sparse_beyond=300, **settings), (300,))[0], exact)
    assert not torch.allclose(after_prefill(network(sparse_beyond=299, **settings), (300,))[0], exact, atol=1e-3)


def test_gradients_over_chunks():
    """Every layer learns through the borders of chunks; with checkpoints alike."""
    grads = []
    for extra in ({}, {"checkpoint": True}):
        net = network(**DUAL, **extra).train()
        net(rows(40), plain_layout([20], [20])).square().sum().backward()
        grads.append([p.grad for p in net.parameters()])
    assert all(bool(g.isfinite().all()) and float(g.abs().sum()) > 0 for g in grads[0])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


def test_mutual_rows_over_a_border():
    net = network(**DUAL)
    with torch.no_grad():
        cache = net.prefill(rows(4), plain_layout([4], [0]))
        new = NewRows(rows(4)[None], torch.tensor([4]), torch.zeros(1, 4, dtype=torch.long), mutual=True)
        with pytest.raises(ValueError, match="on both sides of the border of chunks of 6"):
            net.extend(new, cache)


@pytest.mark.parametrize("name", ["dual_chunk", "sparse_prefill", "prefill_chunk"])
def test_the_source_must_look_back(name):
    value = True if name == "sparse_prefill" else 2048
    with pytest.raises(ConfigError, match=f"`prefix` must be `causal` with `{name}`, but is both"):
        DecoderOnly(**{name: value})
    settings = SMALL | {"prefix": "both", name: value}
    with pytest.raises(ValueError, match=f"with `{name}` the source must look back alone, but `prefix` is both"):
        DecoderNetwork(kinds=1, **settings)


def test_chunks_of_places_of_three_numbers():
    with pytest.raises(ValueError, match="`dual_chunk` must stand without `rope_sections`"):
        network(**DUAL, rope_sections=("2", "1", "1"))


def refined(net, count=300, **options):
    """The budgets after one prompt."""
    with refining(net, **options) as budgets, torch.no_grad():
        net.prefill(rows(count), plain_layout([count], [0]))
    return budgets.clone()


@pytest.mark.parametrize(
    ("switches", "kinds"), [({}, 2), ({"dual_chunk": 90, "dual_chunk_local": 20, "prefill_chunk": 160}, 1)]
)
def test_budgets_are_refined(switches, kinds):
    """Each head keeps enough afterwards, no head has less than before, and the error falls."""
    settings = {"sparse_prefill": True, "sparse_vertical": 2, "sparse_slash": 2, "sparse_beyond": 0}
    net = network(**settings, **switches)
    exact = after_prefill(network(**switches), (300,))[0]
    before = float((after_prefill(net, (300,))[0] - exact).abs().mean())
    loose = refined(net, threshold=0.0)
    assert loose.unique().tolist() == [2], "nothing grows where nothing must be kept"
    found = refined(net, threshold=0.97, growth=1.2)
    assert bool((found >= loose).all()) and 2 < int(found.max()) <= 300 and len(found.unique()) >= kinds
    assert float((after_prefill(net, (300,))[0] - exact).abs().mean()) < before
    assert torch.equal(refined(net, threshold=0.97, growth=1.2), found), "what is enough stays"
    assert "sparse_budgets" in net.state_dict()


def test_all_is_kept_at_last():
    """A head may have to keep the whole prompt; it ends there."""
    net = network(sparse_prefill=True, sparse_vertical=1, sparse_slash=1, sparse_beyond=0)
    found = refined(net, threshold=1.0)
    assert 1 < int(found.max()) <= 300
    exact = after_prefill(network(), (300,))[0]
    torch.testing.assert_close(after_prefill(net, (300,))[0], exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ({}, {}, "a backbone with `sparse_prefill`, but it is not set"),
        ({"sparse_prefill": True}, {"threshold": 1.5}, "must be a share between 0 and 1, but is 1.5"),
        ({"sparse_prefill": True}, {"growth": 1.0}, "must grow by a factor above 1, but it is 1"),
    ],
)
def test_mistakes_of_refining(settings, options, words):
    with pytest.raises(ValueError, match=words):
        refined(network(**settings), 3, **options)
