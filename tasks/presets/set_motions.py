"""Clips of human motion from pybullet's JSON to BVH.

A frame of the clips has 44 numbers: its seconds, the root's place and quaternion (w first), and for each joint in the
order of `JOINTS` a quaternion, or one angle where it is a hinge about z. x points forward, y up, z to the right; what
is written points forward along z, as BVH usually does, in metres. The offsets are those of the package's
`humanoid.urdf`, a quarter of its numbers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError

Numbers = NDArray[np.float64]
RATE = 30
"""Frames a second of what is written; the clips have 16 to 60."""


@dataclass(frozen=True, slots=True)
class Joint:
    """A joint: name, parent, offset in metres (x forward, y up, z right), and how many numbers turn it."""

    name: str
    parent: str
    offset: tuple[float, float, float]
    numbers: int = 4


JOINTS = (
    Joint("chest", "root", (0.0, 0.236151, 0.0)),
    Joint("neck", "chest", (0.0, 0.223894, 0.0)),
    Joint("right_hip", "root", (0.0, 0.0, 0.084887)),
    Joint("right_knee", "right_hip", (0.0, -0.421546, 0.0), 1),
    Joint("right_ankle", "right_knee", (0.0, -0.40987, 0.0)),
    Joint("right_shoulder", "chest", (-0.02405, 0.2435, 0.18311)),
    Joint("right_elbow", "right_shoulder", (0.0, -0.274788, 0.0), 1),
    Joint("left_hip", "root", (0.0, 0.0, -0.084887)),
    Joint("left_knee", "left_hip", (0.0, -0.421546, 0.0), 1),
    Joint("left_ankle", "left_knee", (0.0, -0.40987, 0.0)),
    Joint("left_shoulder", "chest", (-0.02405, 0.2435, -0.18311)),
    Joint("left_elbow", "left_shoulder", (0.0, -0.274788, 0.0), 1),
)
ENDS = {
    "neck": (0.0, 0.18, 0.0),
    "right_ankle": (0.18, -0.05, 0.0),
    "left_ankle": (0.18, -0.05, 0.0),
    "right_elbow": (0.0, -0.258947, 0.0),
    "left_elbow": (0.0, -0.258947, 0.0),
}
NUMBERS = 8 + sum(joint.numbers for joint in JOINTS)


def make_motions(unpacked: Path, target: Path) -> None:
    """Every clip as BVH with a short text; two of the twenty are held out whole."""
    (target / "clips").mkdir()
    lines: dict[str, list[str]] = {"train": [], "valid": []}
    for path in sorted(unpacked.rglob("*.txt")):
        name = path.stem.removeprefix("humanoid3d_").lstrip("0")
        (target / "clips" / f"{name}.bvh").write_text(bvh_of(json.loads(path.read_text(encoding="utf-8")), name))
        row = {"text": said(name), "bvh_frames": f"clips/{name}.bvh"}
        lines["valid" if name in ("dance_b", "turn_left1") else "train"].append(json.dumps(row))
    for split, rows in lines.items():
        (target / f"{split}.jsonl").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def said(name: str) -> str:
    """The text of a clip.

    >>> said("turn_left1"), said("dance_b")
    ('a person turns left', 'a person dances')
    """
    words = re.sub(r"\d+$", "", name).split("_")
    known = {"dance": "dances", "getup": "gets up", "crawl": "crawls", "punch": "punches", "spinkick": "kicks spinning"}
    verb = known.get(words[0], f"{words[0]}s")
    if words[0] in ("cartwheel", "backflip"):
        verb = f"does a {words[0]}"
    rest = {"facedown": "lying face down", "faceup": "lying face up"}
    more = [rest.get(word, word) for word in words[1:] if len(word) > 1]
    return " ".join(["a person", verb, *(("from",) if words[0] == "getup" else ()), *more])


def bvh_of(clip: dict[str, Any], name: str) -> str:
    """A clip as the text of a BVH file of 30 frames a second.

    Raises:
        DataError: a frame has not 44 numbers.
    """
    frames = np.asarray(clip["Frames"], dtype=np.float64)
    if frames.ndim != 2 or frames.shape[1] != NUMBERS:
        raise DataError(f"the clip `{name}`: a frame must have {NUMBERS} numbers, but the clip is {frames.shape}")
    frames = resampled(frames)
    places = _turned(frames[:, 1:4])
    columns = [places, euler_of(_quaternions(frames[:, 4:8]))]
    at = 8
    for joint in JOINTS:
        part = frames[:, at : at + joint.numbers]
        columns.append(euler_of(_quaternions(part if joint.numbers == 4 else _hinge(part[:, 0]))))
        at += joint.numbers
    order = [0, 1, *(2 + _number(joint) for joint in _depth_first("root"))]
    table = np.concatenate([columns[i] for i in order], axis=1)
    text = "\n".join(" ".join(f"{value:.5f}" for value in row) for row in table)
    return f"{_hierarchy()}MOTION\nFrames: {len(table)}\nFrame Time: {1 / RATE:.6f}\n{text}\n"


def resampled(frames: Numbers) -> Numbers:
    """Frames at even times, linear between neighbours; quaternions of one sign, so that none turns the long way."""
    times = np.concatenate([[0.0], np.cumsum(frames[:-1, 0])])
    frames = frames.copy()
    for first in _quaternion_columns():
        part = frames[:, first : first + 4]
        flips = np.cumprod(np.where((part[1:] * part[:-1]).sum(1) < 0, -1.0, 1.0))
        part[1:] *= flips[:, None]
    wanted = np.arange(0.0, times[-1] + 1e-9, 1 / RATE)
    return np.stack([np.interp(wanted, times, column) for column in frames.T], axis=1)


def euler_of(quaternions: Numbers) -> Numbers:
    """Degrees about z, x and y, applied in that order from the parent's side: R = Rz Rx Ry.

    >>> [round(abs(float(angle))) for angle in euler_of(np.array([[0.75**0.5, 0.5, 0.0, 0.0]]))[0]]
    [0, 60, 0]
    """
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    sine = np.clip(2 * (y * z + w * x), -1, 1)
    about_z = np.arctan2(-2 * (x * y - w * z), 1 - 2 * (x * x + z * z))
    about_y = np.arctan2(-2 * (x * z - w * y), 1 - 2 * (x * x + y * y))
    degrees: Numbers = np.degrees(np.stack([about_z, np.arcsin(sine), about_y], axis=1))
    return degrees


def _quaternion_columns() -> list[int]:
    found, at = [4], 8
    for joint in JOINTS:
        if joint.numbers == 4:
            found.append(at)
        at += joint.numbers
    return found


def _turned(vectors: Numbers) -> Numbers:
    """From x forward, z right to z forward, x left."""
    return np.stack([-vectors[:, 2], vectors[:, 1], vectors[:, 0]], axis=1)


def _quaternions(part: Numbers) -> Numbers:
    return np.concatenate([part[:, :1], _turned(part[:, 1:])], axis=1)


def _hinge(angles: Numbers) -> Numbers:
    nothing = np.zeros_like(angles)
    return np.stack([np.cos(angles / 2), nothing, nothing, np.sin(angles / 2)], axis=1)


def _number(joint: Joint) -> int:
    return JOINTS.index(joint)


def _depth_first(parent: str) -> list[Joint]:
    return [one for joint in JOINTS if joint.parent == parent for one in (joint, *_depth_first(joint.name))]


def _hierarchy() -> str:
    return "HIERARCHY\n" + _joint("ROOT", "root", (0.0, 0.0, 0.0), 0)


def _joint(kind: str, name: str, offset: tuple[float, float, float], depth: int) -> str:
    pad, inner = "\t" * depth, "\t" * (depth + 1)
    channels = "3" if kind == "JOINT" else "6 Xposition Yposition Zposition"
    text = f"{pad}{kind} {name}\n{pad}{{\n{inner}OFFSET {_numbers(offset)}\n"
    text += f"{inner}CHANNELS {channels} Zrotation Xrotation Yrotation\n"
    for joint in JOINTS:
        if joint.parent == name:
            text += _joint("JOINT", joint.name, joint.offset, depth + 1)
    if name in ENDS:
        text += f"{inner}End Site\n{inner}{{\n{inner}\tOFFSET {_numbers(ENDS[name])}\n{inner}}}\n"
    return text + f"{pad}}}\n"


def _numbers(offset: tuple[float, float, float]) -> str:
    return " ".join(f"{value:.6f}" for value in _turned(np.asarray([offset]))[0])
