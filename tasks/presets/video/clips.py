"""Short clips made when they are read: an emoji that moves, turns or changes its size over a textured ground.

A clip is a pure function of (seed, split, index), so there is no file, every machine and every worker makes the same
one, and neither split repeats a clip of the other: place, size, way and ground differ (`held="clips"`). With
`held="sprites"` a fifth of the drawings is seen in validation alone, for tasks that ask how something moves; with
`held="pairs"` a fifth of the pairs of drawing and movement. These are drawings that a program moves: what is
learned from them does not show that films of the world would be understood.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from random import Random
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ....core.errors import ConfigError
from ..placements import Sprite, background, checked_split, read_sprites

Held = Literal["sprites", "pairs", "clips"]
STEPS = {
    "moves left": (-1, 0),
    "moves right": (1, 0),
    "moves up": (0, -1),
    "moves down": (0, 1),
    "moves up and left": (-1, -1),
    "moves up and right": (1, -1),
    "moves down and left": (-1, 1),
    "moves down and right": (1, 1),
}
MOTIONS = (*list(STEPS)[:4], "grows", "shrinks", "turns around", "stands still", *list(STEPS)[4:])
"""What an emoji may do; `motions=n` takes the first n."""
EMOJI = 190
HELD_OUT = 0.2
SIDE = (0.4, 0.55)  # of the sprite, in sides of the frame
WAY = (0.7, 1.0)  # of the way that there is from rim to rim
GROWTH = (1.8, 2.2)  # last side over first
TURN = (150.0, 270.0)  # degrees
DIMMED = [value * 2 // 5 for value in range(256)] * 3  # brightness of the ground, by channel
VOWELS = "aeiou"


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames uint8 [n, height, width, 3] and how many a second are shown."""

    frames: NDArray[np.uint8]
    fps: float


