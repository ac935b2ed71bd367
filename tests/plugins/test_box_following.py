"""Boxes in lines: each follows its own picture, in reading and in answering."""

import numpy as np
import pytest
from PIL import Image

import omniline as ol
from omniline.core.errors import ConfigError, DataError
from omniline.core.example import RowId
from omniline.plugins.language.box_text import BoxTextCodec
from omniline.plugins.language.tokenizer import ByteTokenizer
from omniline.plugins.vision.box import BoxCodec

BACKBONE = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=64,dropout=0"
SMALL, LARGE = Image.new("RGB", (40, 20), "red"), Image.new("RGB", (400, 100), "blue")


def made(line, rows):
    return ol.Model.build(backbone=BACKBONE, tasks=ol.Task("t", line, train=rows)), ol.Task("t", line, train=rows)


def bins(line, row, slot, mode="predict"):
    """The bins of a slot's values, on either side."""
    model, task = made(line, [row])
    bound = model.bound(task)
    example = model.reader(bound).example(row, RowId("t", 0), mode=mode)
    stream = example.streams[0]
    index = next(one.index for one in bound.plan.slots if one.name == slot)
    pieces = [piece for piece in (*stream.source, *stream.target) if piece.slot == index]
    return [piece.encoded.tensors["tokens"].tolist() for piece in pieces]


def test_each_box_of_a_group_follows_the_picture_of_its_repetition():
    line = "( [IMAGE:img,size=16] [BOX:box,unit=pixels,bins=10] )* which? -> [TEXT:a]"
    row = {"img": [SMALL, LARGE], "box": [(20, 10, 40, 20), (200, 50, 400, 100)], "a": "x"}
    assert bins(line, row, "box") == [[5, 5, 9, 9]] * 2


def test_a_box_follows_the_nearest_picture_before_it_or_the_one_that_is_named():
    row = {"one": SMALL, "two": LARGE, "box": (20, 10, 40, 20), "a": "x"}
    line = "[IMAGE:one,size=16] [IMAGE:two,size=16] at [BOX:box,unit=pixels,bins=20{}] -> [TEXT:a]"
    assert bins(line.format(""), row, "box") == [[1, 2, 2, 4]]
    assert bins(line.format(",image=one"), row, "box") == [[10, 10, 19, 19]]
    with pytest.raises(ConfigError, match=r"`image=tow` must name a slot of IMAGE; did you mean `two`"):
        made(line.format(",image=tow"), [row])


def test_a_target_box_follows_a_source_picture_through_its_crop():
    line = "[IMAGE:img,size=16,mode=crop] where? -> [BOX:box,unit=pixels,bins=10]"
    row = {"img": LARGE, "box": (175, 25, 200, 75)}
    assert bins(line, row, "box", mode="train") == [[2, 2, 5, 7]]


def test_answers_are_in_the_pixels_of_the_whole_picture():
    line = (
        "[IMAGE:img,size=16,mode=crop] where? -> [BOX:box,unit=pixels,bins=4] or ( [BOX:more,unit=pixels,bins=4] ){2}"
    )
    row = {"img": LARGE, "box": (0, 0, 9, 9), "more": [(0, 0, 9, 9)] * 2}
    model, _ = made(line, [row])
    out = model.predict(line, {"img": LARGE})
    for box in (out.box, *out.more):
        assert all(min(abs(box[i] - place) for place in (162.5, 187.5, 212.5, 237.5)) < 1e-6 for i in (0, 2))
        assert all(min(abs(box[i] - place) for place in (12.5, 37.5, 62.5, 87.5)) < 1e-6 for i in (1, 3))


def test_a_broken_picture_is_blamed_for_itself():
    line = "[IMAGE:img,size=16] where? -> [BOX:box,unit=pixels]"
    model, task = made(line, [{"img": SMALL, "box": (0, 0, 9, 9)}])
    reader = model.reader(model.bound(task))
    with pytest.raises(DataError, match="slot `img`: the picture file 'no.png' does not exist"):
        reader.example({"img": "no.png", "box": (0, 0, 9, 9)}, RowId("t", 0))
    with pytest.raises(DataError, match=r"slot `box`: a box must lie within its picture of 40 x 20 pixels"):
        reader.example({"img": SMALL, "box": (0, 0, 90, 9)}, RowId("t", 0))


