"""What AUDIO reads: files, containers, arrays; and what it says of those that are no sound."""

import base64
import io
import pickle
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
import torch

from omniline.core import extras
from omniline.core.errors import ConfigError
from omniline.core.opening import sounds
from omniline.core.opening.sounds import checked, open_sound
from omniline.core.sound import Audio

RATE = 8000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def read(raw, rate=RATE):
    sound = open_sound(raw, rate=rate)
    samples = np.concatenate(list(sound.blocks(0, sound.frames or 10 * RATE)))
    return SimpleNamespace(samples=samples, rate=sound.rate, frames=sound.frames, name=sound.name)


def encoded(form, samples=TONE, rate=RATE, **options) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, **options)
    return out.getvalue()


def video(path, *, sound=True, seconds=1.0, rate=RATE, codec="aac"):
    """A clip of grey frames, with a tone of that rate."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        track = container.add_stream(codec, rate=rate) if sound else None
        for _ in range(int(10 * seconds)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 99, np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode())
        if track is not None:
            tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate = rate
            container.mux(track.encode(frame))
            container.mux(track.encode())
    return path


def pitch(samples, rate):
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


@pytest.mark.parametrize(
    "raw",
    [
        Audio(TONE, RATE),
        (TONE, RATE),
        (RATE, TONE),
        [TONE.tolist(), RATE],
        TONE,
        TONE.astype(np.float64),
        TONE[None],
        TONE[:, None],
        np.stack([TONE, TONE]),
        np.stack([TONE, TONE], 1),
        np.stack([2 * TONE, 0 * TONE]),
        torch.from_numpy(TONE),
        torch.from_numpy(TONE)[None].requires_grad_(),
        TONE.tolist(),
        (TONE * 32768).astype(np.int16),
        torch.from_numpy((TONE * 32768).astype(np.int32) << 16),
        {"array": TONE, "sampling_rate": RATE},
        {"array": TONE, "sampling_rate": RATE, "path": "nowhere.wav"},
        {"samples": TONE, "rate": RATE},
        {"bytes": encoded("WAV"), "path": None},
        encoded("WAV"),
        bytearray(encoded("FLAC")),
        io.BytesIO(encoded("AIFF")),
        "data:audio/wav;base64," + base64.b64encode(encoded("WAV")).decode(),
        SimpleNamespace(data=torch.from_numpy(TONE)[None], sample_rate=RATE),
        SimpleNamespace(get_all_samples=lambda: SimpleNamespace(data=torch.from_numpy(TONE)[None], sample_rate=RATE)),
    ],
)
def test_every_kind_of_sound_is_read_alike(raw):
    found = read(raw)
    assert (found.rate, found.frames, found.samples.dtype) == (RATE, len(TONE), np.float32)
    assert np.abs(found.samples - TONE).max() < 1e-3


def test_eight_bits_are_unsigned_around_128():
    assert read(np.array([128, 0, 255], np.uint8)).samples.tolist() == [0.0, -1.0, 127 / 128]


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF"])
def test_files_by_soundfile(tmp_path, form):
    path = tmp_path / f"töne {form}.sound"
    path.write_bytes(encoded(form))
    for raw in (path, str(path), path.as_uri()):
        found = read(raw)
        assert (found.rate, found.frames, len(found.samples)) == (RATE, len(TONE), len(TONE))
        assert abs(pitch(found.samples, RATE) - 440) < 2


def test_opus(tmp_path):
    path = tmp_path / "tone.opus"
    path.write_bytes(encoded("OGG", subtype="OPUS"))
    assert abs(pitch(read(path).samples, RATE) - 440) < 2


@pytest.mark.parametrize(("suffix", "codec", "rate"), [("m4a", "aac", 16_000), ("mp4", "aac", 16_000)])
def test_containers_by_pyav(tmp_path, suffix, codec, rate):
    found = read(video(tmp_path / f"clip.{suffix}", rate=rate, codec=codec))
    assert found.rate == rate
    assert abs(len(found.samples) - rate) < 0.1 * rate and abs(pitch(found.samples, rate) - 440) < 5


def test_a_piece_of_a_container_is_where_its_clock_says(tmp_path):
    path = tmp_path / "ramp.mkv"
    rate, seconds = 16_000, 6
    loud = np.repeat(np.arange(seconds) / 10, rate).astype(np.float32)
    tone = loud * np.sin(2 * np.pi * 200 * np.arange(len(loud)) / rate).astype(np.float32)
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=rate)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        container.mux(track.encode(frame))
        container.mux(track.encode())
    sound = open_sound(path, rate=rate)
    piece = np.concatenate(list(sound.blocks(4 * rate, rate)))
    assert len(piece) == rate and abs(np.abs(piece).max() - 0.4) < 0.05
    whole = np.concatenate(list(sound.blocks(0, seconds * rate)))
    assert np.abs(piece[500:-500] - whole[4 * rate + 500 : 5 * rate - 500]).max() < 0.02


def test_a_piece_of_a_file_is_sought(tmp_path, monkeypatch):
    monkeypatch.setattr(sounds, "BLOCK", 100)
    path = tmp_path / "tone.flac"
    path.write_bytes(encoded("FLAC"))
    blocks = list(open_sound(path, rate=1).blocks(1000, 250))
    assert [len(block) for block in blocks] == [100, 100, 50]
    assert np.abs(np.concatenate(blocks) - TONE[1000:1250]).max() < 1e-3


def test_channels_are_mixed(tmp_path):
    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([TONE, np.zeros_like(TONE)], 1), RATE)
    assert np.abs(read(path).samples - TONE / 2).max() < 1e-3


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU"])
def test_a_file_that_is_cut_short_says_so(tmp_path, form):
    data = encoded(form, np.tile(TONE, 4))
    path = tmp_path / "half.sound"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"the sound file '.*half\.sound' (is cut short|cannot be decoded)"):
        read(path)


def test_a_stream_whose_header_knows_no_length_is_read():
    data = bytearray(encoded("WAV"))
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    assert len(read(bytes(data)).samples) == len(TONE)


def test_a_clip_that_is_cut_short_says_so(tmp_path):
    path = video(tmp_path / "clip.mp4", rate=16_000)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(
        ValueError, match=r"the sound file '.*clip\.mp4' is cut short: its header promises [\d,]+ bytes"
    ):
        read(path)


def test_a_clip_without_sound_says_so(tmp_path):
    path = video(tmp_path / "silent.mp4", sound=False)
    with pytest.raises(ValueError, match=r"the file '.*silent\.mp4' has no sound"):
        read(path)


@pytest.mark.parametrize(
    ("raw", "error", "words"),
    [
        ("nowhere.wav", ValueError, "the sound file 'nowhere.wav' does not exist"),
        (".", ValueError, "the sound file '.' is a folder"),
        ("", ValueError, "a sound must be a path, but is empty text"),
        ("http://x.org/a.wav", ValueError, "a sound must be at hand, but is the web address 'http://x.org/a.wav'"),
        ("data:audio/wav;base64,%%", ValueError, "the base64 text of a sound is broken"),
        (b"", ValueError, "the sound file of 0 bytes is empty"),
        (b"hello" * 100, ValueError, "the sound file of 500 bytes is of no known format, or broken"),
        (np.zeros(0), ValueError, "a sound must hold samples, but the array is empty"),
        (np.zeros((2, 2, 2)), ValueError, r"of shape \[n\], .* but are float64 of shape \[2, 2, 2\]"),
        (np.array(["a"]), ValueError, "samples must be numbers"),
        (([0.0], 0), ValueError, "must have 1 to .* samples a second, but the sound .* has 0"),
        (5, TypeError, "a sound must be a path, bytes, .* but is int 5"),
        (None, TypeError, "but is NoneType None"),
        (["a", "b"], TypeError, r"but is list \['a', 'b'\]"),
        ({"frames": [1]}, TypeError, "but is dict"),
    ],
)
def test_what_is_no_sound(raw, error, words):
    with pytest.raises(error, match=words):
        open_sound(raw, rate=RATE)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([0.0, np.nan], "must hold finite numbers, but sample 1 of the sound x is nan"),
        ([-np.inf], "but sample 0 of the sound x is -inf"),
        ([12_000.0], "reach 12000: divide them by the largest number of their type"),
        ([], "the sound x holds no samples"),
    ],
)
def test_samples_that_are_no_sound(samples, words):
    with pytest.raises(ValueError, match=words):
        checked(np.array(samples, np.float32), "x")


def test_a_missing_library_names_its_extra(monkeypatch):
    def gone(module):
        raise ImportError(module)

    monkeypatch.setattr(extras.importlib, "import_module", gone)
    with pytest.raises(ConfigError, match=r"sounds need the library `soundfile`: pip install omniline\[audio\]"):
        open_sound(encoded("WAV"), rate=RATE)


def test_the_value_of_a_sound(tmp_path):
    sound = Audio(TONE, RATE)
    assert (repr(sound), sound.seconds, len(sound)) == ("Audio(1.00 s, 8000 Hz)", 1.0, RATE)
    assert sound == Audio(TONE.copy(), RATE) and sound != Audio(TONE, RATE + 1) and sound != 1
    assert pickle.loads(pickle.dumps(sound)) == sound
    assert np.array_equal(np.asarray(sound), TONE)
    for name in ("a.wav", "b.flac", "c.ogg"):
        assert abs(pitch(read(sound.save(tmp_path / name)).samples, RATE) - 440) < 2
    with pytest.raises(ConfigError, match="a sound must be saved as wav, flac, ogg or mp3, but 'a.xyz' says otherwise"):
        sound.save(tmp_path / "a.xyz")


def test_speeds_are_fractions():
    from omniline.plugins.audio.codec import AudioCodec

    assert AudioCodec(speeds=("0.9", "1", "1.1")).speeds == (Fraction(9, 10), Fraction(1), Fraction(11, 10))
    for wrong in ("fast", "0", "11"):
        with pytest.raises(ValueError, match=f"one is '{wrong}'"):
            AudioCodec(speeds=(wrong,))
