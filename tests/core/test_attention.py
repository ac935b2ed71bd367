"""Attention through the Layout against a naive dense computation."""

import math

import pytest
import torch

from omniline.core.attention import dense_attention
from omniline.core.attention_groups import group_pieces
from omniline.core.layout import Layout, Segment, plain_layout
from omniline.core.relative_bias import RelativeBias, grid_bucket, plan_source, plan_target, signed_bucket, text_bucket

SOURCE, TARGET = [7, 0, 150, 3, 40, 1], [5, 4, 0, 1, 90, 12]
PARTS = ["source", "target", "cross", "joined"]


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny products gain nothing from threads, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def naive(q, k, v, pieces, bias=None):
    """Each piece by the definition; `bias` maps a piece to [heads, queries, keys]."""
    out = torch.zeros_like(q)
    for piece in pieces:
        if not piece.queries or not piece.keys:
            continue
        rows, cols = slice(piece.q, piece.q + piece.queries), slice(piece.k, piece.k + piece.keys)
        scores = torch.einsum("qhd,khd->hqk", q[rows], k[cols]) / math.sqrt(q.shape[-1])
        if bias is not None:
            scores = scores + bias(piece)
        if piece.causal:
            i, j = torch.arange(piece.queries)[:, None], torch.arange(piece.keys)[None]
            scores = scores.masked_fill(j - i > piece.keys - piece.queries, -math.inf)
        out = out.index_add(
            0, torch.arange(piece.q, piece.q + piece.queries), torch.einsum("hqk,khd->qhd", scores.softmax(-1), v[cols])
        )
    return out


def tensors(layout, part, heads=4, shared=4, size=8, dtype=torch.float64):
    torch.manual_seed(0)
    queries = {"source": layout.source, "target": layout.target, "cross": layout.target, "joined": layout.joined}[part]
    keys = {"source": layout.source, "target": layout.target, "cross": layout.source, "joined": layout.joined}[part]
    q = torch.randn(queries.rows, heads, size, dtype=dtype, requires_grad=True)
    k, v = (torch.randn(keys.rows, shared, size, dtype=dtype, requires_grad=True) for _ in "kv")
    return q, k, v


def gradients(out, *inputs):
    torch.manual_seed(1)
    return torch.autograd.grad((out * torch.randn_like(out)).sum(), inputs)


def gridded_layout(padded=False, shift=0.0):
    """Text, a 3 x 4 grid and text again; beside it a stream of text and one with a grid of another size."""
    plain = plain_layout([20, 9, 10], [6, 2, 3], padded=padded)
    grid = plain.grid.clone()
    for stream, first, sides in ((0, 5, (3, 4)), (2, 0, (2, 3))):
        places = torch.cartesian_prod(torch.zeros(1), *(torch.arange(s).float() for s in sides))
        at = plain.source.starts[stream] + first
        grid[at : at + len(places)] = places + torch.tensor([shift, 0, 0])
    kinds = torch.arange(plain.rows) % 2
    source = (
        (Segment(0, 0, 5, False), Segment(1, 5, 12, True), Segment(0, 17, 3, False)),
        (Segment(0, 0, 9, False),),
        (Segment(1, 0, 6, True), Segment(0, 6, 4, False)),
    )
    segments = tuple((s, t) for s, (_, t) in zip(source, plain.segments, strict=True))
    return Layout(plain.source, plain.target, kinds, grid, plain.roles, segments, plain.examples)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("part", PARTS)
def test_attention_is_that_of_the_definition(part, padded):
    layout = plain_layout(SOURCE, TARGET, padded=padded)
    q, k, v = tensors(layout, part)
    out, want = layout.attend(q, k, v, part), naive(q, k, v, layout.pieces(part))
    torch.testing.assert_close(out, want)
    for got, exact in zip(gradients(out, q, k, v), gradients(want, q, k, v), strict=True):
        torch.testing.assert_close(got, exact)


@pytest.mark.parametrize("part", PARTS)
def test_the_way_for_accelerators_is_equal(part):
    layout = plain_layout(SOURCE, TARGET)
    q, k, v = tensors(layout, part)
    groups = group_pieces(layout.pieces(part), row_size=32, device="cuda")
    out, want = dense_attention(q, k, v, groups), naive(q, k, v, layout.pieces(part))
    torch.testing.assert_close(out, want)
    for got, exact in zip(gradients(out, q, k, v), gradients(want, q, k, v), strict=True):
        torch.testing.assert_close(got, exact)


def test_neighbouring_query_heads_share_keys():
    layout = plain_layout(SOURCE, TARGET)
    q, k, v = tensors(layout, "joined", heads=4, shared=2)
    wide = [x.repeat_interleave(2, 1) for x in (k, v)]
    out, want = layout.attend(q, k, v, "joined"), naive(q, *wide, layout.pieces("joined"))
    torch.testing.assert_close(out, want)
    for got, exact in zip(gradients(out, q, k, v), gradients(want, q, k, v), strict=True):
        torch.testing.assert_close(got, exact)


