"""The generalist against its specialists in miniature: equal rows of a task, kept parts, and the page."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

import omniline as ol
from omniline.tasks.presets.samples import digit_rows, emoji_rows

DOCS = Path(ol.__file__).resolve().parent / "docs"
SMALL = "ofa-tiny,width=32,heads=2,ffn=48,encoder_layers=1,decoder_layers=1,dropout=0"


@pytest.fixture
def generalist(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    spec = importlib.util.spec_from_file_location("generalist", DOCS / "generalist.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "generalist", module)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("generalist_page", None)


def rows(maker, split, **more):
    held = maker(split=split, **more)
    return [held[i] for i in range(0, 200, 3)]


@pytest.fixture
def members(generalist):
    line = "[IMAGE:img,size=16,patch=8] -> [CATEGORY:digit]"
    splits = {split: rows(digit_rows, split, size=16) for split in ("train", "valid")}
    digit = ol.Task("digit", line, weight=2.0, **splits)
    splits = {split: rows(emoji_rows, split, size=16, emoji=40) for split in ("train", "valid")}
    word = ol.Task("word", "[TEXT:name] again -> [TEXT:name,max_length=12]", **splits)
    return [generalist.Member(task=digit, metric="digit/accuracy"), generalist.Member(task=word, metric="name/rouge_l")]


def test_equal_rows_kept_parts_and_a_page(generalist, members, tmp_path, monkeypatch):
    settings = generalist.Settings(backbone=SMALL, tokenizer="bpe:300", rows=12, judged=10, workers=0)
    assert generalist.affordable(members, settings, 0.001) >= 1
    monkeypatch.setattr(generalist, "affordable", lambda *_: 9)
    results = generalist.compare(members, tmp_path, settings, minutes=0.02)
    general = results["generalist"]
    for name in ("digit", "word"):
        own = results["specialists"][name]
        assert abs(own["rows"][name] - general["rows"][name]) <= settings.rows
        assert set(own["rows"]) == {name} and own["parameters"] <= general["parameters"]
        assert own["tasks"][name]["rows"] == 10
        assert abs(own["steps"] - general["steps"]) <= 3, "as many steps, each with as many rows of the task"
    assert general["rows"]["digit"] > 1.5 * general["rows"]["word"]
    text = generalist.written(results)
    assert "| digit | digit/accuracy ↑ |" in text and "TEXT, IMAGE, CATEGORY in and out" in text
    assert f"{general['parameters']:,} in the generalist" in text
    (tmp_path / "specialist-word.json").unlink()
    monkeypatch.setattr(generalist, "affordable", lambda *_: pytest.fail("the plan is kept"))
    again = generalist.compare(members, tmp_path, settings, minutes=0.02)
    assert again["generalist"] == general and again["specialists"]["digit"] == results["specialists"]["digit"]
    assert again["specialists"]["word"]["tasks"] == results["specialists"]["word"]["tasks"], "the same seed"
    assert json.loads((tmp_path / "plan.json").read_text())["found"]["steps"] == 9


def test_the_figures(generalist):
    page = sys.modules["generalist_page"]
    assert page.ratio_of(0.9, 1.0, lower=False) == 0.9
    assert page.ratio_of(10.0, 8.0, lower=True) == 0.8
    assert page.ratio_of(0.5, 0.0, lower=False) is None and page.ratio_of(None, 1.0, lower=False) is None
    assert page.above_constant(0.6, 0.8, 0.4, lower=False) == pytest.approx(0.5)
    assert page.above_constant(6.0, 4.0, 8.0, lower=True) == pytest.approx(0.5)
    assert page.above_constant(0.6, 0.3, 0.4, lower=False) is None


def test_what_is_wanted_covers_all_modalities(generalist):
    """Those of the wanted presets that are here; a name that is none is left out and said."""
    found = generalist.members_of(["sentiment", "no_such_preset"])
    assert [one.name for one in found] == ["sentiment"] and found[0].metric
