"""Skeletons: joints, what each hangs from, and where the joints are when they are turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .rotations import Floats

Point = tuple[float, float, float]


class End(NamedTuple):
    """The tip of a joint's bone, where no further joint hangs."""

    joint: int
    offset: Point


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints; a joint comes after the one that it hangs from, the first is the root.

    Attributes:
        names: of the joints.
        parents: the joint that each hangs from; -1 for the root.
        offsets: where each is in its parent's frame at rest, in any unit; y is up, the body faces along z.
        ends: tips without a joint.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: tuple[Point, ...]
    ends: tuple[End, ...] = ()

    @property
    def joints(self) -> int:
        """How many there are."""
        return len(self.names)

    @cached_property
    def resting(self) -> Floats:
        """Places [joints + ends, 3] at rest, the root at the origin."""
        turns = np.broadcast_to(np.eye(3), (1, self.joints, 3, 3))
        places: Floats = self.tips(np.zeros((1, 3)), turns)[0]
        return places

    @cached_property
    def height(self) -> float:
        """How tall it is at rest: the unit of roots' places; for a flat one its greatest extent."""
        extent = np.ptp(self.resting, axis=0)
        tall = float(extent[1]) if extent[1] > 0.1 * extent.max() else float(extent.max())
        return tall if tall > 0 else 1.0

    @cached_property
    def root_height(self) -> float:
        """How high the root is above the lowest tip at rest."""
        return -float(self.resting[:, 1].min())

    def places(self, root: Floats, rotations: Floats) -> Floats:
        """Where the joints are: [n, joints, 3] from the root's places [n, 3] and local rotations [n, joints, 3, 3]."""
        return self._kinematics(root, rotations)[0]

    def tips(self, root: Floats, rotations: Floats) -> Floats:
        """Places of the joints, then of the ends, [n, joints + ends, 3]."""
        places, turns = self._kinematics(root, rotations)
        tips = [places[:, end.joint] + turns[:, end.joint] @ np.asarray(end.offset) for end in self.ends]
        return np.concatenate([places, *(tip[:, None] for tip in tips)], 1)

    def _kinematics(self, root: Floats, rotations: Floats) -> tuple[Floats, Floats]:
        places, turns = np.zeros(rotations.shape[:-1]), np.zeros(rotations.shape)
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                places[:, joint], turns[:, joint] = root, rotations[:, joint]
            else:
                places[:, joint] = places[:, parent] + turns[:, parent] @ np.asarray(self.offsets[joint])
                turns[:, joint] = turns[:, parent] @ rotations[:, joint]
        return places, turns

    def order_of(self, names: Sequence[str]) -> list[int] | None:
        """For each joint its place among these names; None when they are not the same names."""
        place = {name: i for i, name in enumerate(names)}
        return [place[name] for name in self.names] if sorted(names) == sorted(self.names) else None


_HUMAN: tuple[tuple[str, str, Point], ...] = (
    ("pelvis", "", (0.0, 0.0, 0.0)),
    ("left_hip", "pelvis", (0.09, -0.07, 0.0)),
    ("right_hip", "pelvis", (-0.09, -0.07, 0.0)),
    ("spine1", "pelvis", (0.0, 0.11, -0.01)),
    ("left_knee", "left_hip", (0.0, -0.41, 0.01)),
    ("right_knee", "right_hip", (0.0, -0.41, 0.01)),
    ("spine2", "spine1", (0.0, 0.13, 0.0)),
    ("left_ankle", "left_knee", (0.0, -0.4, -0.02)),
    ("right_ankle", "right_knee", (0.0, -0.4, -0.02)),
    ("spine3", "spine2", (0.0, 0.06, 0.01)),
    ("left_foot", "left_ankle", (0.0, -0.06, 0.13)),
    ("right_foot", "right_ankle", (0.0, -0.06, 0.13)),
    ("neck", "spine3", (0.0, 0.21, -0.02)),
    ("left_collar", "spine3", (0.08, 0.12, 0.0)),
    ("right_collar", "spine3", (-0.08, 0.12, 0.0)),
    ("head", "neck", (0.0, 0.09, 0.03)),
    ("left_shoulder", "left_collar", (0.1, 0.03, 0.0)),
    ("right_shoulder", "right_collar", (-0.1, 0.03, 0.0)),
    ("left_elbow", "left_shoulder", (0.26, 0.0, 0.0)),
    ("right_elbow", "right_shoulder", (-0.26, 0.0, 0.0)),
    ("left_wrist", "left_elbow", (0.25, 0.0, 0.0)),
    ("right_wrist", "right_elbow", (-0.25, 0.0, 0.0)),
)
_TIPS: tuple[tuple[str, Point], ...] = (
    ("left_foot", (0.0, 0.0, 0.06)),
    ("right_foot", (0.0, 0.0, 0.06)),
    ("head", (0.0, 0.16, 0.0)),
    ("left_wrist", (0.16, 0.0, 0.0)),
    ("right_wrist", (-0.16, 0.0, 0.0)),
)


def human() -> Skeleton:
    """A grown person of 22 joints in metres, arms stretched out to the sides.

    >>> human().joints, round(human().height, 2)
    (22, 1.7)
    """
    names = tuple(name for name, _, _ in _HUMAN)
    return Skeleton(
        names=names,
        parents=tuple(names.index(parent) if parent else -1 for _, parent, _ in _HUMAN),
        offsets=tuple(offset for _, _, offset in _HUMAN),
        ends=tuple(End(names.index(name), offset) for name, offset in _TIPS),
    )
