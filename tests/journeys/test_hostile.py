"""Hostile data: what would fill the memory, hang or lead out of a folder is bounded and reported, row by row."""

import gzip
import io
import json
import os
import struct
import tarfile
import zlib

import numpy as np
import pytest
import soundfile
from PIL import Image

import omniline as ol
from omniline.core.codec import Reading
from omniline.core.errors import DataError, OmnilineError
from omniline.core.example import RowId
from omniline.core.opening.pictures import open_picture
from omniline.core.opening.resampling import resample
from omniline.core.opening.sounds import open_sound
from omniline.plugins.audio.codec import AudioCodec
from omniline.plugins.language.text import MOST_CHARACTERS, TextCodec
from omniline.plugins.language.tokenizer import ByteTokenizer
from omniline.plugins.motion.reading import _npz
from omniline.plugins.vision.video import VideoCodec
from omniline.tasks import source_files
from omniline.tasks.presets.placements import SAMPLES
from omniline.tasks.sources import open_source
from omniline.tasks.taskfile import read_taskfile

SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=128,dropout=0"


def png(width, height, body=b""):
    """The header of a picture of these sides, with little behind it."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (png(20_000, 20_000), "exceeds limit"),
        (png(2**31 - 1, 2**31 - 1), "no known format|exceeds limit"),
        (
            b"GIF89a"
            + struct.pack("<HH", 65535, 65535)
            + b"\x80\0\0"
            + bytes(6)
            + b","
            + bytes(4)
            + struct.pack("<HH", 65535, 65535)
            + b"\0\x02\x02D\x01\0;",
            "exceeds limit",
        ),
        (png(300, 300, b"\0" * 10), "cannot be decoded"),
    ],
)
def test_pictures_of_absurd_sides(data, said):
    with pytest.raises(ValueError, match=said):
        open_picture(data)


def wav(rate, samples):
    held = io.BytesIO()
    soundfile.write(held, np.asarray(samples, np.float32), 16_000, subtype="FLOAT", format="WAV")
    found = bytearray(held.getvalue())
    found[24:28] = struct.pack("<I", rate)
    return bytes(found)


def test_sounds_of_absurd_rates_and_without_numbers():
    with pytest.raises(ValueError, match="must have 1 to 10,000,000 samples a second"):
        open_sound(wav(2**31 - 1, [0.0] * 100), rate=16_000)
    with pytest.raises(ValueError, match="finite numbers, but sample 1"):
        AudioCodec().encode(wav(16_000, [0.0, float("nan")]), Reading())


def test_rates_without_a_common_divisor_do_not_fill_the_memory():
    """The exact filter of these two rates would take three gigabytes."""
    tone = np.sin(2 * np.pi * 440 * np.arange(44_101) / 44_101).astype(np.float32)
    made = resample(iter([tone]), 44_101, 16_000)
    wanted = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert made.shape == (16_000,) and np.abs(made - wanted)[500:-500].max() < 0.02


def test_an_endless_text():
    with pytest.raises(ValueError, match="a text must have at most 16,777,216 characters, but has 16,777,217"):
        TextCodec(tokenizer=ByteTokenizer()).measure("x" * (MOST_CHARACTERS + 1), Reading())


def archive(path, **member):
    info = tarfile.TarInfo(member.pop("name", "0.txt"))
    for name, value in member.items():
        setattr(info, name, value)
    with tarfile.open(path, "w") as tar:
        tar.addfile(info, io.BytesIO(b"abc"))


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ({"name": "../../x.txt"}, "must lie inside the archive"),
        ({"name": "/etc/x.txt"}, "must lie inside the archive"),
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "but is a link or a device"),
        ({"type": tarfile.LNKTYPE, "linkname": "x"}, "but is a link or a device"),
        ({"type": tarfile.CHRTYPE}, "but is a link or a device"),
    ],
)
def test_members_that_escape(tmp_path, member, said):
    archive(tmp_path / "x.tar", **member)
    with pytest.raises(DataError, match=said):
        len(open_source(tmp_path / "x.tar", name="x"))


def test_a_member_that_promises_a_terabyte(tmp_path):
    archive(tmp_path / "x.tar", size=3)
    whole = bytearray((tmp_path / "x.tar").read_bytes())
    huge = tarfile.TarInfo("0.txt")
    huge.size = 1 << 40
    whole[:512] = huge.tobuf(tarfile.GNU_FORMAT)[:512]
    (tmp_path / "x.tar").write_bytes(whole)
    with pytest.raises(DataError, match="unexpected end of data"):
        len(open_source(tmp_path / "x.tar", name="x"))


FILES = [
    ("a.json", "[" * 100_000, "maximum recursion depth"),
    ("a.jsonl", '{"a":' * 100_000 + "\n", "line 1: each line must be one JSON object, but: maximum recursion depth"),
    ("a.jsonl", '{"a": ' + "9" * 10_000 + "}\n", "line 1.*Exceeds the limit"),
    ("a.csv", 'a\n"' + "x" * 10_000, "line 2.*unexpected end of data"),
]


@pytest.mark.parametrize(("name", "text", "said"), FILES)
def test_files_of_text(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        rows = open_source(tmp_path / name, name="x")
        rows[len(rows) - 1]


def test_a_line_without_end(tmp_path, monkeypatch):
    """It is not held in memory to find the next one, and is refused by itself; the others are read."""
    monkeypatch.setattr(source_files, "MOST_ROW", 3 << 20)
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "' + "x" * (4 << 20) + '"}\n\n{"a": "b"}')
    rows = open_source(path, name="x")
    assert len(rows) == 2 and rows[1] == {"a": "b"} and rows.place(1) == "a.jsonl line 3"
    with pytest.raises(DataError, match="a.jsonl line 1: a row must take at most 3 megabytes"):
        rows[0]


@pytest.mark.parametrize("make", [lambda path: os.symlink("/dev/zero", path), os.mkfifo])
def test_what_is_no_plain_file(tmp_path, make):
    make(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="must be a plain file, but is a device or a pipe"):
        len(open_source(tmp_path / "a.jsonl", name="x"))


@pytest.mark.parametrize("text", ["x-{0..999999999}.tar", "{a,b}" * 40 + ".csv"])
def test_patterns_without_end(text):
    with pytest.raises(DataError, match="must stand for at most 100,000 files"):
        open_source(text, name="x")


def test_packed_files_that_swell(tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wb") as file:
        for _ in range(210):
            file.write(bytes(1 << 20))
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        len(open_source(tmp_path / "a.jsonl.gz", name="x"))
    np.savez_compressed(tmp_path / "a.npz", poses=np.zeros(28 << 20))
    with pytest.raises(ValueError, match="unpacks to more than 200 times its size"):
        _npz(tmp_path / "a.npz")


def test_tags_in_a_task_file(tmp_path):
    (tmp_path / "t.yaml").write_text("tasks:\n  a: !!python/object/apply:os.system [touch harm]\n")
    with pytest.raises(OmnilineError, match="!!python"):
        read_taskfile(tmp_path / "t.yaml")
    assert not (tmp_path / "harm").exists()


def test_anchors_that_swell_or_hold_themselves(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    for text, said in (
        ("\n".join(lines), "at most 100,000 values"),
        ("a: &a [*a]", "must not hold an alias of itself"),
    ):
        (tmp_path / "t.yaml").write_text(text)
        with pytest.raises(OmnilineError, match=said):
            read_taskfile(tmp_path / "t.yaml")


def test_a_run_over_one_percent_of_bad_rows_names_each(tmp_path):
    """Pictures that are cut short, lines that are cut short, columns that are missing, wrong types."""
    lines = []
    for n in range(200):
        Image.new("RGB", (16, 16), (n, 0, 0)).save(tmp_path / f"{n}.jpg")
        lines.append(json.dumps({"img": f"{n}.jpg", "cap": "red"}))
    whole = (tmp_path / "41.jpg").read_bytes()
    (tmp_path / "41.jpg").write_bytes(whole[: len(whole) // 2])
    lines[77] = lines[77][:-5]
    lines[120] = json.dumps({"img": "120.jpg"})
    lines[160] = json.dumps({"img": "160.jpg", "cap": ["red"]})
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    line = "[IMAGE:img,size=16,patch=8] what? -> [TEXT:cap,max_length=8]"
    task = ol.Task("look", line, train=str(tmp_path / "rows.jsonl"), on_error="skip", max_bad=0.05)
    path = tmp_path / "skipped.jsonl"
    settings = {"batch_tokens": 400, "metric_rows": 0, "enable_progress_bar": False}
    ol.fit(task, backbone=SMALL, max_epochs=1, ledger=path, **settings)
    found = {item["row"]: item for item in map(json.loads, path.read_text().splitlines())}
    assert sorted(found) == [41, 77, 120, 160]
    assert all(found[row]["place"] == f"rows.jsonl line {row + 1}" for row in found)
    assert found[41]["slot"] == "img" and "41.jpg" in found[41]["cause"]
    assert "must be one JSON object" in found[77]["cause"]
    assert (found[120]["slot"], found[120]["column"]) == ("cap", "cap") and "no column `cap`" in found[120]["cause"]
    assert found[160]["slot"] == "cap" and "text must be a string, but is list" in found[160]["cause"]


TURNS = np.tile(np.eye(3), (4, 2, 1, 1))
BVH = (
    "HIERARCHY\nROOT a\n{\nOFFSET 0 %s 0\nCHANNELS 3 Xposition Yposition Zposition\n}\n"
    "MOTION\nFrames: 2\nFrame Time: 0.1\n"
)
STRANGE = [
    ("VIDEO", "", "a video must be a path, but is empty text"),
    ("VIDEO", {"frames": ["a.png"], "fps": 0}, "`fps` of a clip must be above 0, but that of .list of 1. is 0"),
    ("AUDIO", [[]], "a sound must hold samples, but the array is empty"),
    ("AUDIO", (np.full(400, 1e300), 16_000), "finite numbers, but sample 0 of the sound array of .400. is inf"),
    ("MOTION", BVH % "inf" + "0 0 0\n0 0 0\n", "line 4: OFFSET must have three numbers within 1,000,000,000"),
    ("MOTION", BVH % "1" + "0 0 0\n0 1e300 0\n", r"frame 2 must have numbers within 1,000,000,000, but has 1e\+300"),
    ("MOTION", {"rotations": TURNS, "root": np.full((4, 3), 1e300)}, "`root` must be numbers within"),
    ("MOTION", {"rotations": TURNS, "fps": "quick"}, "`fps` must be a number of frames a second, but is 'quick'"),
    ("MOTION", {"rotations": "x"}, "`rotations` must be numbers, one row a frame"),
    ("STRUCT", "[" * 100_000 + "]" * 100_000, "maximum recursion depth"),
    ("STRUCT", [[b"x"]], "a cell must be text, a number or a list, but is b'x'; decode it first"),
    ("BOX", [0, 0, 10**400, 1], "int too large"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "raw", "said"), STRANGE, ids=[f"{s[0]} {s[2][:30]}" for s in STRANGE])
def test_strange_values_are_blamed_on_their_slot(kind, raw, said):
    more = {"VIDEO": ",size=16", "AUDIO": ",max_seconds=2", "MOTION": ",min_length=2,max_frames=64"}.get(kind, "")
    task = ol.Task("t", f"[{kind}:x{more},optional] -> [TEXT:a]", train=[{"x": None, "a": "b"}])
    reader = (model := ol.Model.build(backbone=SMALL, tasks=task)).reader(model.bound(task))
    with pytest.raises(DataError, match=f"slot `x`: .*{said}"):
        reader.example({"x": raw, "a": "b"}, RowId("t", 0))


def test_a_film_whose_remarks_are_no_text_is_judged_by_its_pictures(tmp_path):
    """Bytes within its metadata are changed to what is no UTF-8."""
    whole = bytearray((SAMPLES / "clips" / "a-rocket-moves-up.mp4").read_bytes())
    at = whole.find(b"Lavf")
    assert at > 0
    whole[at : at + 4] = b"\xff\x96\xfe\x80"
    (tmp_path / "a.mp4").write_bytes(whole)
    assert VideoCodec(size=16, patch=8).encode(tmp_path / "a.mp4", Reading()).rows > 0
