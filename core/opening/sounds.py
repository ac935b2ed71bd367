"""Sounds of every usual kind: files, bytes, arrays with a rate, what datasets hold. Opened by the header alone."""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np

from ..extras import needed
from ..sound import Audio, Samples
from .sound_containers import open_container

BLOCK = 1 << 18
"""Samples of a channel that are in memory at once while a file is read."""
HIGHEST_RATE = 10_000_000
LEAST_STEP = 2**-15
"""Between two samples of 16 bits."""
SAMPLES, RATES = ("array", "samples", "waveform", "audio"), ("sampling_rate", "sample_rate", "rate")
"""Keys under which a mapping holds samples, and their rate."""
LOUDEST = 100.0
"""Of fractions: what lies beyond were whole numbers, never scaled."""
MISSING = 0.1
"""Seconds that a file may lack of what its header promises; formats with estimates in their headers lack a little."""
ENDLESS = 0x7FFFFF00
"""Sizes from here on stand in the headers of streams, which do not know theirs."""
CUT = re.compile(r"^\s*(?:data|SSND|Data Size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
"""What soundfile notes of a chunk of samples that is shorter than its header says."""
OGG_TAIL, OGG_LAST = 1 << 17, 0x04
"""Where the last page of an Ogg file is sought, and the flag that it bears."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A sound whose header was read.

    Attributes:
        name: how errors call it.
        rate: samples a second.
        frames: samples of a channel; None where the header does not say.
        blocks: mono samples from `first` on, `count` of them or, from a source that ends early, fewer; float32 blocks.
    """

    name: str
    rate: int
    frames: int | None
    blocks: Callable[[int, int], Iterator[Samples]]

    @property
    def seconds(self) -> float | None:
        """How long it lasts; None where the header does not say."""
        return None if self.frames is None else self.frames / self.rate


def open_sound(raw: Any, *, rate: int) -> Opened:
    """Open a sound; nothing is decoded yet.

    Args:
        raw: a path (also of a video), bytes of a file or base64 in a `data:` address, an open file, an `Audio`,
            (samples, rate), samples alone, a mapping with `array` and `sampling_rate`, or as `SAMPLES` and `RATES` name
            them, or with `bytes` or `path`, or a decoder of the datasets library. Samples are [n], [channels, n] or
            [n, channels]; fractions -1 to 1 or whole numbers.
        rate: of samples that come without one.

    Raises:
        TypeError: another kind of value.
        ValueError: no such file, a broken one, no samples, numbers that are no sound.
    """
    if isinstance(raw, Audio):
        return _from_samples(raw.samples, raw.rate)
    if isinstance(raw, str | os.PathLike):
        return _from_path(os.fspath(raw))
    if isinstance(raw, bytes | bytearray | memoryview):
        return _from_file(bytes(raw), f"of {len(raw)} bytes")
    if hasattr(raw, "read") and hasattr(raw, "seek"):
        raw.seek(0)
        return _from_file(raw.read(), "of an open file")
    if isinstance(raw, Mapping):
        return _from_mapping(raw, rate)
    if hasattr(raw, "get_all_samples"):
        return open_sound(raw.get_all_samples(), rate=rate)
    if hasattr(raw, "sample_rate") and hasattr(raw, "data"):
        return _from_samples(raw.data, raw.sample_rate)
    if (pair := _pair(raw)) is not None:
        return _from_samples(*pair)
    if hasattr(raw, "__array__") or (isinstance(raw, list) and raw and isinstance(raw[0], int | float | list)):
        return _from_samples(raw, rate)
    raise TypeError(_no_sound(raw))


def _no_sound(raw: Any) -> str:
    return (
        "a sound must be a path, bytes, (samples, rate), a mapping with `array` and `sampling_rate`, an array or a "
        f"tensor, but is {type(raw).__name__} {repr(raw)[:40]}"
    )


def _from_mapping(raw: Mapping[str, Any], rate: int) -> Opened:
    samples = next((raw[key] for key in SAMPLES if raw.get(key) is not None), None)
    own = next((raw[key] for key in RATES if raw.get(key) is not None), None)
    if samples is not None and own is not None:
        return _from_samples(samples, own)
    if raw.get("bytes") or raw.get("path"):
        return open_sound(raw.get("bytes") or raw["path"], rate=rate)
    raise TypeError(_no_sound(dict(raw)))


def _pair(raw: Any) -> tuple[Any, Any] | None:
    """Samples and rate of a pair in either order."""
    if not isinstance(raw, list | tuple) or len(raw) != 2:
        return None
    for samples, rate in (raw, raw[::-1]):
        several = isinstance(samples, list | tuple) or getattr(samples, "ndim", 0) > 0
        if several and _is_number(rate):
            return samples, rate
    return None


def _is_number(value: Any) -> bool:
    """Whether a value is one number, of Python's, an array's or a tensor's."""
    return isinstance(value, int | float) or (hasattr(value, "item") and getattr(value, "ndim", None) == 0)


def checked_rate(rate: float, name: str) -> int:
    """The rate as a whole number.

    Raises:
        ValueError: no sound has it.
    """
    if not 1 <= rate <= HIGHEST_RATE:
        raise ValueError(
            f"a sound must have 1 to {HIGHEST_RATE:,} samples a second, but the sound {name} has {rate:,.10g}"
        )
    return int(rate)


def _from_samples(raw: Any, rate: Any) -> Opened:
    array = np.asarray(raw.detach().cpu().float() if hasattr(raw, "detach") and raw.is_floating_point() else raw)
    rate = checked_rate(float(rate), "array")
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2):
        raise ValueError(
            "samples must be numbers of shape [n], [channels, n] or [n, channels], but are "
            f"{array.dtype} of shape {list(array.shape)}"
        )
    if array.ndim == 2:
        array = array if array.shape[1] <= array.shape[0] else array.T
    if not array.size:
        raise ValueError("a sound must hold samples, but the array is empty")

    def blocks(first: int, count: int) -> Iterator[Samples]:
        for at in range(first, min(first + count, len(array)), BLOCK):
            yield _mono(_scaled(array[at : min(at + BLOCK, first + count)]))

    return Opened(name=f"array of {list(array.shape)}", rate=rate, frames=len(array), blocks=blocks)


