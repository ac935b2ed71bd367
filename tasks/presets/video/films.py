"""The moving emoji as real films: H.264 in mp4 files, written when they are first read, kept in a folder.

It also makes the three films of `samples/clips`:

    python -c "from omniline.tasks.presets.video.films import make_samples; make_samples()"
"""

from __future__ import annotations

import os
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

from ....core.errors import ConfigError
from ..placements import SAMPLES
from .clips import Clip, MovingEmoji

SHOWN = ("a tiger face moves right", "a rocket moves up", "a snail grows")
"""The captions of the shipped films."""


def write_film(clip: Clip, path: Path) -> Path:
    """Write an mp4 file, whole or not at all, so that several workers may write the same one.

    Raises:
        ConfigError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as cause:
        raise ConfigError("writing films needs PyAV: pip install 'omniline[video]'") from cause
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(suffix=".mp4", dir=path.parent)
    os.close(number)
    with av.open(name, "w", options={"movflags": "faststart"}) as film:
        stream = film.add_stream("libx264", rate=Fraction(clip.fps).limit_denominator(1001), options={"crf": "26"})
        stream.height, stream.width = clip.frames.shape[1:3]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for pixels in clip.frames:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode(None))
    os.replace(name, path)
    return path


class FilmedEmoji(MovingEmoji):
    """`MovingEmoji` whose `video` is the path of an mp4 file.

    Args:
        split: `train` or `valid`.
        rows: how many.
        folder: where the files go; each is written when its row is first read.
        settings: of `MovingEmoji`; frames of an even side.

    Raises:
        ConfigError: see `MovingEmoji`; an odd size.
    """

    def __init__(self, split: str, rows: int = 2000, *, folder: str | Path, **settings: Any) -> None:
        super().__init__(split, rows, **settings)
        if self.size % 2:
            raise ConfigError(f"the size of a film must be even, but is {self.size}")
        held, count = settings.get("held", "sprites"), len(self.pairs)
        self._prefix = f"{split}-{held}-{count}-{self.seed}-{self.size}-{self.frames}-{self.fps:g}"
        self.folder = Path(folder).expanduser()

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = super().__getitem__(index)
        path = self.folder / f"{self._prefix}-{index}.mp4"
        return {**row, "video": str(path if path.exists() else write_film(row["video"], path))}


def make_samples(folder: Path = SAMPLES / "clips") -> list[Path]:
    """The shipped films: two seconds each, 96 x 96 pixels, 8 frames a second, named after their captions."""
    rows = MovingEmoji("train", 100_000, size=96, frames=16, fps=8.0)
    words = [rows.words(index)["cap"] for index in range(len(rows.pairs))]
    return [write_film(rows[words.index(cap)]["video"], folder / f"{cap.replace(' ', '-')}.mp4") for cap in SHOWN]
