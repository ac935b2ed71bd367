"""What every backbone owes: packed equals padded, causality, prefix, zero rows, a cache equal to the forward pass."""

from dataclasses import replace

import pytest
import torch

import omniline as ol
from omniline.core.layers import products
from omniline.core.layout import Layout, Ragged, Segment, plain_layout
from omniline.core.networks import NewRows
from omniline.plugins.ofa.network import OfaNetwork
from omniline.plugins.qwen.network import DecoderNetwork

WIDTH = 32
SOURCE, TARGET = [9, 0, 30, 3, 17], [5, 4, 1, 22, 0]


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny products gain nothing from threads, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ofa(**options):
    small = {"width": WIDTH, "heads": 4, "ffn": 48, "encoder_layers": 2, "decoder_layers": 2, "positions": 64}
    return made(OfaNetwork(kinds=3, **small, **options))


def decoder(**options):
    small = {"width": WIDTH, "heads": 4, "key_heads": 4, "ffn": 48, "layers": 2, "positions": 64}
    return made(DecoderNetwork(kinds=3, **(small | options)))


def made(network):
    """Every parameter away from its start, so that each option has an effect."""
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn(p.shape, generator=g) * (0.3 if p.dim() == 1 else 0.1))
    return network.eval()


ALL = {"head_scale": True, "attention_norm": True, "ffn_norm": True, "modality_experts": True}
EXPERTS = {"experts": 5, "expert_ffn": 24, "expert_top": 2, "shared_ffn": 40, "dense_layers": ("0",)}
NETWORKS = {
    "ofa": lambda: ofa(),
    "ofa plain": lambda: ofa(relative_bias=False),
    "ofa head_scale": lambda: ofa(head_scale=True),
    "ofa attention_norm": lambda: ofa(attention_norm=True),
    "ofa ffn_norm": lambda: ofa(ffn_norm=True),
    "ofa modality_experts": lambda: ofa(modality_experts=True),
    "ofa all": lambda: ofa(**ALL),
    "ofa checkpoint": lambda: ofa(checkpoint=True, dropout=0.0).train(),
    "decoder": lambda: decoder(),
    "decoder shared keys": lambda: decoder(key_heads=2),
    "decoder qk_norm": lambda: decoder(qk_norm=True, qkv_bias=True, head_size=6),
    "decoder embedding_scale": lambda: decoder(embedding_scale=5.0, deviation=0.2),
    "decoder experts": lambda: decoder(**EXPERTS),
    "decoder experts checkpoint": lambda: decoder(**EXPERTS, checkpoint=True).train(),
    "decoder checkpoint": lambda: decoder(checkpoint=True).train(),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]()


def batch(source=SOURCE, target=TARGET, padded=False):
    """Embeddings and a layout of three kinds of rows, with a 2 x 3 grid in the sources of nine rows."""
    layout = plain_layout(source, target, padded=padded)
    real = torch.cat([layout.source.real, layout.target.real])
    count = int(real.sum())
    g = torch.Generator().manual_seed(3)
    x, kinds, grid = torch.zeros(layout.rows, WIDTH), torch.zeros(layout.rows, dtype=torch.long), layout.grid.clone()
    x[real] = torch.randn(count, WIDTH, generator=g)
    kinds[real] = torch.randint(0, 3, (count,), generator=g)
    segments = list(layout.segments)
    for stream, length in enumerate(source):
        if length == 9:
            at = layout.source.starts[stream] + 2
            kinds[at : at + 6] = 2
            grid[at : at + 6] = torch.cartesian_prod(torch.zeros(1), torch.arange(2.0), torch.arange(3.0))
            own = (Segment(0, 0, 2, False), Segment(2, 2, 6, True), Segment(1, 8, 1, False))
            segments[stream] = (own, segments[stream][1])
    return x, replace(layout, kinds=kinds, grid=grid, segments=tuple(segments)), real


def alone(layout, source_rows):
    """The layout of the source side only."""
    empty = Ragged((0,) * layout.streams, 0 if layout.padded else None)
    own = tuple((s, ()) for s, _ in layout.segments)
    return Layout(
        layout.source,
        empty,
        layout.kinds[:source_rows],
        layout.grid[:source_rows],
        layout.roles[:source_rows],
        own,
        layout.examples,
    )


def loss_and_gradients(network, padded):
    x, layout, real = batch(padded=padded)
    hidden = network(x.requires_grad_(), layout)[real]
    weights = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(5))
    loss = (hidden.tanh() * weights).square().sum()
    network.zero_grad()
    loss.backward()
    parts = [p.grad.flatten() for p in network.parameters() if p.grad is not None] + [x.grad[real].flatten()]
    return loss.detach(), torch.cat(parts)


def test_packed_equals_padded(network):
    (packed, mine), (padded, theirs) = loss_and_gradients(network, False), loss_and_gradients(network, True)
    torch.testing.assert_close(packed, padded, rtol=1e-5, atol=0)
    assert torch.cosine_similarity(mine.double(), theirs.double(), dim=0) >= 0.9999
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3 * float(mine.abs().max()))


