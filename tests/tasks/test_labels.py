"""Labels as data holds them: numbers, truth values and arrays of one become members of a closed set by their names."""

import numpy as np
import pytest
import torch

import omniline as ol
from omniline.core.outputs import Output
from omniline.tasks.binding import bind
from omniline.tasks.evaluation import judge

SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1"
LINES = ("[TEXT:q] -> [CATEGORY:y]", "[TEXT:q] -> [TEXT:y,closed_set]")


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    ("labels", "members"),
    [
        ([0, 1, 2], ("0", "1", "2")),
        ([np.int64(7), np.int32(5)], ("5", "7")),
        ([True, False], ("False", "True")),
        ([np.bool_(True), np.bool_(False)], ("False", "True")),
        ([torch.tensor(3), torch.tensor(4)], ("3", "4")),
        (["b", "a"], ("a", "b")),
    ],
)
def test_labels_of_every_kind(line, labels, members):
    rows = [{"q": "x", "y": label} for label in labels]
    task = ol.Task("t", line, train=rows)
    model = ol.Model.build(tasks=task, backbone=SMALL)
    assert model.plans["t"].targets[0].closed_set == members
    assert model.predict(line.replace("closed_set", f"closed_set={'|'.join(members)}"), {"q": "x"})["y"] in members
    said = [str(label.item() if hasattr(label, "item") else label) for label in labels]
    values, _ = judge(bind(task), rows, [Output({"y": one}, {}) for one in said])
    assert values["y/accuracy"] == 1


@pytest.mark.parametrize("line", LINES)
def test_a_label_that_training_lacks_is_named(line):
    task = ol.Task("t", line, train=[{"q": "x", "y": "cat"}], valid=[{"q": "x", "y": "cta"}])
    with pytest.raises(ol.InstructionError, match=r"slot `y`: 'cta' is not in the closed set; did you mean `cat`"):
        ol.Model.build(tasks=task, backbone=SMALL)


def test_thousands_of_labels():
    rows = [{"q": "x", "y": f"label {number}"} for number in range(3000)]
    model = ol.Model.build(tasks=ol.Task("t", LINES[0], train=rows), backbone=SMALL)
    assert len(model.plans["t"].targets[0].closed_set) == 3000
