"""Packed equals padded: the same losses and the same gradient of the whole network, for every adapter and backbone."""

import pytest
import torch

from omniline.plugins.manager import installed

KINDS = {
    "text": "text",
    "struct": "struct",
    "phone": "phone",
    "category": "category",
    "box": "box",
    "image": "image",
    "timm": "timm",
    "chat": "chat",
    "box_values": "box regression",
    "image_codes": "codes",
    "video": "video",
    "timm_video": "video tower",
    "video_codes": "video codes",
    "audio": "audio",
    "motion": "motion",
    "box_text": "box text",
}
"""The line that stands for each adapter."""


def assert_equal(packed, padded):
    assert not packed.batch.layout.padded and padded.batch.layout.padded
    assert padded.batch.layout.rows > packed.batch.layout.rows
    assert packed.sums.keys() == padded.sums.keys()
    assert {key.removesuffix("/auxiliary") for key in packed.sums} == packed.batch.counts.keys()
    for key, value in packed.sums.items():
        assert value == pytest.approx(padded.sums[key], rel=1e-5), key
    assert packed.total == pytest.approx(padded.total, rel=1e-5)
    assert packed.gradient.norm() > 1e-3
    assert torch.cosine_similarity(packed.gradient, padded.gradient, dim=0) >= 0.9999
    assert float(packed.gradient.norm()) == pytest.approx(float(padded.gradient.norm()), rel=1e-3)


def test_every_adapter_that_works_has_a_line():
    """Those of checkpoints are compared beside transformers, packed and alone, in the tests of their room."""
    found = {name for name, entry in installed().parts["adapters"].items() if entry.part.codec}
    assert {name for name in found if not name.startswith("qwen_")} <= set(KINDS)


@pytest.mark.parametrize("backbone", ["ofa", "decoder"])
@pytest.mark.parametrize("adapter", KINDS)
def test_each_adapter(small, adapter, backbone):
    tasks = [small.task(KINDS[adapter]), small.task("two outputs")]
    model = small.build(tasks, backbone)
    chosen = small.examples(model, tasks)
    assert_equal(*(small.loss_and_gradient(model, tasks, chosen, padded=p) for p in (False, True)))


@pytest.mark.parametrize("backbone", ["ofa", "decoder"])
def test_all_tasks_side_by_side(small, backbone):
    """Groups, rankings, matches, closed sets, optional and given slots, several outputs, all in one batch."""
    tasks = [small.task(kind) for kind in small.LINES]
    model = small.build(tasks, backbone)
    chosen = small.examples(model, tasks)
    packed, padded = (small.loss_and_gradient(model, tasks, chosen, padded=p) for p in (False, True))
    assert_equal(packed, padded)
    assert {key.partition("/")[0] for key in packed.sums} == {task.name for task in tasks}
    assert {"ranking/rank", "match/match", "group/marks", "nested/deep", "optional/marks"} <= packed.sums.keys()
    assert "given/other" not in packed.sums


@pytest.mark.parametrize("backbone", ["ofa", "decoder"])
def test_alignment_of_a_source_slot(small, backbone):
    import omniline as ol

    rows = [{"a": "a long enough source " + "x" * i, "b": "ab" * (1 + i % 3)} for i in range(5)]
    tasks = [ol.Task("align", "hear [TEXT:a,loss=ctc] -> [TEXT:b]", train=rows), small.task("text")]
    model = small.build(tasks, backbone)
    chosen = small.examples(model, tasks)
    packed, padded = (small.loss_and_gradient(model, tasks, chosen, padded=p) for p in (False, True))
    assert_equal(packed, padded)
    assert {"align/a", "align/b"} <= packed.sums.keys()


@pytest.mark.parametrize("backbone", ["ofa", "decoder"])
def test_a_row_costs_the_same_alone_and_among_others(small, backbone):
    tasks = [small.task("group"), small.task("image")]
    model = small.build(tasks, backbone)
    chosen = small.examples(model, tasks)
    together = small.loss_and_gradient(model, tasks, chosen, padded=False).sums
    alone = [small.loss_and_gradient(model, tasks, [one], padded=False).sums for one in chosen]
    for key, value in together.items():
        assert value == pytest.approx(sum(sums.get(key, 0.0) for sums in alone), rel=1e-5)


def test_one_call_of_each_port_a_batch(small, monkeypatch):
    """Ports run once over the values of all tasks, whatever stands in the batch."""
    tasks = [small.task(kind) for kind in ("text", "image", "closed set", "category")]
    model = small.build(tasks)
    calls = []
    for name, port in model.network.ports.items():
        embed = port.embed
        monkeypatch.setattr(port, "embed", lambda _n=name, _e=embed, **t: calls.append(_n) or _e(**t))
    small.loss_and_gradient(model, tasks, small.examples(model, tasks), padded=False)
    assert sorted(calls) == ["category", "image", "marks", "text"]
