"""Vertical-slash attention: what is chosen, and how far the sparse result is from the exact one."""

import pytest
import torch

from omniline.core.attention_groups import Piece
from omniline.plugins.qwen.long_dual import DualChunks, dual_parts
from omniline.plugins.qwen.long_parts import Part, merge_parts
from omniline.plugins.qwen.long_sparse import Chosen, Sparse, attend_sparse, blocks, choose, last_probabilities

SPARSE = Sparse()
LENGTH, SIZE = 200, 16


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def head():
    """Queries, keys and values of one head, and what its last 64 queries look at."""
    q, k, v = (drawn(LENGTH, 1, SIZE, seed=seed) for seed in range(3))
    return q, k, v, last_probabilities((q[-64:, 0],), k[:, 0], LENGTH - 64, None)


def pairs(chosen, length=LENGTH):
    """bool [length, length]: the causal pairs on the chosen columns and diagonals."""
    apart = torch.arange(length)[:, None] - torch.arange(length)
    kept = torch.zeros(length, length, dtype=torch.bool)
    kept[:, chosen.columns] = True
    on_diagonal = torch.zeros(length, dtype=torch.bool)
    on_diagonal[chosen.distances] = True
    return (kept | on_diagonal[apart.clamp(min=0)]) & (apart >= 0)


def scores(q, k):
    apart = torch.arange(len(q))[:, None] - torch.arange(len(k))
    return (q[:, 0] @ k[:, 0].T / SIZE**0.5).masked_fill(apart < 0, float("-inf"))


def test_what_the_last_queries_look_at(head):
    q, k, _, found = head
    torch.testing.assert_close(found, scores(q, k)[-64:].softmax(-1))


def test_columns_and_diagonals_by_hand():
    """Two queries of four: column 1 gets most, then the nearest diagonal; ties fall to the first."""
    p = torch.tensor([[0.1, 0.6, 0.3, 0.0], [0.1, 0.5, 0.1, 0.3]])
    bare = Sparse(first=0, nearest=0)
    chosen = choose(p, 1, 2, bare)
    assert chosen.columns.tolist() == [1]
    # Distances 0: 0.3 + 0.3, 1: 0.6 + 0.1, 2: 0.1 + 0.5, 3: 0.1.
    assert chosen.distances.tolist() == [0, 1]
    assert choose(p, 2, 9, bare).distances.tolist() == [0, 1, 2, 3]


def test_sinks_and_neighbours_are_always_kept(head):
    chosen = choose(head[3], 1, 1, SPARSE)
    assert chosen.columns.tolist() == list(range(30)) and chosen.distances.tolist() == list(range(100))
    assert choose(head[3][:, -20:], 1, 1, SPARSE).distances.tolist() == list(range(20))


@pytest.mark.parametrize(
    ("vertical", "slash", "share"),
    # 100 diagonals hold 15,050 of 20,100 pairs, the first 30 columns 2,565 more.
    [(1, 1, 17_615 / 20_100), (30, 100, 17_615 / 20_100), (60, 110, None), (100, 150, None), (200, 200, 1.0)],
)
def test_shares_grow_with_budgets(head, vertical, slash, share):
    kept = pairs(choose(head[3], vertical, slash, SPARSE))
    smaller = pairs(choose(head[3], vertical - 10, slash - 10, SPARSE))
    assert bool((kept | ~smaller).all()), "a larger budget keeps all that a smaller one keeps"
    found = float(kept.sum()) / (LENGTH * (LENGTH + 1) / 2)
    assert found == pytest.approx(share) if share else 17_615 / 20_100 < found < 1


