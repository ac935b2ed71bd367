"""The gallery shows every kind of value by small files, and writes pages and an index."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import omniline
from omniline.tasks.presets.catalog import Preset

DOCS = Path(omniline.__file__).resolve().parent / "docs"
DIGITS = """
about: {title: Digits, data: "Scans.", licence: BSD, metric: digit/accuracy, ofasys: image_classify}
tasks:
  digits:
    instruction: "[IMAGE:img,size=16,patch=8,mask_ratio=0.4] which digit? -> [TEXT:digit,closed_set]"
    train: {call: "omniline.tasks.presets.samples:digit_rows", split: train, size: 16}
    valid: {call: "omniline.tasks.presets.samples:digit_rows", split: valid, size: 16}
  match:
    instruction: "[IMAGE:img,size=16,patch=8] <-> [TEXT:digit]"
    train: {call: "omniline.tasks.presets.samples:digit_rows", split: train, size: 16}
    valid: {call: "omniline.tasks.presets.samples:digit_rows", split: valid, size: 16}
backbone: decoder-tiny,width=32,ffn=48,layers=1
trainer: {max_steps: 900}
"""


@pytest.fixture
def gallery(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("picturing", None)


@pytest.fixture
def page(gallery, tmp_path):
    return gallery.Page(tmp_path, "x")


def motion(path):
    """A film of forty large frames as a GIF, or the text of a BVH file."""
    if Path(path).suffix == ".bvh":
        Path(path).write_text("HIERARCHY")
        return
    films = [Image.new("RGB", (400, 300), (6 * i, 0, 0)) for i in range(40)]
    films[0].save(path, save_all=True, append_images=films[1:], duration=50)


def files(page):
    return sorted(path.name for path in page.folder.iterdir())


def test_pictures_and_boxes(page, gallery):
    picture = Image.new("RGB", (20, 10), "white")
    assert 'src="x-1.png" width="120"' in page.cell(picture)
    assert "x-2.png" in page.cell(np.zeros((4, 4, 3), np.uint8), "IMAGE")
    drawn = page.cell([(0.0, 0.0, 0.5, 1.0)], "BOX", ["cat"], picture)
    assert "x-3.png" in drawn and "0.00, 0.00, 0.50, 1.00" in drawn
    with Image.open(page.folder / "x-3.png") as image:
        assert image.getpixel((0, 30)) == (0xD6, 0x27, 0x28) and image.getpixel((90, 30)) == (255, 255, 255)
    assert page.cell((1.0, 2.0, 3.0, 4.0), "BOX") == "1.00, 2.00, 3.00, 4.00"
    assert files(page) == ["x-1.png", "x-2.png", "x-3.png"]


def test_sounds_clips_and_motions(page):
    sound = SimpleNamespace(samples=np.sin(np.arange(8000) / 5).astype(np.float32), rate=8000)
    assert "[1.0 s of sound](x-1.wav)" in page.cell(sound, "AUDIO")
    clip = SimpleNamespace(frames=np.random.default_rng(0).integers(0, 255, (30, 8, 8, 3), dtype=np.uint8), fps=10)
    assert page.cell(clip, "VIDEO").endswith("30 frames, 3.0 s")
    assert "x-4.bvh" in page.cell(SimpleNamespace(save=motion), "MOTION")
    with Image.open(page.folder / "x-4.gif") as film:
        assert film.n_frames <= 24 and max(film.size) <= 160  # written again, small
    assert "5 frames" in page.cell(np.zeros((5, 16, 16, 3), np.uint8), "VIDEO")
    assert "x-6.wav" in page.cell({"array": np.zeros(1600, np.float32), "sampling_rate": 16000}, "AUDIO")
    assert {path.suffix for path in page.folder.iterdir()} == {".wav", ".png", ".gif", ".bvh"}


def test_words_tables_and_nothing(page):
    assert page.cell("a | *b*") == "a &#124; \\*b\\*"
    assert page.cell([["name", "n"], ["a", 1]]).startswith("<code>name&nbsp;&nbsp;n</code><br><code>a&nbsp;")
    assert page.cell(["one", "two"]) == "one<br>two"
    assert page.cell(0.25) == "0.25" and page.cell(None) == "nothing"
    talk = [{"role": "user", "content": "a *b*?"}, {"role": "assistant", "content": [{"type": "text", "text": "c"}]}]
    assert page.cell(talk, "CHAT") == "**user**: a \\*b\\*?<br>**assistant**: c"
    assert page.cell({"a": [1]}) == '<code>{"a": \\[1\\]}</code>'
    assert files(page) == []


def test_a_page_and_the_index(gallery, tmp_path):
    path = tmp_path / "digits.yaml"
    path.write_text(DIGITS, encoding="utf-8")
    preset = Preset(name="digits", path=path, package="omniline", version="1")
    record = gallery.make(preset, tmp_path, steps=2)
    text = (tmp_path / "digits.md").read_text()
    assert record["metric"] == "digit/accuracy" and 0 <= record["value"] <= 1 and record["trivial"] < 0.3
    assert "omniline train digits" in text and "**digit/accuracy** ↑" in text and "Licence: BSD" in text
    lost = [name for name in re.findall(r'src="([^"]+)"', text) if not (tmp_path / name).is_file()]
    assert lost == [] and len(re.findall("<img", text)) == gallery.MANY
    assert sum(one.stat().st_size for one in tmp_path.glob("digits*")) < 300_000
    assert "[Digits](digits.md)" in gallery.index(tmp_path)
    match = Preset(name="match", path=path, package="omniline", version="1")
    assert gallery.make(match, tmp_path, steps=2)["lower"] is False
    assert "nearest of 128" in (tmp_path / "match.md").read_text()


def test_only_what_changed_is_made_again(gallery, tmp_path):
    path = tmp_path / "digits.yaml"
    path.write_text(DIGITS, encoding="utf-8")
    preset = Preset(name="digits", path=path, package="omniline", version="1")
    assert not gallery.is_current(preset, tmp_path)
    (tmp_path / "digits.json").write_text(json.dumps({"digest": gallery.digest(preset)}))
    assert gallery.is_current(preset, tmp_path)
    path.write_text(DIGITS.replace("900", "901"), encoding="utf-8")
    assert not gallery.is_current(preset, tmp_path)
