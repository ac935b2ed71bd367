"""Every shipped preset: its file is whole, its lines are right, its rows can be read, and its metric is one it has."""

import pytest

from omniline.core.catalog import Owner, catalog_of
from omniline.core.errors import ConfigError, PluginError
from omniline.tasks.binding import bind, check_first_rows, trial_reader
from omniline.tasks.evaluation import metrics_of
from omniline.tasks.presets import catalog
from omniline.tasks.presets.about import KEYS
from omniline.tasks.presets.catalog import OWN, find_preset, main_task, presets, read_preset
from omniline.tasks.tokenizing import tokenizer_for

SHIPPED = sorted(name for name, preset in presets().items() if preset.package == OWN)
FULL = "_full"
"""Presets of this ending need what `omniline data` fetches."""
READY = [name for name in SHIPPED if not name.endswith(FULL)]


@pytest.mark.parametrize("name", SHIPPED)
def test_it_says_what_it_is(name):
    file = read_preset(name)
    about = file.about
    assert [key for key in KEYS if not getattr(about, key)] == []
    assert len(about.data.split()) >= 8 and len(about.title) <= 60
    assert "save" not in file.document.marks, "the bundle goes to runs/NAME by itself"
    assert file.trainer.get("max_steps", 0) > 0
    assert name in file.entries, "the main task has the preset's name"


@pytest.mark.parametrize("name", SHIPPED)
def test_its_lines_have_no_finding(name):
    assert read_preset(name).check() == []


@pytest.mark.parametrize("name", READY)
def test_its_rows_can_be_read_and_its_metric_is_judged(name):
    file = read_preset(name)
    metrics = set()
    for task in file.tasks():
        assert task.train is not None and task.valid is not None
        bound = bind(task)
        check_first_rows(bound, trial_reader(bound, tokenizer_for(None, [bound], task.catalog)))
        if task.name == main_task(file, name):
            metrics |= {f"{slot.name}/{metric}" for slot, metric in metrics_of(bound)}
            metrics |= {"match/recall_at_1"} if bound.plan.alternatives[0].arrow == "<->" else set()
    assert any(file.about.metric == one or file.about.metric.startswith(f"{one}_") for one in metrics), metrics


def yaml(path, text="tasks: {a: {instruction: '-> [TEXT:a]'}}\n"):
    path.write_text(text, encoding="utf-8")
    return path


def test_names_and_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    yaml(tmp_path / "talk.yaml")
    none = catalog_of()
    for word in ("talk", "tasks/talk", "tasks/talk.yaml"):
        assert find_preset(word, none).path == tmp_path / "talk.yaml"
    file = read_preset("talk", ["seed=3"], catalog=none)
    assert (file.save, file.seed) == (str(tmp_path / "runs" / "talk"), 3)
    assert read_preset("talk", ["save=here"], catalog=none).save == str(tmp_path / "here")
    with pytest.raises(ConfigError, match="there is no ready task `tlak`; did you mean `talk`"):
        read_preset("tlak", catalog=none)
    outside = catalog_of(Owner("acme", "2"), tasks={"talk": str(tmp_path / "talk.yaml"), "sing": "sing.yaml"})
    assert presets(outside)["sing"].package == "acme"
    with pytest.raises(PluginError, match="`talk` is given by more than one package: omniline, acme"):
        read_preset("talk", catalog=outside)


def test_about_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    text = "about: {title: 3, licnce: MIT}\n" + yaml(tmp_path / "x.yaml").read_text()
    yaml(tmp_path / "talk.yaml", text)
    with pytest.raises(ConfigError, match=r"(?s)`about.title` must be a text.*`about.licnce`; did you mean `licence`"):
        read_preset("talk", catalog=catalog_of())