def test_a_later_target_row_changes_nothing_before_it(network):
    x, layout, _ = batch()
    first = layout.source.rows + layout.target.starts[3]
    before = network(x, layout)
    changed = x.clone()
    changed[first + 10] = -changed[first + 10]
    after = network(changed, layout)
    moved = (before - after).abs().amax(1) > 1e-6
    assert moved.nonzero()[:, 0].tolist() == list(range(first + 10, first + 22))


def test_a_source_row_is_seen_by_its_whole_stream_and_by_no_other(network):
    x, layout, _ = batch()
    start = layout.source.starts[3]
    before = network(x, layout)
    changed = x.clone()
    changed[start + 2] = -changed[start + 2]
    moved = (before - network(changed, layout)).abs().amax(1) > 1e-6
    first = layout.source.rows + layout.target.starts[3]
    assert moved.nonzero()[:, 0].tolist() == [*range(start, start + 3), *range(first, first + 22)]


def test_every_parameter_gets_a_gradient(network):
    loss_and_gradients(network, False)
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


@pytest.mark.parametrize("source, target", [([], []), ([0, 0], [0, 0]), ([3, 4], [0, 0]), ([0, 0], [3, 4])])
@pytest.mark.parametrize("padded", [False, True])
def test_sides_without_rows(network, source, target, padded):
    x, layout, _ = batch(source, target, padded)
    hidden = network(x.requires_grad_(), layout)
    assert hidden.shape == (layout.rows, WIDTH)
    network.zero_grad()
    hidden.square().sum().backward()
    assert torch.isfinite(hidden).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def prefilled(network, padded=False):
    x, layout, _ = batch(padded=padded)
    rows = layout.source.rows
    return network.prefill(x[:rows], alone(layout, rows))


def targets(layout, x, hidden):
    """Per stream: embeddings, kinds and hidden states of its target rows."""
    out = []
    for at, n in zip(layout.target.starts, layout.target.lengths, strict=True):
        rows = slice(layout.source.rows + at, layout.source.rows + at + n)
        out.append((x[rows], layout.kinds[rows], hidden[rows]))
    return out


def feed(network, cache, streams, fed, counts):
    """Feed the next `counts[i]` rows of stream i, void rows being noise; check and advance."""
    most = max(counts)
    x, kinds = torch.full((len(streams), most, WIDTH), 7.0), torch.zeros(len(streams), most, dtype=torch.long)
    for i, (rows, kind, _) in enumerate(streams):
        x[i, : counts[i]], kinds[i, : counts[i]] = rows[fed[i] : fed[i] + counts[i]], kind[fed[i] : fed[i] + counts[i]]
    out = network.extend(NewRows(x, torch.tensor(counts), kinds), cache)
    assert out.shape == (len(streams), most, WIDTH)
    for i, (_, _, want) in enumerate(streams):
        torch.testing.assert_close(out[i, : counts[i]], want[fed[i] : fed[i] + counts[i]], rtol=1e-4, atol=1e-5)
        fed[i] += counts[i]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_extending_equals_the_forward_pass(network, chunk, padded):
    network.eval()
    x, layout, _ = batch()
    streams = targets(layout, x, network(x, layout).detach())
    cache, fed = prefilled(network, padded), [0] * 5
    while any(f < n for f, n in zip(fed, TARGET, strict=True)):
        feed(
            network,
            cache,
            streams,
            fed,
            [min(chunk + i % 2, n - f) for i, (f, n) in enumerate(zip(fed, TARGET, strict=True))],
        )


def test_equally_long_targets_take_the_short_way(network):
    network.eval()
    x, layout, _ = batch([4, 4], [20, 20])
    layout = replace(layout, kinds=torch.ones_like(layout.kinds))
    streams = targets(layout, x, network(x, layout).detach())
    cache, fed = network.prefill(x[:8], alone(layout, 8)), [0, 0]
    for _ in range(20):
        feed(network, cache, streams, fed, [1, 1])


def test_selected_streams_go_on_as_copies(network):
    """Beams: repeat, reorder, drop; each stream must go on as its own past says."""
    network.eval()
    g = torch.Generator().manual_seed(9)
    x, layout, _ = batch()
    cache = prefilled(network)
    alive = list(range(5))
    past = [(torch.zeros(0, WIDTH), torch.zeros(0, dtype=torch.long)) for _ in alive]
    choices = [[0, 0, 2, 2, 3, 4, 1], [6, 5, 5, 0, 1, 2, 3, 3, 3], [8, 0], [1, 0], [1, 1, 1, 1], [3, 2, 0]]
    for choice in choices:
        cache.select(torch.tensor(choice))
        alive, past = [alive[i] for i in choice], [past[i] for i in choice]
        counts = torch.randint(0, 4, (len(alive),), generator=g).clamp(max=3)
        new, kinds = torch.randn(len(alive), 3, WIDTH, generator=g), torch.randint(0, 3, (len(alive), 3), generator=g)
        out = network.extend(NewRows(new, counts, kinds), cache)
        for i, n in enumerate(counts.tolist()):
            past[i] = (torch.cat([past[i][0], new[i, :n]]), torch.cat([past[i][1], kinds[i, :n]]))
            want = whole(network, x, layout, alive[i], *past[i])
            torch.testing.assert_close(out[i, :n], want[len(want) - n :], rtol=1e-4, atol=1e-5)


