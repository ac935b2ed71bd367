"""The suite's own arithmetic, and its smallest section from end to end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omniline.plugins.motion.features import of_features
from omniline.plugins.motion.skeleton import human

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def bench():
    """The suite is started in the folder of the tests, and imported from there."""
    sys.path.insert(0, str(TESTS))
    import bench.page
    import bench.references

    yield bench
    sys.path.remove(str(TESTS))


@pytest.mark.parametrize(
    ("name", "value", "speed", "wanted"),
    [
        ("infill-float32", 2500, 1.0, True),
        ("infill-float32", 2400, 1.0, False),
        ("infill-float32", 1300, 0.5, True),
        ("infill-float32-memory", 1.6, 0.5, True),
        ("infill-float32-memory", 1.7, 0.5, False),
        ("check", 0.61, 9.0, False),
        ("encode-jpeg-share", 0.91, 0.1, True),
        ("padding-66", 1.9, 1.0, False),
    ],
)
def test_reached(bench, name, value, speed, wanted):
    """Rates are judged by the machine's speed; memory, shares and budgets as they are."""
    assert bench.references.reached(bench.references.REFERENCES[name], value, speed) is wanted


def test_a_page(bench, tmp_path):
    figure = bench.measuring.Figure(section="generate", name="greedy-32-8", value=902.0, calibration=145.0)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{bench.page.BEGIN}\nold\n{bench.page.END}\nafter\n")
    bench.page.write_page([figure], page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| greedy, 32 tokens, batch 8 | 902 tokens/s | 451 tokens/s | 2.00x | 4.00x | >= 3x | yes | 145 |" in text


def test_a_figure_with_what_it_is_compared_with(bench):
    """A factor over its own run's; the section's table says of what."""
    kinds = {"section": "modalities", "name": "modality-text-in", "calibration": 290.0}
    figures = [bench.measuring.Figure(value=value, theirs=1000.0, **kinds) for value in (900.0, 840.0)]
    good, bad = (bench.page.table([figure]).splitlines() for figure in figures)
    assert "| workload | ours | model alone | ratio |" in good[4]
    assert "| 900 tokens/s | 1,000 tokens/s | 0.90x |  | >= 0.85x | yes |" in good[-1] and "**no**" in bad[-1]
    cold = bench.references.REFERENCES["cold-text"]
    assert bench.references.reached(cold, 3.9, 0.1, 2.0) and not bench.references.reached(cold, 4.1, 9.0, 2.0)


def test_figures_are_kept(bench, tmp_path):
    """A run of one section leaves the others' figures, and replaces its own."""
    kinds = {"section": "start", "calibration": 1.0}
    first = [bench.measuring.Figure(name=name, value=0.5, **kinds) for name in ("check", "explain")]
    bench.page.merge(first, tmp_path / "bench.json")
    kept = bench.page.merge([bench.measuring.Figure(name="explain", value=0.4, **kinds)], tmp_path / "bench.json")
    assert {figure.name: figure.value for figure in kept} == {"check": 0.5, "explain": 0.4}


def test_an_unknown_section(bench):
    done = _run("speed")
    assert done.returncode == 2 and "no section `speed`" in done.stderr


def test_the_smallest_section(bench):
    done = _run("--print", "compile")
    assert done.returncode == 0, done.stderr
    names = [json.loads(line)["name"] for line in done.stdout.splitlines()]
    assert names == [name for name in bench.references.REFERENCES if name.startswith("compile-")]


@pytest.mark.filterwarnings("ignore")
def test_a_modality_in_training(bench, monkeypatch):
    """One step through the trainer and the copy's beside it; every case has its row of the page."""
    from bench import modalities

    for name, value in (("ROWS", 16), ("BATCH_TOKENS", 128), ("BEFORE", 0), ("STEPS", 1)):
        monkeypatch.setattr(modalities, name, value)
    figure = modalities._measured("category-out")
    assert figure.value > 0 and figure.theirs > 0 and 0 < figure.detail["share_of_reading"] < 1
    assert figure.detail["rows_a_second"] * figure.detail["tokens_a_row"] == pytest.approx(figure.value)
    names = [name for name in bench.references.REFERENCES if name.startswith("modality-")]
    assert sorted(names) == sorted(f"modality-{name}" for name in (*modalities.PRESETS, *modalities.OWN))


def test_a_first_output(bench, monkeypatch, tmp_path):
    """Of a text the first piece, of a category all; a process that loads the bundle tells what its parts took."""
    from bench import first

    monkeypatch.setattr(first, "COLD_TIMES", 1)
    text, category = first.asked("text-out"), first.asked("category-out")
    (took, piece), (_, output) = text.first(), category.first()
    assert took > 0 and isinstance(piece, str) and output["group"] == category.whole()["group"]
    first._write(text, tmp_path / "text-out")
    figure, command = first._cold({"text": tmp_path / "text-out"})
    assert list(figure.detail) == ["import_s", "load_s", "first_s"] and command.name == "cold-command"
    assert 0 < sum(figure.detail.values()) < figure.value
    assert figure.theirs > 0
    names = [*(f"warm-{name}" for name in first.WARM), *(f"cold-{name}" for name in (*first.COLD, "command"))]
    assert names == [name for name in bench.references.REFERENCES if name.startswith(("warm-", "cold-"))]


def test_the_bare_loops_of_codecs_do_the_same(bench, tmp_path):
    from bench import codecs

    motion, table = codecs._motions(tmp_path)[0], codecs._tables(tmp_path)[0]
    encoded = codecs.MotionCodec().encode(motion, codecs.TARGET)
    bare = codecs.bare_motion(motion)
    assert bare.shape == encoded.tensors["values"].shape
    turns = of_features(encoded.tensors["values"], skeleton=human(), fps=30).rotations[..., :2]
    assert np.abs(np.sort(bare[:, 6:].ravel()) - np.sort(turns.ravel())).max() < 1e-3
    codec = codecs.StructCodec(tokenizer=codecs.large_tokenizer())
    assert codecs.BareTable()(table) == codec.encode(table, codecs.TARGET).labels["tokens"][:-1].tolist()
    boxes = codecs.BoxCodec(unit="pixels", format="xywh", bins=codecs.BINS)
    for box in codecs._boxes()[:50]:
        own = boxes.encode(box, codecs.TARGET).labels["tokens"]
        assert np.abs(codecs.bare_box(box).numpy() - own).max() <= 1, "but for the rounding of float32"


def _run(*words):
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-m", "bench", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=TESTS, env=environment)
