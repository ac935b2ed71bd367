"""MOTION: BVH files of any kind, arrays, features, pieces, given frames, files that others read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from omniline.core.codec import Reading
from omniline.plugins.motion.bvh import count_frames, parse_bvh
from omniline.plugins.motion.bvh_writing import write_bvh
from omniline.plugins.motion.codec import MotionCodec
from omniline.plugins.motion.features import anchored
from omniline.plugins.motion.port import MotionPort
from omniline.plugins.motion.reading import read_motion
from omniline.plugins.motion.rotations import heading, of_euler, of_quaternion, of_six, to_euler_zyx, to_six
from omniline.plugins.motion.scores import MotionError
from omniline.plugins.motion.skeleton import human
from omniline.plugins.motion.value import Motion

BVH = """HIERARCHY
ROOT Hips {
  OFFSET 0 0 0
  CHANNELS 6 Zrotation Yposition Xposition Zposition Xrotation Yrotation
  JOINT LeftUpLeg
  {
    OFFSET 1 -1 0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 0 -9 0
    }
  }
  JOINT Spine one
  {
    OFFSET 0 5 0
    CHANNELS 1 Xrotation
    End Site
    { OFFSET 0 5 0 }
  }
}
MOTION
Frames: 3
Frame Time: 0.05
10 20 1 2 30 40 5 6 7 90
0 20 1 2 0 0 0 0 0 0
0 20 1 3 0 0 0 0 0 0
"""


def whirl(frames=24, seed=0):
    """A person whose joints all turn, smoothly, and who moves about."""
    draw = np.random.default_rng(seed)
    time = np.linspace(0, 1, frames)[:, None, None]
    angles = np.sin(time * draw.uniform(1, 6, (22, 3)) + draw.uniform(0, 6, (22, 3)))
    root = np.concatenate([time[:, 0], 0.9 + 0 * time[:, 0], 2 * time[:, 0]], 1)
    return Motion(root=root, rotations=of_euler(angles, (2, 1, 0)), skeleton=human(), fps=30)


def codec(**settings):
    return MotionCodec(**{"min_length": 1, **settings})


def test_channels_of_any_order_and_number():
    bvh = parse_bvh(BVH)
    assert bvh.skeleton.names == ("Hips", "LeftUpLeg", "Spine one") and bvh.skeleton.parents == (-1, 0, 0)
    assert bvh.fps == pytest.approx(20) and np.allclose(bvh.root, [[1, 20, 2], [1, 20, 2], [1, 20, 3]])
    root = of_euler(np.deg2rad([10.0, 30.0, 40.0]), (2, 0, 1))
    assert np.allclose(bvh.rotations[0, 0], root)
    leg = bvh.skeleton.places(bvh.root, bvh.rotations)[0, 1]
    assert np.allclose(leg, [1, 20, 2] + root @ [1, -1, 0])
    tip = bvh.skeleton.tips(bvh.root, bvh.rotations)[0, 4]
    spine = bvh.rotations[0, 2]
    assert np.allclose(spine @ [0, 5, 0], [0, 0, 5], atol=1e-9) and np.allclose(tip, [1, 20, 2] + root @ [0, 5, 5])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("none.bvh", "the motion file 'none.bvh' does not exist"),
        ("none.npz", "the motion file 'none.npz' does not exist"),
        (".", "the motion file '.' is a folder"),
        ("", "a motion must be a path or the text of a BVH file, .* but is empty text"),
        ("no\nskeleton", "but is other text: 'no.*skeleton'"),
    ],
)
def test_a_motion_that_is_not_there(raw, words):
    with pytest.raises(ValueError, match=words):
        MotionCodec().measure(raw, Reading())


def test_headers_alone_say_the_length():
    assert count_frames(BVH.replace("90\n", "90 never read\n"), "x") == (3, pytest.approx(20))


WRONG = [
    ("HIERARCHY", "HELLO", 'is no BVH file: it must begin with HIERARCHY, but begins with "HELLO"'),
    ("  CHANNELS 6 Z", "  CHANNELS 5 Z", "line 4: CHANNELS must have a number, and so many names"),
    ("Yposition Xp", "Yposition Yp", "line 4: a joint's channels must differ"),
    (
        "6 Zrotation Yposition Xposition",
        "5 Zrotation Xposition",
        "line 2: the root `Hips` must have the channels Xposition",
    ),
    (
        "    CHANNELS 1 Xrotation\n",
        "",
        "line 17: CHANNELS of the joint `Spine one` must stand, but there is `End Site`",
    ),
    ("Xrotation Zrotation", "Xrotation Wrotation", "line 8: channels are Xposition to Zrotation, which `Wrotation`"),
    ("OFFSET 1 -1 0", "OFFSET 1 -1", "line 7: OFFSET must have three numbers"),
    ("Spine one", "LeftUpLeg", "line 14: joints must have names of their own, of which `LeftUpLeg` is taken"),
    ("Frames: 3", "Frames: many", "line 23: `Frames:` must have a whole number"),
    ("Frame Time: 0.05", "Frame Time: 0", "line 24: `Frame Time:` must have a number of seconds above 0"),
    ("7 90", "7", "line 25: a frame must have 10 numbers, one for each channel, but has 9"),
    ("Frames: 3", "Frames: 4", "must have 4 frames, as `Frames:` says, but has 3"),
    ("7 90", "7 x", "line 25: a frame must be numbers, but there is `10 20 1 2 30 40 5 6 7 x`"),
    ("7 90", "7 nan", "frame 1 must have finite numbers"),
    (BVH[BVH.index("MOTION") :], "", "ends at line 21, where `MOTION` must follow"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), WRONG, ids=[said[-40:] for _, _, said in WRONG])
def test_a_bvh_that_is_wrong_says_where(right, wrong, said, tmp_path):
    path = tmp_path / "clip.bvh"
    path.write_text(BVH.replace(right, wrong, 1))
    with pytest.raises(ValueError) as caught:
        read_motion(path, None)
    assert said in str(caught.value) and "clip.bvh" in str(caught.value)


def test_what_is_written_is_read_again():
    """Places come back within a hundred-thousandth of a metre, whatever the order of the joints."""
    motion = whirl()
    again = parse_bvh(write_bvh(motion.skeleton, motion.root, motion.rotations, motion.fps))
    order = motion.skeleton.order_of(again.skeleton.names)
    assert again.fps == pytest.approx(30, rel=1e-5)
    assert np.abs(again.skeleton.places(again.root, again.rotations)[:, order] - motion.places()).max() < 1e-5


def test_angles_are_those_of_the_matrices_and_do_not_jump():
    """At the poles too, where two axes are one."""
    turns = of_euler(np.stack([np.linspace(0, 9, 40), np.full(40, np.pi / 2), np.linspace(0, 1, 40)], 1), (2, 1, 0))
    angles = to_euler_zyx(turns)
    assert np.allclose(of_euler(angles, (2, 1, 0)), turns, atol=1e-6) and np.abs(np.diff(angles, axis=0)).max() < 1


def test_rotations_in_every_notation():
    turns = whirl(4).rotations
    assert np.allclose(of_six(to_six(turns)), turns)
    half = np.array([np.cos(0.3), 0, np.sin(0.3), 0]) * 7
    assert heading(of_quaternion(half)) == pytest.approx(0.6)


RAWS = {
    "matrices": lambda m: m.rotations,
    "six": lambda m: torch.as_tensor(to_six(m.rotations)),
    "mapping": lambda m: {"rotations": m.rotations, "root": m.root, "fps": 30},
    "pair": lambda m: (m.root, m.rotations),
    "value": lambda m: m,
    "text": lambda m: write_bvh(m.skeleton, m.root, m.rotations, m.fps),
    "bytes": lambda m: {"bytes": write_bvh(m.skeleton, m.root, m.rotations, m.fps).encode(), "path": None},
}


@pytest.mark.parametrize("kind", RAWS)
def test_there_and_back(kind):
    """Within a ten-thousandth of the body's height."""
    motion = whirl()
    encoded = codec().encode(RAWS[kind](motion), Reading(side="target"))
    found = codec().decode({"values": torch.as_tensor(encoded.labels["values"])})
    assert np.abs(found.rotations - motion.rotations).max() < 1e-5
    if kind not in ("matrices", "six"):
        assert np.abs(found.places() - motion.places()).max() < 1e-4 * human().height
    assert codec().measure(RAWS[kind](motion), Reading()) == encoded.rows == 24