@pytest.mark.parametrize("source, target", [([], []), ([0, 0], [0, 0]), ([0, 0], [2, 1]), ([2, 1], [0, 0])])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("padded", [False, True])
def test_parts_without_rows_take_part_in_the_graph(source, target, part, padded):
    layout = plain_layout(source, target, padded=padded)
    q, k, v = tensors(layout, part)
    found = gradients(layout.attend(q, k, v, part), q, k, v)
    assert [g.shape for g in found] == [x.shape for x in (q, k, v)]
    assert all(torch.isfinite(g).all() for g in found)


def test_short_streams_are_grouped_and_long_ones_stand_alone():
    layout = plain_layout([4] * 30 + [400, 300], [0] * 32)
    groups = group_pieces(layout.pieces("source"), row_size=256, device="cpu")
    assert sorted(len(g.pieces) for g in groups) == [1, 1, 30]
    assert len(group_pieces(layout.pieces("source"), row_size=256, device="cuda")) < len(groups)


def test_a_bias_of_another_part_is_refused():
    layout = plain_layout([2], [3])
    plan = plan_target(layout, row_size=32, device="cpu")
    q, k, v = tensors(layout, "source")
    with pytest.raises(ValueError, match="must be planned for the part source, but is for target"):
        layout.attend(q, k, v, "source", RelativeBias(4, 1, source=False)(plan))


def source_bias(module, layout):
    """The bias by the definition, from the tables and the segments."""
    text, grid = module.text.view(4, -1, 511), module.grid.view(4, -1, 3, 83)

    def of(piece):
        out = torch.zeros(4, piece.queries, piece.keys, dtype=text.dtype)
        for s in layout.segments[piece.stream][0]:
            own = slice(s.start, s.start + s.length)
            if s.gridded:
                places = layout.grid[piece.q + s.start : piece.q + s.start + s.length]
                far = places[:, None] - places[None]
                out[:, own, own] = sum(grid[:, s.kind, a, grid_bucket(far[..., a], timed=a == 0)] for a in range(3))
            else:
                far = torch.arange(s.length)[:, None] - torch.arange(s.length)[None]
                out[:, own, own] = text[:, s.kind, signed_bucket(far)]
        return out

    return of


def target_bias(module, layout):
    text = module.text.view(4, -1, 256)
    kinds = layout.split(layout.kinds)[1]

    def of(piece):
        far = torch.arange(piece.queries)[:, None] - torch.arange(piece.keys)[None]
        own = kinds[piece.q : piece.q + piece.queries, None]
        return text[:, own, text_bucket(far.clamp(min=0))]

    return of


@pytest.mark.parametrize("way", ["cpu", "grouped", "cuda"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("part", ["source", "target"])
def test_a_learned_bias_and_its_gradient_are_those_of_the_definition(part, padded, way):
    layout = gridded_layout(padded)
    module = RelativeBias(4, 2, source=part == "source").double()
    for table in module.parameters():
        torch.nn.init.normal_(table, generator=torch.Generator().manual_seed(2))
    how = {"row_size": 32 if way == "grouped" else 10**6, "device": "cuda" if way == "cuda" else "cpu"}
    plan = plan_source(layout, 2, **how) if part == "source" else plan_target(layout, **how)
    q, k, v = tensors(layout, part)
    bias = module(plan)
    if way == "cuda":
        out = dense_attention(q, k, v, bias.plan.groups, bias.table)
    else:
        out = layout.attend(q, k, v, part, bias)
    want = naive(q, k, v, layout.pieces(part), (source_bias if part == "source" else target_bias)(module, layout))
    torch.testing.assert_close(out, want)
    inputs = (q, k, v, *module.parameters())
    for got, exact in zip(gradients(out, *inputs), gradients(want, *inputs), strict=True):
        torch.testing.assert_close(got, exact)


def test_a_bias_is_felt_only_inside_its_segment():
    layout = gridded_layout()
    module = RelativeBias(4, 2, source=True).double()
    plan = plan_source(layout, 2, row_size=10**6, device="cpu")
    q, k, v = tensors(layout, "source")
    before = layout.attend(q, k, v, "source", module(plan))
    with torch.no_grad():
        module.grid.normal_()
    after = layout.attend(q, k, v, "source", module(plan))
    changed = (before != after).flatten(1).any(1)
    assert changed.nonzero()[:, 0].tolist() == [*range(5, 17), *range(29, 35)]


def test_equal_grids_are_planned_once_and_times_count():
    still = plan_source(gridded_layout(), 2, row_size=32, device="cpu")
    moved = plan_source(gridded_layout(shift=3.0), 2, row_size=32, device="cpu")
    assert torch.equal(still.axes, moved.axes), "a bias is relative"
    assert grid_bucket(torch.tensor([0.01, 0.02, 1.0, 60.0]), timed=True).tolist() == [44, 46, 61, 79]


def test_dropout_of_probabilities_draws_from_the_global_generator():
    layout = plain_layout(SOURCE, TARGET)
    q, k, v = tensors(layout, "joined")
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(layout.attend(q, k, v, "joined", dropout=0.5))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_autocast_leaves_attention_in_float32():
    layout = plain_layout([9], [0])
    q, k, v = tensors(layout, "source", dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        out = layout.attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), "source")
    assert out.dtype == torch.float32
