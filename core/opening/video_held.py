"""Clips that are in memory: arrays, tensors, lists of pictures, animated pictures, folders of pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from .pictures import open_picture, picture_size
from .video_footage import SHORTEST, Frames, Header, Size, Stamps, named, refuse_giant, shown_at

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
CHANNELS = (1, 3, 4)


class HeldFootage:
    """Frames that are fetched one at a time; each may be any kind of picture.

    Args:
        fetch: the frame of an index.
        stamps: when each frame is first shown, ascending, in seconds.
        seconds: when the last one ends.
        name: in errors.
    """

    def __init__(
        self, fetch: Callable[[int], Any], stamps: Sequence[float] | Stamps, seconds: float, name: str
    ) -> None:
        if not len(stamps):
            raise ValueError(f"a clip must have at least one frame, but {name} has none")
        self._fetch, self._stamps = fetch, np.asarray(stamps, dtype=np.float64)
        self.name = name
        self.header = Header(seconds=max(seconds, SHORTEST), frames=len(stamps))

    def size(self) -> Size:
        """Of the first frame."""
        size = picture_size(self._fetch(0))
        refuse_giant(size, self.name)
        return size

    def frames(self, times: Sequence[float], size: Size | None, filter: str) -> Frames:
        """See `Footage`."""
        chosen = shown_at(self._stamps, times)
        made = []
        for index in chosen:
            frame = self._fetch(index)
            if size and isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.shape == (*size[::-1], 3):
                made.append(frame)
                continue
            picture = open_picture(frame, least=size)
            size = size or picture.size
            if picture.size != size:
                picture = picture.resize(size, Image.Resampling[filter.upper()])
            made.append(np.asarray(picture))
        return Frames(np.stack(made), self._stamps[chosen])


def steady(frames: Sequence[Any] | NDArray[Any], rate: float, name: str) -> HeldFootage:
    """Frames that follow each other at an even rate.

    Raises:
        ValueError: there are none, or the rate is not above 0.
    """
    count = len(frames)
    if not rate > 0:
        raise ValueError(f"the rate `fps` of a clip must be above 0, but that of {name} is {rate:g}")
    return HeldFootage(frames.__getitem__, np.arange(count) / rate, count / rate, name)


def from_array(raw: Any, rate: float) -> HeldFootage:
    """An array or tensor of frames: [n, height, width] or with 1, 3 or 4 channels last, second or first.

    Raises:
        ValueError: another shape.
    """
    raw = raw.detach().cpu() if hasattr(raw, "detach") else raw
    array = np.asarray(raw.float() if str(getattr(raw, "dtype", "")) == "torch.bfloat16" else raw)
    while array.ndim > 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 4 and array.shape[-1] not in CHANNELS and array.shape[1] not in CHANNELS:
        array = np.moveaxis(array, 0, 1) if array.shape[0] in CHANNELS else array[:0]
    one = array.ndim == 3 and array.shape[-1] in CHANNELS
    if array.ndim not in (3, 4) or one or 0 in array.shape:
        hint = "; one picture is a clip of one frame as a list, [picture]" if one else ""
        raise ValueError(
            "an array must be a clip of shape [frames, height, width, 1|3|4], [frames, 1|3|4, height, width] or "
            f"[frames, height, width], but has shape {list(np.shape(raw))}{hint}"
        )
    return steady(array, rate, f"(array {list(array.shape)})")


def from_animation(picture: Image.Image, name: str) -> HeldFootage:
    """An animated GIF, WebP or PNG with the times of its frames; a still picture is one frame."""
    count = getattr(picture, "n_frames", 1)
    stamps, now, at = [], 0.0, picture.tell() if count > 1 else 0
    for frame in ImageSequence.Iterator(picture) if count > 1 else [picture]:
        frame.load()  # WebP tells the time of a frame only then
        stamps.append(now)
        now += (frame.info.get("duration") or 100) / 1000

    def fetch(index: int) -> Image.Image:
        if count == 1:
            return picture
        picture.seek(index)
        frame = picture.convert("RGBA")
        picture.seek(at)
        return frame

    return HeldFootage(fetch, stamps, now, name)


def from_folder(path: Path, rate: float) -> HeldFootage:
    """The pictures of a folder in the order of their names, where numbers count as numbers.

    Raises:
        ValueError: it holds no pictures.
    """
    files = sorted((str(file) for file in path.iterdir() if file.suffix.lower() in PICTURES), key=_natural)
    if not files:
        raise ValueError(f"the folder {named(str(path))} must hold the frames of a clip as pictures, but holds none")
    return steady(files, rate, f"{named(str(path))}")


def _natural(text: str) -> list[tuple[int, str]]:
    return list(_words(text))


def _words(text: str) -> Iterator[tuple[int, str]]:
    for number, word in re.findall(r"(\d+)|(\D+)", text):
        yield (int(number), "") if number else (-1, word)
