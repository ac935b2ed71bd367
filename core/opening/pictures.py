"""Pictures of every usual kind to upright RGB: files, bytes, base64, PIL pictures, arrays and tensors."""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Size = tuple[int, int]
ORIENTATION = 0x0112
FIRST_LYING = 5
"""EXIF's tag of orientation, and the first of its values that swap width and height."""
BASE64_STARTS = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR", "Qk0", "SUkq", "TU0A")
"""How base64 of JPEG, PNG, GIF, WebP, BMP and TIFF begins."""
URL_SAFE = str.maketrans("-_", "+/")
UNREAD = {
    b"<svg": "is a drawing in SVG: draw it as pixels first",
    b"<?xml": "is XML, perhaps a drawing in SVG: draw it as pixels first",
    b"%PDF": "is a PDF: draw a page of it as pixels first",
    b"ftypheic": "is in HEIC: turn it into JPEG or PNG first, or register `pillow_heif`",
}
"""What is no picture that can be opened here, by what stands in its first bytes."""
WHITE = (255, 255, 255)
Statistics = tuple[tuple[float, ...], tuple[float, ...]]
STATISTICS: Mapping[str, Statistics] = {
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""Mean and deviation of red, green and blue by name; the last two are those of the ImageNet and CLIP releases."""


def open_picture(raw: Any, *, least: Size | None = None) -> Image.Image:
    """An upright RGB picture; what is transparent becomes white, and of several frames or pages the first is read.

    Args:
        raw: a PIL picture, a path, a `file:` or `data:` address, bytes, an open file, base64 text, a mapping with
            `bytes`, `path` or `url`, an array, a tensor or nested lists ([height, width], with 1, 3 or 4 channels first
            or last; whole numbers 0-255, or 0-65535 of 16 bits and where one is above 255, or fractions 0-1).
        least: a JPEG file may be decoded at an eighth, a quarter or half of its size while no side falls below this.

    Raises:
        TypeError: another kind of value.
        ValueError: a web address, no such file, a broken or endless picture, numbers out of range.
    """
    opened = _opened(raw)
    try:
        turned = _turned(opened)
        if least is not None and opened is not raw and opened.format == "JPEG":
            opened.draft("RGB", least[::-1] if turned >= FIRST_LYING else least)
        made = _rgb(opened if turned == 1 else ImageOps.exif_transpose(opened))
    except (OSError, SyntaxError, Image.DecompressionBombError) as cause:
        if opened is not raw:
            opened.close()
        raise ValueError(f"the picture {_named(raw)} cannot be decoded: {cause}") from cause
    if opened is not raw:
        if made is opened and (getattr(opened, "fp", None) is not None or getattr(opened, "is_animated", False)):
            made = opened.copy()  # some formats keep their file open
        if made is not opened:
            opened.close()
    return made


def picture_size(raw: Any) -> Size:
    """Width and height of the upright picture, from its header alone.

    Raises:
        TypeError, ValueError: see `open_picture`.
    """
    opened = _opened(raw)
    turned = _turned(opened)
    size = opened.size
    if opened is not raw:
        opened.close()
    return size[::-1] if turned >= FIRST_LYING else size


def _turned(opened: Image.Image) -> int:
    """EXIF's number for how the camera was held; pillow would decode all of a PNG to look for it behind the pixels."""
    file = getattr(opened, "fp", None)
    if opened.format == "PNG" and "exif" not in opened.info and file is not None and not _has_chunk(file, b"eXIf"):
        return 1
    return int(opened.getexif().get(ORIENTATION, 1))


def _has_chunk(file: Any, wanted: bytes) -> bool:
    """Whether a PNG has a chunk of that type; reads the heads of its chunks alone."""
    here = file.tell()
    at, head = file.seek(8), file.read(8)
    while len(head) == 8 and head[4:] != wanted:
        at = file.seek(at + 12 + int.from_bytes(head[:4], "big"))
        head = file.read(8)
    file.seek(here)
    return len(head) == 8


def _opened(raw: Any) -> Image.Image:
    if isinstance(raw, Image.Image):
        if 0 in raw.size:
            raise ValueError(f"a picture must have pixels, but this one has {raw.size[0]} x {raw.size[1]}")
        return raw
    if isinstance(raw, str | os.PathLike):
        return _from_text(os.fspath(raw))
    if isinstance(raw, bytes | bytearray | memoryview):
        return _decoded(io.BytesIO(raw), f"of {len(raw)} bytes")
    if isinstance(raw, Mapping):
        held = next((raw[key] for key in ("bytes", "path", "url", "array") if raw.get(key) is not None), None)
        if held is not None:
            return _opened(held)
    if hasattr(raw, "__array__") or (isinstance(raw, list | tuple) and raw and isinstance(raw[0], list | tuple)):
        return _from_array(raw)
    if hasattr(raw, "read") and hasattr(raw, "seek"):
        raw.seek(0)
        return _opened(raw.read())
    raise TypeError(
        "a picture must be a PIL picture, a path, bytes, base64 text, an array or a tensor, but is "
        f"{type(raw).__name__} {repr(raw)[:40]}"
    )


def _from_text(text: Any) -> Image.Image:
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    start = text[:8].lower()
    if start.startswith(("http:", "https:", "ftp:", "s3:", "gs:")):
        raise ValueError(f"a picture must be at hand, but is the web address {text[:80]!r}: download it first")
    if start.startswith("data:"):
        head, _, body = text.partition(",")
        if not head.endswith(";base64"):
            raise ValueError(f"a picture in a data address must be in base64, but is {text[:60]!r}")
        return _from_base64(unquote(body))
    if start.startswith("file:"):
        text = unquote(urlsplit(text).path)
    elif text.startswith(BASE64_STARTS) and len(text) > 64 and not (len(text) < 4096 and os.path.exists(text)):
        return _from_base64(text)
    if not text or len(text) > 4096 or "\0" in text:
        found = f"other text: {text[:40]!r}..." if text else "empty text"
        raise ValueError(f"a picture must be a path or base64 text, but is {found}")
    path = Path(text).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"the picture file {text!r} {what}")
    return _decoded(path, repr(text))


