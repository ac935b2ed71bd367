"""Values on a page: what a slot holds, as words and small files that a browser shows.

A picture becomes a PNG, a clip and a motion an animated GIF, a sound a WAV with the picture of its spectrogram, boxes
are drawn on their picture, tables and other structures are set as they stand. The kind is told by the value itself;
only what a row holds as a path is opened by the modality of its slot.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SIDE = 128
SECONDS = 3.0
FRAMES = 24
GIF_SIDE = 160
HEAVY = 40_000
LISTED = 8
COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b")


@dataclass
class Page:
    """The files of one page.

    Attributes:
        folder: takes the files.
        stem: begins their names.
        pictures: those written so far.
        answers: those of them that a model made, the first of which stands for the page in the index.
    """

    folder: Path
    stem: str
    pictures: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    count: int = 0

    def path(self, suffix: str) -> Path:
        """A new file's place."""
        self.count += 1
        return self.folder / f"{self.stem}-{self.count}{suffix}"

    def cell(self, value: Any, modality: str = "", names: Sequence[str] = (), under: Any = None) -> str:
        """A value as the cell of a table.

        Args:
            value: what the slot holds, or a list of such.
            modality: of the slot, which says what a path or an array is.
            names: of boxes.
            under: the picture that boxes are drawn on.
        """
        if value is None:
            return "nothing"
        if boxes := boxes_of(value, modality):
            drawn = self.picture(with_boxes(under, boxes, names)) + "<br>" if under is not None else ""
            return drawn + listed([", ".join(f"{side:.2f}" for side in box) for box in boxes])
        if modality == "CHAT" and isinstance(value, list):
            return self.conversation(value)
        value = opened(value, modality)
        if modality == "STRUCT" and isinstance(value, str) and Path(value).is_file():
            return escaped(Path(value).name)  # a database; where it lies is nobody's business
        if isinstance(value, Image.Image):
            return self.picture(value)
        if hasattr(value, "samples") and hasattr(value, "rate"):
            return self.sound(value)
        if hasattr(value, "frames") and hasattr(value, "fps") and getattr(value.frames, "ndim", 0) == 4:
            return self.clip(value)
        if hasattr(value, "save") and not isinstance(value, str):
            return self.motion(value)
        if isinstance(value, list) and value and not isinstance(value[0], list | tuple | str | int | float | dict):
            return "".join(self.cell(one, modality) for one in value[:LISTED])
        return words(value)

    def picture(self, image: Image.Image) -> str:
        """A picture, a small one enlarged without smoothing."""
        image = image.convert("RGB")
        if max(image.size) > SIDE:
            image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        times = max(1, SIDE // max(image.size))
        path = self.path(".png")
        image.save(path, optimize=True)
        if path.stat().st_size > HEAVY:
            path.unlink()
            path = path.with_suffix(".jpg")
            image.save(path, quality=85)
        self.pictures.append(path.name)
        return f'<img src="{path.name}" width="{image.width * times}" style="image-rendering: pixelated">'

    def clip(self, clip: Any) -> str:
        """A clip as an animated GIF of at most 24 frames."""
        frames = np.asarray(clip.frames)
        chosen = frames[np.linspace(0, len(frames) - 1, min(len(frames), FRAMES)).round().astype(int)]
        pictures = [Image.fromarray(frame) for frame in chosen]
        for picture in pictures:
            picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        seconds = len(frames) / float(clip.fps)
        path = self.path(".gif")
        step = max(40, round(1000 * seconds / len(pictures)))
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=step, loop=0, optimize=True)
        self.pictures.append(path.name)
        width = pictures[0].width * max(1, SIDE // max(pictures[0].size))
        return f'<img src="{path.name}" width="{width}"><br>{len(frames)} frames, {seconds:.1f} s'

    def sound(self, sound: Any) -> str:
        """A sound as a WAV of 16 bits, with its spectrogram."""
        samples = np.asarray(sound.samples, dtype=np.float32).reshape(-1)[: round(SECONDS * sound.rate)]
        path = self.path(".wav")
        write_wav(path, samples, sound.rate)
        shown = self.picture(spectrogram(samples, sound.rate))
        return f"{shown}<br>[{len(samples) / sound.rate:.1f} s of sound]({path.name})"

    def conversation(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """A conversation, a turn a line."""
        lines = []
        for message in messages:
            content = message.get("content") or ""
            parts = [content] if isinstance(content, str) else content
            shown = [
                self.cell(part[part["type"]], part["type"].upper()) if isinstance(part, Mapping) else words(part)
                for part in parts
            ]
            lines.append(f"**{message.get('role')}**: {' '.join(shown)}")
        return "<br>".join(lines)

    def motion(self, motion: Any) -> str:
        """A motion as an animated GIF of its skeleton, and as BVH."""
        path = self.path(".gif")
        motion.save(path)
        shrink(path)
        self.pictures.append(path.name)
        table = path.with_suffix(".bvh")
        motion.save(table)
        return f'<img src="{path.name}" width="{SIDE}"><br>[BVH]({table.name})'


def shrink(path: Path) -> None:
    """Write an animated GIF again with at most 24 frames, small, in 16 greys or colours, and as long as it was."""
    with Image.open(path) as film:
        count = getattr(film, "n_frames", 1)
        frames, seconds = [], 0.0
        for number in range(count):
            film.seek(number)
            seconds += film.info.get("duration", 40) / 1000
            frames.append(film.convert("RGB"))
    chosen = [frames[at] for at in np.linspace(0, count - 1, min(count, FRAMES)).round().astype(int)]
    for frame in chosen:
        frame.thumbnail((GIF_SIDE, GIF_SIDE), Image.Resampling.LANCZOS)
    few = [frame.quantize(16, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) for frame in chosen]
    step = max(40, round(1000 * seconds / len(few)))
    few[0].save(path, save_all=True, append_images=few[1:], duration=step, loop=0, optimize=True)


def opened(value: Any, modality: str) -> Any:
    """What a row holds, as a value that can be shown: paths, bytes and arrays are opened as the slot would."""
    if modality == "IMAGE" and not isinstance(value, Image.Image | list):
        from omniline.core.opening.pictures import open_picture

        return open_picture(value)
    if modality == "AUDIO" and not hasattr(value, "samples"):
        from omniline.core.opening.sounds import open_sound
        from omniline.core.sound import Audio

        sound = open_sound(value, rate=16_000)
        blocks = list(sound.blocks(0, round(SECONDS * sound.rate)))
        return Audio(np.concatenate(blocks), sound.rate)
    if modality == "VIDEO" and not hasattr(value, "fps"):
        from omniline.core.codec import Reading
        from omniline.core.opening.video_clip import VideoClip
        from omniline.plugins.vision.video import VideoCodec

        codec = VideoCodec(max_frames=FRAMES, size=SIDE, patch=2, mode="fit")
        span = codec.lead(value, Reading(mode="predict"))
        pixels = codec.read(value, Reading(mode="predict")).pixels
        return VideoClip(np.asarray(pixels, np.uint8), max(1.0, len(pixels) / max(span.stop - span.start, 0.1)))
    if modality == "MOTION" and not hasattr(value, "save"):
        from omniline.plugins.motion.reading import read_motion
        from omniline.plugins.motion.skeleton import human

        return read_motion(value, human())
    return value


def boxes_of(value: Any, modality: str) -> list[tuple[float, ...]]:
    """The boxes that a value is, or none."""
    if modality != "BOX":
        return []
    if isinstance(value, str):
        value = [float(part) for part in value.split(",")]
    listed = list(np.asarray(value, dtype=float).reshape(-1, 4)) if len(value) else []
    return [tuple(map(float, box)) for box in listed]


def with_boxes(picture: Any, boxes: Sequence[Sequence[float]], names: Sequence[str] = ()) -> Image.Image:
    """A copy of a picture with boxes: shares of its sides where no number is above 1.5, else pixels."""
    image = opened(picture, "IMAGE").convert("RGB")
    relative = max((abs(side) for box in boxes for side in box), default=0.0) <= 1.5
    times = max(1, SIDE // max(image.size))
    drawn = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(drawn)
    scale = (drawn.width, drawn.height) if relative else (times, times)
    for number, box in enumerate(boxes):
        x0, y0, x1, y1 = (side * scale[place % 2] for place, side in enumerate(box))
        colour = COLOURS[number % len(COLOURS)]
        pen.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), outline=colour, width=2)
        if number < len(names):
            pen.text((min(x0, x1) + 3, min(y0, y1) + 1), str(names[number]), fill=colour)
    return drawn


def words(value: Any) -> str:
    """Text, numbers, tables and other structures, safe in a cell."""
    if isinstance(value, str):
        return escaped(value.strip()) or "(empty)"
    if isinstance(value, bool | int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, list | tuple) and value and all(isinstance(row, list | tuple) for row in value):
        return set_table([[str(cell) for cell in row] for row in value])
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return listed(value)
    try:
        return f"<code>{escaped(json.dumps(value, ensure_ascii=False))}</code>"
    except TypeError:
        return escaped(str(value))


def listed(values: Sequence[str]) -> str:
    """One value a line, the first eight."""
    more = [f"and {len(values) - LISTED} more"] if len(values) > LISTED else []
    return "<br>".join(escaped(value) for value in [*values[:LISTED], *more]) or "none"


def set_table(rows: Sequence[Sequence[str]]) -> str:
    """A table in a fixed pitch."""
    widths = [max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(max(map(len, rows)))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "<br>".join(f"<code>{escaped(line).replace('  ', '&nbsp;&nbsp;')}</code>" for line in lines)


def escaped(text: str) -> str:
    """Text that neither HTML nor a Markdown table takes for its own."""
    plain = html.escape(text, quote=False).replace("|", "&#124;").replace("\n", "<br>")
    return "".join(f"\\{sign}" if sign in "*_`[]~" else sign for sign in plain)


def write_wav(path: Path, samples: Any, rate: int) -> None:
    """16-bit PCM, one channel."""
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(int(rate))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def spectrogram(samples: Any, rate: int) -> Image.Image:
    """Loudness over time (to the right) and frequency (upwards), 60 dB from black to white; windows of 25 ms."""
    size = max(64, int(rate * 0.025))
    step = max(16, len(samples) // 160, size // 3)
    padded = np.pad(samples, (0, max(0, size - len(samples))))
    starts = np.arange(0, len(padded) - size + 1, step)
    cut = np.stack([padded[at : at + size] for at in starts]) * np.hanning(size)
    power = np.abs(np.fft.rfft(cut, n=256 if size <= 256 else size, axis=1)) ** 2
    level = 10 * np.log10(power + 1e-10)
    shade = np.clip((level - level.max() + 60) / 60, 0, 1)[:, : power.shape[1]].T[::-1]
    return Image.fromarray((255 * shade).astype(np.uint8)).resize((SIDE + 32, 80), Image.Resampling.BILINEAR)


def picture_of_patches(patches: Any, side: int) -> Image.Image:
    """The square picture that rows of patches were cut from, uint8 [n, side * side * 3]."""
    rows = np.asarray(patches, dtype=np.uint8)
    count = round(len(rows) ** 0.5)
    cut = rows[: count * count].reshape(count, count, side, side, 3)
    return Image.fromarray(cut.transpose(0, 2, 1, 3, 4).reshape(count * side, count * side, 3))


def masked_text(tokens: Sequence[int], tokenizer: Any) -> str:
    """Tokens as text, each run of masks as one box."""
    runs: list[list[int]] = [[]]
    for token in tokens:
        if token == tokenizer.mask:
            runs.append([])
        else:
            runs[-1].append(int(token))
    return " ▢ ".join(tokenizer.decode(run).strip() for run in runs).strip()


def settings_of_slot(slot: Any) -> Mapping[str, Any]:
    """The adapter's settings of a slot."""
    return dict(slot.adapter.settings)
