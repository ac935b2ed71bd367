"""Scenes: a few emoji on one canvas, none over another, with the exact box of each.

A scene is a pure function of (seed, split, index): the same on every machine and in every worker, and one split never
repeats a placement of the other. The drawings are the same in both splits: what the valid split measures is known
drawings at unseen places and in unseen company, not other drawings of the same things.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from PIL import Image

from ....core.errors import ConfigError
from ..placements import Sprite, background, checked_split, read_sprites

THINGS = ("frog", "whale", "banana", "rose", "eggplant", "carrot")
"""What stands in scenes by default: drawings of different colours."""
SCALE = (0.3, 0.42)
"""Side of a thing, in sides of the canvas."""
PALE = 0.85
TRIES = 60
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One thing of a scene and its box in pixels: x0, y0, x1, y1."""

    name: str
    box: Box

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of its box."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture and its things, from left to right; no two have one name."""

    picture: Image.Image
    things: tuple[Thing, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What there is, from left to right."""
        return tuple(thing.name for thing in self.things)


class Scenes:
    """A sequence of scenes.

    Args:
        split: `train` or `valid`.
        count: how many; by default 4,000 in training and 256 in validation.
        size: side of the pictures in pixels.
        least, most: how many things a scene has; each number is as frequent as any other.
        things: the names of what may stand in them.
        seed: another seed gives other scenes.

    Raises:
        ConfigError: an unknown split or thing, or a number that is too small or too large.

    >>> scene = Scenes("valid")[0]
    >>> len(scene.names), scene.picture.size
    (2, (32, 32))
    """

    def __init__(
        self,
        split: str,
        *,
        count: int | None = None,
        size: int = 32,
        least: int = 2,
        most: int = 2,
        things: Sequence[str] = THINGS,
        seed: int = 0,
    ) -> None:
        if not 0 <= least <= most <= min(4, len(things)):
            raise ConfigError(
                f"a scene must have 0 to {min(4, len(things))} things, least before most, but has {least} to {most}"
            )
        if size < 24:
            raise ConfigError(f"the size of a scene must be at least 24 pixels, but is {size}")
        self.split, self.size, self.seed = checked_split(split), size, seed
        self.least, self.most = least, most
        self.things = tuple(things)
        self._sprites = [_sprite(name) for name in self.things]
        self._count = count if count is not None else {"train": 4000, "valid": 256}[split]

    def __len__(self) -> int:
        return self._count

    def draw(self, index: int, purpose: str = "scene") -> Random:
        """Where the random numbers of one scene come from.

        Raises:
            IndexError: there is no such scene.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"the index must be in [0, {len(self)}), but is {index}")
        return Random(f"{purpose}/{self.seed}/{self.split}/{index}")

    def __getitem__(self, index: int) -> Scene:
        draw = self.draw(index)
        canvas = Image.blend(background(self.size, draw), Image.new("RGB", (self.size, self.size), "white"), PALE)
        taken: list[Box] = []
        things = []
        for sprite in draw.sample(self._sprites, draw.randint(self.least, self.most)):
            picture, box = _free(sprite.picture, self.size, taken, draw)
            canvas.paste(picture, box[:2], picture)
            taken.append(box)
            things.append(Thing(name=sprite.name, box=box))
        return Scene(picture=canvas, things=tuple(sorted(things, key=lambda thing: thing.middle)))


def relation(first: Thing, second: Thing) -> str:
    """How one thing stands to another where they are further apart: `left of`, `right of`, `above` or `below`.

    >>> relation(Thing(name="a", box=(0, 0, 2, 2)), Thing(name="b", box=(8, 1, 9, 3)))
    'left of'
    """
    (x0, y0), (x1, y1) = first.middle, second.middle
    if abs(x1 - x0) >= abs(y1 - y0):
        return "left of" if x0 <= x1 else "right of"
    return "above" if y0 <= y1 else "below"


def article(name: str) -> str:
    """A name with its article.

    >>> article("eggplant"), article("frog")
    ('an eggplant', 'a frog')
    """
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _free(sprite: Image.Image, size: int, taken: Sequence[Box], draw: Random) -> tuple[Image.Image, Box]:
    """The sprite, scaled and cut to its ink, and a place that nothing else has; the least crowded one of many tries."""
    side = round(size * draw.uniform(*SCALE))
    picture = sprite.resize((side, side), Image.Resampling.BOX)
    ink = picture.getchannel("A").point(lambda value: 255 * (value > 40)).getbbox() or (0, 0, side, side)
    picture = picture.crop(ink)
    wide, tall = picture.size
    best, least = None, float("inf")
    for _ in range(TRIES):
        x, y = draw.randint(0, size - wide), draw.randint(0, size - tall)
        box = (x, y, x + wide, y + tall)
        shared = sum(_shared(box, other) for other in taken)
        if shared < least:
            best, least = box, shared
        if not shared:
            break
    assert best is not None, "a try is always kept"
    return picture, best


def _shared(a: Box, b: Box) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


@cache
def _sprites() -> dict[str, Sprite]:
    return {sprite.name: sprite for sprite in read_sprites()}


def _sprite(name: str) -> Sprite:
    known = _sprites()
    if name not in known:
        raise ConfigError(f"there is no emoji `{name}` among the samples")
    return known[name]
