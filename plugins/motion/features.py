"""A motion as numbers of about unit spread, one row a frame, and back."""

from __future__ import annotations

import numpy as np

from .rotations import Floats, heading, of_axis, of_six, to_six
from .skeleton import Skeleton
from .value import Motion

PLACE, VELOCITY, ROOT = 3, 3, 6
SIX = 6
SPREAD = 2.0
"""What rotations' deviation from rest is multiplied by."""
RESTING = to_six(np.eye(3))


def to_features(motion: Motion) -> Floats:
    """float32 [n, 6 + 6 joints]: place of the root against its place at rest and its velocity a second, both in body
    heights, then for each joint the first two columns of its rotation less those at rest, doubled.

    The velocity leads to the next frame, or where that is not known from the last; frames that are not known are
    nought.
    """
    known = np.ones(len(motion), bool) if motion.known is None else motion.known
    height, rise = _measures(motion.skeleton)
    place = (motion.root - [0.0, rise, 0.0]) / height
    step = np.diff(place, axis=0) * motion.fps if len(place) > 1 else np.zeros((0, 3))
    whole = known[:-1] & known[1:]
    velocity = np.zeros_like(place)
    velocity[1:][whole] = step[whole]
    velocity[:-1][whole] = step[whole]
    turns = (to_six(motion.rotations) - RESTING) * SPREAD
    out = np.concatenate([place, velocity, turns.reshape(len(place), -1)], 1)
    out[~known] = 0.0
    return out.astype(np.float32)


def of_features(features: Floats, *, skeleton: Skeleton | None, fps: float) -> Motion:
    """The motion that features [n, 6 + 6 joints] describe."""
    height, rise = _measures(skeleton)
    root = features[:, :PLACE].astype(np.float64) * height + [0.0, rise, 0.0]
    six = features[:, ROOT:].astype(np.float64).reshape(len(features), -1, SIX) / SPREAD + RESTING
    return Motion(root=root.astype(np.float32), rotations=of_six(six).astype(np.float32), fps=fps, skeleton=skeleton)


def anchored(motion: Motion, frame: int) -> Motion:
    """The motion turned and moved so that at a frame (negative: from the end) it faces along z above the origin.

    Where that frame is not known, the nearest known one is taken.

    Raises:
        ValueError: there is no such frame.
    """
    frames = len(motion)
    if not -frames <= frame < frames:
        raise ValueError(f"`anchor_frame` must be one of {frames} frames, but is {frame}")
    at = frame % frames
    if motion.known is not None and motion.known.any():
        choices = np.flatnonzero(motion.known)
        at = int(choices[np.abs(choices - at).argmin()])
    turn = of_axis(1, -heading(motion.rotations[at, 0]))
    root = (motion.root - motion.root[at] * [1.0, 0.0, 1.0]) @ turn.T
    rotations = np.array(motion.rotations, dtype=np.float64)
    rotations[:, 0] = turn @ rotations[:, 0]
    return Motion(root=root, rotations=rotations, fps=motion.fps, skeleton=motion.skeleton, known=motion.known)


def _measures(skeleton: Skeleton | None) -> tuple[float, float]:
    """Height of the body and of its root; 1 and 0 for none known."""
    return (1.0, 0.0) if skeleton is None else (skeleton.height, skeleton.root_height)
