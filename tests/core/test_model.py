"""The network: losses per objective, their weights, and gradients that do not depend on how the work was cut."""

import pytest
import torch

import omniline as ol
from omniline.core.example import RowId
from omniline.core.model import last_target, loss_key, pool
from omniline.core.packing import pack
from omniline.core.plan import Part

KINDS = ("text", "closed set", "category", "image", "box", "group", "optional", "two outputs", "ranking", "nested")


@pytest.mark.parametrize("backbone", ["ofa", "decoder"])
def test_gradients_do_not_depend_on_the_cut(small, backbone):
    """One batch, two or four: with the counts of the whole step, the same gradient and the same sums."""
    tasks = [small.task(kind, count=3 + number % 4) for number, kind in enumerate(KINDS)]
    model = small.build(tasks, backbone)
    chosen = small.examples(model, tasks)
    whole = small.loss_and_gradient(model, tasks, chosen, padded=False)
    totals = whole.batch.counts
    for parts in (2, 4):
        model.network.zero_grad()
        sums: dict[str, float] = {}
        for part in range(parts):
            batch = pack(chosen[part::parts], small.readers(model, tasks))
            losses = model.network.loss(batch, totals)
            losses.total.backward()
            for key, value in losses.sums.items():
                sums[key] = sums.get(key, 0.0) + float(value)
        assert sums == pytest.approx(whole.sums, rel=1e-5)
        found = small.gradient(model)
        assert torch.cosine_similarity(found, whole.gradient, dim=0) > 0.99999
        assert float(found.norm()) == pytest.approx(float(whole.gradient.norm()), rel=1e-4)


def test_the_total_is_the_sum_of_means(small):
    tasks = [small.task("text"), small.task("two outputs"), small.task("group")]
    model = small.build(tasks)
    found = small.loss_and_gradient(model, tasks, small.examples(model, tasks), padded=False)
    assert found.total == pytest.approx(sum(v / found.batch.counts[k] for k, v in found.sums.items()), rel=1e-5)


def test_weights_act_on_the_total_and_not_on_what_is_reported(small):
    def run(attribute):
        rows = small.rows(4)
        task = ol.Task("t", f"[TEXT:text] -> [TEXT:word{attribute}] [TEXT:other]", train=rows)
        model = small.build([task])
        return small.loss_and_gradient(model, [task], small.examples(model, [task]), padded=False)

    plain, heavy = run(""), run(",weight=3")
    assert heavy.sums == pytest.approx(plain.sums)
    extra = 2 * plain.sums["t/word"] / plain.batch.counts["t/word"]
    assert heavy.total == pytest.approx(plain.total + extra, rel=1e-5)


def test_a_closed_set_counts_only_its_members(small):
    """With one member nothing is left to choose; with two the first letter is."""
    for members, sure in (("yes", True), ("yes|no", False)):
        task = ol.Task("t", f"[TEXT:text] -> [TEXT:b,closed_set={members}]", train=[{"text": "x", "b": "yes"}])
        model = small.build([task])
        found = small.loss_and_gradient(model, [task], small.examples(model, [task]), padded=False)
        assert (found.sums["t/b"] < 1e-5) is sure
        assert found.sums["t/b"] < 4 * 0.75


@pytest.mark.parametrize("backbone", ["ofa", "decoder"])
def test_a_batch_without_examples_trains_nothing_and_fails_nothing(small, backbone):
    tasks = [small.task("text"), small.task("image")]
    model = small.build(tasks, backbone)
    found = small.loss_and_gradient(model, tasks, [], padded=False)
    assert found.total == 0 and found.sums == {} and not found.gradient.any()


def test_a_batch_without_supervision_trains_nothing_and_fails_nothing(small):
    task = ol.Task("t", "[TEXT:a] -> [TEXT:b,optional]", train=[{"a": "x", "b": "y"}, {"a": "x"}])
    model = small.build([task])
    example = small.readers(model, [task])["t"].example({"a": "x"}, RowId("t", 1))
    found = small.loss_and_gradient(model, [task], [example], padded=False)
    assert found.total == 0 and found.batch.targets == () and not found.gradient.any()


@pytest.mark.parametrize("padded", [False, True])
def test_pooling_reads_each_stream_alone(small, padded):
    tasks = [small.task("match"), small.task("ranking"), small.task("language model")]
    model = small.build(tasks)
    batch = pack(small.examples(model, tasks), small.readers(model, tasks), padded=padded)
    layout = batch.layout
    hidden = torch.randn(layout.rows, 4, generator=torch.Generator().manual_seed(0))
    pooled, last = pool(hidden, layout), last_target(hidden, layout)
    for i, (s, t) in enumerate(zip(layout.source.lengths, layout.target.lengths, strict=True)):
        own = hidden[layout.source.starts[i] : layout.source.starts[i] + s]
        assert torch.allclose(pooled[i], own.mean(0) if s else torch.zeros(4), atol=1e-6)
        if t:
            assert torch.equal(last[i], hidden[layout.source.rows + layout.target.starts[i] + t - 1])


def test_keys_of_losses_are_names_of_modules():
    part = Part("loss", "contrastive", (("temperature", 0.05), ("learn", True)))
    assert loss_key(part) == "contrastive_temperature-0p05_learn-True"


def test_a_batch_moves_whole(small):
    tasks = [small.task(kind) for kind in ("text", "match", "ranking", "closed set")]
    model = small.build(tasks)
    batch = pack(small.examples(model, tasks), small.readers(model, tasks))
    moved = batch.to("meta")
    assert moved.order.device.type == "meta" and moved.layout.kinds.device.type == "meta"
    assert all(t.rows.device.type == "meta" and t.labels["tokens"].device.type == "meta" for t in moved.targets)
    assert all(p.streams.device.type == "meta" for p in moved.pairs)
    assert moved.ids == batch.ids and moved.counts == batch.counts and moved.layout.source == batch.layout.source
    assert batch.to("cpu") is batch
