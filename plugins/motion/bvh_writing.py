"""Writing BVH files, for Blender and others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .rotations import Floats, to_euler_zyx
from .skeleton import Skeleton

DIGITS = 6
"""Decimals that are written; angles then err by less than a millionth of a degree."""


def write_hierarchy(skeleton: Skeleton) -> str:
    """The HIERARCHY of a skeleton, six channels for the root and three for every other joint, in depth-first order."""
    lines = ["HIERARCHY"]
    _write_joint(skeleton, 0, 0, lines)
    return "\n".join(lines) + "\n"


def write_bvh(skeleton: Skeleton, root: Floats, rotations: Floats, fps: float) -> str:
    """A BVH text that Blender and others read.

    Args:
        skeleton: whose joints the rotations are of.
        root: places [n, 3].
        rotations: local, [n, joints, 3, 3].
        fps: frames a second.
    """
    order = _depth_first(skeleton, 0)
    angles = np.rad2deg(to_euler_zyx(rotations[:, order]))
    numbers = np.concatenate([root, angles.reshape(len(root), -1)], 1)
    head = f"{write_hierarchy(skeleton)}MOTION\nFrames: {len(root)}\nFrame Time: {1 / fps:.8f}\n"
    rows = (" ".join(f"{number:.{DIGITS}f}" for number in row) for row in numbers.tolist())
    return head + "".join(f"{row}\n" for row in rows)


def _depth_first(skeleton: Skeleton, joint: int) -> list[int]:
    children = [i for i, parent in enumerate(skeleton.parents) if parent == joint]
    return [joint] + [deep for child in children for deep in _depth_first(skeleton, child)]


def _write_joint(skeleton: Skeleton, joint: int, depth: int, lines: list[str]) -> None:
    pad, inner = "\t" * depth, "\t" * (depth + 1)
    channels = "3 Zrotation Yrotation Xrotation"
    if joint == 0:
        channels = "6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
    lines += [f"{pad}{'JOINT' if depth else 'ROOT'} {skeleton.names[joint]}", f"{pad}{{"]
    lines += [f"{inner}OFFSET {_point(skeleton.offsets[joint])}", f"{inner}CHANNELS {channels}"]
    children = [i for i, parent in enumerate(skeleton.parents) if parent == joint]
    for child in children:
        _write_joint(skeleton, child, depth + 1, lines)
    ends = [end.offset for end in skeleton.ends if end.joint == joint]
    for offset in ends or [(0.0, 0.0, 0.0)] * (not children):
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}\tOFFSET {_point(offset)}", f"{inner}}}"]
    lines.append(f"{pad}}}")


def _point(offset: Sequence[float]) -> str:
    return " ".join(f"{number:.{DIGITS}f}" for number in offset)
