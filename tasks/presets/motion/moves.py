"""Motions made by formula: a person of 22 joints who walks, runs, jumps, waves and more, and the words for it.

Angles are in radians. About x a positive one leads down and back (a leg behind the body, a bow forward is positive for
the spine), about y to the left, about z the left arm up. A stride moves the body by what the standing foot goes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
JOINTS = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"),
    *("spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
)
"""In the order of the skeleton that MOTION has by default."""
HIP, THIGH, SHIN, ANKLE = 0.07, 0.41, 0.4, 0.06
"""Lengths in metres: how far hips lie under the pelvis, thigh, shin, and the ankle's height."""
ARMS_DOWN = 1.25
FPS = 20


@dataclass(frozen=True, slots=True)
class Manner:
    """How a move is made: `pace` in moves a second, `size` around 1, `side` 1 for left and -1 for right."""

    pace: float
    size: float
    side: int


class Body:
    """A person over so many frames, standing with the arms down.

    Args:
        frames: at `FPS` a second.
    """

    def __init__(self, frames: int) -> None:
        self.time = np.arange(frames) / FPS
        self.turns = np.tile(np.eye(3), (frames, len(JOINTS), 1, 1))
        self.angle = {name: np.zeros(frames) for name in ("left_hip", "right_hip", "left_knee", "right_knee")}
        self.yaw = np.zeros(frames)
        self.lift = np.zeros(frames)
        self.drift = np.zeros((frames, 2))
        self.slides = False
        for side, sign in (("left", -1.0), ("right", 1.0)):
            self.turn(f"{side}_shoulder", 2, np.full(frames, sign * ARMS_DOWN))

    def turn(self, joint: str, axis: int, angle: Array) -> None:
        """Turn a joint further, in the frame of its parent."""
        self.turns[:, JOINTS.index(joint)] = _about(axis, angle) @ self.turns[:, JOINTS.index(joint)]

    def bend(self, side: str, hip: Array, knee: Array) -> None:
        """Add to a leg's angles; the foot stays level."""
        self.angle[f"{side}_hip"] = self.angle[f"{side}_hip"] + hip
        self.angle[f"{side}_knee"] = self.angle[f"{side}_knee"] + knee

    def motion(self) -> dict[str, Any]:
        """The motion as MOTION reads it: `root`, `rotations`, `fps`."""
        reach = []
        for side in ("left", "right"):
            hip, knee = self.angle[f"{side}_hip"], self.angle[f"{side}_knee"]
            self.turn(f"{side}_hip", 0, hip)
            self.turn(f"{side}_knee", 0, knee)
            self.turn(f"{side}_ankle", 0, -hip - knee)
            down = HIP + THIGH * np.cos(hip) + SHIN * np.cos(hip + knee) + ANKLE
            reach.append((down, -THIGH * np.sin(hip) - SHIN * np.sin(hip + knee)))
        standing = np.where(reach[0][0] >= reach[1][0], 0, 1)
        ahead = np.stack([foot for _, foot in reach])
        steps = -np.diff(ahead, axis=1)[standing[1:], np.arange(len(standing) - 1)]
        steps = np.zeros_like(steps) if self.slides else steps
        yaw = self.yaw[1:]
        path = np.cumsum(np.stack([np.sin(yaw) * steps, np.cos(yaw) * steps], 1), axis=0)
        flat = np.concatenate([np.zeros((1, 2)), path]) + self.drift
        height = np.maximum(reach[0][0], reach[1][0]) + self.lift
        root = np.stack([flat[:, 0], height, flat[:, 1]], 1)
        self.turn("pelvis", 1, self.yaw)
        return {"root": root.astype(np.float32), "rotations": self.turns.astype(np.float32), "fps": FPS}


def _about(axis: int, angle: Array) -> Array:
    """Matrices [n, 3, 3] that turn about x, y or z."""
    after, last = (axis + 1) % 3, (axis + 2) % 3
    out = np.zeros((len(angle), 3, 3))
    out[:, axis, axis] = 1
    out[:, after, after] = out[:, last, last] = np.cos(angle)
    out[:, last, after], out[:, after, last] = np.sin(angle), -np.sin(angle)
    return out


def _hill(body: Body, manner: Manner) -> Array:
    """0 to 1 and back, `pace` times a second."""
    return (1 - np.cos(2 * np.pi * manner.pace * body.time)) / 2


def _way(body: Body) -> Array:
    """0 to 1, gently, over the whole time."""
    share = body.time / body.time[-1]
    way: Array = share * share * (3 - 2 * share)
    return way


def _stride(body: Body, manner: Manner, hip: float, knee: float, arm: float, way: float = 1.0) -> None:
    phase = 2 * np.pi * manner.pace * body.time
    ease = np.minimum(1.0, body.time * 4)
    for side, shift in (("left", 0.0), ("right", np.pi)):
        swing = np.sin(phase + shift) * ease
        lifted = np.maximum(0, np.cos(phase + shift) * way) * ease
        body.bend(side, -hip * manner.size * swing - 0.4 * knee * lifted, knee * lifted)
        body.turn(f"{side}_shoulder", 0, arm * manner.size * swing)
    body.turn("spine1", 1, 0.12 * np.sin(phase) * ease)


def walk(body: Body, manner: Manner) -> None:
    """Steps forward."""
    _stride(body, manner, 0.42, 0.7, 0.5)


