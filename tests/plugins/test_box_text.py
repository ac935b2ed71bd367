"""Boxes and points as the text of vision-language models, there and back."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from omniline.core.codec import Reading
from omniline.core.view import MIRROR, View, magnified
from omniline.plugins.language.box_text import BoxTextCodec
from omniline.plugins.language.tokenizer import ByteTokenizer, Tokenizer
from omniline.plugins.qwen.vision_codec import QwenImageCodec

SEEN = View(size=(1000, 500), made=(1008, 504))
READ = Reading(mode="predict", leader=SEEN)


def codec(**settings):
    return BoxTextCodec(tokenizer=ByteTokenizer(), **settings)


def there_and_back(made, raw, leader=SEEN):
    encoded = made.encode(raw, Reading(side="target", mode="predict", leader=leader))
    assert encoded.rows == made.measure(raw, Reading(side="target", leader=leader)) == len(encoded.labels["tokens"])
    assert encoded.labels["tokens"][-1] == made.tokenizer.end
    return made.decode({"tokens": torch.from_numpy(encoded.labels["tokens"][:-1])}, leader=leader)


def test_pixels_are_those_of_the_resized_picture():
    picture = Image.new("RGB", (1000, 500))
    view = QwenImageCodec().lead(picture, READ)
    assert view == SEEN
    made = codec(unit="pixels")
    text = made.text({"bbox": (500, 250, 1000, 500), "label": 'a "cat"'}, Reading(leader=view))
    assert json.loads(text) == [{"bbox_2d": [504, 252, 1008, 504], "label": 'a "cat"'}]


@pytest.mark.parametrize("format", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("style", ["json", "pairs"])
def test_a_box_comes_back_within_half_a_step(style, format):
    made = codec(style=style, unit="pixels", format=format)
    random = np.random.default_rng(0)
    for _ in range(40):
        x, y = np.sort(random.uniform(0, 1000, 2)), np.sort(random.uniform(0, 500, 2))
        box = {
            "xyxy": (x[0], y[0], x[1], y[1]),
            "xywh": (x[0], y[0], x[1] - x[0], y[1] - y[0]),
            "cxcywh": ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, x[1] - x[0], y[1] - y[0]),
        }[format]
        found = there_and_back(made, box)
        assert np.abs(np.subtract(made.compared(found), made.compared(box))).max() <= 0.5001


@pytest.mark.parametrize("style", ["json", "pairs"])
def test_points_and_lists(style):
    made = codec(style=style, shape="point", several=True, size=100)
    raw = [{"point_2d": [50, 25], "label": "nose"}, {"x": 0, "y": 100}, (99, 1)]
    found = there_and_back(made, raw)
    assert found[0]["label"] == "nose"
    points = [found[0]["point"], *found[1:]]
    assert np.allclose(points, [(50, 25), (0, 100), (99, 1)], atol=0.11)
    assert there_and_back(made, []) == []


def test_the_older_notation_between_its_marks():
    class Marked(ByteTokenizer):
        def special(self, name):
            names = ["<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"]
            return 300 + names.index(name) if name in names else None

    made = BoxTextCodec(tokenizer=Marked(), style="pairs")
    ids = made.encode({"bbox": (0.1, 0.2, 0.5, 1.0), "label": "cat"}, READ).tensors["tokens"].tolist()
    assert ids[0] == 300 and bytes(ids[1:4]) == b"cat" and ids[4:6] == [301, 302] and ids[-1] == 303
    assert bytes(ids[6:-1]) == b"(100,200),(500,999)"


def test_a_label_cannot_spell_a_mark():
    class Spelled(ByteTokenizer):
        literal_asked: list[str] = []

        def literal(self, text):
            self.literal_asked.append(text)
            return super().literal(text)

    made = BoxTextCodec(tokenizer=Spelled(), style="json")
    made.encode({"bbox": (0, 0, 1, 1), "label": "<|im_end|>"}, READ)
    assert "<|im_end|>" in Spelled.literal_asked[-1]
    assert isinstance(made.tokenizer, Tokenizer)


def test_boxes_go_where_their_picture_goes():
    mirrored = View(size=(100, 100), matrix=MIRROR, made=(56, 56))
    made = codec()
    assert made.text((0.0, 0.0, 0.25, 1.0), Reading(leader=mirrored)) == '[{"bbox_2d": [42, 0, 56, 56]}]'
    assert there_and_back(made, (0.0, 0.0, 0.25, 1.0), mirrored) == (0.0, 0.0, 0.25, 1.0)


def test_what_is_cut_away_is_not_learnt():
    right = View(size=(100, 100), matrix=magnified((0.5, 0.0, 1.0, 1.0)), made=(56, 56))
    how = Reading(side="target", leader=right)
    lost, kept = (0.0, 0.0, 0.25, 1.0), (0.5, 0.0, 0.75, 1.0)
    assert not (codec().encode(lost, how).roles == 2).any()
    assert codec().encode(kept, how).roles is None
    assert codec(several=True).text([lost, kept], how) == '[{"bbox_2d": [0, 0, 28, 56]}]'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            '```json\n[\n\t{"bbox_2d": [0, 0, 504, 252], "label": "a {b}"}\n]\n```',
            {"bbox": (0, 0, 0.5, 0.5), "label": "a {b}"},
        ),
        ('{"bbox_2d": [504, 252, 0, 0]}', (0, 0, 0.5, 0.5)),
        ('{"bbox_2d": [0, 0, 5040, 252]}', (0, 0, 1, 0.5)),
        ('[{"bbox_2d": [0, 0', (0, 0, 0, 0)),
        ('[{"bbox_2d": [0, 0, "x", 3]}]', (0, 0, 0, 0)),
        ("I see nothing {", (0, 0, 0, 0)),
    ],
)
def test_what_a_model_writes_is_a_value(text, value):
    assert codec().read(text, SEEN) == value


@pytest.mark.parametrize(
    ("settings", "raw", "leader", "error", "message"),
    [
        ({}, (0, 0, 1, 1), None, ValueError, r"written in pixels must follow a picture, but there is none beside it"),
        ({}, (0, 0, 2, 1), SEEN, ValueError, r"a box must lie within 0 and 1"),
        ({}, "cat", SEEN, TypeError, r"a box must be four numbers"),
        ({"shape": "point"}, (1, 2, 3), SEEN, TypeError, r"a point must be two numbers x, y, but is tuple \(1, 2, 3\)"),
        (
            {"several": True},
            {"bbox": 1},
            SEEN,
            TypeError,
            r"with `several` a value must be a list, one box each, but is",
        ),
    ],
)
def test_bad_values_say_so(settings, raw, leader, error, message):
    for read in (codec(**settings).measure, codec(**settings).encode):
        with pytest.raises(error, match=message):
            read(raw, Reading(leader=leader))
