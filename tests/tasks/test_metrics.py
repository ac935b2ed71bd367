"""The metrics that a task names: settings behind their names, checked when the task is made; values of odd kinds."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.tv_tensors import BoundingBoxes

import omniline as ol
from omniline.core.codec import Reading
from omniline.core.errors import ConfigError, DataError, PluginError
from omniline.core.example import RowId
from omniline.core.outputs import Output
from omniline.plugins.motion.codec import MotionCodec
from omniline.plugins.vision.codes import ImageCodesCodec
from omniline.tasks import predicting
from omniline.tasks.binding import bind
from omniline.tasks.evaluation import evaluate, judge

SMALL = "ofa-tiny,width=32,ffn=32,encoder_layers=1,decoder_layers=1"
PICTURE = Image.new("RGB", (64, 48))
LINE = "[TEXT:q] -> [TEXT:a,closed_set=yes|no]"


def judged(line, rows, answers, **settings):
    task = ol.Task("t", line, train=rows, valid=rows, **settings)
    return judge(bind(task), rows, [Output(answer, {}) for answer in answers])[0]


def test_metrics_take_settings():
    rows = [{"q": "x", "a": a} for a in ("yes", "yes", "yes", "no")]
    answers = [{"a": "yes"}] * 4
    names = ["accuracy", "accuracy,average=macro", "f1,average=binary,positive=yes", "exact_match, uncased=true"]
    found = judged(LINE, rows, answers, metrics=names)
    assert found == pytest.approx(
        {
            "a/accuracy": 0.75,
            "a/accuracy,average=macro": 0.5,
            "a/f1,average=binary,positive=yes": 6 / 7,
            "a/exact_match, uncased=true": 0.75,
        }
    )


@pytest.mark.parametrize(
    ("metrics", "error", "match"),
    [
        (["bleuu"], PluginError, "did you mean `bleu`"),
        (["accuracy,averge=macro"], ConfigError, "the metric `accuracy` has no setting `averge`; did you mean"),
        (["accuracy,average=all"], ConfigError, "must be one of micro, macro, but is `all`"),
        (["f1,average=binary"], ConfigError, "which class counts, `positive`"),
        (["iou"], ConfigError, "the metric `iou` suits BOX, but `a` is TEXT"),
        (["sql_execution"], ConfigError, "judges by a STRUCT slot on the source side"),
        ({"b": ["bleu"]}, ConfigError, "metrics of task `t` name `b`, which is no target slot"),
        ("bleu", ConfigError, "metrics of task `t` must be a list of names, but are the text 'bleu'"),
        ({"a": "bleu"}, ConfigError, "must be a list of names"),
    ],
)
def test_metrics_are_checked_when_the_task_is_made(metrics, error, match):
    with pytest.raises(error, match=match):
        ol.Task("t", LINE, metrics=metrics)


BOXES = [[1, 2, 30, 40], [5, 6, 20, 26]]
SIDES = [[1, 2, 29, 38], [5, 6, 15, 20]]


@pytest.mark.parametrize("labels", [[1, 2], np.array([1, 2]), torch.tensor([1, 2])], ids=["list", "array", "tensor"])
@pytest.mark.parametrize(
    "boxes",
    [BOXES, np.array(BOXES), torch.tensor(BOXES), BoundingBoxes(SIDES, format="XYWH", canvas_size=(48, 64))],
    ids=["list", "array", "tensor", "torchvision"],
)
def test_a_group_of_boxes_and_classes_of_any_kind(boxes, labels):
    found = judged(
        "[IMAGE:img,size=32] -> ( [BOX:box,unit=pixels] [CATEGORY:label] )*",
        [{"img": PICTURE, "box": boxes, "label": labels}],
        [{"box": [tuple(one) for one in BOXES], "label": ["1", "2"]}],
        metrics={"box": ["iou", "map"], "label": ["exact_match"]},
    )
    assert found == pytest.approx({"box/iou": 1, "box/map": 1, "box/map_50": 1, "label/exact_match": 1})


@pytest.mark.parametrize(
    ("setting", "box"),
    [("", (0.25, 0.25, 0.5, 0.5)), (",size=100", (25, 25, 50, 50)), (",unit=pixels", (16, 12, 32, 24))],
)
def test_boxes_that_bring_their_canvas_are_judged_in_the_slots_unit(setting, box):
    true = BoundingBoxes([[16, 12, 16, 12]], format="XYWH", canvas_size=(48, 64))
    line = f"[IMAGE:img,size=32] -> [BOX:box{setting}]"
    assert judged(line, [{"img": PICTURE, "box": true}], [{"box": box}], metrics=["iou"]) == {"box/iou": 1.0}


@pytest.mark.parametrize("box", [np.array(BOXES[0]), torch.tensor(BOXES[0]), None], ids=["array", "tensor", "none"])
def test_an_optional_box_of_any_kind(box):
    found = judged(
        "[IMAGE:img,size=32] -> ( [BOX:box,unit=pixels] ){0,1}",
        [{"img": PICTURE, "box": BOXES[1]}, {"img": PICTURE, "box": box}],
        [{"box": tuple(BOXES[1])}, {"box": None if box is None else tuple(BOXES[0])}],
        metrics=["iou"],
    )
    assert found == {"box/iou": 1.0}


def test_a_group_whose_column_holds_nothing():
    rows = [{"img": PICTURE, "box": None}]
    with pytest.raises(ol.InstructionError, match="the column `box` holds None; write `optional`"):
        ol.Model.build(tasks=ol.Task("t", "[IMAGE:img,size=32] -> ( [BOX:box] )*", train=rows), backbone=SMALL)


@pytest.mark.parametrize(
    ("slot", "true", "answer"),
    [
        ("[STRUCT:a,form=graph]", ["Ann | knows | Bo"], [("Ann", "knows", "Bo")]),
        ("[STRUCT:a]", "1.34341221434321", [[1, 0, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]),
        ("[STRUCT:a]", "n,m\nAnn,1\n", [["n", "m"], ["Ann", "1"]]),
        ("[STRUCT:a,uncased]", {"Name": "Ann"}, {"name": "ann"}),
        ("[TEXT:a,uncased]", "Ann", "ann"),
        ("[PHONE:a,stress=false]", ["HH", "AH0"], "HH AH"),
        ("[PHONE:a,g2p=letters]", "see the cat", "S IY TH EH K AE T"),
    ],
    ids=["triples", "grid", "csv", "uncased struct", "uncased text", "phones", "spoken"],
)
def test_the_right_answer_is_right_however_the_row_spells_it(slot, true, answer):
    found = judged(f"[TEXT:q] -> {slot}", [{"q": "x", "a": true}], [{"a": answer}])
    for name, share in found.items():
        assert share == (0 if "wer" in name else 1), name


def test_rows_that_cannot_be_read_are_named_by_their_file(tmp_path):
    lines = ['{"img": "gone.png", "a": "yes"}', "{broken", '{"img": "there.png", "a": "no"}', '{"a": "no"}']
    (tmp_path / "rows.jsonl").write_text("\n".join([lines[2], *lines]))
    PICTURE.save(tmp_path / "there.png")
    task = ol.Task(
        "t", "[IMAGE:img,size=32] -> [TEXT:a,closed_set=yes|no]", valid=str(tmp_path / "rows.jsonl"), on_error="skip"
    )
    model = ol.Model.build(tasks=task, backbone=SMALL)
    (found,) = evaluate(model, task)
    assert found.rows == 2
    assert sorted((one.place, one.id.row, one.split, one.slot) for one in found.failures) == [
        ("rows.jsonl line 2", 1, "valid", "img"),
        ("rows.jsonl line 3", 2, "valid", ""),
        ("rows.jsonl line 5", 4, "valid", "img"),
    ]


def test_the_slot_that_an_error_names_is_marked():
    rows = [{"wav": (np.sin(np.arange(8000)), 16_000), "t": "x"}]
    line = "[AUDIO:t2,column=wav] say [TEXT:t] -> [AUDIO:wav,max_seconds=0.2]"
    with pytest.raises(ol.InstructionError) as caught:
        ol.Model.build(tasks=ol.Task("t", line, train=rows), backbone=SMALL)
    (finding,) = caught.value.diagnostics
    assert line[finding.span.start : finding.span.end] == "[AUDIO:wav,max_seconds=0.2]"


def test_many_rows_are_read_a_few_batches_at_a_time(monkeypatch):
    rows = [{"q": "x" * (i % 5), "a": "yes"} for i in range(70)]
    task = ol.Task("t", LINE, train=rows)
    model = ol.Model.build(tasks=task, backbone=SMALL)
    plain = model.predict(LINE, rows)
    monkeypatch.setattr(predicting, "WINDOW", 2)
    held = []
    original = predicting.Predictor._batches

    def batches(self, examples):
        held.append(len(examples))
        return original(self, examples)

    monkeypatch.setattr(predicting.Predictor, "_batches", batches)
    again = model.predict(LINE, rows, batch_rows=5)
    assert held == [10] * 7
    assert [one.a for one in again] == [one.a for one in plain]
    assert [one.scores["a"] for one in again] == pytest.approx([one.scores["a"] for one in plain])


@pytest.mark.parametrize("mode", ["square", "crop"])
def test_a_perfect_picture_is_perfect_however_the_slot_frames_it(mode):
    draw = np.random.default_rng(0)
    true = Image.fromarray(draw.integers(0, 256, (24, 40, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x112] = 6
    true.info["exif"] = turned.tobytes()
    line = f"[TEXT:q] -> [IMAGE:img,size=16,factor=4,codes=16,channels=16,mode={mode}]"
    codec = ImageCodesCodec(size=16, factor=4, mode=mode)
    found = judged(line, [{"q": "x", "img": true}], [{"img": codec.returned(true)}], metrics=["psnr"])
    assert found == {"img/psnr": 100.0}


def test_a_perfect_motion_is_perfect_in_its_piece_and_place():
    root = np.cumsum(np.full((30, 3), 0.1), 0) + 5
    true = {"root": root, "rotations": np.tile(np.eye(3), (30, 22, 1, 1)), "fps": 30}
    codec = MotionCodec(window=12, anchor_frame=0)
    found = judged(
        "[TEXT:q] -> [MOTION:m,window=12,anchor_frame=0]",
        [{"q": "x", "m": true}],
        [
            {
                "m": codec.decode(
                    {
                        "values": torch.as_tensor(
                            codec.encode(true, Reading(side="target", mode="predict")).labels["values"]
                        )
                    }
                )
            }
        ],
    )
    assert max(found.values()) < 1e-3


REFERENCES = [["a red box", "one box"], ["two cats"], ["a dog", "the dog runs"]]


def test_held_out_rows_hold_several_references():
    rows = [{"q": str(i), "a": one} for i, one in enumerate(REFERENCES)]
    task = ol.Task(
        "t",
        "[TEXT:q] -> [TEXT:a,max_length=16]",
        train=[{**row, "a": row["a"][0]} for row in rows],
        valid=rows,
        metrics=["exact_match", "bleu", "rouge_l", "cider"],
    )
    model = ol.Model.build(tasks=task, backbone=SMALL)
    (found,) = evaluate(model, task)
    assert found.rows == 3 and len(found.values) == 4
    values = judge(bind(task), rows, [Output({"a": one[-1]}, {}) for one in REFERENCES])[0]
    assert values["a/exact_match"] == values["a/rouge_l"] == 1
    reader, bound = model.reader(model.bound(task)), model.bound(task)
    first = reader.example(bound.read("valid", 0), RowId("t", 0), mode="valid")
    assert bytes(first.streams[0].target[-1].encoded.labels["tokens"][:-1].tolist()) == b"a red box"


def test_references_of_a_closed_set_and_scores_of_answers():
    rows = [{"q": "x", "a": ["perhaps", "yes"]}, {"q": "y", "a": {"no": 0.3, "yes": 1}}]
    task = ol.Task("t", LINE, valid=rows, metrics=["vqa_score"])
    (found,) = evaluate(ol.Model.build(tasks=task, backbone=SMALL), task)
    assert found.rows == 2
    values = judge(bind(task), rows, [Output({"a": "yes"}, {}), Output({"a": "no"}, {})])[0]
    assert values["a/vqa_score"] == pytest.approx((1 / 6 + 0.3) / 2)


def test_training_rows_hold_one_text():
    rows = [{"q": "x", "a": ["yes", "no"]}]
    with pytest.raises(ol.InstructionError, match="text must be a string, but is list"):
        ol.Model.build(tasks=ol.Task("t", "[TEXT:q] -> [TEXT:a]", train=rows), backbone=SMALL)


def test_a_class_is_one():
    rows = [{"q": "x", "a": ["yes", "no"]}]
    with pytest.raises(DataError, match="`accuracy` must get one true class a row, but got"):
        judged(LINE, rows, [{"a": "yes"}], metrics=["accuracy"])
