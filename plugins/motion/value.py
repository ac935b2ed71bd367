"""The raw value of MOTION: where the root is and how the joints are turned, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .bvh_writing import write_bvh
from .rotations import Floats, between
from .skeleton import Skeleton


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """A motion.

    Attributes:
        root: float32 [n, 3] places of the root; y is up.
        rotations: float32 [n, joints, 3, 3] local rotations, columns turned; the root's own come first.
        fps: frames a second.
        skeleton: whose joints they are; None when nobody said.
        known: bool [n]: frames that are given while the others are to be found; None for all.
    """

    root: np.ndarray[Any, Any]
    rotations: np.ndarray[Any, Any]
    fps: float = 30.0
    skeleton: Skeleton | None = None
    known: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return len(self.root)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self) / self.fps

    def places(self) -> np.ndarray[Any, Any]:
        """Where the joints are, float64 [n, joints, 3].

        Raises:
            ValueError: there is no skeleton.
        """
        return self._skeleton("the joints' places").places(self.root, self.rotations)

    def taken(self, frames: Any) -> Motion:
        """The frames of an index: a slice or whole numbers."""
        known = None if self.known is None else self.known[frames]
        return replace(self, root=self.root[frames], rotations=self.rotations[frames], known=known)

    def at_rate(self, fps: float) -> Motion:
        """The same motion at another rate; frames between two are their mean, turned shares of the way.

        >>> still = Motion(root=np.zeros((4, 3)), rotations=np.tile(np.eye(3), (4, 2, 1, 1)), fps=60)
        >>> len(still.at_rate(30)), len(still.at_rate(60.5))
        (2, 4)
        """
        if is_same_rate(fps, self.fps):
            return self
        times = np.arange(frames_at(len(self), self.fps, fps)) * (self.fps / fps)
        times = np.minimum(times, len(self) - 1)
        low = np.floor(times + 1e-6).astype(np.int64)
        high = np.minimum(low + 1, len(self) - 1)
        share = np.clip(times - low, 0, 1)
        nearest = np.where(share < 0.5, low, high)
        mixed = (share > 1e-3) & (share < 1 - 1e-3)
        if self.known is not None:
            mixed &= self.known[low] & self.known[high]
        root, turns = self.root[nearest].copy(), self.rotations[nearest].copy()
        low, high, share = low[mixed], high[mixed], share[mixed]
        root[mixed] = self.root[low] * (1 - share)[:, None] + self.root[high] * share[:, None]
        wide = np.broadcast_to(share[:, None], (len(share), turns.shape[1]))
        turns[mixed] = between(self.rotations[low], self.rotations[high], wide)
        known = None if self.known is None else self.known[nearest]
        return replace(self, root=root, rotations=turns, fps=fps, known=known)

    def save(self, path: str | Path) -> Path:
        """Write a .bvh, an .npz with `root`, `rotations` and `fps`, or the drawn skeleton as .gif or .mp4.

        Raises:
            ValueError: another suffix, or a skeleton is needed and not known.
        """
        place = Path(path)
        suffix = place.suffix.lower()
        if suffix == ".npz":
            np.savez_compressed(place, root=self.root, rotations=self.rotations, fps=np.float32(self.fps))
        elif suffix == ".bvh":
            place.write_text(write_bvh(self._skeleton("a .bvh"), self.root, self.rotations, self.fps), encoding="utf-8")
        elif suffix in (".gif", ".mp4"):
            from .drawing import draw_clip

            draw_clip(self, place)
        else:
            raise ValueError(f"a motion is saved as .bvh, .npz, .gif or .mp4, but `{place.name}` is none of these")
        return place

    def _skeleton(self, what: str) -> Skeleton:
        if self.skeleton is None:
            raise ValueError(
                f"{what} needs a skeleton, which this motion of {self.rotations.shape[1]} joints has not: write "
                "`skeleton=FILE.bvh` in the slot"
            )
        return self.skeleton

    def __repr__(self) -> str:
        return f"Motion({len(self)} frames of {self.rotations.shape[1]} joints, {self.seconds:.1f} s)"


def is_same_rate(first: float, second: float) -> bool:
    """Whether two rates differ by less than a hundredth, as 30 and 29.97 do."""
    return abs(first - second) < 0.01 * max(first, second)


def frames_at(frames: int, rate: float, wanted: float) -> int:
    """How many frames a motion has at another rate.

    >>> frames_at(455, 120.0, 30.0)
    114
    """
    return frames if is_same_rate(rate, wanted) else max(1, round(frames * wanted / rate))


def blank(frames: int, joints: int) -> tuple[Floats, Floats]:
    """A root at the origin and joints at rest, for that many frames."""
    return np.zeros((frames, 3)), np.tile(np.eye(3), (frames, joints, 1, 1))