class MovingEmoji:
    """A map-style source of clips with what they show, in words.

    A row holds `video`, `label_name` ("moves left"), `cap` ("a peach moves left"), `name` ("peach"), `question` and
    `answer`.

    Args:
        split: `train` or `valid`.
        rows: how many.
        motions: how many of `MOTIONS`, the first of them.
        emoji: how many of the emoji, evenly from the table; those whose names are plurals are left out.
        held: what validation alone holds.
        size: side of the frames in pixels.
        frames: of each clip.
        fps: frames a second.
        seed: another seed gives other clips.

    Raises:
        ConfigError: an unknown split, or a number out of range.

    >>> rows = MovingEmoji("valid", 4)
    >>> len(rows), rows[0]["cap"], rows[0]["video"].frames.shape
    (4, 'a cheese wedge moves right', (4, 32, 32, 3))
    """

    def __init__(
        self,
        split: str,
        rows: int = 2000,
        *,
        motions: int = 8,
        emoji: int = EMOJI,
        held: Held = "sprites",
        size: int = 32,
        frames: int = 4,
        fps: float = 4.0,
        seed: int = 0,
    ) -> None:
        for name, value, least, most in (
            ("rows", rows, 1, 1 << 30),
            ("motions", motions, 2, len(MOTIONS)),
            ("emoji", emoji, 5, EMOJI),
            ("size", size, 16, 1024),
            ("frames", frames, 2, 1000),
        ):
            if not least <= value <= most:
                raise ConfigError(f"`{name}` of the moving emoji must be in {least}..{most}, but is {value}")
        self.split, self.rows, self.seed = checked_split(split), rows, seed
        self.size, self.frames, self.fps = size, frames, fps
        sprites = [sprite for sprite in read_sprites() if not is_plural(sprite.name)]
        chosen = [sprites[i * len(sprites) // emoji] for i in range(emoji)]
        pairs = [(sprite, motion) for motion in MOTIONS[:motions] for sprite in chosen]
        self.pairs = pairs if held == "clips" else [p for p in pairs if is_held(*p, held) == (split == "valid")]
        Random(f"{seed}/{split}/order").shuffle(self.pairs)

    def __len__(self) -> int:
        return self.rows

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column in order; words without making a clip."""
        for index in range(self.rows):
            yield self[index][name] if name == "video" else self.words(index)[name]

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.rows:
            raise IndexError(f"the index must be in [0, {self.rows}), but is {index}")
        sprite, motion, draw = self._drawn(index)
        frames = moved(sprite.picture, motion, draw, size=self.size, frames=self.frames)
        return {"video": Clip(frames, self.fps), **self.words(index)}

    def _drawn(self, index: int) -> tuple[Sprite, str, Random]:
        """Any run of as many rows as there are pairs holds each pair once."""
        sprite, motion = self.pairs[index % len(self.pairs)]
        return sprite, motion, Random(f"{self.seed}/{self.split}/{index}")

    def words(self, index: int) -> dict[str, str]:
        """A row without its clip."""
        sprite, motion, _ = self._drawn(index)
        question, answer = asked(sprite, motion, Random(f"{self.seed}/{self.split}/{index}/asked"))
        cap = f"{article(sprite.name)} {motion}"
        return {"label_name": motion, "cap": cap, "name": sprite.name, "question": question, "answer": answer}


def is_held(sprite: Sprite, motion: str, held: Held) -> bool:
    """Whether validation alone shows this."""
    key = sprite.name if held == "sprites" else f"{sprite.name}/{motion}"
    return int.from_bytes(sha256(f"clips/{key}".encode()).digest()[:6], "big") / 2**48 < HELD_OUT


def is_plural(name: str) -> bool:
    """Whether the name asks for another verb.

    >>> is_plural("glasses"), is_plural("bus"), is_plural("owl")
    (True, False, False)
    """
    return name.endswith("s") and not name.endswith(("ss", "us"))


def article(name: str) -> str:
    """The name with its article.

    >>> article("owl"), article("peach")
    ('an owl', 'a peach')
    """
    return f"{'an' if name[0] in VOWELS else 'a'} {name}"


def asked(sprite: Sprite, motion: str, draw: Random) -> tuple[str, str]:
    """A question about a clip and its answer.

    >>> asked(Sprite(name="owl", group="animals", picture=Image.new("RGBA", (1, 1))), "moves left", Random(1))
    ('what does it do?', 'moves left')
    """
    kind = draw.choice(("what", "how", "whether", "asked"))
    if kind == "what":
        return "what is it?", sprite.name
    if kind == "how":
        return "what does it do?", motion
    if kind == "whether":
        return "does it move?", "yes" if motion in STEPS else "no"
    other = draw.choice([one for one in MOTIONS[:8] if one != motion])
    wanted = draw.choice((motion, other))
    return f"is it true that it {wanted}?", "yes" if wanted == motion else "no"


def moved(picture: Image.Image, motion: str, draw: Random, *, size: int, frames: int) -> NDArray[np.uint8]:
    """uint8 [frames, size, size, 3]: a sprite that does one of `MOTIONS`.

    Args:
        picture: RGBA, square.
        motion: what it does.
        draw: where every random number comes from.
        size: side of the frames in pixels.
        frames: how many.
    """
    ground = background(size, draw).point(DIMMED)
    side = size * draw.uniform(*SIDE)
    growth = draw.uniform(*GROWTH)
    turn = draw.uniform(*TURN) * draw.choice((-1, 1))
    first, last = path_of(motion, size - side, draw)
    out = []
    sprite, before = picture, (0, -1.0)
    for number in range(frames):
        share = number / (frames - 1)
        scale = growth ** ({"grows": share, "shrinks": 1 - share}.get(motion, 0.5) - 0.5)
        pixels, angle = max(2, ceil(side * scale)), turn * share if motion == "turns around" else 0.0
        if (pixels, angle) != before:
            before, sprite = (pixels, angle), turned(picture, pixels, angle)
        corner = (round(side / 2 + a + (b - a) * share - pixels / 2) for a, b in zip(first, last, strict=True))
        frame = ground.copy()
        frame.paste(sprite, tuple(corner), sprite)
        out.append(np.asarray(frame))
    return np.stack(out)


def turned(picture: Image.Image, pixels: int, angle: float) -> Image.Image:
    """A sprite of so many pixels, turned by degrees."""
    sprite = picture.rotate(angle, Image.Resampling.BILINEAR) if angle else picture
    return sprite.resize((pixels, pixels), Image.Resampling.BILINEAR)


def path_of(motion: str, room: float, draw: Random) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the sprite's corner starts and ends, within `room` pixels of each side."""
    step = STEPS.get(motion, (0, 0))
    first, last = [], []
    for go in step:
        way = room * draw.uniform(*WAY) * abs(go)
        least = draw.uniform(0, room - way)
        first.append(least if go >= 0 else least + way)
        last.append(first[-1] + go * way)
    return (first[0], first[1]), (last[0], last[1])
