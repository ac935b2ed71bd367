"""Leading rows that are read once: the cache is the one of reading all, for every network that looks back."""

import copy
import threading
from dataclasses import replace

import pytest
import torch

from omniline.core import prefixes
from omniline.core.layout import Ragged, Segment, plain_layout
from omniline.core.networks import LookingBack, NewRows
from omniline.core.prefixes import PrefixStore, prefill
from omniline.plugins.qwen.network import DecoderNetwork
from omniline.plugins.qwen.routing import recorded

SMALL = {"width": 32, "heads": 4, "key_heads": 2, "ffn": 48, "layers": 2, "positions": 512, "prefix": "causal"}
SHARED, OWN = 80, (7, 0, 12, 1)
NETWORKS = {
    "plain": {},
    "untyped": {"typed": False, "qkv_bias": True, "qk_norm": True},
    "dual chunks": {"dual_chunk": 30, "dual_chunk_local": 7},
    "scaled queries": {"log_n": 16, "attention_temperature": 9},
    "pieces": {"prefill_chunk": 11},
    "yarn": {"rope_scaling": "yarn", "rope_factor": 2.0, "rope_original": 64},
    "sections": {"rope_sections": ("2", "1", "1")},
    "experts": {"experts": 4, "expert_ffn": 24, "expert_top": 2},
}
ALONE = {
    "both ways": {"prefix": "both"},
    "sparse": {"sparse_prefill": True, "sparse_beyond": 16, "sparse_vertical": 8, "sparse_slash": 8},
    "growing": {"rope_scaling": "dynamic", "rope_factor": 2.0, "rope_original": 64},
    "growing in steps": {"rope_scaling": "ntk", "rope_original": 64},
}


def network(**settings):
    torch.manual_seed(0)
    made = DecoderNetwork(kinds=2, **(SMALL | settings)).eval()
    with torch.no_grad():
        for p in made.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    return made


def sources(own=OWN, shared=SHARED, seed=1, kind=0):
    """Streams that share their first rows, of which rows 10 to 25 are a picture of 3 x 5."""
    lengths = [shared + n for n in own]
    layout = plain_layout(lengths, [0] * len(own))
    draw = torch.Generator().manual_seed(1)
    lead = torch.randn(shared, 32, generator=draw)
    draw.manual_seed(seed)
    x = torch.cat([torch.cat([lead, torch.randn(n, 32, generator=draw)]) for n in own])
    grid = layout.grid.clone()
    picture = torch.cartesian_prod(torch.arange(3.0), torch.arange(5.0))
    for at in layout.source.starts:
        grid[at + 10 : at + 25, 1:] = picture
    parts = [(Segment(0, 0, 10, False), Segment(0, 10, 15, True), Segment(0, 25, n - 25, False)) for n in lengths]
    kinds = layout.kinds + kind
    return x, replace(layout, grid=grid, kinds=kinds, segments=tuple((part, ()) for part in parts))


def after(made, cache, streams):
    """Hidden states of some rows fed to a cache."""
    draw = torch.Generator().manual_seed(5)
    x = torch.randn(1, 3, 32, generator=draw).expand(streams, -1, -1)
    kinds = torch.zeros(streams, 3, dtype=torch.long)
    return made.extend(NewRows(x, torch.full((streams,), 3), kinds), cache)


