"""Reading BVH files: a HIERARCHY of joints with their channels, then a line of numbers for each frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .rotations import Floats, of_euler
from .skeleton import End, Point, Skeleton

CHANNELS = {f"{axis}{what}".lower(): (what, i) for i, axis in enumerate("XYZ") for what in ("position", "rotation")}
SPACE = "\ufeff \t\r\n"
"""What may stand before a file: blanks, and the mark that editors of Windows put first."""
MOST = 1e9
"""No place, in any unit of length, and no angle of a motion is larger."""
SLIDE = 0.02
"""How far a joint may move in its parent's frame, of the body's height, and still count as fixed there."""


class Bvh(NamedTuple):
    """A parsed file: skeleton, root places [n, 3], local rotations [n, joints, 3, 3], frames a second."""

    skeleton: Skeleton
    root: Floats
    rotations: Floats
    fps: float


class Words(NamedTuple):
    """A line's words and its number, from one on."""

    words: list[str]
    line: int


@dataclass
class _Tree:
    """Joints as they are read."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[Point] = field(default_factory=list)
    channels: list[list[tuple[str, int]]] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)


def is_bvh_text(text: str) -> bool:
    """Whether a text is the inside of a BVH file.

    >>> is_bvh_text("  HIERARCHY ...")
    True
    """
    return text.lstrip(SPACE)[:9].upper() == "HIERARCHY"


def read_text(path: str | Path) -> str:
    """The text of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no BVH file.
    """
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    if not is_bvh_text(text):
        first = next((line.strip() for line in text.splitlines() if line.strip()), "")
        seen = f'begins with "{first[:40]}"' if first.isprintable() and first else "is empty or no text"
        raise ValueError(f"`{path}` is no BVH file: it must begin with HIERARCHY, but {seen}")
    return text


def count_frames(text: str, name: str) -> tuple[int, float]:
    """Frames and frames a second as the MOTION part says, without reading the frames.

    Raises:
        ValueError: it does not say them.
    """
    lines = _Lines(text, name, since="MOTION")
    if not lines.first:
        raise ValueError(f"`{name}` ends at line {lines.last}, where `MOTION` must follow")
    return _frames_and_rate(lines)


def parse_bvh(text: str, name: str = "the BVH text") -> Bvh:
    """Any hierarchy, any order of channels. Joints other than the root may have position channels that stay the same.

    Raises:
        ValueError: with `name` and the line where the text is not what it must be.
    """
    lines = _Lines(text, name, since="MOTION")
    try:
        tree = _known_hierarchy("\n".join(lines.before))
    except ValueError:  # said again with the file's name and lines
        lines = _Lines(text, name)
        tree = _hierarchy(lines)
    count, fps = _frames_and_rate(lines)
    numbers = _numbers(lines, count, sum(map(len, tree.channels)))
    return _posed(tree, numbers, fps, name)


def parse_skeleton(text: str, name: str = "the BVH text") -> Skeleton:
    """The skeleton of a HIERARCHY, whether frames follow or not."""
    tree = _hierarchy(_Lines(text, name))
    return Skeleton(tuple(tree.names), tuple(tree.parents), tuple(tree.offsets), tuple(tree.ends))


class _Lines:
    """The lines of a file that are not empty, braces on lines of their own."""

    def __init__(self, text: str, name: str, since: str = "") -> None:
        self.name = name
        rows = text.lstrip("\ufeff").splitlines()
        first = next((i for i, row in enumerate(rows) if since and row.strip().upper() == since), 0)
        self.before, self.rows = rows[:first], rows[first:]
        self.first = first
        self.last = len(rows)
        self.read = 0
        self._words = self._split()

    def floats(self) -> Floats | None:
        """All numbers of the lines that follow, which stay where they are; None where there is something else."""
        text = " ".join(self.rows[self.read :])
        try:
            return np.fromstring(text, dtype=np.float64, sep=" ")
        except (ValueError, DeprecationWarning):  # the second from older numpy, where warnings are errors
            return None

    def _split(self) -> Iterator[Words]:
        for number, row in enumerate(self.rows, self.first + 1):
            self.read = number - self.first
            for words in row.replace("{", "\n{\n").replace("}", "\n}\n").split("\n"):
                if words.strip():
                    yield Words(words.split(), number)

    def next(self, wanted: str) -> Words:
        found = next(self._words, None)
        if found is None:
            raise ValueError(f"`{self.name}` ends at line {self.last}, where {wanted} must follow")
        return found

    def take(self, word: str) -> Words:
        """The next line, which must begin with a word."""
        found = self.next(f"`{word}`")
        if found.words[0].upper() != word.upper():
            raise self.wrong(found, f"`{word}` must stand")
        return found

    def rest(self) -> Iterator[Words]:
        return self._words

    def wrong(self, words: Words, must: str) -> ValueError:
        held = " ".join(words.words)
        held = held if len(held) <= 40 else held[:37] + "..."
        return ValueError(f"`{self.name}`, line {words.line}: {must}, but there is `{held}`")


@lru_cache(maxsize=64)
def _known_hierarchy(text: str) -> _Tree:
    """A HIERARCHY alone, not to be changed; files of one collection have the same."""
    lines = _Lines(text, "the BVH text")
    tree = _hierarchy(lines)
    if next(lines.rest(), None) is not None:
        raise ValueError("MOTION must follow the hierarchy")
    return tree


def _hierarchy(lines: _Lines) -> _Tree:
    lines.take("HIERARCHY")
    root = lines.take("ROOT")
    tree = _Tree()
    _joint(lines, root, -1, tree)
    places = {axis for what, axis in tree.channels[0] if what == "position"}
    if len(places) != 3:
        has = " ".join(f"{'XYZ'[axis]}{what}" for what, axis in tree.channels[0]) or "none"
        raise ValueError(
            f"`{lines.name}`, line {root.line}: the root `{tree.names[0]}` must have the channels Xposition, Yposition "
            f"and Zposition, but has {has}"
        )
    return tree


def _joint(lines: _Lines, opened: Words, parent: int, tree: _Tree) -> None:
    """A joint and what hangs from it; `opened` is its line ROOT or JOINT."""
    name = " ".join(opened.words[1:])
    if not name:
        raise lines.wrong(opened, "a joint must have a name")
    if name in tree.names:
        raise lines.wrong(opened, f"joints must have names of their own, of which `{name}` is taken")
    lines.take("{")
    index = len(tree.names)
    tree.names.append(name)
    tree.parents.append(parent)
    tree.offsets.append(_offset(lines))
    tree.channels.append(_channels(lines, name))
    while True:
        words = lines.next(f"the closing brace of the joint `{name}`")
        kind = words.words[0].upper()
        if kind == "}":
            return
        if kind == "JOINT":
            _joint(lines, words, index, tree)
        elif kind == "END":
            lines.take("{")
            tree.ends.append(End(index, _offset(lines)))
            lines.take("}")
        else:
            raise lines.wrong(words, "JOINT, End Site or a closing brace must stand")


def _offset(lines: _Lines) -> Point:
    words = lines.take("OFFSET")
    try:
        x, y, z = map(float, words.words[1:])
    except ValueError:
        raise lines.wrong(words, "OFFSET must have three numbers") from None
    if not all(abs(number) <= MOST for number in (x, y, z)):
        raise lines.wrong(words, f"OFFSET must have three numbers within {MOST:,.0f}")
    return x, y, z


def _channels(lines: _Lines, joint: str) -> list[tuple[str, int]]:
    words = lines.next(f"CHANNELS of the joint `{joint}`")
    if words.words[0].upper() != "CHANNELS":
        raise lines.wrong(words, f"CHANNELS of the joint `{joint}` must stand")
    names = words.words[2:]
    if len(words.words) < 2 or not words.words[1].isdigit() or int(words.words[1]) != len(names):
        raise lines.wrong(words, "CHANNELS must have a number, and so many names")
    unknown = [name for name in names if name.lower() not in CHANNELS]
    if unknown:
        raise lines.wrong(words, f"channels are Xposition to Zrotation, which `{unknown[0]}` is not")
    found = [CHANNELS[name.lower()] for name in names]
    if len(set(found)) < len(found):
        raise lines.wrong(words, "a joint's channels must differ")
    return found


def _frames_and_rate(lines: _Lines) -> tuple[int, float]:
    lines.take("MOTION")
    frames, time = lines.take("Frames:"), lines.take("Frame")
    try:
        count = int(frames.words[1])
    except (IndexError, ValueError):
        raise lines.wrong(frames, "`Frames:` must have a whole number") from None
    try:
        seconds = float(time.words[2])
    except (IndexError, ValueError):
        seconds = 0.0
    if not 0 < seconds < 100:
        raise lines.wrong(time, "`Frame Time:` must have a number of seconds above 0")
    return count, 1 / seconds


def _numbers(lines: _Lines, count: int, channels: int) -> Floats:
    """The frames, [count, channels]."""
    found = lines.floats()
    if found is None or found.size != count * channels:
        found = _read_slowly(lines, count, channels)
    found = found.reshape(count, channels)
    if not np.isfinite(found).all():
        frame = int((~np.isfinite(found)).any(1).argmax())
        raise ValueError(f"`{lines.name}`: frame {frame + 1} must have finite numbers, but has NaN or infinity")
    if found.size and np.abs(found).max() > MOST:
        frame = int((np.abs(found) > MOST).any(1).argmax())
        raise ValueError(
            f"`{lines.name}`: frame {frame + 1} must have numbers within {MOST:,.0f}, but has "
            f"{np.abs(found[frame]).max():g}"
        )
    return found


def _read_slowly(lines: _Lines, count: int, channels: int) -> Floats:
    """The frames word by word, to say what is wrong with them.

    Raises:
        ValueError: a frame of another number of numbers, other frames than were promised, or no numbers.
    """
    rows = list(lines.rest())
    words = [word for row in rows for word in row.words]
    ragged = [row for row in rows if len(row.words) != channels]
    if ragged and len(words) != count * channels:
        raise ValueError(
            f"`{lines.name}`, line {ragged[0].line}: a frame must have {channels} numbers, one for each channel, but "
            f"has {len(ragged[0].words)}"
        )
    if len(words) != count * channels:
        raise ValueError(f"`{lines.name}` must have {count} frames, as `Frames:` says, but has {len(rows)}")
    try:
        return np.array(words, dtype=np.float64)
    except ValueError:
        bad = next(row for row in rows if not all(map(_is_number, row.words)))
        raise lines.wrong(bad, "a frame must be numbers") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _posed(tree: _Tree, numbers: Floats, fps: float, name: str) -> Bvh:
    """Roots and rotations out of channels."""
    root, offsets, at = np.zeros((len(numbers), 3)), list(tree.offsets), 0
    for joint, channels in enumerate(tree.channels):
        own = numbers[:, at : at + len(channels)]
        at += len(channels)
        places = {axis: own[:, i] for i, (what, axis) in enumerate(channels) if what == "position"}
        if joint == 0:
            root = np.stack([places[axis] for axis in range(3)], 1)
        elif places:
            offsets[joint] = _fixed(tree, joint, places, name)
    skeleton = Skeleton(tuple(tree.names), tuple(tree.parents), tuple(offsets), tuple(tree.ends))
    return Bvh(skeleton, root, _turned(tree, numbers), fps)


def _turned(tree: _Tree, numbers: Floats) -> Floats:
    """Rotations [n, joints, 3, 3]; joints whose channels have one order are turned together."""
    orders: dict[tuple[int, ...], list[tuple[int, list[int]]]] = {}
    at = 0
    for joint, channels in enumerate(tree.channels):
        spins = [(at + i, axis) for i, (what, axis) in enumerate(channels) if what == "rotation"]
        orders.setdefault(tuple(axis for _, axis in spins), []).append((joint, [column for column, _ in spins]))
        at += len(channels)
    out = np.empty((len(numbers), len(tree.names), 3, 3))
    for axes, joints in orders.items():
        columns = np.array([own for _, own in joints], dtype=np.intp).reshape(len(joints), len(axes))
        out[:, [joint for joint, _ in joints]] = of_euler(np.deg2rad(numbers[:, columns]), axes)
    return out


def _fixed(tree: _Tree, joint: int, places: dict[int, Floats], name: str) -> Point:
    """The offset of a joint whose file gives its place in every frame."""
    held = [places.get(axis, np.full(1, tree.offsets[joint][axis])) for axis in range(3)]
    reach = max(1e-6, float(np.abs(tree.offsets).sum(0).max()))
    slide = max((float(np.ptp(place)) for place in held if len(place)), default=0.0)
    if slide > SLIDE * reach:
        raise ValueError(
            f"`{name}`: the joint `{tree.names[joint]}` moves by {slide:.3g} in its parent's frame, but only the "
            "root may"
        )
    x, y, z = (float(place.mean()) if len(place) else 0.0 for place in held)
    return x, y, z
