"""Emoji on grounds of eight colours, still or moving, with the words that say which: what pictures are made from.

A row is a pure function of (split, index). Every emoji and every colour is in both splits, but no emoji is in both on
the same colour (or moving the same way): what the valid split measures is whether words that were learned apart are
put together. It does not show that an emoji which is not in training could be drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ....core.errors import ConfigError
from ..placements import Sprite, checked_split, read_sprites

COLOURS = {
    "white": (255, 255, 255),
    "black": (24, 24, 28),
    "red": (208, 62, 56),
    "blue": (66, 110, 214),
    "green": (72, 158, 92),
    "yellow": (248, 214, 92),
    "grey": (150, 150, 150),
    "pink": (244, 170, 196),
}
MARGIN = 1 / 16
"""Of the picture's side, around the emoji."""
HELD_OUT = 4
"""One combination of so many is held out."""
MOVES = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SPRITE = 0.5
"""Of the frame's side: a moving emoji, which goes from rim to rim."""


class NamedEmoji:
    """Rows `{"name": "bat on blue", "img": PIL image}`: each emoji, in the middle, on each colour of ground.

    Args:
        split: `train` has three quarters of the combinations, `valid` the rest.
        emoji: how many of the 200 emoji, spread evenly over their groups.
        size: side of the pictures in pixels.

    Raises:
        ConfigError: an unknown split, no emoji, or pictures of less than 8 pixels.

    >>> rows = NamedEmoji("valid", emoji=40)
    >>> len(NamedEmoji("train", emoji=40)), len(rows), rows[0]["name"], rows[0]["img"].size
    (240, 80, 'ant on white', (32, 32))
    """

    def __init__(self, split: str, *, emoji: int = 40, size: int = 32) -> None:
        self.split = checked_split(split)
        self.size = size
        self._sprites = some_sprites(emoji, size)
        pairs = [(i, k) for i in range(emoji) for k in range(len(COLOURS))]
        self._pairs = [(i, k) for i, k in pairs if ((i + k) % HELD_OUT == 0) == (split == "valid")]

    def __len__(self) -> int:
        return len(self._pairs)

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column in order; names without making a picture."""
        for index in range(len(self)):
            yield self._name(index) if name == "name" else self[index][name]

    def __getitem__(self, index: int) -> dict[str, Any]:
        emoji, colour = self._pairs[index]
        margin = round(self.size * MARGIN)
        sprite = self._sprites[emoji].picture.resize((self.size - 2 * margin,) * 2, Image.Resampling.LANCZOS)
        picture = Image.new("RGB", (self.size, self.size), list(COLOURS.values())[colour])
        picture.paste(sprite, (margin, margin), sprite)
        return {"name": self._name(index), "img": picture}

    def _name(self, index: int) -> str:
        emoji, colour = self._pairs[index]
        return f"{self._sprites[emoji].name} on {list(COLOURS)[colour]}"


class MovingNamedEmoji:
    """Rows `{"name": "bat on blue moves left", "clip": {"frames": uint8 [frames, size, size, 3], "fps": 4.0}}`.

    Args:
        split: `train` has three quarters of the combinations of emoji, colour and way, `valid` the rest.
        emoji: how many of the 200 emoji, spread evenly over their groups.
        colours: how many of the eight, the first.
        size: side of the frames in pixels.
        frames: how many a clip has.
        sprite: side of the emoji, in sides of the frame.

    Raises:
        ConfigError: an unknown split, no emoji, no colours, frames of less than 8 pixels, or an emoji that does not
            fit or has no room to move.

    >>> rows = MovingNamedEmoji("valid", emoji=10)
    >>> len(MovingNamedEmoji("train", emoji=10)), len(rows), rows[0]["name"], rows[0]["clip"]["frames"].shape
    (120, 40, 'ant on white moves left', (4, 24, 24, 3))
    """

    def __init__(
        self,
        split: str,
        *,
        emoji: int = 10,
        colours: int = 4,
        size: int = 24,
        frames: int = 4,
        sprite: float = SPRITE,
    ) -> None:
        self.split = checked_split(split)
        if not 1 <= colours <= len(COLOURS):
            raise ConfigError(f"the number of colours must be in 1..{len(COLOURS)}, but is {colours}")
        if not 0.1 <= sprite <= 0.9:
            raise ConfigError(f"the side of a moving emoji must be in 0.1..0.9 of the frame's, but is {sprite}")
        self.size, self.frames = size, frames
        side = round(size * sprite)
        self._sprites = [
            (one.name, one.picture.resize((side, side), Image.Resampling.LANCZOS)) for one in some_sprites(emoji, size)
        ]
        places = [(i, k, m) for i in range(emoji) for k in range(colours) for m in range(len(MOVES))]
        self._places = [(i, k, m) for i, k, m in places if ((i + k + m) % HELD_OUT == 0) == (split == "valid")]

    def __len__(self) -> int:
        return len(self._places)

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column in order; names without making a clip."""
        for index in range(len(self)):
            yield self._name(index) if name == "name" else self[index][name]

    def __getitem__(self, index: int) -> dict[str, Any]:
        emoji, colour, move = self._places[index]
        sprite, ground = self._sprites[emoji][1], list(COLOURS.values())[colour]
        room = self.size - sprite.width
        frames = []
        for step in np.linspace(-0.5, 0.5, self.frames):
            x, y = (round(room * (0.5 + float(step) * way)) for way in list(MOVES.values())[move])
            frame = Image.new("RGB", (self.size, self.size), ground)
            frame.paste(sprite, (x, y), sprite)
            frames.append(np.asarray(frame))
        return {"name": self._name(index), "clip": {"frames": np.stack(frames), "fps": 4.0}}

    def _name(self, index: int) -> str:
        emoji, colour, move = self._places[index]
        return f"{self._sprites[emoji][0]} on {list(COLOURS)[colour]} moves {list(MOVES)[move]}"


def some_sprites(emoji: int, size: int) -> Sequence[Sprite]:
    """So many sprites, spread evenly over the table.

    Raises:
        ConfigError: none, or more than there are, or pictures of less than 8 pixels.
    """
    sprites = read_sprites()
    if not 1 <= emoji <= len(sprites):
        raise ConfigError(f"the number of emoji must be in 1..{len(sprites)}, but is {emoji}")
    if size < 8:
        raise ConfigError(f"the size of a picture must be at least 8 pixels, but is {size}")
    return [sprites[i * len(sprites) // emoji] for i in range(emoji)]