def test_files_there_and_back(tmp_path):
    motion = whirl()
    for suffix in (".bvh", ".npz"):
        path = motion.save(tmp_path / f"clip{suffix}")
        assert np.abs(codec()._read_whole(str(path)).places() - motion.places()).max() < 1e-4
    saved = codec().save(motion, tmp_path / "out")
    assert saved.name == "out.bvh" and codec().save(replace(motion, skeleton=None), tmp_path / "out").suffix == ".npz"
    with pytest.raises(ValueError, match=r"saved as .bvh, .npz, .gif or .mp4, but `x.fbx`"):
        motion.save(tmp_path / "x.fbx")


def test_a_drawing_moves(tmp_path):
    from PIL import Image

    path = whirl().save(tmp_path / "clip.gif")
    with Image.open(path) as picture:
        assert picture.n_frames == 20 and picture.info["duration"] == 40
        first = np.asarray(picture.convert("RGB")).astype(int)
        picture.seek(10)
        assert np.abs(np.asarray(picture.convert("RGB")) - first).max() > 100


def test_rates():
    """A file of 120 frames a second is read at 30, and what is made says 30."""
    motion = replace(whirl(120), fps=120.0)
    read = codec()._read_whole(motion)
    assert len(read) == 30 and read.fps == 30 and np.allclose(read.root, motion.root[::4], atol=1e-6)
    halves = codec(fps=45.0, sample_rate=3)
    assert halves.rate == 15 and len(halves._read_whole(whirl(30))) == 15
    odd = replace(whirl(31), fps=20.0).at_rate(30.0)
    assert len(odd) == 46 and np.allclose(odd.root[1], whirl(31).root[0] / 3 + whirl(31).root[1] * 2 / 3, atol=1e-6)
    assert np.allclose(odd.rotations @ odd.rotations.swapaxes(2, 3), np.eye(3), atol=1e-9)


