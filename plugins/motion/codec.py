"""The data half of MOTION: one token a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ...core.codec import Encoded, Reading
from ...core.known import KNOWN
from ...core.timespan import TimeSpan
from .features import anchored, of_features, to_features
from .reading import count, read_motion, skeleton_of
from .value import Motion

RATE = 30.0
"""Frames a second of what is made when the slot says none."""
GAPS = 3
"""Most gaps that `mask_ratio` makes."""


class MotionCodec:
    """Motions to features and back; the settings are those of `plugins.motion.plugin.Motion`.

    Going there and back changes places by less than a ten-thousandth of the body's height.
    """

    def __init__(
        self,
        *,
        skeleton: str | None = None,
        joints: int | None = None,
        kinematics: float = 1.0,
        fps: float | None = RATE,
        sample_rate: int = 1,
        min_length: int = 10,
        max_frames: int = 512,
        window: int | None = None,
        soft_trim: float = 0.0,
        anchor_frame: int | None = None,
        mask_ratio: float = 0.0,
    ) -> None:
        self.skeleton = skeleton_of(skeleton, joints)
        self.joints = self.skeleton.joints if self.skeleton is not None else joints
        self.fps, self.sample_rate = fps, sample_rate
        self.min_length, self.max_frames, self.window = min_length, max_frames, window
        self.soft_trim, self.anchor_frame, self.mask_ratio = soft_trim, anchor_frame, mask_ratio

    @property
    def rate(self) -> float:
        """Frames a second of what is made."""
        return (RATE if self.fps is None else self.fps) / self.sample_rate

    def measure(self, raw: Any, reading: Reading) -> int:
        """The frames, of which files say the number in a header.

        Raises:
            ValueError or TypeError: it is no motion, or too short or too long.
        """
        frames = -(-count(raw, self.fps) // self.sample_rate)
        if frames < self.min_length:
            raise ValueError(
                f"{_name(raw)} has {frames} frames{self._read()}, but the slot needs at least {self.min_length}: lower "
                "`min_length` or `sample_rate`"
            )
        if self.window is not None:
            return min(frames, self.window)
        if frames > self.max_frames:
            raise ValueError(
                f"{_name(raw)} has {frames} frames{self._read()}, but `max_frames` is {self.max_frames}: read every "
                f"n-th frame, `sample_rate={self.sample_rate * -(-frames // self.max_frames)}`, or a piece, "
                f"`window={self.max_frames}`, or raise `max_frames`"
            )
        return frames

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Features [n, 6 + 6 joints] and which frames are known.

        Raises:
            ValueError or TypeError: it is no motion, of another skeleton, or too short or too long.
        """
        motion = self._seen(raw, reading)
        if reading.side == "source" and reading.corrupts and self.mask_ratio:
            motion = replace(motion, known=self._masked(motion, reading))
        features = to_features(motion)
        known = np.ones(len(motion), np.uint8) if motion.known is None else motion.known.astype(np.uint8)
        if reading.side == "target":
            if not known.all():
                raise ValueError("a motion on the target side must have all its frames, but some are not known")
            return Encoded(rows=len(motion), tensors={"values": features, KNOWN: known}, labels={"values": features})
        return Encoded(rows=len(motion), tensors={"values": features, KNOWN: known}, grid=_grid(motion))

    def lead(self, raw: Any, reading: Reading) -> TimeSpan:
        """The seconds that are read, for what is in step with the motion."""
        motion = self._read_whole(raw)
        first, frames = self._taken(len(motion), reading)
        return TimeSpan(first / motion.fps, (first + frames) / motion.fps)

    def decode(self, predicted: Mapping[str, Tensor]) -> Motion:
        """The motion of "values" [n, 6 + 6 joints]."""
        features = predicted["values"].float().cpu().numpy()
        return of_features(features, skeleton=self.skeleton, fps=self.rate)

    def returned(self, raw: Any) -> Motion:
        """A motion of the data as it comes back, whatever spelling a row has: the piece, moved to its anchor."""
        return self._seen(raw, Reading(mode="predict"))

    def save(self, value: Motion, stem: Path) -> Path:
        """Write a .bvh, or an .npz where no skeleton is known."""
        return value.save(stem.with_name(stem.name + (".npz" if value.skeleton is None else ".bvh")))

    def _seen(self, raw: Any, reading: Reading) -> Motion:
        motion = self._piece(self._read_whole(raw), reading)
        return motion if self.anchor_frame is None else anchored(motion, self.anchor_frame)

    def _read_whole(self, raw: Any) -> Motion:
        motion = self._fitted(read_motion(raw, self.skeleton), raw)
        if self.fps is not None:
            motion = motion.at_rate(self.fps)
        if self.sample_rate > 1:
            motion = replace(motion.taken(slice(None, None, self.sample_rate)), fps=motion.fps / self.sample_rate)
        return motion

    def _fitted(self, motion: Motion, raw: Any) -> Motion:
        """The motion with its joints in the order of the slot's skeleton.

        Raises:
            ValueError: they are other joints.
        """
        have = motion.rotations.shape[1]
        own, wanted = motion.skeleton, self.skeleton
        if have != self.joints:
            raise ValueError(
                f"{_name(raw)} has {have} joints, but the slot reads {self.joints}: write `skeleton=FILE.bvh` with a "
                f"file of this skeleton, or `joints={have}`"
            )
        if own is None or wanted is None or own.names == wanted.names:
            return motion
        order = wanted.order_of(own.names)
        if order is None:
            lone = next(name for name in own.names if name not in wanted.names)
            raise ValueError(
                f"{_name(raw)} has the joint `{lone}`, which the slot's skeleton ({', '.join(wanted.names[:3])} ...) "
                "has not: write `skeleton=FILE.bvh` with a file of this skeleton"
            )
        parents = [own.names[own.parents[i]] if own.parents[i] >= 0 else "" for i in order]
        if parents != [wanted.names[p] if p >= 0 else "" for p in wanted.parents]:
            raise ValueError(f"{_name(raw)} has the joints of the slot's skeleton, but they hang together otherwise")
        sorted_ = replace(
            wanted,
            offsets=tuple(own.offsets[i] for i in order),
            ends=tuple(end._replace(joint=order.index(end.joint)) for end in own.ends),
        )
        return replace(motion, rotations=motion.rotations[:, order], skeleton=sorted_)

    def _piece(self, motion: Motion, reading: Reading) -> Motion:
        first, frames = self._taken(len(motion), reading)
        return motion.taken(slice(first, first + frames))

    def _taken(self, frames: int, reading: Reading) -> tuple[int, int]:
        """First frame and number of frames: trimmed and a random piece in training, else the first `window`."""
        draw = reading.random_of_column("motion")
        first = 0
        if reading.mode == "train" and self.soft_trim:
            cut = min(int(frames * self.soft_trim * draw.random()), frames - self.min_length)
            first = int(draw.integers(0, cut + 1)) if cut > 0 else 0
            frames -= max(cut, 0)
        if self.window is not None and frames > self.window:
            spare = frames - self.window
            first += int(draw.integers(0, spare + 1)) if reading.mode == "train" else 0
            frames = self.window
        return first, frames

    def _masked(self, motion: Motion, reading: Reading) -> np.ndarray[Any, Any]:
        """Which frames stay known: `mask_ratio` of them go, in one to three gaps, the first and last never."""
        frames = len(motion)
        known = np.ones(frames, bool) if motion.known is None else motion.known.copy()
        hidden = min(round(self.mask_ratio * frames), frames - 2)
        if hidden < 1:
            return known
        draw = reading.random("mask")
        gaps = min(int(draw.integers(1, GAPS + 1)), hidden, frames - hidden - 1)
        sizes = _shares(hidden, gaps, draw)
        between = _shares(frames - hidden, gaps + 1, draw)
        at = 0
        for before, size in zip(between, sizes, strict=False):
            at += before
            known[at : at + size] = False
            at += size
        return known

    def _read(self) -> str:
        said = [] if self.fps is None else [f"{self.fps:g} a second"]
        said += [f"every {self.sample_rate}th"] * (self.sample_rate > 1)
        return f" ({', '.join(said)})" if said else ""


def _shares(total: int, parts: int, draw: np.random.Generator) -> list[int]:
    """Whole numbers of at least one that sum to `total`."""
    cuts = np.sort(draw.choice(total - 1, parts - 1, replace=False)) + 1 if parts > 1 else np.zeros(0, np.int64)
    return [int(n) for n in np.diff(np.concatenate([[0], cuts, [total]]))]


def _grid(motion: Motion) -> np.ndarray[Any, Any]:
    """Time in seconds, height and width nought."""
    times = np.arange(len(motion), dtype=np.float32) / np.float32(motion.fps)
    return np.stack([times, np.zeros_like(times), np.zeros_like(times)], 1)


def _name(raw: Any) -> str:
    is_path = isinstance(raw, str | Path) and "\n" not in str(raw)
    return f"`{raw}`" if is_path else "the motion"
