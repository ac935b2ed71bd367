"""What `explain --shares` predicts is what training realises."""

import pytest

import omniline as ol
from omniline.tasks.drawing import Position
from omniline.tasks.predicted import predicted_shares
from omniline.tasks.realised import Realised


def test_predicted_shares_come_true(small):
    long = [{"text": "a very long text indeed " * 3, "word": "yes"}] * 40
    tasks = [
        ol.Task("short", "[TEXT:text] -> [TEXT:word]", train=small.rows(40), weight=3),
        ol.Task("long", "[TEXT:text] -> [TEXT:word]", train=long),
    ]
    model = small.build(tasks)
    data = ol.DataModule(tasks, model=model, batch_tokens=400)
    batches = [batch for _, batch in zip(range(30), data.stream.batches(Position()), strict=False)]
    told = Realised(["short", "long"])
    for batch in batches:
        told.add(batch)
    came = told.take()
    for share in predicted_shares(ol.Mixture(tasks)):
        for kind in ("rows", "tokens", "supervised"):
            assert came[f"share/{share.task}/{kind}"] == pytest.approx(getattr(share, kind), abs=0.05)
    assert came["padding"] < 0.06 and 0 <= came["unfilled"] < 0.3
    assert told.take()["share/short/rows"] == 0, "taking forgets"


def test_a_task_that_joins_later_has_no_share_before(small):
    tasks = [small.task("text"), small.task("group")]
    late = ol.Task("late", "[TEXT:text] -> [TEXT:word]", train=small.rows(4), since=10)
    found = {share.task: share for share in predicted_shares(ol.Mixture([*tasks, late]))}
    assert found["late"].rows == 0 == found["late"].tokens
    assert predicted_shares(ol.Mixture([*tasks, late]), step=10)[-1].rows == pytest.approx(1 / 3)
