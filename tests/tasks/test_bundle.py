"""Bundles: equal predictions, nothing half-written, nothing run or imported that a bundle alone names."""

import hashlib
import json
import pickle
import sys

import pytest
import torch

import omniline as ol
from omniline.core.errors import BundleError, PluginError
from omniline.tasks import bundle

KINDS = ("text", "closed set", "category", "image", "group", "match", "two outputs")


@pytest.fixture(scope="module")
def tasks(small):
    return [small.task(kind) for kind in KINDS]


@pytest.fixture(scope="module")
def model(small, tasks):
    return small.build(tasks)


@pytest.fixture
def saved(model, tmp_path):
    return model.save(tmp_path / "model")


def answers(model, small):
    rows = small.rows(5)
    out = []
    for kind in KINDS:
        for found in model.predict(small.LINES[kind], rows, most_tokens=8):
            vectors = {side: vector.tolist() for side, vector in found.embeddings.items()}
            out.append((kind, found.to_dict(), found.scores, vectors))
    return out


@pytest.mark.parametrize("backbone", ["ofa", "decoder"])
def test_predictions_are_equal_bit_for_bit(small, tasks, tmp_path, backbone):
    model = small.build(tasks, backbone)
    loaded = ol.load(model.save(tmp_path / "m"))
    assert answers(loaded, small) == answers(model, small)
    assert loaded.plans == model.plans and loaded.table == model.table
    assert loaded.network.training is False
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, loaded.network.state_dict()[name])


def test_a_tokenizer_of_the_tasks_own_text_travels(small, tmp_path):
    task = small.task("text", 12)
    model = ol.Model.build(backbone=small.BACKBONES["ofa"], tasks=task, tokenizer="bpe:300")
    loaded = ol.load(model.save(tmp_path / "m"))
    assert loaded.tokenizer.vocabulary == model.tokenizer.vocabulary <= 302
    assert loaded.predict(task.instruction, small.rows(2), most_tokens=5)[0].to_dict() == (
        model.predict(task.instruction, small.rows(2), most_tokens=5)[0].to_dict()
    )


def test_saving_again_replaces_and_a_copy_loads(model, saved, small):
    model.save(saved)
    assert sorted(p.name for p in saved.parent.iterdir()) == ["model"]
    again = ol.load(saved)
    assert again.save(saved.parent / "again") == saved.parent / "again"
    assert (saved / "weights.safetensors").read_bytes() == (saved.parent / "again" / "weights.safetensors").read_bytes()


def test_no_pickle(saved):
    for path in saved.iterdir():
        data = path.read_bytes()
        assert path.suffix in (".json", ".safetensors")
        with pytest.raises(Exception):  # noqa: B017
            pickle.loads(data)
        assert b"torch.storage" not in data and not data.startswith((b"PK", b"\x80"))
        if path.suffix == ".json":
            json.loads(data)


def test_the_index_lists_each_file_with_its_hash(saved):
    index = json.loads((saved / "bundle.json").read_text())
    assert index["format"] == 1
    assert index["files"].keys() == {p.name for p in saved.iterdir()} - {"bundle.json"}
    for name, digest in index["files"].items():
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == digest


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def reindex(folder, **changes):
    """Change files and make the index agree, as an attacker would."""
    for name, change in changes.items():
        path = folder / f"{name}.json"
        found = json.loads(path.read_text())
        change(found)
        path.write_text(json.dumps(found))
    index = json.loads((folder / "bundle.json").read_text())
    index["files"] = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in index["files"]}
    (folder / "bundle.json").write_text(json.dumps(index))