def _from_base64(text: str) -> Image.Image:
    plain = "".join(text.split()).translate(URL_SAFE).rstrip("=")
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError) as cause:
        raise ValueError(f"the base64 text of a picture is broken: {cause}") from cause
    return _decoded(io.BytesIO(data), "in base64")


def _decoded(file: Path | io.BytesIO, name: str) -> Image.Image:
    try:
        return Image.open(file)
    except UnidentifiedImageError as cause:
        raise ValueError(f"the picture {name} {_unread(file)}") from cause
    except (OSError, SyntaxError, Image.DecompressionBombError) as cause:
        raise ValueError(f"the picture {name} cannot be opened: {cause}") from cause


def _unread(file: Path | io.BytesIO) -> str:
    """Why a file is no picture, from its first bytes."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            start = opened.read(64)
    else:
        start = file.getvalue()[:64]
    if not start:
        return "is empty"
    return next((why for mark, why in UNREAD.items() if mark in start), "is of no known format, or broken")


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        picture.load()
        return picture
    if picture.mode.startswith(("I", "F")):
        return _from_array(np.asarray(picture)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        ground = Image.new("RGB", clear.size, WHITE)
        ground.paste(clear, mask=clear.getchannel("A"))
        return ground
    if picture.mode == "LAB":
        raise ValueError("a picture must have grey levels or red, green and blue, but is in LAB: convert it first")
    return picture.convert("RGB")


def _from_array(raw: Any) -> Image.Image:
    raw = raw.detach().cpu() if hasattr(raw, "detach") else raw
    try:
        array = np.asarray(raw.float() if str(getattr(raw, "dtype", "")) == "torch.bfloat16" else raw)
    except ValueError as cause:
        raise ValueError("the nested lists of a picture must have rows of one length, but have not") from cause
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)) or 0 in array.shape:
        raise ValueError(
            "an array must be a picture of shape [height, width], [height, width, 1|3|4] or [1|3|4, height, width], "
            f"but has shape {list(array.shape)}"
        )
    return Image.fromarray(np.ascontiguousarray(_bytes_of(array)))


def _bytes_of(array: Any) -> Any:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"an array must hold numbers to be a picture, but holds {array.dtype}")
    low, high = float(array.min()), float(array.max())
    whole = array.dtype.kind in "iu"
    deep = whole and (array.dtype == np.uint16 or (array.dtype.itemsize > 1 and high > 255))
    if not (low >= 0 and high <= (65535 if deep else 255 if whole else 1)):
        raise ValueError(
            f"a picture must hold {'whole numbers 0 to 255' if whole else 'fractions 0 to 1'}, but holds {low:g} to "
            f"{high:g}: scale it first"
        )
    if deep:
        return (array.astype(np.uint16) >> 8).astype(np.uint8)
    return array.astype(np.uint8) if whole else np.rint(array * 255).astype(np.uint8)


def _named(raw: Any) -> str:
    if isinstance(raw, str | os.PathLike):
        return repr(str(raw)[:80])
    return f"({type(raw).__name__})"