def test_an_anchored_motion_faces_forward_at_the_origin():
    motion = anchored(whirl(), 5)
    assert abs(heading(motion.rotations[5, 0])) < 1e-9 and np.allclose(motion.root[5, [0, 2]], 0)
    moved, still = np.diff(motion.places()[:, 3], axis=0), np.diff(whirl().places()[:, 3], axis=0)
    assert np.allclose(np.linalg.norm(moved, axis=1), np.linalg.norm(still, axis=1))
    with pytest.raises(ValueError, match="`anchor_frame` must be one of 24 frames, but is 24"):
        anchored(whirl(), 24)


def test_source_and_target_read_the_same_piece():
    """A window is drawn by column, the gaps by slot; outside training it is the first frames."""
    settings = {"window": 8, "mask_ratio": 0.5, "soft_trim": 0.3}
    source = codec(**settings).encode(whirl(40), Reading(seed=1, column=7))
    target = codec(window=8, soft_trim=0.3).encode(whirl(40), Reading(side="target", seed=2, column=7))
    known = source.tensors["known"].astype(bool)
    assert known.sum() == 4 and known[0] and known[-1]
    assert np.allclose(source.tensors["values"][known][:, 6:], target.labels["values"][known][:, 6:])
    assert not source.tensors["values"][~known].any()
    assert not np.allclose(
        codec(window=8).encode(whirl(40), Reading(column=8)).tensors["values"], target.labels["values"]
    )
    first = codec(window=8).encode(whirl(40), Reading(mode="valid", column=9)).tensors["values"]
    assert np.allclose(first[:, 6:], codec().encode(whirl(40), Reading()).tensors["values"][:8, 6:])


def test_unknown_frames_are_nan_or_said():
    motion = whirl(12)
    turns = motion.rotations.copy()
    turns[3:7] = np.nan
    by_nan = codec().encode({"rotations": turns, "root": motion.root, "fps": 30}, Reading(mode="predict"))
    known = np.ones(12, bool)
    known[3:7] = False
    told = codec().encode({"rotations": motion.rotations, "root": motion.root, "known": known}, Reading(mode="predict"))
    assert by_nan.tensors["known"].tolist() == told.tensors["known"].tolist() == known.astype(int).tolist()
    assert np.array_equal(by_nan.tensors["values"], told.tensors["values"])
    with pytest.raises(ValueError, match="on the target side must have all its frames"):
        codec().encode({"rotations": turns}, Reading(side="target"))


BAD = [
    (3, TypeError, "a motion must be a BVH file or text, .* but is int"),
    ({"root": np.zeros((3, 3))}, ValueError, "mapping must have `rotations`, but has root"),
    (np.zeros((9, 22, 3)), ValueError, r"quaternions .* places of joints alone do not say how they are turned"),
    (np.zeros((9, 22, 3, 3)), ValueError, "those of frame 0 stretch or mirror"),
    (np.tile(np.diag([1.0, 1.0, -1.0]), (9, 22, 1, 1)), ValueError, "those of frame 0 stretch or mirror"),
    (np.zeros((9, 22, 4)), ValueError, "a quaternion must have a length"),
    ({"rotations": np.zeros((9, 22, 4)), "root": np.zeros((8, 3))}, ValueError, r"`root` must be places \[9, 3\]"),
    (np.array([["a"]]), ValueError, "`rotations` must be numbers"),
    ({"rotations": np.tile(np.eye(3), (4, 9, 1, 1))}, ValueError, "has 9 joints, but the slot reads 22: write `skel"),
    ({"rotations": np.tile(np.eye(3), (4, 22, 1, 1)), "fps": 0}, ValueError, "`fps` must be frames a second above 0"),
    (b"\x00\x01", ValueError, "bytes of a motion must be a BVH text"),
]