@pytest.mark.parametrize("block", [1, 7, 64, 256])
@pytest.mark.parametrize("budget", [(5, 3), (30, 20)])
def test_blocks_keep_what_is_chosen_and_one_row_nothing_else(head, block, budget):
    """Sums of a block lie between those of the chosen pairs and of all; with blocks of one row they are the first."""
    q, k, v, p = head
    chosen = choose(p, *budget, Sparse(first=2, nearest=3))
    merged = attend_sparse((q,), k, v, [chosen], 0, None, block)
    least = scores(q, k).masked_fill(~pairs(chosen), float("-inf"))
    most = merge_parts((q,), k, v, [Part(0, 0, LENGTH, 0, LENGTH, True)])
    assert bool((merged.log_sum[:, 0] >= least.logsumexp(-1) - 1e-5).all())
    assert bool((merged.log_sum <= most.log_sum + 1e-5).all())
    if block == 1:
        torch.testing.assert_close(merged.log_sum[:, 0], least.logsumexp(-1), atol=1e-5, rtol=0)
        torch.testing.assert_close(merged.out[:, 0], least.softmax(-1) @ v[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dual", [None, DualChunks(chunk=70, local=20), DualChunks(chunk=20, local=4, form="report")])
def test_full_budgets_equal_dense(dual):
    """Also in the middle of a prompt, with shared key heads and three versions of the queries."""
    place, count = 120, LENGTH - 120
    queries = tuple(drawn(count, 4, SIZE, seed=seed) for seed in range(3))
    k, v = (drawn(LENGTH, 2, SIZE, seed=seed) for seed in (8, 9))
    everything = [Chosen(torch.arange(LENGTH), torch.arange(LENGTH))] * 4
    found = attend_sparse(queries, k, v, everything, place, dual, 16)
    piece = Piece(0, place, count, 0, LENGTH, True)
    cut = [Part(0, place, count, 0, place, False), Part(0, place, count, place, count, True)]
    parts = cut if dual is None else dual_parts([piece], dual)
    wanted = merge_parts(queries, k, v, [part._replace(q=part.q - place) for part in parts])
    torch.testing.assert_close(found.out, wanted.out, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.log_sum, wanted.log_sum, rtol=0, atol=1e-5)


def test_recall_grows_with_budgets():
    """What is kept of the attention, by the sums of exponents; heads have budgets of their own."""
    q, k, v = (drawn(LENGTH, 2, SIZE, seed=seed) for seed in range(3))
    full = merge_parts((q,), k, v, [Part(0, 0, LENGTH, 0, LENGTH, True)]).log_sum
    recalls = []
    for budgets in ((0, 0), (50, 60), (100, 120), (LENGTH, LENGTH)):
        chosen = [
            choose(last_probabilities((q[-64:, h],), k[:, h], LENGTH - 64, None), *budgets, Sparse(first=1, nearest=1))
            for h in range(2)
        ]
        found = attend_sparse((q,), k, v, chosen, 0, None, 8)
        recalls.append((found.log_sum - full).exp().mean(0))
    for less, more in zip(recalls, recalls[1:], strict=False):
        assert bool((more >= less - 1e-6).all())
    assert float(recalls[0].max()) < 0.7 and torch.allclose(recalls[-1], torch.ones(2), atol=1e-5)
    fixed = [Chosen(torch.arange(LENGTH), torch.arange(1)), Chosen(torch.arange(1), torch.arange(1))]
    one, other = (attend_sparse((q,), k, v, fixed, 0, None, 8).log_sum - full).exp().mean(0)
    assert float(one) == pytest.approx(1, abs=1e-5) and float(other) < 0.7


def test_patterns_with_chunks_are_chosen_by_places_that_flow():
    """Queries turned by places that go on growing see one diagonal across the borders of chunks as one."""
    dual = DualChunks(chunk=40, local=8)
    index = torch.arange(96)
    apart = torch.stack([places[:, None] - dual.key_places(index) for places in dual.flowing_places(index)])
    version = dual.version(index, index)
    flowing = apart.gather(0, version[None])[0]
    near = (index[:, None] - index >= 0) & (index[:, None] - index < 2 * dual.span) & (version < 2)
    assert torch.equal(flowing[near], (index[:, None] - index)[near])
    queries = tuple(drawn(30, SIZE, seed=seed) for seed in range(3))
    keys = drawn(96, SIZE, seed=5)
    found = last_probabilities(queries, keys, 66, dual)
    chosen = torch.stack([q @ keys.T for q in queries]).gather(0, version[66:][None])[0] / SIZE**0.5
    wanted = chosen.masked_fill(index[66:, None] < index, float("-inf")).softmax(-1)
    torch.testing.assert_close(found, wanted)


def test_blocks_respect_borders():
    assert list(blocks(5, 9, 4, None)) == [(5, 4), (9, 4), (13, 1)]
    assert list(blocks(5, 9, 4, DualChunks(chunk=10, local=4))) == [(5, 1), (6, 4), (10, 2), (12, 2)]
