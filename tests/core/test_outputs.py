"""Outputs: attributes, items, files."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from omniline.core.errors import OmnilineError
from omniline.core.outputs import Output


def test_values_by_attribute_and_item():
    out = Output({"cap": "a cat", "save": "not the method"}, {"cap": 0.5})
    assert out.cap == out["cap"] == "a cat"
    assert out["save"] == "not the method" and callable(out.save)
    assert list(out) == ["cap", "save"] and len(out) == 2 and "cap" in out and "dog" not in out
    assert out.to_dict() == {"cap": "a cat", "save": "not the method"}
    assert repr(Output({"n": 1}, {})) == "Output(n=1)"
    assert out.embeddings == {}


@pytest.mark.parametrize("name", ["scores", "embeddings", "to_dict"])
def test_methods_and_fields_win(name):
    out = Output({name: "value"}, {})
    assert getattr(out, name) != "value" and out[name] == "value"


def test_an_unknown_slot_names_the_nearest():
    out = Output({"caption": "x"}, {})
    with pytest.raises(AttributeError, match="no slot `captoin`; did you mean `caption`"):
        _ = out.captoin
    with pytest.raises(KeyError, match=r"no slot `q` .slots: caption"):
        _ = out["q"]
    assert not hasattr(out, "__wrapped__")


def test_save_writes_natural_formats(tmp_path):
    picture = Image.new("RGB", (4, 4), (255, 0, 0))
    values = {
        "cap": "Kätzchen",
        "pic": picture,
        "box": (0.1, 0.2, 0.3, 0.4),
        "names": ["a", "b"],
        "wave": torch.arange(3.0),
        "array": np.eye(2),
    }
    files = Output(values, {}).save(tmp_path / "deep" / "out")
    assert [f.name for f in files] == ["cap.txt", "pic.png", "box.json", "names.json", "wave.npy", "array.npy"]
    assert files[0].read_text(encoding="utf-8") == "Kätzchen"
    assert Image.open(files[1]).getpixel((0, 0)) == (255, 0, 0)
    assert json.loads(files[2].read_text()) == [0.1, 0.2, 0.3, 0.4]
    assert np.load(files[4]).tolist() == [0, 1, 2]


def test_dotted_names_stay_whole(tmp_path):
    assert [f.name for f in Output({"o.a": "x", "o.b": [1]}, {}).save(tmp_path)] == ["o.a.txt", "o.b.json"]


def test_a_value_without_a_format_leaves_no_file(tmp_path):
    with pytest.raises(OmnilineError, match="the value of `odd` has no file format"):
        Output({"odd": {1j}}, {}).save(tmp_path)
    assert list(tmp_path.iterdir()) == []