def whole(network, x, layout, stream, target, kinds):
    """Hidden states of a target behind one stream's source, by the forward pass."""
    at, n = layout.source.starts[stream], layout.source.lengths[stream]
    rows = slice(at, at + n)
    plain = plain_layout([n], [len(target)])
    one = replace(
        plain,
        kinds=torch.cat([layout.kinds[rows], kinds]),
        grid=torch.cat([layout.grid[rows], torch.zeros(len(target), 3)]),
        segments=((layout.segments[stream][0], ()),),
    )
    return network(torch.cat([x[rows], target]), one).detach()[n:]


def test_reordering_moves_no_memory_and_beams_share_their_source(network):
    network.eval()
    cache = prefilled(network)
    network.extend(NewRows(torch.ones(5, 2, WIDTH), torch.full((5,), 2), torch.zeros(5, 2, dtype=torch.long)), cache)
    keys, own = cache.memory[0][0], cache.own.clone()
    cache.select(torch.tensor([4, 3, 0, 1, 2]))
    assert torch.equal(cache.own, own)
    cache.select(torch.tensor([0, 0, 1, 2, 3, 4, 4, 4]))
    assert cache.memory[0][0] is keys and cache.streams == 8


@pytest.mark.parametrize("kept", [[2, 2], [3], [0, 3], [1], [1, 0]])
def test_sources_that_no_stream_reads_are_dropped(network, kept):
    """The ones that stay may be shorter than those that went, or empty."""
    network.eval()
    x, layout, _ = batch()
    streams = targets(layout, x, network(x, layout).detach())
    cache = prefilled(network)
    cache.select(torch.tensor(kept))
    shape = cache.memory[0][0].shape
    assert (shape[0], shape[2]) == (len(set(kept)), max(SOURCE[i] for i in kept))
    feed(network, cache, [streams[i] for i in kept], [0] * len(kept), [1] * len(kept))


def test_all_streams_may_end(network):
    network.eval()
    cache = prefilled(network)
    cache.select(torch.zeros(0, dtype=torch.long))
    out = network.extend(
        NewRows(torch.zeros(0, 1, WIDTH), torch.zeros(0, dtype=torch.long), torch.zeros(0, 1, dtype=torch.long)), cache
    )
    assert out.shape == (0, 1, WIDTH)


def test_prefill_wants_no_target(network):
    x, layout, _ = batch()
    with pytest.raises(ValueError, match="prefill reads source rows, but the layout has 32 target rows too"):
        network.prefill(x, layout)


def test_too_long_a_part_is_refused(network):
    x, layout, _ = batch([70], [3])
    with pytest.raises(ValueError, match="at most 64 tokens.* but ha"):
        network(x, layout)


def test_too_long_a_target_is_refused_while_it_grows(network):
    cache = prefilled(network.eval())
    rows = NewRows(torch.zeros(5, 65, WIDTH), torch.full((5,), 65), torch.zeros(5, 65, dtype=torch.long))
    with pytest.raises(ValueError, match="at most 64 tokens"):
        network.extend(rows, cache)


def test_bfloat16_products_stay_near_float32(network):
    x, layout, _ = batch()
    exact = network(x, layout)
    with products(torch.bfloat16):
        near = network(x, layout)
    assert near.dtype == torch.float32 and not torch.equal(near, exact)
    assert torch.cosine_similarity(near.flatten(), exact.flatten(), dim=0) > 0.99
    (grad,) = torch.autograd.grad(near.square().sum(), next(iter(network.parameters())))
    assert grad.dtype == torch.float32


def test_time_0_does_not_drown_the_places_of_a_picture():
    torch.manual_seed(0)
    places = OfaNetwork(kinds=1, width=64, heads=4, ffn=8, encoder_layers=1, decoder_layers=1).source_places
    first, *others = places._grid(torch.tensor([[0.0, 0, 0], [0.0, 3, 0], [0.0, 0, 3], [0.75, 0, 0]]))
    height, width, time = ((other - first).norm() for other in others)
    assert 0.5 < height / width < 2 and time > height
    assert (first + places.index[places.positions]).norm() < 2 * height


def test_what_comes_in_deviates_by_one_where_it_is_scaled():
    task = ol.Task("say", "[TEXT:a] -> [TEXT:b]", train=[{"a": "red hen", "b": "green"}])
    name = "decoder-tiny,width=64,heads=2,key_heads=2,ffn=64,layers=1,positions=64"
    for more, table, matrix in (("", 0.02, 0.02), (",embedding_scale=8,deviation=0.1", 1 / 8, 0.1)):
        network = ol.Model.build(backbone=name + more, tasks=task).network
        assert network.ports["text"].embedding.weight.std().item() == pytest.approx(table, rel=0.05)
        assert network.backbone.layers[0].gate.weight.std().item() == pytest.approx(matrix, rel=0.05)