@pytest.mark.parametrize(("raw", "kind", "said"), BAD, ids=[said[:30] for _, _, said in BAD])
def test_what_is_no_motion_says_so(raw, kind, said):
    with pytest.raises(kind, match=said):
        codec().encode(raw, Reading())


def test_lengths_have_bounds():
    with pytest.raises(ValueError, match="has 3 frames .30 a second., but the slot needs at least 10"):
        MotionCodec().measure(whirl(3), Reading())
    with pytest.raises(
        ValueError, match=r"has 40 frames .* `max_frames` is 16: .* `sample_rate=3`, or a piece, `window=16`"
    ):
        codec(max_frames=16).measure(whirl(40), Reading())
    assert codec(max_frames=16, window=16).measure(whirl(40), Reading()) == 16


def test_other_skeletons(tmp_path):
    """A file of the skeleton, or its text, makes a slot read others' files of it; joints are found by name."""
    path = tmp_path / "clip.bvh"
    path.write_text(BVH)
    with pytest.raises(ValueError, match=r"clip.bvh` has 3 joints, but the slot reads 22: write `skeleton=FILE.bvh`"):
        codec().encode(str(path), Reading())
    for skeleton in (str(path), BVH):
        own = codec(skeleton=skeleton, fps=20.0)
        made = own.decode({"values": torch.as_tensor(own.encode(str(path), Reading(side="target")).labels["values"])})
        assert (
            made.skeleton.names[2] == "Spine one"
            and made.fps == 20
            and np.allclose(made.root[2], [1, 20, 3], atol=1e-4)
        )
    renamed = BVH.replace("LeftUpLeg", "LeftThigh")
    with pytest.raises(ValueError, match="has the joint `LeftThigh`, which the slot's skeleton"):
        codec(skeleton=str(path)).encode(renamed, Reading())
    with pytest.raises(ValueError, match="`skeleton=none.bvh` cannot be read: No such file"):
        codec(skeleton="none.bvh")
    arrays = codec(joints=5)
    found = arrays.encode(np.tile(np.eye(3), (4, 5, 1, 1)), Reading(side="target"))
    with pytest.raises(ValueError, match="needs a skeleton, which this motion of 5 joints has not"):
        arrays.decode({"values": torch.as_tensor(found.labels["values"])}).places()


def test_the_port_knows_where_joints_are():
    """Its kinematics are those of the skeleton, and its errors know them; the gradient is finite at rest too."""
    motion, port = whirl(), MotionPort(width=8)
    values = torch.as_tensor(codec().encode(motion, Reading(side="target")).labels["values"])
    rise = torch.tensor([0.0, human().root_height, 0.0])
    assert np.allclose(port.places(values) * human().height + rise, motion.places(), atol=1e-5)
    assert torch.equal(port.errors(values, values), torch.zeros(24))
    plain = MotionPort(width=8, kinematics=0.0)
    bent = values.clone()
    bent[:, 6:12] += 0.3
    assert (port.errors(bent, values) > plain.errors(bent, values)).all()
    still = torch.zeros(2, values.shape[1], requires_grad=True)
    port.errors(still, values[:2]).sum().backward()
    assert torch.isfinite(still.grad).all()


def test_the_metric():
    """Nought for the same motion; shifted, slower or longer ones have their errors."""

    def judged(guess, true):
        metric = MotionError()
        metric.update([guess], [true])
        return metric.compute()

    true = whirl()
    assert max(judged(true, true).values()) < 1e-6
    moved = judged(replace(true, root=true.root + [1.7, 0, 0]), true)
    assert moved["place"] == pytest.approx(1.0, rel=1e-3) and moved["velocity"] < 1e-6
    assert judged(true.taken(slice(0, 12)), true)["length"] == 0.5
    still = judged(true.taken(np.zeros(24, int)), true)
    assert still["velocity"] > 0.5 and still["place"] > 0.1
    assert judged(true, {"rotations": true.rotations, "root": true.root, "fps": 30})["place"] < 1e-6
    with pytest.raises(ValueError, match="must have the true one's joints, 3, but has 22"):
        judged(true, BVH)


def test_without_a_skeleton_angles_are_judged():
    rest = np.tile(np.eye(3), (4, 3, 1, 1))
    metric = MotionError()
    metric.update([{"rotations": rest @ np.diag([-1.0, -1.0, 1.0])}], [{"rotations": rest}])
    assert metric.compute() == {"length": 0.0, "turn": 180.0}
