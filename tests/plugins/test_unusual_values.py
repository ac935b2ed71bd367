"""Values of unusual kinds: open files that are read twice, what other libraries hold, odd but legal files."""

import collections
import datetime
import decimal
import io
import json

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import soundfile
import torch
from PIL import Image

from omniline.core.codec import Reading
from omniline.core.opening.pictures import open_picture, picture_size
from omniline.core.opening.sounds import open_sound
from omniline.core.opening.video_reading import open_clip
from omniline.plugins.language.struct import StructCodec
from omniline.plugins.language.structures import structured
from omniline.plugins.language.tokenizer import ByteTokenizer
from omniline.plugins.motion.bvh import count_frames
from omniline.plugins.motion.bvh_writing import write_bvh
from omniline.plugins.motion.reading import count, read_motion
from omniline.plugins.motion.skeleton import human
from omniline.plugins.motion.value import blank
from omniline.plugins.vision.video import VideoCodec

TONE = (np.sin(np.arange(8000) / 5) / 2).astype(np.float32)


def film(path, *, codec="libx264", form=None, frames=24):
    """Frames that grow redder."""
    with av.open(str(path), "w", format=form) as made:
        stream = made.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(frames):
            pixels = np.zeros((32, 32, 3), np.uint8)
            pixels[..., 0] = 10 * number
            made.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        made.mux(stream.encode())
    return path


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_an_open_clip_is_read_from_its_start_each_time(tmp_path, kind):
    path = film(tmp_path / "a.mp4")
    codec, reading = VideoCodec(size=16, patch=16, max_frames=2), Reading()
    with open(path, "rb") if kind == "file" else io.BytesIO(path.read_bytes()) as opened:
        assert codec.measure(opened, reading) == codec.encode(opened, reading).rows == codec.encode(path, reading).rows


def test_bare_h264_has_no_container_to_seek_in(tmp_path):
    path = film(tmp_path / "a.h264", form="h264")
    with open_clip(path) as clip:
        assert clip.footage.header.seconds == pytest.approx(2, abs=0.2)
        pixels, stamps = clip.footage.frames([0.5, 1.5], None, "bilinear")
    assert pixels[0, ..., 0].mean() == pytest.approx(60, abs=12)
    assert pixels[1, ..., 0].mean() == pytest.approx(180, abs=15)
    assert stamps[0] < stamps[1]


def test_pictures_of_16_bits_keep_their_levels_however_dark_they_are(tmp_path):
    dark = np.full((4, 4), 200, np.uint16)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    for raw in (tmp_path / "dark.png", dark):
        assert np.asarray(open_picture(raw)).max() == 0
    assert np.asarray(open_picture(dark.astype(np.int32))).max() == 200


@pytest.mark.parametrize(
    "raw",
    [
        (TONE, 16_000.0),
        (torch.tensor(16_000), torch.tensor(TONE)),
        {"waveform": torch.tensor(TONE)[None], "sample_rate": 16_000},
        {"samples": TONE, "sampling_rate": np.int32(16_000)},
        {"audio": TONE, "rate": "16000"},
    ],
    ids=["fraction", "tensors", "torchaudio", "samples", "text"],
)
def test_samples_with_their_rate(raw):
    sound = open_sound(raw, rate=8000)
    assert (sound.rate, sound.frames) == (16_000, len(TONE))


@pytest.mark.parametrize("rate", [float("nan"), 0.5, -1])
def test_rates_that_are_none(rate):
    with pytest.raises(ValueError, match="a sound must have 1 to 10,000,000 samples a second, but the sound array has"):
        open_sound((TONE, rate), rate=8000)


