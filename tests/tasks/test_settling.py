"""Settings that data says: the skeleton of a task's motions, from the row to the bundle and back to a file."""

import numpy as np
import pytest

import omniline as ol
from omniline.core.errors import InstructionError
from omniline.plugins.motion.bvh import parse_bvh

BACKBONE = "ofa-tiny,width=32,heads=2,ffn=32,encoder_layers=1,decoder_layers=1,positions=1024"
HEAD = """HIERARCHY
ROOT base
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT arm
  {
    OFFSET 0 2 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 3 0
    }
  }
}
"""


def clip(frames=12, arm="arm"):
    rows = [f"0 {place} 0 0 0 0 {10 * place} 0 0" for place in range(frames)]
    return HEAD.replace("arm", arm) + f"MOTION\nFrames: {frames}\nFrame Time: 0.0333333\n" + "\n".join(rows) + "\n"


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "crane.bvh"
    found.write_text(clip())
    return found


def built(line, rows):
    return ol.Model.build(backbone=BACKBONE, tasks=ol.Task("crane", line, train=rows))


@pytest.mark.parametrize("line", ["[TEXT:t] -> [MOTION:m]", "[TEXT:t] -> [MOTION:m,skeleton=FILE]"])
def test_a_model_keeps_the_skeleton_of_its_data(line, path, tmp_path):
    """Without the file: predicting by the line, by another line, and from a bundle writes that skeleton."""
    written = line.replace("FILE", f'"{path}"')
    model = built(written, [{"t": "up", "m": str(path)}])
    model.save(tmp_path / "bundle")
    path.unlink()
    for one in (model, ol.load(tmp_path / "bundle")):
        out = one.predict(written, {"t": "up"}, steps=2, length=5)
        (saved,) = out.save(tmp_path / "out")
        again = parse_bvh(saved.read_text())
        assert again.skeleton.names == ("base", "arm") and len(again.root) == 5
        other = one.predict("say [TEXT:t] -> [MOTION:m]", {"t": "up"}, steps=2, length=5)
        assert other.m.skeleton.names == ("base", "arm")


def test_arrays_say_how_many_joints(tmp_path):
    model = built("[TEXT:t] -> [MOTION:m]", [{"t": "up", "m": np.tile(np.eye(3), (12, 7, 1, 1))}])
    out = model.predict("[TEXT:t] -> [MOTION:m]", {"t": "up"}, steps=2, length=5)
    assert out.m.rotations.shape == (5, 7, 3, 3) and out.m.skeleton is None
    assert out.save(tmp_path / "out")[0].suffix == ".npz"


def test_groups_and_sources_are_asked_too(path):
    model = built("( [MOTION:m] )+ what? -> [TEXT:t]", [{"t": "up", "m": [str(path), clip(14)]}])
    assert model.plans["crane"].slots[0].adapter.options()["skeleton"].startswith("HIERARCHY")
    assert model.predict("[MOTION:m] what? -> [TEXT:t]", {"m": clip(20)}, most_tokens=3).t is not None


def test_a_later_row_of_another_skeleton_is_an_error(path):
    rows = [{"t": "up", "m": str(path)}, {"t": "down", "m": clip(arm="leg")}]
    with pytest.raises(InstructionError, match=r"rows.1.*has the joint `leg`, which the slot's skeleton"):
        built("[TEXT:t] -> [MOTION:m]", rows)


def test_a_first_row_that_cannot_be_read_says_why(tmp_path):
    bad = tmp_path / "bad.bvh"
    bad.write_text(clip().replace("0 3 0 0 0 0 30 0 0", "0 3 0 0 0 0 30"))
    with pytest.raises(InstructionError, match=r"bad.bvh`, line 22: a frame must have 9 numbers, .* but has 7"):
        built("[TEXT:t] -> [MOTION:m]", [{"t": "up", "m": str(bad)}])
