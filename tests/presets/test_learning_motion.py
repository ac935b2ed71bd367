"""The presets of motion learn within seconds: words to motion, gaps to fill, motion to words."""

import numpy as np
import pytest

from omniline.tasks.presets.motion.described import DescribedMotions

SMALL = "ofa-tiny,width=64,heads=2,ffn=128,encoder_layers=1,decoder_layers=1,dropout=0,positions=64"
FEW = "walk,run,squat"


def rows(task, split, **more):
    call = {"call": "omniline.tasks.presets.motion.described:DescribedMotions", "split": split, "frames": 24, **more}
    return {f"tasks__{task}__{split}": call}


@pytest.fixture(scope="module")
def mean_pose():
    """The mean of the training motions at each moment, which looks at no word."""
    motions = [DescribedMotions("train", rows=60, moves=FEW, frames=24)[i]["bvh_frames"] for i in range(60)]
    frames = min(len(motion["root"]) for motion in motions)
    turns = np.mean([motion["rotations"][:frames, :, :, :2] for motion in motions], axis=0)
    six = np.concatenate([turns[..., 0], turns[..., 1]], -1)
    root = np.mean([motion["root"][:frames] for motion in motions], axis=0)
    return {"bvh_frames": lambda row: {"root": root, "rotations": six, "fps": 20}}


def test_text_to_motion(learn, mean_pose):
    learned = learn(
        "text_to_motion",
        steps=200,
        rows=12,
        constant=mean_pose,
        predict={"steps": 8},
        backbone=SMALL,
        fit__learning_rate=1e-2,
        fit__batch_rows=12,
        **rows("text_to_motion", "train", moves=FEW, rows=100),
        **rows("text_to_motion", "valid", moves=FEW),
    )
    assert learned.last < 0.3 * learned.first
    assert learned.values["bvh_frames/motion_place"] < 0.9 * learned.trivial["bvh_frames/motion_place"]


def test_motion_inbetweening(learn, mean_pose):
    learned = learn(
        "motion_inbetweening",
        steps=100,
        rows=12,
        constant=mean_pose,
        predict={"steps": 8},
        backbone=SMALL,
        fit__learning_rate=1e-2,
        fit__batch_rows=12,
        **rows("motion_inbetweening", "train", moves=FEW, rows=100),
        **rows("motion_inbetweening", "valid", moves=FEW),
    )
    assert learned.last < 0.5 * learned.first
    assert learned.values["bvh_frames/motion_place"] < 0.75 * learned.trivial["bvh_frames/motion_place"]


def test_motion_captioning(learn):
    learned = learn(
        "motion_captioning",
        steps=120,
        rows=24,
        backbone="decoder-tiny,width=64,heads=2,key_heads=2,ffn=128,layers=2,positions=128",
        fit__learning_rate=8e-3,
        **rows("motion_captioning", "train", moves=FEW, rows=100),
        **rows("motion_captioning", "valid", moves=FEW),
    )
    assert learned.last < 0.3 * learned.first
    assert learned.values["text/rouge_l"] > learned.trivial["text/rouge_l"] + 0.15
