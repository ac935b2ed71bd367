"""Metrics of boxes: absent ones, groups, and the mean average precision against figures worked out by hand."""

import pytest

import omniline as ol
from omniline.core.outputs import Output
from omniline.plugins.scores.detection import MeanAveragePrecision
from omniline.plugins.scores.values import Iou, IouAccuracy
from omniline.tasks.binding import bind
from omniline.tasks.evaluation import judge

A, B, C = (0.0, 0.0, 0.2, 0.2), (0.5, 0.5, 0.9, 0.9), (0.1, 0.6, 0.3, 0.8)


def test_an_absent_box_overlaps_an_absent_one():
    metric = Iou()
    metric.update([None, None, A, []], [None, A, None, [A, B]])
    assert metric.overlaps == [1.0, 0.0, 0.0, 0.0, 0.0]
    groups = IouAccuracy()
    groups.update([[A, B], [A]], [[A, C], [A]])
    assert groups.compute() == pytest.approx(2 / 3)


def average(predicted, truth, **beside):
    metric = MeanAveragePrecision()
    metric.update(predicted, truth, **beside)
    return metric.compute()["50"]


def test_average_precision_counts_each_true_box_once_and_ranks_by_score():
    assert average([[A, B]], [[A, B]]) == pytest.approx(1)
    assert average([[A, A]], [[A, B]], scores=[[0.9, 0.8]]) == pytest.approx(0.505, abs=0.01)
    assert average([[C, A]], [[A]], scores=[[0.9, 0.8]]) == pytest.approx(0.5)
    assert average([[C, A]], [[A]], scores=[[0.1, 0.8]]) == pytest.approx(1)
    assert average([[], None], [[A], [B]]) == 0
    assert average([[A], []], [[A], []]) == pytest.approx(1)


def test_names_must_agree():
    named = {"names": [["cat", "dog"]], "true_names": [["cat", "cow"]]}
    assert average([[A, B]], [[A, B]], **named) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="one of the names for each box, but got 1 for 2 boxes"):
        average([[A, B]], [[A, B]], names=[["cat"]], true_names=[["cat", "cow"]])


def bound(line, rows, **more):
    return bind(ol.Task("t", line, train=rows, **more))


def test_a_group_is_judged_with_its_names_and_scores():
    rows = [{"q": "x", "box": [A, B], "name": ["cat", "dog"]}]
    found = bound("[TEXT:q] -> ( [BOX:box] [TEXT:name] )*", rows, metrics={"box": ["map"]})
    right = Output({"box": [A, B, C], "name": ["cat", "dog", "cat"]}, {"box": [0.9, 0.9, 0.1]})
    assert judge(found, rows, [right])[0]["box/map_50"] == pytest.approx(1)
    wrong = Output({"box": [A, B], "name": ["dog", "cat"]}, {"box": [0.9, 0.9]})
    assert judge(found, rows, [wrong])[0]["box/map"] == 0


def test_truths_are_judged_in_the_slot_s_notation():
    rows = [{"q": "x", "box": "0.5, 0.5, 0.4, 0.4"}]
    found = bound("[TEXT:q] -> [BOX:box,format=xywh]", rows)
    assert judge(found, rows, [Output({"box": (0.5, 0.5, 0.4, 0.4)}, {})])[0] == {"box/iou": pytest.approx(1)}


def test_the_absence_of_an_optional_box_is_an_answer():
    rows = [{"q": "x", "box": A}, {"q": "y", "box": None}, {"q": "z"}]
    found = bound("[TEXT:q] -> ( [BOX:box] ){0,1}", rows, metrics=["iou_accuracy"])
    outputs = [Output({"box": box}, {"box": None}) for box in (A, None, B)]
    assert judge(found, rows, outputs)[0]["box/iou_accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("found", "share"), [([], 1.0), ([A], 0.0)])
def test_where_there_are_no_boxes_none_is_right(found, share):
    metric = MeanAveragePrecision()
    metric.update([found, []], [[], []])
    assert metric.compute() == {"": share, "50": share}
