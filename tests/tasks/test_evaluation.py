"""Evaluation: predictions judged, the right metrics for each slot, rows that cannot be read."""

import pytest

import omniline as ol
from omniline.core.errors import DataError
from omniline.core.outputs import Output
from omniline.tasks.evaluation import evaluate, judge, metrics_of


def bound(small, line, rows=None, **more):
    task = ol.Task("t", line, train=small.rows(6) if rows is None else rows, **more)
    model = small.build([task])
    return model.bound(task)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("[TEXT:text] -> [TEXT:word]", ["word/exact_match", "word/rouge_l"]),
        ("[TEXT:text] -> [TEXT:word,closed_set]", ["word/accuracy"]),
        ("[TEXT:text] -> [CATEGORY:label]", ["label/accuracy"]),
        ("[TEXT:text] -> [BOX:box]", ["box/iou"]),
        ("[TEXT:text] -> [PHONE:phones]", ["phones/wer"]),
        ("[TEXT:text] -> ( [TEXT:names] [BOX:boxes] )*", ["names/exact_match"]),
        ("[TEXT:text] -> [TEXT:other,no_loss] [TEXT:word]", ["word/exact_match", "word/rouge_l"]),
    ],
)
def test_default_metrics(small, line, names):
    assert [f"{slot.name}/{name}" for slot, name in metrics_of(bound(small, line))] == names


def test_metrics_of_the_task(small):
    line = "[TEXT:text] -> [TEXT:word] [TEXT:other]"
    assert [(s.name, n) for s, n in metrics_of(bound(small, line, metrics=["bleu"]))] == [
        ("word", "bleu"), ("other", "bleu"),
    ]  # fmt: skip
    assert [(s.name, n) for s, n in metrics_of(bound(small, line, metrics={"other": ["wer", "bleu"]}))] == [
        ("other", "wer"), ("other", "bleu"),
    ]  # fmt: skip


def test_judging(small):
    found = bound(
        small,
        "[TEXT:text] -> [TEXT:word] [CATEGORY:label]",
        metrics={"word": ["exact_match", "wer"], "label": ["accuracy"]},
    )
    truths = [{"word": "a b", "label": "a"}, {"word": "c", "label": "b"}, {"label": "b"}]
    outputs = [
        Output({"word": "a b", "label": "a"}, {}),
        Output({"word": "x", "label": "a"}, {}),
        Output({"word": "", "label": "b"}, {}),
    ]
    values, lower = judge(found, truths, outputs)
    assert values == pytest.approx({"word/exact_match": 0.5, "word/wer": 1 / 3, "label/accuracy": 2 / 3})
    assert lower == {"word/wer"}


def test_numbers_count_as_their_names(small):
    rows = [{"text": "x", "n": i % 2} for i in range(4)]
    found = bound(small, "[TEXT:text] -> [TEXT:n,closed_set]", rows)
    assert found.plan.targets[0].closed_set == ("0", "1")
    values, _ = judge(found, rows[:2], [Output({"n": "0"}, {}), Output({"n": "0"}, {})])
    assert values == {"n/accuracy": 0.5}


def test_a_task_without_training_rows_has_the_members_that_the_model_knows(small):
    rows = small.rows(6)
    for line in ("[TEXT:text] -> [CATEGORY:label]", "[TEXT:text] -> [TEXT:label,closed_set]"):
        model = small.build([ol.Task("trained", line, train=rows)])
        (found,) = evaluate(model, ol.Task("held_out", line, valid=rows[:3]))
        assert found.rows == 3 and found.values.keys() == {"label/accuracy"}


def test_two_tasks_of_one_name_are_not_confused(small):
    rows = small.rows(4)
    first, second = (
        ol.Task("t", f"[TEXT:text] -> [TEXT:{slot},max_length=4]", train=rows, valid=rows) for slot in ("word", "other")
    )
    model = small.build([first])
    assert evaluate(model, first)[0].values.keys() == {"word/exact_match", "word/rouge_l"}
    assert evaluate(model, second)[0].values.keys() == {"other/exact_match", "other/rouge_l"}


def test_splits_and_numbers_of_rows(small):
    rows = small.rows(6)
    task = ol.Task("t", "[TEXT:text] -> [CATEGORY:label]", train=rows, valid=rows[:5], test=rows[:4])
    model = small.build([task, small.task("text")])
    assert [e.rows for e in evaluate(model, [task, small.task("text")])] == [5]
    assert evaluate(model, task, split="test")[0].rows == 4
    assert evaluate(model, task, rows=2)[0].rows == 2


def test_masked_sources_are_masked_by_row(small):
    """Evaluation corrupts as validation does, so that infilling is judged on what was hidden."""
    from omniline.tasks.predicting import Predictor

    task = ol.Task("t", "[TEXT:text,mask_ratio=0.9] -> [TEXT:text]", train=small.rows(6), valid=small.rows(6))
    model = small.build([task])
    predictor = Predictor(model, model.reader(model.bound(task)), mode="valid")
    seen = [predictor._example(small.rows(6)[4], n).rows() for n in (4, 4)]
    clear = Predictor(model, model.reader(model.bound(task)))._example(small.rows(6)[4], 4).rows()
    assert seen[0] == seen[1] < clear


def test_a_row_that_cannot_be_read(small):
    rows = [*small.rows(4), {"text": 7, "label": "a"}]
    line = "[TEXT:text] -> [CATEGORY:label]"
    model = small.build([ol.Task("t", line, train=small.rows(4))])
    skipping = ol.Task("t", line, train=small.rows(4), valid=rows, on_error="skip")
    (found,) = evaluate(model, skipping)
    assert found.rows == 4 and len(found.failures) == 1
    assert found.failures[0].id.row == 4 and "text must be a string, but is int 7" in found.failures[0].cause


def test_a_truth_that_no_metric_can_judge(small):
    found = bound(small, "[TEXT:text] -> [TEXT:word]")
    with pytest.raises(DataError, match=r"task `t`, slot `word` .*text"):
        judge(found, [{"word": 7}], [Output({"word": "x"}, {})])


def test_retrieval_needs_both_directions(small):
    task = ol.Task("t", small.LINES["match"], train=small.rows(5), valid=small.rows(5))
    model = small.build([task])
    (found,) = evaluate(model, task)
    assert found.values.keys() == {"match/recall_at_1", "match/recall_at_1_back"}
