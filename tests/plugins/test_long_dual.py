"""Dual chunk attention: the reports' own examples, and equality with one softmax over piecewise scores."""

import pytest
import torch

from omniline.core.attention_groups import Piece
from omniline.core.layout import plain_layout
from omniline.plugins.qwen.long_dual import DualChunks, dual_parts, plain_parts
from omniline.plugins.qwen.long_parts import Part, attend_parts, dense_parts
from omniline.plugins.qwen.rotary import Rotary, rotate, turn

REPORT = DualChunks(chunk=10, local=4, form="report")
CODE = DualChunks(chunk=10, local=4, form="code")
ROTARY = Rotary(size=8)


def drawn(rows, heads, seed=0):
    return torch.randn(rows, heads, 8, generator=torch.Generator().manual_seed(seed))


def versions(q, dual, index):
    return tuple(rotate(q, turn(places, ROTARY)) for places in dual.query_places(index))


def piecewise(q, k, v, dual):
    """One softmax over scores of which each has its own distance, in float64; queries and keys not yet turned."""
    index, share = torch.arange(len(q)), q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(share, 1) for x in (k, v))
    keys = rotate(k, turn(dual.key_places(index), ROTARY))
    scores = torch.stack([torch.einsum("ihd,jhd->hij", one, keys) for one in versions(q, dual, index)])
    version = dual.version(index, index)[None, None].expand(1, *scores.shape[1:])
    chosen = scores.gather(0, version)[0].double() / 8**0.5
    seen = index[:, None] >= index
    return torch.einsum("hij,jhd->ihd", chosen.masked_fill(~seen, float("-inf")).softmax(-1), v.double()).float()


def attended(q, k, v, dual):
    index = torch.arange(len(q))
    keys = rotate(k, turn(dual.key_places(index), ROTARY))
    parts = dual_parts([Piece(0, 0, len(q), 0, len(q), True)], dual)
    return attend_parts(versions(q, dual, index), keys, v, parts)


def test_the_places_of_the_report():
    index = torch.arange(12)
    assert REPORT.key_places(index).tolist() == [0, 1, 2, 3, 4, 5] * 2
    own, after, far = REPORT.query_places(index)
    assert (
        after.tolist() == [6, 7, 8, 9, 9, 9] * 2 and far.tolist() == [9] * 12 and own.tolist() == [0, 1, 2, 3, 4, 5] * 2
    )
    apart = [int(places[6] - REPORT.key_places(index)[5]) for places in (own, after, far)]
    assert apart == [-5, 1, 4]
    assert [int(places[6] - REPORT.key_places(index)[1]) for places in (own, after, far)] == [-1, 5, 8]


def test_the_distances_of_the_code():
    apart = CODE.distances(13)
    assert apart[11, :12].tolist() == [10, 9, 8, 7, 6, 5, 5, 4, 3, 2, 1, 0]
    assert apart[12].tolist() == [10, 9, 8, 7, 6, 5, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("dual", [REPORT, CODE, DualChunks(chunk=12, local=5), DualChunks(chunk=7, local=3)])
def test_distances_are_bounded_and_near_ones_true(dual):
    index = torch.arange(64)
    apart, true = dual.distances(64), index[:, None] - index
    seen = true >= 0
    assert int(apart[seen].min()) >= 0 and int(apart[seen].max()) <= dual.largest
    near = seen & (true < dual.local)
    assert torch.equal(apart[near], true[near])


@pytest.mark.parametrize("dual", [REPORT, CODE])
@pytest.mark.parametrize("length", [1, 6, 7, 12, 13, 40])
def test_parts_equal_one_softmax(dual, length):
    q, k, v = drawn(length, 4, 1), drawn(length, 2, 2), drawn(length, 2, 3)
    torch.testing.assert_close(attended(q, k, v, dual), piecewise(q, k, v, dual), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dual", [REPORT, CODE])
def test_one_chunk_is_plain_attention(dual):
    q, k, v = drawn(6, 2, 1), drawn(6, 2, 2), drawn(6, 2, 3)
    by = turn(torch.arange(6), ROTARY)
    plain = plain_layout([0], [6]).attend(rotate(q, by), rotate(k, by), v, "target")
    torch.testing.assert_close(attended(q, k, v, dual), plain, rtol=0, atol=1e-6)


def test_gradients():
    """Those of the parts, of the plain scores in chunks of rows, and of one softmax over everything."""
    found = []
    for way in (attended, piecewise):
        q, k, v = (drawn(29, heads, seed).requires_grad_() for heads, seed in ((4, 1), (2, 2), (2, 3)))
        (way(q, k, v, REPORT) * drawn(29, 4, 5)).sum().backward()
        found.append((q.grad, k.grad, v.grad))
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cells", [1, 300, 1 << 20])
def test_plain_scores_equal_parts(cells, monkeypatch):
    """What accelerators run: any number of rows at a time."""
    monkeypatch.setattr("omniline.plugins.qwen.long_parts._CELLS", cells)
    queries = tuple(drawn(29, 4, seed) for seed in range(3))
    k, v = drawn(29, 2, 7), drawn(29, 2, 8)
    parts = dual_parts([Piece(0, 0, 11, 0, 11, True), Piece(1, 11, 18, 11, 18, True)], REPORT)
    torch.testing.assert_close(dense_parts(queries, k, v, parts), attend_parts(queries, k, v, parts), rtol=0, atol=1e-6)


def test_dropout_of_probabilities():
    q = torch.zeros(40, 1, 8)
    torch.manual_seed(0)
    found = attend_parts((q,), q, q + 1, [Part(0, 0, 40, 0, 40, False)], dropout=0.5)[..., 0]
    assert 0.8 < float(found.mean()) < 1.2 and float(found.std()) > 0.05


def test_rows_after_others():
    """A piece of the prompt against all before it equals the same rows of the whole."""
    q, k, v = drawn(40, 2, 1), drawn(40, 2, 2), drawn(40, 2, 3)
    for cut in (dual_parts_of(CODE), plain_parts):
        whole = attend_parts((q,) * 3, k, v, cut([Piece(0, 0, 40, 0, 40, True)]))
        for first, end in ((0, 5), (5, 6), (6, 31), (31, 40)):
            part = attend_parts((q,) * 3, k, v, cut([Piece(0, first, end - first, 0, end, True)]))
            torch.testing.assert_close(part[first:end], whole[first:end], rtol=0, atol=1e-6)


def dual_parts_of(dual):
    return lambda pieces: dual_parts(pieces, dual)


def test_rows_that_see_both_ways():
    """Within a chunk they may; over a border no distance is given."""
    q = drawn(6, 2, 1)
    parts = dual_parts([Piece(0, 0, 6, 0, 6, False)], CODE)
    wide = q.transpose(0, 1)
    wanted = torch.nn.functional.scaled_dot_product_attention(wide, wide, wide).transpose(0, 1)
    torch.testing.assert_close(attend_parts((q,) * 3, q, q, parts), wanted, rtol=0, atol=1e-6)
    with pytest.raises(
        ValueError, match="rows 0 to 6 of a stream see each other both ways over the border of chunks of 6"
    ):
        dual_parts([Piece(0, 0, 7, 0, 7, False)], CODE)


def test_a_local_window_that_leaves_no_chunk():
    with pytest.raises(ValueError, match="must be at least 1 and below `dual_chunk`, 8, but is 8"):
        DualChunks(chunk=8, local=8)