def _scaled(array: Any) -> Samples:
    """Fractions of whole numbers, by the range of their type; 8 bits are unsigned around 128."""
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is named as that
            return array.astype(np.float32)  # type: ignore[no-any-return]
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128) / 128  # type: ignore[no-any-return]
    largest = 1 << 15 if array.dtype == np.int64 else np.iinfo(array.dtype).max + 1
    return array.astype(np.float32) / largest  # type: ignore[no-any-return]


def _mono(block: Samples) -> Samples:
    if block.ndim == 1:
        return block
    return block[:, 0] if block.shape[1] == 1 else block.mean(1)


def _from_path(path: str | bytes) -> Opened:
    text = os.fsdecode(path)
    if text.startswith("data:"):
        return _from_base64(text.partition(",")[2])
    if text.startswith("file:"):
        text = unquote(urlparse(text).path)
    if text.lower().startswith(("http://", "https://", "ftp://", "s3://", "gs://")):
        raise ValueError(f"a sound must be at hand, but is the web address {text[:80]!r}: download it first")
    if not text or len(text) > 4096 or "\0" in text:
        raise ValueError(f"a sound must be a path, but is {f'other text: {text[:40]!r}...' if text else 'empty text'}")
    place = Path(text).expanduser()
    if not place.is_file():
        raise ValueError(f"the sound file {text!r} {'is a folder' if place.is_dir() else 'does not exist'}")
    return _from_file(place, repr(text))


def _from_base64(text: str) -> Opened:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise ValueError(f"the base64 text of a sound is broken: {cause}") from cause
    return _from_file(data, "in base64")