def read(made, store, batch):
    """What follows a batch read with the store, the same read anew, and how many rows were read and spared."""
    before = store.read, store.reused
    with torch.inference_mode():
        found = after(made, prefill(made, *batch, store), batch[1].streams)
        wanted = after(made, made.prefill(*batch), batch[1].streams)
    return found, wanted, (store.read - before[0], store.reused - before[1])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_reads_what_it_shares_once(name):
    found, wanted, (rows, spared) = read(network(**NETWORKS[name]), PrefixStore(), sources())
    assert torch.allclose(found, wanted, atol=2e-5)
    assert (rows, spared) == (SHARED + sum(OWN), SHARED * 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_call_reads_what_is_new(name):
    made, store = network(**NETWORKS[name]), PrefixStore()
    assert read(made, store, sources((9,)))[2] == (SHARED + 9, 0)
    found, wanted, (rows, spared) = read(made, store, sources((13,), seed=2))
    assert torch.allclose(found, wanted, atol=2e-5)
    assert (rows, spared) == (13, SHARED)
    found, wanted, (rows, spared) = read(made, store, sources((9,)))
    assert torch.allclose(found, wanted, atol=2e-5)
    assert (rows, spared) == (0, SHARED + 9), "the first one again, whose rows were split"


def test_streams_of_one_batch_go_on_from_different_rows():
    made, store = network(), PrefixStore()
    read(made, store, sources((9, 4)))
    x, layout = sources((9, 4))
    longer = torch.cat([x[: SHARED + 9], torch.ones(6, 32), x[SHARED + 9 :]])
    parts = [(Segment(0, 0, n, False),) for n in (SHARED + 15, SHARED + 4)]
    grown = plain_layout([SHARED + 15, SHARED + 4], [0, 0])
    grown = replace(grown, segments=tuple((part, ()) for part in parts))
    found, wanted, (rows, spared) = read(made, store, (longer, grown))
    assert torch.allclose(found, wanted, atol=2e-5)
    assert (rows, spared) == (6, 2 * SHARED + 13)


@pytest.mark.parametrize("name", ALONE)
def test_where_a_row_depends_on_later_ones_all_is_read(name):
    made, store = network(**ALONE[name]), PrefixStore()
    assert isinstance(made, LookingBack) and made.reading(*sources()) is None
    for _ in range(2):
        found, wanted, rows = read(made, store, sources())
        assert torch.equal(found, wanted) and rows == (0, 0)


def test_while_routes_are_recorded_all_is_read():
    made, store = network(**NETWORKS["experts"]), PrefixStore()
    prefill(made, *sources(), store)
    with recorded() as routes:
        prefill(made, *sources(), store)
    assert routes[0].shape == (2, 4 * SHARED + sum(OWN), 2)


@pytest.mark.parametrize("what", ["kind", "place", "embedding"])
def test_one_difference_is_enough(what):
    """In row 40: its port, its place or one bit of its embedding."""
    made, store = network(rope_sections=("2", "1", "1")), PrefixStore()
    x, layout = sources((9,))
    read(made, store, (x, layout))
    if what == "kind":
        kinds = layout.kinds.clone()
        kinds[40] = 1
        layout = replace(layout, kinds=kinds)
    elif what == "place":
        grid = layout.grid.clone()
        grid[24, 2] += 20
        layout = replace(layout, grid=grid)
    else:
        x = x.clone()
        x[40, 7] = torch.nextafter(x[40, 7], torch.tensor(9.0))
    found, wanted, (_, spared) = read(made, store, (x, layout))
    assert torch.allclose(found, wanted, atol=2e-5)
    assert spared == (24 if what == "place" else 40)


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_requests_gives_what_reading_anew_gives(seed):
    """In a store so small that it drops rows all the time."""
    made, random = network(), torch.Generator().manual_seed(seed)
    row = 32 * 4 + 8 + 2 * 2 * 2 * 8 * 4
    store = PrefixStore(row * 300)
    for _ in range(12):
        count = int(torch.randint(1, 4, (), generator=random))
        own = torch.randint(0, 90, (count,), generator=random).tolist()
        lead = int(torch.randint(30, 120, (), generator=random))
        found, wanted, _ = read(made, store, sources(own, shared=lead, seed=int(own[0]) % 3))
        assert torch.allclose(found, wanted, atol=2e-5)
        assert 0 <= store.size <= store.limit
        assert store.size == sum(node.own.size() for node in prefixes._below(store._root))
    assert store.reused > 0


def test_weights_that_changed_are_read_with():
    made, store = network(), PrefixStore()
    read(made, store, sources())
    made.layers[0].attention.k.weight.data[0, 0] += 1.0
    found, wanted, (rows, _) = read(made, store, sources())
    assert torch.allclose(found, wanted, atol=2e-5) and rows == SHARED + sum(OWN)


def test_hooks_may_do_anything_so_nothing_is_kept():
    made, store = network(), PrefixStore()
    handle = made.layers[0].register_forward_hook(lambda *_: None)
    for _ in range(2):
        found, wanted, (rows, spared) = read(made, store, sources((9,)))
        assert torch.allclose(found, wanted, atol=2e-5) and (rows, spared) == (SHARED + 9, 0) and store.size == 0
    handle.remove()
    read(made, store, sources((9,)))
    assert read(made, store, sources((9,)))[2] == (0, SHARED + 9)


def test_a_store_without_room_does_nothing():
    made, store = network(), PrefixStore(0)
    _, _, rows = read(made, store, sources())
    assert rows == (0, 0) and store.size == 0


def test_short_sources_are_just_read():
    made, store = network(), PrefixStore()
    layout = plain_layout([20, 20], [0, 0])
    assert read(made, store, (torch.ones(40, 32), layout))[2] == (0, 0)
    assert read(made, store, (torch.ones(0, 32), plain_layout([], [])))[2] == (0, 0)


def test_targets_are_refused_as_ever():
    with pytest.raises(ValueError, match="prefill reads source rows, but the layout has 3 target rows too"):
        prefill(network(), torch.ones(83, 32), plain_layout([80], [3]), PrefixStore())
    with pytest.raises(ValueError, match="at most 512 tokens together, but have 600"):
        prefill(network(), torch.ones(600, 32), plain_layout([600], [0]), PrefixStore())


def test_a_copy_starts_with_nothing():
    made, store = network(), PrefixStore(1 << 24)
    read(made, store, sources())
    other = copy.deepcopy(store)
    assert store.size and not other.size and other.limit == store.limit
    store.resize(0)
    assert not store.size


def test_threads_share_a_store():
    made, store = network(), PrefixStore(1 << 18)
    apart = []

    def ask(seed):
        for own in range(6):
            found, wanted, _ = read(made, store, sources((own, seed), seed=seed))
            apart.append(float((found - wanted).abs().max()))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(apart) == 24 and max(apart) < 2e-5


def test_padded_sources_are_just_read():
    x, layout = sources((0, 0))
    wide = SHARED
    padded = replace(layout, source=Ragged(layout.source.lengths, wide), target=Ragged((0, 0), 0))
    assert read(network(), PrefixStore(), (x, padded))[2] == (0, 0)