def test_training_moves_boxes_and_leaves_no_trace_in_validation():
    line = "[IMAGE:img,size=16,augment=light,flip] where? -> [BOX:box,bins=100]"
    row = {"img": Image.fromarray(np.zeros((30, 50, 3), np.uint8)), "box": (0.4, 0.3, 0.5, 0.7)}
    model, task = made(line, [row])
    reader = model.reader(model.bound(task))
    read = [reader.example(row, RowId("t", 0, epoch), mode="train") for epoch in range(12)]
    places = {tuple(e.streams[0].target[-1].encoded.tensors["tokens"].tolist()) for e in read}
    assert len(places) > 8
    assert {place[0] < 50 for place in places} == {True, False}
    valid = {
        tuple(reader.example(row, RowId("t", 0, n), mode="valid").streams[0].target[-1].encoded.tensors["tokens"])
        for n in range(3)
    }
    assert valid == {(40, 30, 50, 70)}


def test_a_box_without_a_picture_follows_nothing():
    model, task = made("[TEXT:q] -> [BOX:box]", [{"q": "where?", "box": (0.1, 0.2, 0.5, 0.7)}])
    found = model.predict(task.instruction, {"q": "where?"})
    assert len(found.box) == 4


@pytest.mark.parametrize(
    ("target", "boxes"),
    [
        ("[BOX:box,unit=pixels]", 1),
        ("[BOX:box,unit=pixels,adapter=box_values]", 1),
        ("( [BOX:box,unit=pixels] ){2}", 2),
    ],
)
def test_boxes_are_saved_as_numbers_and_drawn_on_their_picture(tmp_path, target, boxes):
    row = {"img": SMALL, "box": (0, 0, 9, 9) if boxes == 1 else [(0, 0, 9, 9)] * 2}
    model, _ = made(line := f"[IMAGE:img,size=16] where? -> {target}", [row])
    out = model.predict(line, {"img": SMALL})
    files = out.save(tmp_path)
    assert [file.name for file in files] == ["box.json", "box_drawn.png"]
    with Image.open(files[1]) as drawn:
        assert drawn.size == (240, 120)
        assert len(drawn.convert("RGB").getcolors(999)) > 1


def test_boxes_of_several_pictures_or_of_none_are_not_drawn(tmp_path):
    line = "( [IMAGE:img,size=16] )* which? -> [BOX:box]"
    model, _ = made(line, [{"img": [SMALL, LARGE], "box": (0, 0, 0.5, 0.5)}])
    assert [f.name for f in model.predict(line, {"img": [SMALL, LARGE]}).save(tmp_path)] == ["box.json"]


def test_the_names_beside_boxes_are_drawn(tmp_path):
    line = "[IMAGE:img,size=16] -> ( [BOX:box,unit=pixels] [TEXT:name,max_length=4] ){1}"
    model, _ = made(line, [{"img": SMALL, "box": [(0, 0, 9, 9)], "name": ["cat"]}])
    out = model.predict(line, {"img": SMALL})
    (drawer,) = out._drawers.values()
    assert drawer.keywords["names"] == out.name
    codec = BoxCodec(unit="pixels", bins=100)
    for row, names in ((1, None), (2, ["cat"])):
        codec.draw([(5, 10, 20, 18)], SMALL, tmp_path / str(row), names=names)
    with Image.open(tmp_path / "1.png") as bare, Image.open(tmp_path / "2.png") as named:
        changed = np.argwhere((np.asarray(bare.convert("RGB")) != np.asarray(named.convert("RGB"))).any(-1))
    assert len(changed) and changed[:, 0].max() < 10 * 6 and changed[:, 1].min() >= 5 * 6


def test_drawn_points_stand_where_they_are(tmp_path):
    codec = BoxTextCodec(tokenizer=ByteTokenizer(), shape="point", several=True, unit="pixels")
    path = codec.draw([(30, 10), {"point": (10, 5)}], SMALL, tmp_path / "x")
    with Image.open(path) as drawn:
        other = np.abs(np.asarray(drawn.convert("RGB")).astype(int) - (255, 0, 0)).sum(-1) > 60
    rows, columns = np.where(other)
    assert abs(columns.max() - 180) <= 5 and abs(rows.min() - 30) <= 5