def test_the_sound_of_a_webm_file_that_is_cut_short(tmp_path):
    path = tmp_path / "a.webm"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("libopus", rate=48_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.random.default_rng(0).normal(0, 0.1, (1, 48_000)).astype(np.float32),
                                           format="fltp", layout="mono")  # fmt: skip
        frame.sample_rate = 48_000
        made.mux([*stream.encode(frame), *stream.encode(None)])
    whole = path.read_bytes()
    assert open_sound(whole, rate=16_000).rate == 48_000
    with pytest.raises(ValueError, match=r"is cut short: its header promises [\d,]+ bytes, but it has"):
        open_sound(whole[: len(whole) // 2], rate=16_000)


def bvh(frames=12):
    return write_bvh(human(), *blank(frames, human().joints), 30.0)


def test_motions_in_open_files_and_behind_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.bvh"
    path.write_text(bvh(), encoding="utf-8-sig")
    with open(path, "rb") as binary, open(path, encoding="utf-8") as text:
        for raw in (path, path.read_bytes(), bytearray(path.read_bytes()), binary, text, text):
            assert count(raw, 30.0) == len(read_motion(raw, None)) == 12


def test_a_motion_that_ends_within_its_hierarchy():
    with pytest.raises(ValueError, match=r"`a.bvh` ends at line 5, where `MOTION` must follow"):
        count_frames("\n".join(bvh().splitlines()[:5]), "a.bvh")


FRAME = pd.DataFrame({"name": ["Ann", "Bo"], "age": [31, None]})
Point = collections.namedtuple("Point", "x y")
DAY = datetime.date(2020, 1, 2)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (FRAME.iloc[0], "name = Ann | age = 31.0"),
        (pa.table({"a": [1, None]}), "a | 1 | "),
        (np.array([(1, "x")], dtype=[("n", int), ("s", "U3")]), "n : s | 1 : x"),
        ([Point(1, 2), Point(3, 4)], "x : y | 1 : 2 | 3 : 4"),
        (b"name,age\nAnn,31\n", "name : age | Ann : 31"),
        (io.BytesIO(b"\xef\xbb\xbfa,b\n1,2\n"), "a : b | 1 : 2"),
        (io.StringIO('{"a": [1, 2]}'), "a | 1 | 2"),
        ({"born": DAY, "rate": decimal.Decimal("1.50"), "left": pd.NaT}, "born = 2020-01-02 | rate = 1.50 | left = "),
        ([{"a": pd.NaT}, {"a": pd.NA}], "a |  | "),
        ([["d"], [np.datetime64("2020-01-02T03:04:05", "ns")], [np.datetime64("NaT")]], "d | 2020-01-02 03:04:05 | "),
        ([["a", "b"], [np.float32(0.1), np.float16(0.3)]], "a : b | 0.1 : 0.3"),
        (torch.tensor([[0.1, 0.2], [3.0, float("nan")]]), "0.1 : 0.2 | 3.0 : "),
    ],
    ids=["series", "arrow", "structured", "named", "bytes", "file", "json", "mapping", "missing", "ns", "f32", "torch"],
)
def test_structures_that_other_libraries_hold(raw, text):
    assert structured(raw).text() == text
    assert structured(raw).text() == text


def test_structures_in_files(tmp_path):
    FRAME.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"a": 2}\n')
    (tmp_path / "a.csv").write_text("a;b\n1,5;2\n")
    assert structured(tmp_path / "a.parquet").text() == "name : age | Ann : 31.0 | Bo : "
    assert structured(str(tmp_path / "a.jsonl")).text() == "a | 1 | 2"
    assert structured(tmp_path / "a.csv").text() == "a : b | 1,5 : 2"


@pytest.mark.parametrize(
    ("name", "held", "match"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a":\n', r"cannot be read as JSON, line 2"),
        ("a.parquet", b"no", r"cannot be read as parquet"),
        (None, b"\xff\xfe", r"as bytes must be UTF-8 text"),
        (None, b"SQLite format 3\0 ...", r"must be text, but is an SQLite file: give its path"),
    ],
)
def test_structures_that_are_broken(tmp_path, name, held, match):
    raw = held
    if name:
        raw = tmp_path / name
        raw.write_bytes(held)
    with pytest.raises(ValueError, match=match):
        structured(raw)


def test_true_structures_are_compared_as_they_come_back(tmp_path):
    grid, triples = "1.34341221434321", ["Ann | knows | Bo"]
    (tmp_path / "a.json").write_text(json.dumps([{"a": 1}]))
    assert StructCodec(tokenizer=ByteTokenizer(), form="grid").returned(grid)[0] == [1, 0, 3, 4]
    assert StructCodec(tokenizer=ByteTokenizer(), form="graph").returned(triples) == [("Ann", "knows", "Bo")]
    assert StructCodec(tokenizer=ByteTokenizer(), form="rows").returned(tmp_path / "a.json") == [{"a": "1"}]


def test_sound_files_of_many_kinds_are_one_sound(tmp_path):
    found = []
    for subtype in ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        soundfile.write(tmp_path / "a.wav", np.stack([TONE, TONE], 1), 16_000, subtype=subtype)
        found.append(np.concatenate(list(open_sound(tmp_path / "a.wav", rate=1).blocks(0, len(TONE)))))
    for samples in found[1:]:
        np.testing.assert_allclose(samples, found[0], atol=1e-4)


def test_a_picture_without_pixels():
    for read in (open_picture, picture_size):
        with pytest.raises(ValueError, match="a picture must have pixels, but this one has 0 x 5"):
            read(Image.new("RGB", (0, 5)))
