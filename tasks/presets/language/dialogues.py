"""Dialogues about a picture: someone says who they are, shows a shape, and asks about it and about themselves."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

from PIL import Image, ImageDraw

from ..placements import checked_split

NAMES = ("Ann", "Bob", "Eve", "Ian", "Mia", "Tom", "Zoe", "Leo")
COLOURS = {"red": (210, 40, 40), "green": (40, 160, 60), "blue": (40, 80, 210), "yellow": (230, 200, 40)}
SHAPES = ("circle", "square", "triangle")
HELD_OUT = 0.2
SIZE = 24
QUESTIONS = {
    "colour": ("which colour is it?", "and its colour?"),
    "shape": ("which shape is it?", "what is it?"),
    "name": ("who am I?", "my name?"),
}

Told = tuple[str, str, str]
"""Name, colour and shape of one dialogue."""


def told_of(split: str) -> list[Told]:
    """The triples of name, colour and shape of one split, by a hash: no triple is in both.

    >>> len(set(told_of("train")) & set(told_of("valid"))), len(told_of("train")) + len(told_of("valid"))
    (0, 96)
    """
    held = checked_split(split) == "valid"
    whole = [(name, colour, shape) for name in NAMES for colour in COLOURS for shape in SHAPES]
    return [told for told in whole if (hashlib.sha256("/".join(told).encode()).digest()[0] < 256 * HELD_OUT) is held]


def draw(colour: str, shape: str, random: Random) -> Image.Image:
    """A shape of random size and place on a grey ground, an RGB picture of `SIZE` pixels."""
    picture = Image.new("RGB", (SIZE, SIZE), (235, 235, 235))
    side = random.randint(SIZE // 2, SIZE - 4)
    x, y = random.randint(1, SIZE - side - 1), random.randint(1, SIZE - side - 1)
    pencil, box, fill = ImageDraw.Draw(picture), (x, y, x + side, y + side), COLOURS[colour]
    if shape == "circle":
        pencil.ellipse(box, fill=fill)
    elif shape == "square":
        pencil.rectangle(box, fill=fill)
    else:
        pencil.polygon([(x + side / 2, y), (x, y + side), (x + side, y + side)], fill=fill)
    return picture


class Dialogues:
    """Dialogues of two to four exchanges: the column `messages`.

    Args:
        split: "train" or "valid"; who shows what in one is never in the other.
        rows: how many.

    >>> rows = Dialogues(split="valid", rows=9)
    >>> [message["role"] for message in rows[0]["messages"]][:3]
    ['system', 'user', 'assistant']
    """

    def __init__(self, *, split: str, rows: int = 3000) -> None:
        self.split, self.rows = checked_split(split), rows
        self._told = told_of(split)

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.rows:
            raise IndexError(f"the index must be in [0, {self.rows}), but is {index}")
        random = Random(f"dialogues/{self.split}/{index}")
        name, colour, shape = random.choice(self._told)
        answers = {"colour": colour, "shape": f"a {shape}", "name": name}
        shown = [{"type": "text", "text": f"I am {name}. "}, {"type": "image", "image": draw(colour, shape, random)}]
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": "Look and be brief."},
            {"role": "user", "content": shown},
            {"role": "assistant", "content": f"Hello {name}!"},
        ]
        for asked in random.sample(list(QUESTIONS), random.randint(1, len(QUESTIONS))):
            messages.append({"role": "user", "content": random.choice(QUESTIONS[asked])})
            messages.append({"role": "assistant", "content": answers[asked]})
        return {"messages": messages}
