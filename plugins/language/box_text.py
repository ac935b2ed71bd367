"""BOX written as text, as vision-language models write places: through the port of TEXT, with no vocabulary of its own.

`json` is the notation of Qwen2.5-VL (2502.13923, section 2.2): pixels of the picture as the model sees it, after
resizing. `pairs` is that of Qwen2-VL (2409.12191, section 2.2.2): thousandths of the sides, between the tokenizer's
marks of objects and boxes where it has them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from ...core.codec import Encoded, Reading
from ...core.opening.boxes import Format, Unit
from ...core.opening.following import FollowingCodec, roles_of
from ...core.pattern import Pattern
from ...core.view import Corners, Size, View
from .box_pattern import box_pattern
from .tokenizer import Ids, Tokenizer

Style = Literal["json", "pairs"]
Shape = Literal["box", "point"]
KEYS: Mapping[Shape, str] = {"box": "bbox_2d", "point": "point_2d"}
PARTS = 1000
"""Steps along a side that pairs count."""
OBJECT = ("<|object_ref_start|>", "<|object_ref_end|>")
BOX = ("<|box_start|>", "<|box_end|>")
NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
PAIRS = re.compile(rf"([^()]*)\({NUMBER},{NUMBER}\)(?:\s*,\s*\({NUMBER},{NUMBER}\))?")


class Named(NamedTuple):
    """A box or a point as corners in shares of what is seen, with what is there, if it is said."""

    corners: Corners
    label: str | None


class BoxTextCodec(FollowingCodec):
    """Boxes or points to the tokens of their text and back; within half a pixel of the picture that is seen, or half a
    thousandth of its side.

    A search keeps to `pattern`, so what it finds is a box, or a list of them, unless it is cut for want of room. What
    is written badly is still a value: a box of no size at the corner, or one less in a list.

    >>> from .tokenizer import ByteTokenizer
    >>> codec = BoxTextCodec(tokenizer=ByteTokenizer())
    >>> view = View(size=(100, 50), made=(112, 56))
    >>> codec.text((0.25, 0.5, 0.5, 1.0), Reading(leader=view))
    '[{"bbox_2d": [28, 28, 56, 56]}]'
    >>> codec.read('[{"bbox_2d": [28, 28, 56, 56], "label": "cat"}]', view)
    {'bbox': (0.25, 0.5, 0.5, 1.0), 'label': 'cat'}
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        style: Style = "json",
        shape: Shape = "box",
        several: bool = False,
        format: Format = "xyxy",
        unit: Unit = "relative",
        size: int | None = None,
        clip: bool = False,
        image: str | None = None,
    ) -> None:
        """`image` names the picture's slot, for the layout."""
        order = format if shape == "box" else "xyxy"  # a point is a box whose corners are one
        super().__init__(format=order, unit=unit, size=size, clip=clip, point=shape == "point")
        self.tokenizer, self.style, self.shape, self.several = tokenizer, style, shape, several

    @cached_property
    def pattern(self) -> Pattern:
        """What every text is that a search finds."""
        return box_pattern(
            self.tokenizer,
            style=self.style,
            key=KEYS[self.shape],
            count=4 if self.shape == "box" else 2,
            several=self.several,
            around=(OBJECT, BOX),
        )

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens of the text, with the end mark on the target side.

        Raises:
            TypeError, ValueError: see `encode`.
        """
        return len(self._written(raw, reading)[0]) + (reading.side == "target")

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a box or point, or a list of them.

        Raises:
            TypeError: neither.
            ValueError: outside of the picture, or of an unknown one where pixels are written.
        """
        ids, left = self._written(raw, reading)
        if reading.side == "source":
            return Encoded(rows=len(ids), tensors={"tokens": ids})
        whole = np.append(ids, self.tokenizer.end)
        roles = roles_of(left, reading, len(whole))
        return Encoded(rows=len(whole), tensors={"tokens": whole}, labels={"tokens": whole.copy()}, roles=roles)

    def decode(self, predicted: Mapping[str, torch.Tensor], *, leader: Any = None) -> Any:
        """The box or point of the whole picture as the slot writes them, or the list; see `read`."""
        return self.read(self.tokenizer.decode(predicted["tokens"].tolist()), leader)

    def compared(self, value: Any) -> Any:
        """Corners of a value, true or predicted, or the list of them.

        Raises:
            TypeError, ValueError: not a box or point.
        """
        made = [super(BoxTextCodec, self).compared(self._plain(one)[0]) for one in self._listed(value)]
        return made if self.several else made[0]

    def plain(self, value: Any) -> Any:
        """One predicted value as four numbers, without its label."""
        return self._plain(value)[0]

    def text(self, raw: Any, reading: Reading) -> str:
        """The text of a value, marks left out."""
        return self.tokenizer.decode(self._written(raw, reading)[0].tolist())

    def read(self, text: str, leader: Any = None) -> Any:
        """The value that a text stands for.

        A box is a tuple of numbers as the slot writes them, a point (x, y); with a label a mapping of `bbox` or `point`
        and `label`.
        """
        found = self._found(text, leader if isinstance(leader, View) else None)
        values = [self._value(one, leader) for one in found]
        if self.several:
            return values
        return values[0] if values else self._value(Named((0.0, 0.0, 0.0, 0.0), None), leader)

    def _written(self, raw: Any, reading: Reading) -> tuple[Ids, bool]:
        """The ids, and whether anything is left of the value in what is seen."""
        named, left = [], []
        for one in self._listed(raw):
            plain, label = self._plain(one)
            corners, remains = self.seen(plain, reading)
            if remains or not self.several:
                named.append(Named(corners, label))
                left.append(remains)
        view = reading.leader if isinstance(reading.leader, View) else None
        if self.style == "json":
            scale = _pixels(view)
            ids = self.tokenizer.literal(json.dumps([self._json(one, scale) for one in named], ensure_ascii=False))
        else:
            parts = [ids for one in named for ids in self._pairs(one)]
            ids = np.concatenate([np.zeros(0, np.int64), *parts])
        return ids.copy(), self.several or all(left)

    def _listed(self, raw: Any) -> list[Any]:
        if not self.several:
            return [raw]
        if isinstance(raw, str | Mapping) or not isinstance(raw, Sequence | np.ndarray):
            raise TypeError(f"with `several` a value must be a list, one {self.shape} each, but is {repr(raw)[:60]}")
        return list(raw)

    def _plain(self, raw: Any) -> tuple[Any, str | None]:
        """A box in one of the usual notations, and its label; a point is a box of no size."""
        label = None
        if isinstance(raw, Mapping):
            label = None if raw.get("label") is None else str(raw["label"])
            raw = next((raw[key] for key in (KEYS[self.shape], self.shape, "bbox") if raw.get(key) is not None), raw)
        if self.shape == "box":
            return raw, label
        if isinstance(raw, Mapping) and "x" in raw and "y" in raw:
            raw = (raw["x"], raw["y"])
        numbers = raw.tolist() if hasattr(raw, "tolist") else raw
        if isinstance(numbers, str) or not isinstance(numbers, Sequence) or len(numbers) != 2:
            raise TypeError(f"a point must be two numbers x, y, but is {type(raw).__name__} {repr(raw)[:60]}")
        return [*numbers, *numbers], label

    def _json(self, one: Named, scale: Size) -> dict[str, Any]:
        kept = one.corners if self.shape == "box" else one.corners[:2]
        numbers = [round(share * scale[place % 2]) for place, share in enumerate(kept)]
        return {KEYS[self.shape]: numbers, **({} if one.label is None else {"label": one.label})}

    def _pairs(self, one: Named) -> list[Ids]:
        x0, y0, x1, y1 = (min(int(share * PARTS), PARTS - 1) for share in one.corners)
        numbers = f"({x0},{y0}),({x1},{y1})" if self.shape == "box" else f"({x0},{y0})"
        label = [] if one.label is None else [self._between(OBJECT, one.label)]
        return [*label, self._between(BOX, numbers)]

    def _between(self, marks: tuple[str, str], text: str) -> Ids:
        """A text between two marks, where the tokenizer has them."""
        first, last = (self.tokenizer.special(mark) for mark in marks)
        inner = self.tokenizer.literal(text)
        return inner if first is None or last is None else np.concatenate([[first], inner, [last]])

    def _found(self, text: str, view: View | None) -> list[Named]:
        count = 4 if self.shape == "box" else 2
        out = []
        if self.style == "json":
            scale = _pixels(view)
            for one in _objects(text):
                numbers, label = one.get(KEYS[self.shape]), one.get("label")
                if isinstance(numbers, list) and all(isinstance(x, int | float) for x in numbers):
                    shares = [number / scale[place % 2] for place, number in enumerate(numbers)]
                    out += _named(shares, count, None if label is None else str(label))
            return out
        for match in PAIRS.finditer(text):
            shares = [(float(x) + 0.5) / PARTS for x in match.groups()[1:] if x is not None]
            out += _named(shares, count, match[1].strip(" ,") or None)
        return out

    def _value(self, one: Named, leader: Any) -> Any:
        numbers = self.written(one.corners, leader)
        value = numbers if self.shape == "box" else numbers[:2]
        if one.label is None:
            return value
        return {"bbox" if self.shape == "box" else "point": value, "label": one.label}


def _named(shares: Sequence[float], count: int, label: str | None) -> list[Named]:
    """The box or point of these numbers, or none where there are not as many as it takes."""
    if len(shares) != count:
        return []
    x0, y0, x1, y1 = shares if count == 4 else [*shares, *shares]
    return [Named((x0, y0, x1, y1), label)]


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, whatever stands around them; one that is cut short is none.

    >>> list(_objects('```json [{"a": 1}, {"b": {}}, {"c"'))
    [{'a': 1}, {'b': {}}]
    """
    reader, at = json.JSONDecoder(strict=False), text.find("{")
    while at >= 0:
        try:
            found, end = reader.raw_decode(text, at)
            yield found
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)


def _pixels(view: View | None) -> Size:
    """Width and height of the picture that the model sees.

    Raises:
        ValueError: there is none.
    """
    if view is None:
        raise ValueError(
            "a box that is written in pixels must follow a picture, but there is none beside it: put its [IMAGE] into "
            "the line, or write style=pairs in the slot"
        )
    return view.made or view.size
