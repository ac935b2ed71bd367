"""Rows of made motions with what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from ....core.seeding import mix
from .moves import MOVES, Body, Manner, Move

WHO = ("a person", "someone", "a man", "a woman", "the figure")
PACES = {"slowly": 0.65, "": 1.0, "quickly": 1.45}
HELD_OUT = 5
"""One of so many wordings is held out: who, move, side and pace together."""


class DescribedMotions:
    """`{"text", "bvh_frames"}`: a sentence, and the motion as a mapping with `root`, `rotations` and `fps`.

    Each sentence says who, what, which side and how fast; every fifth combination is held out, so that a held-out
    sentence is new, while each of its parts is not. How large the move is and how long it lasts is drawn anew by row.

    Args:
        split: "train" or "valid".
        rows: how many.
        moves: names of some moves, separated by commas; all by default.
        frames: most frames, at 20 a second; a slow move takes all, a quick one two thirds.

    >>> row = DescribedMotions("valid")[0]
    >>> row["text"], row["bvh_frames"]["rotations"].shape[1:]
    ('a person walks forward slowly', (22, 3, 3))
    """

    def __init__(self, split: str, rows: int | None = None, moves: str = "", frames: int = 48) -> None:
        self.split = split
        self.rows = (1600 if split == "train" else 160) if rows is None else rows
        names = [name.strip() for name in moves.split(",") if name.strip()]
        unknown = [name for name in names if name not in {move.name for move in MOVES}]
        if unknown:
            raise ValueError(f"there is no move `{unknown[0]}` (moves: {', '.join(m.name for m in MOVES)})")
        self.frames = frames
        self.said = _wordings([m for m in MOVES if not names or m.name in names], held_out=split != "train")

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.rows:
            raise IndexError(f"row {index} must be in 0..{self.rows - 1}")
        draw = Random(mix("described motions", self.split, index))
        who, move, side, pace = draw.choice(self.said)
        size, haste = draw.uniform(0.85, 1.15), PACES[pace] * draw.uniform(0.95, 1.05)
        share = {"slowly": 1.0, "": 5 / 6, "quickly": 2 / 3}[pace]
        body = Body(max(10, round(self.frames * share)))
        move.make(body, Manner(pace=haste, size=size, side=side))
        return {"text": _sentence(who, move, side, pace), "bvh_frames": body.motion()}


def _wordings(moves: Sequence[Move], *, held_out: bool) -> list[tuple[str, Move, int, str]]:
    """Who, what, which side and how fast, of one split."""
    found = []
    for move in moves:
        for side in (1, -1) if "{side}" in move.said else (1,):
            for who in WHO:
                for pace in PACES:
                    held = mix("wording", move.name, side, who, pace) % HELD_OUT == 0
                    if held == held_out:
                        found.append((who, move, side, pace))
    return found


def _sentence(who: str, move: Move, side: int, pace: str) -> str:
    what = move.said.format(side="left" if side > 0 else "right")
    return f"{who} {what} {pace}".strip()
