"""Values that a row gives (`no_loss`) are written in their natural format, whatever spelling of them the row holds."""

import json

import numpy as np
import pytest
import soundfile
from PIL import Image

import omniline as ol
from omniline.core.errors import DataError
from omniline.plugins.motion.reading import read_motion

SMALL = "decoder-tiny,width=32,heads=2,key_heads=2,ffn=32,layers=1"
TONE = (np.sin(np.arange(8000) / 5) / 2).astype(np.float32)
STILL = {"rotations": np.tile(np.eye(3), (12, 3, 1, 1)), "fps": 30}


def saved(slot, value, folder, **more):
    line = f"[TEXT:q] -> {slot} [TEXT:a,max_length=2]"
    row = {"q": "x", "v": value, "a": "y"}
    model = ol.Model.build(tasks=ol.Task("t", line, train=[row]), backbone=SMALL)
    out = model.predict(line, row | more)
    return next(path for path in out.save(folder) if path.stem == "v")


def test_pictures_and_sounds_by_path(tmp_path):
    Image.new("RGB", (8, 6), "red").save(tmp_path / "in.bmp")
    soundfile.write(tmp_path / "in.flac", TONE, 16_000)
    codes = "[IMAGE:v,no_loss,size=8,factor=4,codes=16,channels=16]"
    made = saved(codes, str(tmp_path / "in.bmp"), tmp_path / "a")
    with Image.open(made) as picture:
        assert made.name == "v.png" and picture.size == (8, 6)
    made = saved("[AUDIO:v,no_loss,max_seconds=1,sample_rate=8000]", str(tmp_path / "in.flac"), tmp_path / "b")
    samples, rate = soundfile.read(made)
    assert made.name == "v.wav" and (len(samples), rate) == (4000, 8000)


def test_sounds_clips_motions_and_tables_in_memory(tmp_path):
    made = saved("[AUDIO:v,no_loss,max_seconds=1]", (TONE, 16_000), tmp_path / "a")
    np.testing.assert_allclose(soundfile.read(made)[0], TONE, atol=1e-4)
    made = saved("[MOTION:v,joints=3,no_loss]", STILL, tmp_path / "b")
    assert made.name == "v.npz" and len(read_motion(made, None)) == 12
    clip = "[VIDEO:v,no_loss,size=8,factor=4,codes=16,channels=16,max_frames=2,fps=4]"
    assert saved(clip, np.zeros((4, 8, 8, 3), np.uint8), tmp_path / "c").name == "v.mp4"
    assert saved("[STRUCT:v,no_loss,form=table]", {"a": [1, 2]}, tmp_path / "d").read_text() == "a\n1\n2\n"
    assert json.loads(saved("[STRUCT:v,no_loss]", {"a": 1}, tmp_path / "e").read_text()) == {"a": "1"}
    assert saved("[PHONE:v,no_loss]", ["AA", "B"], tmp_path / "f").read_text() == "AA B"


@pytest.mark.parametrize("slot", ["[CATEGORY:v,no_loss,closed_set=1|2]", "[TEXT:v,no_loss,closed_set=1|2]"])
def test_a_given_number_is_the_member_of_its_name(tmp_path, slot):
    assert saved(slot, np.int64(1), tmp_path).read_text() == "1"
    with pytest.raises(DataError, match="row 0: slot `v`: '3' is not in the closed set"):
        saved(slot, 1, tmp_path, v=3)