def _from_file(file: Path | bytes, name: str) -> Opened:
    if not (len(file) if isinstance(file, bytes) else file.stat().st_size):
        raise ValueError(f"the sound file {name} is empty")
    soundfile = needed("soundfile", "audio")
    try:
        with soundfile.SoundFile(_handle(file)) as opened:
            rate, frames, notes, form = opened.samplerate, opened.frames, opened.extra_info, opened.format
    except (soundfile.LibsndfileError, TypeError):
        return Opened(name=name, **open_container(file, name)._asdict())
    checked_rate(rate, name)
    _refuse_cut(file, notes, form, name)
    if not frames:
        raise ValueError(f"the sound file {name} {'is cut short' if form == 'OGG' else 'holds no samples'}")

    def blocks(first: int, count: int) -> Iterator[Samples]:
        try:
            with soundfile.SoundFile(_handle(file)) as opened:
                yield from _pieces(opened, first, count, name)
        except soundfile.LibsndfileError as cause:
            raise ValueError(f"the sound file {name} cannot be decoded: {str(cause).strip()}") from cause

    return Opened(name=name, rate=rate, frames=frames, blocks=blocks)


def _handle(file: Path | bytes) -> str | io.BytesIO:
    return io.BytesIO(file) if isinstance(file, bytes) else str(file)


def _pieces(opened: Any, first: int, count: int, name: str) -> Iterator[Samples]:
    if first:
        opened.seek(first)
    while count > 0:
        block = opened.read(min(count, BLOCK), dtype="float32", always_2d=True)
        if not len(block):
            if count > MISSING * opened.samplerate:
                raise ValueError(f"the sound file {name} is cut short: {count / opened.samplerate:.1f} s are missing")
            return
        count -= len(block)
        yield _mono(block)


def _refuse_cut(file: Path | bytes, notes: str, form: str, name: str) -> None:
    """Raise for a file that is shorter than its header says, or an Ogg file without its last page."""
    for stated, found in CUT.findall(notes):
        if int(found) < int(stated) < ENDLESS:
            raise ValueError(
                f"the sound file {name} is cut short: its header promises {int(stated):,} bytes of samples, but "
                f"{int(found):,} are there"
            )
    if form == "OGG":
        tail = _tail(file)
        at = tail.rfind(b"OggS")
        if at < 0 or len(tail) < at + 6 or not tail[at + 5] & OGG_LAST:
            raise ValueError(f"the sound file {name} is cut short: its last page is missing")


def _tail(file: Path | bytes) -> bytes:
    if isinstance(file, bytes):
        return file[-OGG_TAIL:]
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - OGG_TAIL))
        return opened.read()


def checked(samples: Samples, name: str) -> Samples:
    """The samples, when they are a sound.

    Raises:
        ValueError: none, not finite, or far beyond -1 to 1.
    """
    if not len(samples):
        raise ValueError(f"the sound {name} holds no samples in what is read of it")
    if not np.isfinite(samples).all():
        place = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise ValueError(
            f"a sound must hold finite numbers, but sample {place} of the sound {name} is {samples[place]}"
        )
    loudest = float(np.abs(samples).max())
    if loudest > LOUDEST:
        raise ValueError(
            f"samples must be fractions -1 to 1 or whole numbers, but those of the sound {name} reach {loudest:g}: "
            "divide them by the largest number of their type"
        )
    return samples


def not_silent(samples: Samples, name: str) -> Samples:
    """The samples, when anything is heard of them.

    Raises:
        ValueError: they deviate from each other by less than the least step of 16 bits.
    """
    if len(samples) > 1 and float(samples.max() - samples.min()) < LEAST_STEP:
        raise ValueError(
            f"a sound must be heard, but all samples that are read of the sound {name} are {float(samples[0]):g}; "
            "write `silent=keep` where silence means something"
        )
    return samples
