"""Emoji on grounds of eight colours, with the words that say which: what pictures are made from.

A row is a pure function of (split, index). Every emoji and every colour is in both splits, but no emoji is in both on
the same colour: what the valid split measures is whether words that were learned apart are put together. It does not
show that an emoji which is not in training could be drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL import Image

from ....core.errors import ConfigError
from ..placements import checked_split, read_sprites

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
        sprites = read_sprites()
        if not 1 <= emoji <= len(sprites):
            raise ConfigError(f"the number of emoji must be in 1..{len(sprites)}, but is {emoji}")
        if size < 8:
            raise ConfigError(f"the size of a picture must be at least 8 pixels, but is {size}")
        self.size = size
        self._sprites = [sprites[i * len(sprites) // emoji] for i in range(emoji)]
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
