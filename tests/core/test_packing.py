"""Batches: order, counts and where rows stand."""

import numpy as np
import pytest
import torch

import omniline as ol
from omniline.core.codec import FORCED, GIVEN, SUPERVISED
from omniline.core.layout import VOID
from omniline.core.packing import pack


@pytest.fixture
def packed(small):
    tasks = [small.task(kind) for kind in ("text", "image", "group", "category", "match")]
    model = small.build(tasks)
    chosen = small.examples(model, tasks)
    return chosen, small.readers(model, tasks), model


@pytest.mark.parametrize("padded", [False, True])
def test_every_row_finds_its_embedding(packed, padded):
    """`order` takes each row of the layout to its place among all ports' values."""
    chosen, readers, _ = packed
    batch = pack(chosen, readers, padded=padded)
    flat: list[tuple[int, int]] = []
    for inputs in batch.inputs:
        name = next(iter(inputs.tensors))
        values = inputs.tensors[name]
        flat += [(inputs.kind, int(value.sum())) for value in values]
    order = batch.order.tolist()
    layout = batch.layout
    streams = [stream for example in chosen for stream in example.streams]
    for number, stream in enumerate(streams):
        for side, base in ((stream.source, layout.source.starts[number]),
                           (stream.target, layout.source.rows + layout.target.starts[number])):  # fmt: skip
            at = base
            for piece in side:
                values = np.asarray(next(iter(piece.encoded.tensors.values())))
                for row in range(piece.encoded.rows):
                    assert flat[order[at]] == (piece.kind, int(values[row].sum()))
                    assert layout.kinds[at] == piece.kind
                    at += 1


def test_roles_and_void_rows(packed):
    chosen, readers, _ = packed
    packed_rows = pack(chosen, readers).layout.roles
    assert set(packed_rows.tolist()) == {GIVEN, FORCED, SUPERVISED}
    padded = pack(chosen, readers, padded=True)
    real = torch.cat([padded.layout.source.real, padded.layout.target.real])
    assert (padded.layout.roles[~real] == VOID).all() and (padded.layout.roles[real] != VOID).all()
    assert int(real.sum()) == len(packed_rows)


def test_ids_tokens_and_counts(packed):
    chosen, readers, _ = packed
    batch = pack(chosen, readers)
    assert batch.ids == tuple(example.id for example in chosen)
    assert sum(batch.tokens.values()) == batch.layout.rows == sum(e.rows() for e in chosen)
    assert batch.counts["match/match"] == 6 and batch.counts["category/label"] == 6
    assert {k for k in batch.counts if k.startswith("group")} == {"group/boxes", "group/names", "group/marks"}


def test_one_target_for_each_port_and_loss(packed):
    """Rows of several tasks that go through one port are judged by one call."""
    chosen, readers, model = packed
    batch = pack(chosen, readers)
    names = [(model.table[target.kind].name, target.choices is not None) for target in batch.targets]
    assert sorted(names) == [("box", False), ("category", False), ("marks", False), ("text", False)]
    text = next(t for t in batch.targets if model.table[t.kind].name == "text")
    assert {key.partition("/")[0] for key in text.keys} == {"text", "image", "group"}


def test_tasks_with_different_closed_sets_share_a_table(small):
    rows = [{"a": "x", "b": "yes", "c": "1"}, {"a": "y", "b": "no", "c": "2"}]
    tasks = [
        ol.Task("one", "[TEXT:a] -> [TEXT:b,closed_set=yes|no]", train=rows),
        ol.Task("two", "[TEXT:a] -> [TEXT:c,closed_set=1|2|21]", train=rows),
    ]
    model = small.build(tasks)
    readers = small.readers(model, tasks)
    (target,) = pack(small.examples(model, tasks), readers).targets
    found = {}
    for row, key in enumerate(target.key.tolist()):
        node = int(target.choices.nodes[row])
        legal = sorted(int(t) for t in target.choices.tokens[target.choices.allowed[node]])
        assert int(target.labels["tokens"][row]) in legal
        found.setdefault((target.keys[key], int(target.labels["tokens"][row])), legal)
    assert found["one/b", ord("y")] == [ord("n"), ord("y")]
    assert found["two/c", ord("1")] == [ord("1"), ord("2")]
    end = model.tokenizer.end
    assert found["two/c", end] in ([end], sorted([ord("1"), end]))


def test_two_losses_on_one_port_stay_apart(small):
    rows = small.rows(3)
    line = "[TEXT:text] -> [TEXT:word,label_smoothing=0.1] [TEXT:other]"
    task = ol.Task("t", line, train=rows)
    model = small.build([task])
    batch = pack(small.examples(model, [task]), small.readers(model, [task]))
    assert sorted(t.loss.options()["label_smoothing"] for t in batch.targets) == [0.0, 0.1]
    assert [t.keys for t in batch.targets] == [("t/word",), ("t/other",)]