def walk_back(body: Body, manner: Manner) -> None:
    """Steps backward: the foot is lifted while it goes back."""
    _stride(body, manner, 0.3, 0.6, 0.3, way=-1.0)


def run(body: Body, manner: Manner) -> None:
    """Longer and quicker steps, elbows bent, with a hop in each."""
    quick = Manner(manner.pace * 1.6, manner.size, manner.side)
    _stride(body, quick, 0.65, 1.3, 0.9)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        body.turn(f"{side}_elbow", 1, np.full(len(body.time), -1.4 * sign))
    body.turn("spine1", 0, np.full(len(body.time), 0.2))
    body.lift += 0.06 * np.abs(np.sin(2 * np.pi * quick.pace * body.time))


def circle(body: Body, manner: Manner) -> None:
    """A walk along a curve."""
    walk(body, manner)
    body.yaw = body.yaw + manner.side * 2.6 * _way(body)


def turn(body: Body, manner: Manner) -> None:
    """A quarter or more on the spot."""
    small = Manner(manner.pace, 0.0, manner.side)
    _stride(body, small, 0.0, 0.5, 0.0)
    body.slides = True
    body.yaw = body.yaw + manner.side * 1.8 * manner.size * _way(body)


def jump(body: Body, manner: Manner) -> None:
    """Down, up through the air, and down."""
    cycle = (manner.pace * 0.8 * body.time) % 1
    crouch = np.where(
        cycle < 0.4, np.sin(np.pi * cycle / 0.4), np.where(cycle > 0.8, np.sin(np.pi * (cycle - 0.8) / 0.2), 0)
    )
    air = np.where((cycle >= 0.4) & (cycle <= 0.8), np.sin(np.pi * (cycle - 0.4) / 0.4), 0)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        body.bend(side, -0.8 * manner.size * crouch, 1.5 * manner.size * crouch)
        body.turn(f"{side}_shoulder", 2, sign * 1.8 * air)
    body.slides = True
    body.lift += 0.4 * manner.size * air


def squat(body: Body, manner: Manner) -> None:
    """Knees bend, arms reach forward."""
    deep = _hill(body, manner) * manner.size
    for side, sign in (("left", -1.0), ("right", 1.0)):
        body.bend(side, -1.3 * deep, 2.1 * deep)
        body.turn(f"{side}_shoulder", 0, -1.2 * deep)
        body.turn(f"{side}_shoulder", 2, sign * 0.2 * deep)
    body.turn("spine1", 0, 0.5 * deep)
    body.slides = True


def wave(body: Body, manner: Manner) -> None:
    """One arm up, the forearm to and fro."""
    side = "left" if manner.side > 0 else "right"
    up = np.minimum(1.0, body.time * 3)
    body.turn(f"{side}_shoulder", 2, manner.side * (ARMS_DOWN + 0.5) * up)
    body.turn(f"{side}_elbow", 2, manner.side * (0.7 + 0.6 * np.sin(4 * np.pi * manner.pace * body.time)) * up)


def kick(body: Body, manner: Manner) -> None:
    """One leg swings up in front."""
    side = "left" if manner.side > 0 else "right"
    high = _hill(body, manner) ** 2 * manner.size
    body.bend(side, -1.4 * high, 0.5 * high * (1 - high))
    body.turn("spine1", 0, -0.2 * high)
    body.slides = True


def bow(body: Body, manner: Manner) -> None:
    """The spine bends forward and back up."""
    deep = _hill(body, manner) * manner.size
    for joint in ("spine1", "spine2", "neck"):
        body.turn(joint, 0, 0.45 * deep)
    body.slides = True


def raise_arms(body: Body, manner: Manner) -> None:
    """Both arms go up at the sides and down again."""
    high = _hill(body, manner) * manner.size
    for side, sign in (("left", 1.0), ("right", -1.0)):
        body.turn(f"{side}_shoulder", 2, sign * 2.3 * high)


def sidestep(body: Body, manner: Manner) -> None:
    """To one side, legs apart and together."""
    phase = 2 * np.pi * manner.pace * body.time
    apart = np.maximum(0, np.sin(phase)) * 0.35 * manner.size
    for side, sign in (("left", 1.0), ("right", -1.0)):
        body.turn(f"{side}_hip", 2, sign * apart)
    body.slides = True
    moved = np.cumsum(np.maximum(0, np.sin(phase))) / FPS * 0.9
    body.drift[:, 0] += manner.side * manner.size * moved


@dataclass(frozen=True, slots=True)
class Move:
    """A move with its words: `{side}` stands for left or right."""

    name: str
    said: str
    make: Callable[[Body, Manner], None]


MOVES = (
    Move("walk", "walks forward", walk),
    Move("walk_back", "walks backward", walk_back),
    Move("run", "runs", run),
    Move("circle", "walks in a curve to the {side}", circle),
    Move("turn", "turns {side}", turn),
    Move("jump", "jumps", jump),
    Move("squat", "squats down", squat),
    Move("wave", "waves with the {side} hand", wave),
    Move("kick", "kicks with the {side} leg", kick),
    Move("bow", "bows", bow),
    Move("raise_arms", "raises both arms", raise_arms),
    Move("sidestep", "steps to the {side}", sidestep),
)
