"""Sounds: examples a second of the codec against bare soundfile and torchaudio, and what long sounds cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch

from omniline.core.codec import Reading
from omniline.plugins.audio.codec import AudioCodec

from .measuring import Figure, calibrate, rise_gigabytes

ROUNDS, FILES, RATE, SOURCE_RATE = 7, 24, 16_000, 44_100
SECONDS = (1.0, 8.0)
LONG = 1800
PIECE = 10.0


def measure() -> list[Figure]:
    """Stereo flac files of 1 to 8 s at 44.1 kHz, mixed, resampled, turned into 80 bands; and half an hour of sound.

    Times are those of the processor, on one thread.
    """
    torch.set_num_threads(1)
    calibration = calibrate()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = _files(Path(folder))
        codec, bare = AudioCodec(), Bare()
        rounds = [(_rate(lambda f: codec.encode(f, Reading()), files), _rate(bare, files)) for _ in range(ROUNDS + 1)]
        ours, theirs = (median(column) for column in zip(*rounds[1:], strict=True))
        values = {"audio-share": ours / theirs, **_long(Path(folder))}
    detail = {"examples_a_second": ours, "bare_examples_a_second": theirs}
    return [
        Figure(section="audio", name=name, value=value, calibration=calibration, detail=detail)
        for name, value in values.items()
    ]


class Bare:
    """What anyone would write with soundfile and torchaudio, its transforms made once."""

    def __init__(self) -> None:
        import torchaudio

        self.resample = torchaudio.transforms.Resample(SOURCE_RATE, RATE)
        self.mel = torchaudio.transforms.MelSpectrogram(
            RATE, n_fft=512, win_length=400, hop_length=160, n_mels=80, power=1.0
        )

    def __call__(self, file: str) -> torch.Tensor:
        import soundfile

        samples, _ = soundfile.read(file, dtype="float32", always_2d=True)
        frames = self.mel(self.resample(torch.from_numpy(samples.mean(1)))).clamp(min=1e-5).log().T
        return (frames - frames.mean(0)) / frames.std(0).clamp(min=0.1)


def _files(folder: Path) -> list[str]:
    import soundfile

    random = np.random.default_rng(0)
    out = []
    for number in range(FILES):
        count = int(SOURCE_RATE * random.uniform(*SECONDS))
        place = folder / f"{number}.flac"
        soundfile.write(place, random.normal(0, 0.1, (count, 2)).astype(np.float32), SOURCE_RATE)
        out.append(str(place))
    return out


def _rate(read: Callable[[str], object], files: Sequence[str]) -> float:
    start = time.process_time()
    for file in files:
        read(file)
    return len(files) / (time.process_time() - start)


def _long(folder: Path) -> dict[str, float]:
    """A piece out of half an hour against a file of that piece; the half hour against its half; its memory."""
    import soundfile

    place, short = folder / "long.wav", folder / "short.wav"
    soundfile.write(short, np.random.default_rng(0).normal(0, 0.1, int(RATE * PIECE)).astype(np.float32), RATE)
    with soundfile.SoundFile(place, "w", RATE, 1) as file:
        for second in range(LONG):
            file.write(np.random.default_rng(second).normal(0, 0.1, RATE).astype(np.float32))
    piece = AudioCodec(max_seconds=PIECE, sampling="clip")
    apart, alone = (_seconds(piece, str(file), times=15) for file in (place, short))
    memory = rise_gigabytes(lambda: _seconds(AudioCodec(max_seconds=LONG), str(place), times=1))
    half, whole = (_seconds(AudioCodec(max_seconds=s), str(place), times=5) for s in (LONG / 2, LONG))
    return {"audio-piece": apart / alone, "audio-length": whole / half, "audio-memory": memory}


def _seconds(codec: AudioCodec, file: str, *, times: int) -> float:
    found = []
    for _ in range(times):
        start = time.process_time()
        codec.encode(file, Reading(mode="predict"))
        found.append(time.process_time() - start)
    return median(found)
