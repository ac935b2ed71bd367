"""Emoji pictures: the sprites that ship in `samples/emoji`, each pasted at random on a random background.

A placement is a pure function of (seed, split, index), so the pictures need no file, are the same on every machine
and in every worker, and one split never repeats a placement of the other. Every emoji is in both splits: what the
valid split measures is the same drawing at an unseen place, size, angle and background. It does not show that
another artist's drawing, or an emoji that is not in training, would be named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from ...core.errors import ConfigError

SAMPLES = Path(__file__).with_name("samples")
SPLITS = ("train", "valid")
SCALE = (0.6, 0.95)  # longer side of the sprite, in sides of the picture
ANGLE = 15.0  # degrees, either way
NOISE = 0.5  # share of the noise; the rest is one colour
CELLS = 8  # noise cells along a side


def checked_split(split: str) -> str:
    """`split`, when it is one that the samples have.

    Raises:
        ConfigError: it is neither `train` nor `valid`.

    >>> checked_split("valid")
    'valid'
    """
    if split not in SPLITS:
        raise ConfigError(f"the split of a sample set must be one of {', '.join(SPLITS)}, but is {split!r}")
    return split


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprite:
    """One emoji: its English name, the group it belongs to and its picture, RGBA of 72 x 72 pixels."""

    name: str
    group: str
    picture: Image.Image


def read_sprites() -> tuple[Sprite, ...]:
    """All sprites, in the order of `emoji.jsonl`.

    >>> sprites = read_sprites()
    >>> len(sprites), sprites[0].name, sprites[0].picture.size
    (200, 'ant', (72, 72))
    """
    folder = SAMPLES / "emoji"
    rows = [json.loads(line) for line in (folder / "emoji.jsonl").read_text(encoding="utf-8").splitlines()]
    return tuple(Sprite(name=r["name"], group=r["group"], picture=_open(folder / r["file"])) for r in rows)


class EmojiPlacements:
    """A map-style source of `{"img": PIL image, "name": str}`: `per_emoji` placements of every emoji.

    Row `i` shows emoji `i % emoji`, so that any run of so many rows holds each one once.

    Args:
        split: `train` or `valid`.
        per_emoji: placements of each emoji.
        size: side of the pictures in pixels; they are RGB.
        seed: another seed gives other placements.
        emoji: how many of the 200 emoji, the first of the table.

    Raises:
        ConfigError: an unknown split, no placements, no emoji, or pictures of less than 16 pixels.

    >>> rows = EmojiPlacements("valid", 2)
    >>> len(rows), rows[201]["name"], rows[201]["img"].size
    (400, 'bat', (64, 64))
    """

    def __init__(self, split: str, per_emoji: int, *, size: int = 64, seed: int = 0, emoji: int = 200) -> None:
        if per_emoji < 1:
            raise ConfigError(f"per_emoji must be at least 1, but is {per_emoji}")
        if size < 16:
            raise ConfigError(f"the size of a placement must be at least 16 pixels, but is {size}")
        self.split = checked_split(split)
        self.per_emoji = per_emoji
        self.size = size
        self.seed = seed
        self._sprites = read_sprites()[:emoji]
        if not 1 <= emoji <= 200:
            raise ConfigError(f"the number of emoji must be in 1..200, but is {emoji}")

    def __len__(self) -> int:
        return self.per_emoji * len(self._sprites)

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column in order; names without making a picture."""
        for index in range(len(self)):
            yield self._sprites[index % len(self._sprites)].name if name == "name" else self[index][name]

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"the index must be in [0, {len(self)}), but is {index}")
        sprite = self._sprites[index % len(self._sprites)]
        draw = Random(f"{self.seed}/{self.split}/{index}")
        return {"img": place(sprite.picture, self.size, draw), "name": sprite.name}


def place(picture: Image.Image, size: int, draw: Random) -> Image.Image:
    """Paste a sprite, scaled, turned and moved at random, on a random background.

    Args:
        picture: RGBA, square.
        size: side of the result in pixels.
        draw: where every random number comes from.

    Returns:
        An RGB image of `size` x `size` pixels that holds the whole sprite.
    """
    canvas = background(size, draw)
    turned = picture.rotate(draw.uniform(-ANGLE, ANGLE), Image.Resampling.BILINEAR, expand=True)
    turned = turned.crop(turned.getbbox())
    shrink = size * draw.uniform(*SCALE) / max(turned.size)
    width, height = (max(1, round(side * shrink)) for side in turned.size)
    turned = turned.resize((width, height), Image.Resampling.BILINEAR)
    left, top = draw.randint(0, size - width), draw.randint(0, size - height)
    canvas.paste(turned, (left, top), turned)
    return canvas


def background(size: int, draw: Random) -> Image.Image:
    """A plain colour, a blend of two, or soft noise: each a third of the time; RGB, `size` x `size` pixels."""
    kind = draw.choice(("plain", "blend", "noise"))
    plain = Image.frombytes("RGB", (1, 1), draw.randbytes(3))
    if kind == "plain":
        return plain.resize((size, size))
    if kind == "blend":
        coarse = Image.frombytes("RGB", draw.choice(((1, 2), (2, 1))), draw.randbytes(6))
    else:
        noise = Image.frombytes("RGB", (CELLS, CELLS), draw.randbytes(3 * CELLS**2))
        coarse = Image.blend(plain.resize(noise.size), noise, NOISE)
    return coarse.resize((size, size), Image.Resampling.BICUBIC)


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGBA")