DAMAGE = {
    "flipped weight": (lambda f: flip(f / "weights.safetensors"), r"weights.safetensors is not what was saved"),
    "flipped json": (lambda f: flip(f / "model.json"), r"model.json is not what was saved: it was changed or cut"),
    "cut": (lambda f: (f / "weights.safetensors").write_bytes(b"x" * 90), r"weights.safetensors is not what was saved"),
    "missing": (lambda f: (f / "tokenizer.json").unlink(), r"the file tokenizer.json is missing"),
    "no index": (lambda f: (f / "bundle.json").unlink(), r"is no bundle: it has no bundle.json"),
    "index cut": (lambda f: (f / "bundle.json").write_text('{"for'), r"bundle.json cannot be read: "),
    "index a list": (lambda f: (f / "bundle.json").write_text("[]"), r"must hold a JSON object, but holds a list"),
    "no files": (lambda f: (f / "bundle.json").write_text('{"format": 1}'), r"does not list the files of a bundle"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told(saved, damage):
    change, message = DAMAGE[damage]
    change(saved)
    with pytest.raises(BundleError, match=message):
        ol.load(saved)


@pytest.mark.parametrize("name", ["../../secret.json", "/etc/passwd", "..", "a\\b"])
def test_a_path_out_of_the_folder_is_refused(saved, name):
    index = json.loads((saved / "bundle.json").read_text())
    index["files"][name] = "0" * 64
    (saved / "bundle.json").write_text(json.dumps(index))
    with pytest.raises(BundleError, match="which is not in the bundle's own folder"):
        ol.load(saved)


@pytest.mark.parametrize("version", [2, None, "1"])
def test_another_format(saved, version):
    index = json.loads((saved / "bundle.json").read_text()) | {"format": version}
    (saved / "bundle.json").write_text(json.dumps(index))
    with pytest.raises(BundleError, match=rf"the bundle's format must be 1, but is {version!r}"):
        ol.load(saved)


def test_a_missing_plugin_is_named_with_what_it_gave(saved):
    def change(about):
        about["plugins"]["acme-depth"] = "1.2"

    reindex(saved, model=change)
    with pytest.raises(PluginError, match=r"the bundle needs the package `acme-depth` 1.2, which is not installed"):
        ol.load(saved)


def test_a_port_that_no_adapter_declares_is_not_imported(saved, tmp_path, monkeypatch):
    (tmp_path / "evil_port.py").write_text("raise SystemExit('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for target in ("evil_port:Port", "os:system", "omniline.core.marks:Marks"):

        def change(about, target=target):
            about["ports"][1]["target"] = target

        reindex(saved, model=change)
        with pytest.raises(BundleError, match=rf"is {target} with these settings, which no installed adapter declares"):
            ol.load(saved)
    assert "evil_port" not in sys.modules


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a["ports"].pop(0), "the first port must be `marks`"),
        (lambda a: a["ports"][0].update(target="os:system"), "the first port must be `marks`"),
        (lambda a: a["ports"][-1].update(settings=[["command", "ls"]]), "which no installed adapter declares"),
        (lambda a: a["ports"][-1].update(assets=["tokenizer", "closed_set"]), "which no installed adapter declares"),
        (lambda a: a.pop("ports"), "model.json cannot be read: 'ports'"),
        (lambda a: a.update(ports=3), "model.json cannot be read: "),
        (lambda a: a["plans"]["text"].update(format=7), "model.json cannot be read: .*format"),
        (lambda a: a.update(backbone="ofa-tiny"), "the installed parts are not those that it was saved with|must be"),
    ],
)
def test_a_description_that_does_not_fit(saved, change, message):
    reindex(saved, model=change)
    with pytest.raises(BundleError, match=message):
        ol.load(saved)


def test_an_unknown_backbone(saved):
    reindex(saved, model=lambda about: about.update(backbone="giant-7b"))
    with pytest.raises(PluginError, match="no installed package provides the backbone `giant-7b`"):
        ol.load(saved)


def test_a_failing_save_leaves_nothing(model, saved, monkeypatch):
    before = {p.name: p.read_bytes() for p in saved.iterdir()}

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(bundle, "_json", fail)
    for place in (saved, saved.parent / "new"):
        with pytest.raises(OSError, match="disk full"):
            model.save(place)
    assert {p.name: p.read_bytes() for p in saved.iterdir()} == before
    assert [p.name for p in saved.parent.iterdir()] == ["model"]


def test_other_folders_are_left_alone(model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match="exists and is no bundle: save to a new folder"):
        model.save(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="exists and is no bundle"):
        model.save(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert ol.load(model.save(tmp_path / "empty")).plans.keys() == model.plans.keys()
    with pytest.raises(BundleError, match="no bundle.json"):
        ol.load(tmp_path / "nowhere")


def test_a_loaded_model_takes_up_more_tasks(small, saved):
    """New ports and tables grow; what is there keeps its weights."""
    model = ol.load(saved)
    before = answers(model, small)
    model.adopt([small.task("box"), ol.Task("new", "[TEXT:text] -> [CATEGORY:word]", train=small.rows(9))])
    model.network.eval()
    assert answers(model, small) == before
    assert {"box", "category_2"} <= set(model.network.ports)


def test_a_refused_task_leaves_the_model_as_it_was(small, saved):
    model = ol.load(saved)
    plans, table = dict(model.plans), model.table
    with pytest.raises(ol.InstructionError):
        model.adopt(ol.Task("bad", "[BOX:text] -> [TEXT:word]", train=small.rows(3)))
    assert model.plans == plans and model.table == table


def test_pretrained_weights_are_not_fetched_again(small, tmp_path, monkeypatch):
    """A tower that began from a file loads from the bundle alone, and takes up another task without the file."""
    line = "[IMAGE:img,adapter=timm,model=test_resnet,size=32,weights={}] -> [TEXT:word]"
    import timm

    tower = timm.create_model("test_resnet", num_classes=0)
    torch.save(tower.state_dict(), tmp_path / "tower.pt")
    task = ol.Task("t", line.format(f'"{tmp_path / "tower.pt"}"'), train=small.rows(3))
    model = ol.Model.build(backbone=small.BACKBONES["ofa"], tasks=task)
    saved = model.save(tmp_path / "m")
    (tmp_path / "tower.pt").unlink()
    loaded = ol.load(saved)
    wanted = model.predict(task.instruction, small.rows(2), most_tokens=4)
    assert [o.to_dict() for o in loaded.predict(task.instruction, small.rows(2), most_tokens=4)] == [
        o.to_dict() for o in wanted
    ]
    loaded.adopt(small.task("box"))
    assert torch.equal(next(loaded.network.ports["timm"].parameters()), next(model.network.ports["timm"].parameters()))
