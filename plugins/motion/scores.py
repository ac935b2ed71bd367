"""How far a motion is from the true one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .reading import read_motion, skeleton_of
from .rotations import Floats
from .value import Motion

NEAR_FLOOR = 0.05
"""A tip stands on the floor below this height, in body heights."""


class MotionError:
    """Errors of motions with a skeleton, in heights of the true body; 0 is best.

    `place` is the mean distance of joints, `velocity` that of the joints' velocities a second, `length` the difference
    of the lengths over the true one, and `skate` how much faster feet that stand slide than in the true motion, in body
    heights a second. Frames are compared in time as far as both motions last. Where no skeleton is known there is
    `turn` in place of what needs one: the mean angle between the joints' rotations, in degrees.
    """

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {"place": [], "velocity": [], "length": [], "skate": [], "turn": []}

    def update(self, predicted: Sequence[Any], truth: Sequence[Any]) -> None:
        """Add rows: motions as MOTION reads them, the true ones with any number of frames a second.

        Raises:
            ValueError: they are not as many, or a pair has other joints.
        """
        if len(predicted) != len(truth):
            raise ValueError(f"`motion` must get one true value for each, but got {len(predicted)} and {len(truth)}")
        for one, other in zip(predicted, truth, strict=True):
            guess, true = read_motion(one, None), read_motion(other, None)
            usual = skeleton_of(None, guess.rotations.shape[1])
            guess = replace(guess, skeleton=guess.skeleton or true.skeleton or usual)
            true = replace(true, skeleton=true.skeleton or guess.skeleton).at_rate(guess.fps)
            self._add(guess, _reordered(true, guess))

    def _add(self, guess: Motion, true: Motion) -> None:
        frames = min(len(guess), len(true))
        self.found["length"].append(abs(len(guess) - len(true)) / len(true))
        if guess.skeleton is None:
            self.found["turn"].append(angle(guess.rotations[:frames], true.rotations[:frames]))
            return
        height = true.skeleton.height if true.skeleton is not None else 1.0
        ours, theirs = (m.taken(slice(0, frames)).places() / height for m in (guess, true))
        self.found["place"].append(_distance(ours, theirs))
        if frames > 1:
            fast, real = (np.diff(p, axis=0) * guess.fps for p in (ours, theirs))
            self.found["velocity"].append(_distance(fast, real))
            self.found["skate"].append(max(0.0, _skate(ours, fast) - _skate(theirs, real)))

    def compute(self) -> Mapping[str, float]:
        """The mean of each.

        Raises:
            ValueError: there are no rows.
        """
        if not self.found["length"]:
            raise ValueError("`motion` has no rows to judge")
        return {name: float(np.mean(values)) for name, values in self.found.items() if values}


def _reordered(true: Motion, guess: Motion) -> Motion:
    """The true motion with its joints in the order of the guess."""
    if true.rotations.shape[1] != guess.rotations.shape[1]:
        raise ValueError(
            f"a motion must have the true one's joints, {true.rotations.shape[1]}, but has {guess.rotations.shape[1]}"
        )
    if true.skeleton is None or guess.skeleton is None or true.skeleton.names == guess.skeleton.names:
        return true
    order = guess.skeleton.order_of(true.skeleton.names)
    return true if order is None else replace(true, rotations=true.rotations[:, order], skeleton=guess.skeleton)


def angle(first: Floats, second: Floats) -> float:
    """The mean angle between rotations [..., 3, 3], in degrees.

    >>> angle(np.eye(3)[None], np.diag([-1.0, -1.0, 1.0])[None])
    180.0
    """
    cosines = ((first * second).sum((-2, -1)) - 1) / 2
    return float(np.rad2deg(np.arccos(np.clip(cosines, -1, 1))).mean())


def _distance(first: Floats, second: Floats) -> float:
    return float(np.linalg.norm(first - second, axis=-1).mean())


def _skate(places: Floats, velocities: Floats) -> float:
    """The mean speed along the floor of the lowest joint while it is near the floor."""
    floor = places[..., 1].min()
    lowest = places[:-1, :, 1].argmin(1)
    frames = np.arange(len(velocities))
    near = places[frames, lowest, 1] - floor < NEAR_FLOOR
    speed = np.linalg.norm(velocities[frames, lowest][:, [0, 2]], axis=-1)
    return float(speed[near].mean()) if near.any() else 0.0
