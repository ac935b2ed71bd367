"""A motion as a moving picture: the skeleton on a chequered floor, seen from the side and a little from above."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .rotations import Floats, of_axis
from .skeleton import Skeleton
from .value import Motion

SIZE = (360, 300)
OVER = 2
"""Pictures are drawn larger and made smaller, for smooth lines."""
GIF_RATE = 25.0
SIDE, ABOVE = np.deg2rad(-40.0), np.deg2rad(14.0)
PAPER, FLOOR, LINE, SHADE = (250, 250, 247), (228, 230, 226), (203, 207, 201), (198, 200, 196)
LEFT, RIGHT, MIDDLE = (222, 110, 40), (40, 112, 190), (70, 74, 82)
TILE = 0.3
"""Side of a floor tile, in body heights."""
MARGIN = 0.12


def draw_frames(motion: Motion, *, size: tuple[int, int] = SIZE, rate: float | None = None) -> Iterator[Image.Image]:
    """A picture of each frame.

    Args:
        motion: with a skeleton.
        size: width and height in pixels.
        rate: pictures a second; the motion's own by default.

    Raises:
        ValueError: there is no skeleton.
    """
    motion.places()
    shown = motion if rate is None else motion.at_rate(rate)
    assert shown.skeleton is not None
    tips = shown.skeleton.tips(shown.root, shown.rotations) / shown.skeleton.height
    view = _View(tips, size)
    ground = view.ground()
    for frame in range(len(tips)):
        yield _body(ground.copy(), shown.skeleton, view, tips[frame]).resize(size, Image.Resampling.LANCZOS)


def draw_strip(motion: Motion, count: int = 8, *, size: tuple[int, int] = (160, 200)) -> Image.Image:
    """So many moments of a motion side by side."""
    chosen = np.unique(np.linspace(0, len(motion) - 1, count).round().astype(np.int64))
    out = Image.new("RGB", (size[0] * len(chosen), size[1]), PAPER)
    for place, picture in enumerate(draw_frames(motion.taken(chosen), size=size)):
        out.paste(picture, (place * size[0], 0))
    return out


def draw_clip(motion: Motion, path: Path) -> None:
    """Write a .gif or an .mp4.

    Raises:
        ValueError: there is no skeleton, or PyAV is not installed for an .mp4.
    """
    if path.suffix.lower() == ".mp4":
        _write_mp4(list(draw_frames(motion)), path, motion.fps)
        return
    rate = min(motion.fps, GIF_RATE)
    pictures = [p.quantize(64, dither=Image.Dither.NONE) for p in draw_frames(motion, rate=rate)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=round(1000 / rate), loop=0, disposal=2)


def _write_mp4(pictures: list[Image.Image], path: Path, fps: float) -> None:
    try:
        import av
    except ImportError as cause:
        raise ValueError(
            "writing an .mp4 needs PyAV: pip install omniline[video], or save the motion as .gif"
        ) from cause
    from fractions import Fraction

    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = *pictures[0].size, "yuv420p"
        for picture in pictures:
            file.mux(stream.encode(av.VideoFrame.from_image(picture)))  # type: ignore[no-untyped-call]
        file.mux(stream.encode())


class _View:
    """From space to pixels: an orthographic view that holds all of a motion.

    Args:
        tips: [n, points, 3] in body heights.
        size: of the picture.
    """

    def __init__(self, tips: Floats, size: tuple[int, int]) -> None:
        self.turn = of_axis(0, np.asarray(ABOVE)) @ of_axis(1, np.asarray(SIDE))
        self.low = float(np.quantile(tips[..., 1].min(1), 0.05))
        self.floor = tips[..., [0, 2]].reshape(-1, 2)
        flat = self._flat(np.concatenate([tips.reshape(-1, 3), self._on_floor(self.floor)]))
        self.size = (size[0] * OVER, size[1] * OVER)
        low, high = flat.min(0) - MARGIN, flat.max(0) + MARGIN
        self.scale = min(self.size[0] / (high[0] - low[0]), self.size[1] / (high[1] - low[1]), self.size[1] / 1.3)
        self.middle = (low + high) / 2

    def pixels(self, points: Floats) -> list[tuple[float, float]]:
        """Where points [n, 3] are drawn."""
        flat = (self._flat(points) - self.middle) * self.scale
        return [(self.size[0] / 2 + x, self.size[1] / 2 - y) for x, y in flat.tolist()]

    def ground(self) -> Image.Image:
        """The floor under the motion."""
        picture = Image.new("RGB", self.size, PAPER)
        pen = ImageDraw.Draw(picture)
        first = np.floor((self.floor.min(0) - 0.35) / TILE).astype(int)
        last = np.ceil((self.floor.max(0) + 0.35) / TILE).astype(int)
        for x in range(first[0], last[0]):
            for z in range(first[1], last[1]):
                corners = np.array([[x, z], [x + 1, z], [x + 1, z + 1], [x, z + 1]]) * TILE
                pen.polygon(self.pixels(self._on_floor(corners)), fill=FLOOR if (x + z) % 2 else None, outline=LINE)
        return picture

    def shadow(self, points: Floats) -> Floats:
        """Points on the floor below."""
        return self._on_floor(points[:, [0, 2]])

    def depth(self, points: Floats) -> Floats:
        """How near points are: higher is nearer."""
        near: Floats = (points @ self.turn.T)[..., 2]
        return near

    def _on_floor(self, flat: Floats) -> Floats:
        return np.stack([flat[:, 0], np.full(len(flat), self.low), flat[:, 1]], 1)

    def _flat(self, points: Floats) -> Floats:
        flat: Floats = (points @ self.turn.T)[:, :2]
        return flat


def _body(picture: Image.Image, skeleton: Skeleton, view: _View, tips: Floats) -> Image.Image:
    """The skeleton over its shadow, far bones first."""
    pen = ImageDraw.Draw(picture)
    bones = [(joint, parent) for joint, parent in enumerate(skeleton.parents) if parent >= 0]
    bones += [(skeleton.joints + i, end.joint) for i, end in enumerate(skeleton.ends)]
    wide = max(2, round(view.scale * 0.022))
    below, spots = view.pixels(view.shadow(tips)), view.pixels(tips)
    for a, b in bones:
        pen.line([below[a], below[b]], fill=SHADE, width=wide)
    near = view.depth(tips)
    for a, b in sorted(bones, key=lambda bone: float(near[bone[0]] + near[bone[1]])):
        color = _color(skeleton.names[a if a < skeleton.joints else b])
        pen.line([spots[a], spots[b]], fill=color, width=wide)
        for x, y in (spots[a], spots[b]):
            pen.ellipse([x - wide / 2, y - wide / 2, x + wide / 2, y + wide / 2], fill=color)
    return picture


def _color(name: str) -> tuple[int, int, int]:
    """Left and right limbs apart, by the joint's name."""
    low = name.lower().replace("mixamorig:", "")
    if "left" in low or low.startswith(("l_", "l.", "lt")) or name[:1] == "L" and name[1:2].isupper():
        return LEFT
    if "right" in low or low.startswith(("r_", "r.", "rt")) or name[:1] == "R" and name[1:2].isupper():
        return RIGHT
    return MIDDLE
