"""Films: the codec against loops over PyAV and decord that decode and resize the same frames, and what length costs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import av
import decord
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from PIL import Image

from omniline.core.codec import Reading
from omniline.plugins.vision.video import VideoCodec, clip_patches

from .measuring import Figure, calibrate, peak_gigabytes

ROUNDS, FILMS, FRAMES, SIDE = 7, 6, 8, 224
RATE, SECONDS, MINUTES = 25, 10, (1, 10)


def measure() -> list[Figure]:
    """Rounds of the loops take turns, so that all of them see the same machine; one thread each."""
    torch.set_num_threads(1)
    calibration = calibrate()
    with tempfile.TemporaryDirectory() as folder:
        films = [write_film(Path(folder) / f"{i}.mp4", SECONDS, (640, 360), seed=i) for i in range(FILMS)]
        long = [write_film(Path(folder) / f"long{m}.mp4", 60 * m, (320, 240), seed=m) for m in MINUTES]
        shares = _shares(films, calibration)
        return [*shares, _length(long, calibration)]


def write_film(path: Path, seconds: int, size: tuple[int, int], *, seed: int) -> str:
    """A camera that pans over a soft texture, H.264, a key frame every ten seconds."""
    texture = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    ground = np.asarray(Image.fromarray(texture).resize((size[0] * 2, size[1] * 2), Image.Resampling.BICUBIC))
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height = size
        stream.pix_fmt, stream.gop_size = "yuv420p", 10 * RATE
        for number in range(seconds * RATE):
            x, y = (int(side / 2 * (1 + np.sin(number / 40 + turn))) for turn, side in enumerate(size))
            view = np.ascontiguousarray(ground[y : y + size[1], x : x + size[0]])
            film.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        film.mux(stream.encode(None))
    return str(path)


def _shares(films: Sequence[str], calibration: float) -> list[Figure]:
    codec, reading = VideoCodec(max_frames=FRAMES, size=SIDE), Reading(mode="predict")
    times = [(i + 0.5) * SECONDS / FRAMES for i in range(FRAMES)]
    loops: list[Callable[[str], object]] = [
        lambda film: codec.encode(film, reading),
        lambda film: bare_av(film, times),
        lambda film: bare_decord(film, times),
        lambda film: codec.measure(film, reading),
    ]
    rounds = [[_rate(loop, films) for loop in loops] for _ in range(ROUNDS)]
    ours, pyav, other, measured = (median(column) for column in zip(*rounds, strict=True))
    detail = {"films_s": ours, "frames_s": ours * FRAMES, "pyav_films_s": pyav, "decord_films_s": other}
    detail["measured_s"] = measured
    return [
        Figure(section="video", name="video-pyav", value=ours / pyav, calibration=calibration, detail=detail),
        Figure(section="video", name="video-decord", value=ours / other, calibration=calibration),
    ]


def _length(films: Sequence[str], calibration: float) -> Figure:
    """Sixteen frames of one minute and of ten."""
    codec, reading = VideoCodec(max_frames=16, size=SIDE), Reading(mode="predict")
    rounds = [[1 / _rate(lambda film: codec.encode(film, reading), [film]) for film in films] for _ in range(ROUNDS)]
    short, long = (median(column) for column in zip(*rounds, strict=True))
    detail = {"one_minute_s": short, "ten_minutes_s": long, "peak_gigabytes": peak_gigabytes()}
    return Figure(section="video", name="video-length", value=long / short, calibration=calibration, detail=detail)


def _rate(loop: Callable[[str], object], films: Sequence[str]) -> float:
    start = time.perf_counter()
    for film in films:
        loop(film)
    return len(films) / (time.perf_counter() - start)


def bare_av(path: str, times: Sequence[float]) -> np.ndarray:
    """Decode up to the last wanted frame, resize the wanted ones, cut them into patches."""
    made, wanted, resize = [], list(times), VideoReformatter()
    with av.open(path) as film:
        stream = film.streams.video[0]
        stream.thread_type = "NONE"
        for frame in film.decode(stream):
            if frame.time + 1 / RATE > wanted[0]:
                small = resize.reformat(frame, SIDE, SIDE, "rgb24", interpolation="BILINEAR")
                made.append(small.to_ndarray())
                wanted.pop(0)
                if not wanted:
                    break
    return clip_patches(np.stack(made), 16)


def bare_decord(path: str, times: Sequence[float]) -> np.ndarray:
    """The same with decord, which is told the size and the frames."""
    reader = decord.VideoReader(path, width=SIDE, height=SIDE, num_threads=1)
    return clip_patches(reader.get_batch([int(time * RATE) for time in times]).asnumpy(), 16)
