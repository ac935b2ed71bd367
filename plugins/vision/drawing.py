"""Boxes drawn on their picture, with names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.utils import draw_bounding_boxes

from ...core.opening.boxes import Format, Notation, Unit
from ...core.opening.following import COLOURS, LEAST_SIDE
from ...core.opening.pictures import open_picture
from ...core.view import View


def draw_boxes(
    picture: Any,
    boxes: Any,
    names: Sequence[str] | str | None = None,
    *,
    unit: Unit = "relative",
    format: Format = "xyxy",
    size: int | None = None,
    width: int | None = None,
) -> Image.Image:
    """The picture with boxes drawn on it, boxes of one name in one colour; a small picture is enlarged.

    Args:
        picture: anything that an IMAGE slot reads.
        boxes: one box, or a list of them, as a BOX slot reads and predicts them; None among them is not drawn.
        names: what is written at each box.
        unit, format, size: how the boxes are written, as in their slot.
        width: of the lines, in pixels of the enlarged picture.

    Raises:
        ValueError: there is not one name for each box, or a box lies outside.

    >>> draw_boxes(Image.new("RGB", (60, 40)), [(0.1, 0.1, 0.5, 0.9)], ["cat"]).size
    (240, 160)
    """
    opened = open_picture(picture)
    factor = max(1, LEAST_SIDE // max(opened.size))
    view = View(size=opened.size)
    notation = Notation(format=format, unit=unit, size=size, clip=True, point=True)  # a model may predict flat boxes
    listed = _listed(boxes)
    said = [names] * len(listed) if isinstance(names, str) else list(names or [])
    if names is not None and len(said) != len(listed):
        raise ValueError(f"there must be one name for each box, but there are {len(said)} for {len(listed)}")
    kept = [index for index, box in enumerate(listed) if box is not None]
    large = opened.resize((opened.width * factor, opened.height * factor), Image.Resampling.NEAREST)
    if not kept:
        return large
    shares = torch.tensor([notation.shares(listed[index], view) for index in kept], dtype=torch.float32)
    corners = shares * torch.tensor([large.width, large.height] * 2)
    labels = [str(said[index]) for index in kept] if said else None
    order = list(dict.fromkeys(labels or kept))
    colours = [COLOURS[order.index(key) % len(COLOURS)] for key in (labels or kept)]
    pixels = torch.from_numpy(np.array(large)).permute(2, 0, 1)
    drawn = draw_bounding_boxes(pixels, corners, labels, colors=colours, width=width or max(2, max(large.size) // 120))
    return Image.fromarray(drawn.permute(1, 2, 0).numpy())


def _listed(boxes: Any) -> list[Any]:
    """A list of boxes, of one box or of several."""
    if boxes is None:
        return []
    if isinstance(boxes, str) or hasattr(boxes, "keys"):
        return [boxes]
    if len(boxes) == 4 and not any(hasattr(part, "__len__") or part is None for part in boxes):
        return [boxes]
    return list(boxes)
