"""The command line: what is printed, where, and the exit code that a script sees."""

import io
import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from omniline import Modality, Plan
from omniline.__main__ import main
from omniline.core.catalog import Broken, Catalog, Entry, Owner, catalog_of
from omniline.core.errors import ConfigError
from omniline.tasks.commands import doctor, given, new, show
from omniline.tasks.commands import plugins as plugins_command
from omniline.tasks.presets import catalog

GOOD = "what is [TEXT:word]? -> [TEXT:kind,closed_set]"
BAD = "[IMGE:img] what is it? -> [TEXT:cap]"
SMALL = "ofa-tiny,width=32,heads=2,ffn=48,encoder_layers=1,decoder_layers=1,dropout=0"
ROWS = [("cat", "animal"), ("dog", "animal"), ("cup", "thing"), ("box", "thing")]


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def tasks_yaml(folder, line=GOOD):
    write(folder / "rows.jsonl", "".join(json.dumps({"word": word, "kind": kind}) + "\n" for word, kind in ROWS))
    text = f'tasks:\n  kind:\n    instruction: "{line}"\n    train: rows.jsonl\n    valid: rows.jsonl\n'
    how = "learning_rate: 1e-2, batch_rows: 4, schedule: constant, fewer_page_faults: false"
    text += f"backbone: {SMALL}\nfit: {{{how}}}\n"
    return write(folder / "tasks.yaml", text + "trainer: {max_steps: 80, enable_progress_bar: false}\nsave: kind\n")


@pytest.fixture
def omniline(capsys, monkeypatch):
    """Runs a command line; its exit code, output and errors."""

    def run(*words, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


# check and explain


def test_check_finds_nothing(omniline):
    assert omniline("check", GOOD) == (0, "ok\n", "")
    assert omniline("check", "->[TEXT:page]") == (0, "ok\n", "")
    assert omniline("check", GOOD, "--json") == (0, "[]\n", "")
    assert omniline("check", "-", stdin=GOOD + "\n") == (0, "ok\n", "")


def test_check_prints_carets(omniline):
    code, out, err = omniline("check", BAD)
    assert (code, err) == (1, "")
    assert out.splitlines()[:3] == [
        "error[OL103]: unknown modality `IMGE`",
        f"  | {BAD}",
        "  |  ^^^^ no installed plugin provides it",
    ]
    code, out, _ = omniline("check", "--json", BAD)
    assert code == 1 and [(d["code"], d["span"]) for d in json.loads(out)] == [("OL103", [1, 5])]
    assert "--> <stdin>" in omniline("check", "-", stdin=BAD)[1]


def test_warnings_are_no_failure(omniline):
    code, out, _ = omniline("check", "[TEXT:a] -> [TEXT:b,no_loss]")
    assert code == 0 and out.startswith("warning[OL217]")


def test_check_judges_budgets(omniline):
    line = "-> [TEXT:a,max_length=9000]"
    assert omniline("check", line)[0] == 0
    code, out, _ = omniline("check", line, "--backbone", "ofa-tiny")
    assert code == 1 and out.startswith("error[OL301]")
    code, out, err = omniline("check", line, "--backbone", "ofa-tinny")
    assert (code, out) == (1, "") and err.startswith("error: ") and "`ofa-tiny`" in err


def test_check_of_a_file(omniline, tmp_path):
    path = tasks_yaml(tmp_path)
    assert omniline("check", path) == (0, "ok\n", "")
    code, out, _ = omniline("check", tasks_yaml(tmp_path, BAD))
    assert code == 1 and f" --> {path}:3" in out
    write(path, path.read_text().replace("train:", "trian:"))
    code, out, err = omniline("check", path)
    assert (code, out) == (1, "")
    assert err == f"error: {path} line 4: there is no key `tasks.kind.trian`; did you mean `train`?\n"
    code, out, err = omniline("check", path, "--json")
    assert code == 1 and json.loads(out)["error"]["type"] == "ConfigError" and "trian" in err


def test_a_file_on_standard_input(omniline, tmp_path, monkeypatch):
    path = tasks_yaml(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert omniline("check", "-", stdin=path.read_text()) == (0, "ok\n", "")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["rows.jsonl", "tasks.yaml"]


def test_explain(omniline, tmp_path):
    code, out, err = omniline("explain", GOOD)
    assert (code, err) == (0, "") and "kind" in out and "cross_entropy" in out
    assert omniline("explain", GOOD, "--mermaid")[1].startswith("flowchart")
    assert Plan.from_json(omniline("explain", GOOD, "--json")[1]).text == GOOD
    code, out, err = omniline("explain", BAD)
    assert (code, out) == (1, "") and "error[OL103]" in err
    path = tasks_yaml(tmp_path)
    assert omniline("explain", path)[1].startswith("task kind\n")
    assert list(json.loads(omniline("explain", path, "--json")[1])) == ["kind"]
    assert omniline("explain", path, "--mermaid")[1].startswith("%% kind\nflowchart")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tsks.yaml", "there is no file tsks.yaml"),
        ("rhubarb", "`rhubarb` is neither an instruction nor a file; an instruction has an arrow, `->`"),
        ("caption", "`caption` is neither an instruction nor a file; did you mean the ready task file `captioning`?"),
        (".", "must be a file, but is a folder"),
    ],
)
def test_what_is_neither_line_nor_file(omniline, word, message):
    code, out, err = omniline("check", word)
    assert (code, out) == (1, "") and message in err


@pytest.mark.parametrize(
    ("word", "is_line"),
    [
        ("[TEXT:a] b", True),
        ("a <-> b", True),
        ("a -> b", True),
        ("my-tasks.yaml", False),
        ("a-->b", False),
        ("a.yaml", False),
    ],
)
def test_lines_and_files_are_told_apart(word, is_line):
    assert given.is_instruction(word) is is_line


def test_a_ready_file_by_its_name(omniline, tmp_path, monkeypatch):
    ready = catalog_of(tasks={"kinds": str(tasks_yaml(tmp_path))})
    monkeypatch.setattr(given, "installed", lambda: ready)
    assert given.taskfile("kinds").save == str(tmp_path / "kind")
    assert given.taskfile("tasks/kinds", ["save=null"]).save == str(Path.cwd() / "runs" / "kinds")
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "kinds", "tasks: {mine: {instruction: '-> [TEXT:a]'}}")
    assert list(given.taskfile("kinds").entries) == ["mine"]
    with pytest.raises(ConfigError, match="did you mean the ready task file `kinds`"):
        given.taskfile("kind")


# usage


@pytest.mark.parametrize(
    "words", [(), ("chekc",), ("check",), ("check", GOOD, "--jsn"), ("train", "a.yaml", "x"), ("new", "x", "y")]
)
def test_wrong_usage(omniline, words):
    code, out, err = omniline(*words)
    if words[:1] == ("train",):
        assert code == 1 and "there is no file a.yaml" in err
    else:
        assert (code, out) == (2, "") and err.startswith("usage: omniline")


def test_options_and_values_may_be_mixed(omniline, tmp_path):
    code, _, err = omniline("train", tasks_yaml(tmp_path), "--resume", "none.ckpt", "seed=1", "fit.wrkers=1")
    assert code == 1 and "there is no key `fit.wrkers`" in err


def test_errors_can_show_their_traceback(omniline, monkeypatch):
    monkeypatch.setenv("OMNILINE_TRACEBACK", "1")
    with pytest.raises(ConfigError):
        main(["check", "caption"])


def test_an_interrupt_has_its_own_code(omniline, monkeypatch):
    monkeypatch.setattr(given, "taskfile", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert omniline("check", "x.yaml") == (130, "", "interrupted\n")


def test_it_runs_as_a_module_and_imports_no_torch():
    for words in (["check", GOOD], ["explain", GOOD], ["plugins"], ["tasks"], ["doctor"]):
        code = f"import sys; from omniline.__main__ import main; main({words!r}); assert 'torch' not in sys.modules"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    done = subprocess.run([sys.executable, "-m", "omniline", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("omniline ")


def test_output_may_be_cut_off():
    code = "import sys; from omniline.__main__ import main; sys.exit(main(['plugins', '--json']))"
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" -c "$1" | head -c 10 >/dev/null', sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr and done.returncode in (0, 1)


# what is installed


def test_plugins(omniline):
    code, out, _ = omniline("plugins", "--json")
    parts = json.loads(out)["parts"]
    assert code == 0 and parts["adapters"]["image"]["settings"]["size"]["default"] == 224
    assert parts["modalities"]["IMAGE"]["source"] == "image"
    code, out, _ = omniline("plugins")
    assert code == 0 and out.splitlines()[0].split() == ["kind", "name", "package", "what", "it", "is"]


def faulty():
    owners = Owner("acme-depth", "1"), Owner("rival", "2")
    entry = Entry("DEPTH", Modality(source="depth"), owners[0], (owners[1],))
    parts = {kind: {"DEPTH": entry} if kind == "modalities" else {} for kind in catalog_of().parts}
    return Catalog(parts, (Broken("bad", "acme-bad", "ImportError: no"),), ("slow",))


def test_doctor(omniline, monkeypatch):
    monkeypatch.setattr(doctor, "installed", catalog_of)
    assert omniline("doctor")[0] == 0
    monkeypatch.setattr(doctor, "installed", faulty)
    code, out, _ = omniline("doctor", "--json")
    assert code == 1 and json.loads(out)["faults"] == [
        "the plugin `bad` of acme-bad does not load: ImportError: no",
        "the modality `DEPTH` is given by more than one package: acme-depth, rival",
        "the plugin `slow` imports torch when it is loaded, which slows every command: name its halves instead",
    ]
    assert "fault: the plugin `bad` of acme-bad" in omniline("doctor")[1]


def test_doctor_on_the_torch_trio():
    good = {"torch": "2.11.0+cpu", "torchvision": "0.26.0+cpu", "torchaudio": None}
    assert list(doctor.together(good)) == []
    assert list(doctor.together(good | {"torch": "2.12.0+cpu"})) == [
        "torch must be 2.11.*, but is 2.12.0+cpu: pip install torch==2.11.* torchvision==0.26.*"
    ]
    assert list(doctor.together(good | {"torchvision": "0.26.0+cu128"})) == [
        "torch is built for the CPU, but torchvision is not: install all from one index"
    ]
    assert list(doctor.missing(dict.fromkeys(doctor.NEEDED, "1") | {"timm": None})) == [
        "timm is not installed: pip install omniline"
    ]


def test_broken_plugins_are_named_beside_the_list(omniline, monkeypatch):
    monkeypatch.setattr(plugins_command, "installed", faulty)
    code, out, err = omniline("plugins")
    assert code == 0 and "DEPTH" in out and err == "the plugin `bad` of acme-bad does not load: ImportError: no\n"
    assert json.loads(omniline("plugins", "--json")[1])["parts"]["modalities"]["DEPTH"]["rivals"] == ["rival"]


def test_ready_tasks(omniline, monkeypatch, tmp_path):
    from omniline.tasks.commands import tasks

    path = tasks_yaml(tmp_path)
    path.write_text("about: {title: Kinds, metric: kind/accuracy, licence: MIT}\n" + path.read_text())
    ready = catalog_of(Owner("acme", "1"), tasks={"kinds": str(path), "lost": str(tmp_path / "none.yaml")})
    monkeypatch.setattr(tasks, "installed", lambda: ready)
    monkeypatch.setattr(catalog, "FOLDER", tmp_path / "nothing")
    head, kinds, lost = omniline("tasks")[1].splitlines()
    assert head.split() == ["task", "what", "it", "is", "metric", "licence", "line"]
    assert kinds.split(maxsplit=4) == ["kinds", "Kinds", "kind/accuracy", "MIT", GOOD]
    assert lost.startswith("lost   cannot be read: there is no file")
    listed = json.loads(omniline("tasks", "--json")[1])
    assert listed[0]["path"] == str(path) and listed[0]["tasks"] == {"kind": GOOD} and "none.yaml" in listed[1]["error"]
    monkeypatch.setattr(tasks, "installed", catalog_of)
    assert omniline("tasks")[1] == "no installed package brings a task file\n"


def test_a_ready_task_whole(omniline, monkeypatch, tmp_path):
    from omniline.tasks.commands import tasks

    monkeypatch.setattr(
        tasks, "installed", lambda: catalog_of(Owner("acme", "1"), tasks={"kinds": str(tasks_yaml(tmp_path))})
    )
    out = omniline("tasks", "kinds")[1]
    assert GOOD in out and "  word    source  TEXT" in out and "  kind    target  TEXT" in out
    assert "omniline train kinds tasks.kind.train=mine.jsonl tasks.kind.valid=held-out.jsonl" in out
    assert f"omniline predict {tmp_path / 'kind'} kind word=..." in out
    assert json.loads(omniline("tasks", "kinds", "--json")[1])["name"] == "kinds"
    code, out, err = omniline("tasks", "kidns")
    assert (code, out) == (1, "") and "there is no ready task `kidns`; did you mean `kinds`?" in err


# new plugin


def test_a_new_plugin_installs_and_passes_its_tests(omniline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = omniline("new", "plugin", "acme-depth")
    assert code == 0 and "pip install -e './acme-depth[dev]'" in out
    target = tmp_path / "installed"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "OMNILINE_"))}
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", target, "./acme-depth"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    environment["PYTHONPATH"] = os.pathsep.join([str(target), *(path for path in sys.path if path)])
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path / "acme-depth" / "tests"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path / "acme-depth",
    )
    assert tested.returncode == 0, tested.stdout
    code, out, err = omniline("new", "plugin", "acme-depth")
    assert (code, out) == (1, "") and "acme-depth exists already" in err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Acme", "must be words of lower-case letters and digits with - between, as acme-depth, but is `Acme`"),
        ("../x", "must be words of lower-case letters"),
        ("9lives", "must be words of lower-case letters"),
        ("json", "Python already has a module `json`: try my-json"),
        ("class", "Python already has a module `class`"),
        ("numpy", "Python already has a module `numpy`"),
    ],
)
def test_names_that_cannot_be_used(tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        new.write_plugin(name, tmp_path, catalog=catalog_of())
    assert list(tmp_path.iterdir()) == []


def test_names_follow_from_the_last_free_word():
    taken = catalog_of(modalities={"IMAGE": Modality(), "MY_IMAGE": Modality()})
    assert new.names_of("acme-heat-map", taken)["modality"] == "MAP"
    assert new.names_of("acme-image", taken) == {
        "project": "acme-image",
        "package": "acme_image",
        "name": "acme_image",
        "modality": "ACME_IMAGE",
        "Name": "AcmeImage",
    }
    with pytest.raises(ConfigError, match="`MY_IMAGE` is installed already"):
        new.names_of("my-image", taken)


# train, predict, evaluate


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which a tiny model was trained by the command line."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(["train", str(tasks_yaml(folder))]) == 0
    return folder


def test_train_saves_a_bundle_and_its_state(trained):
    assert {path.name for path in (trained / "kind").iterdir()} >= {"bundle.json", "model.json", "weights.safetensors"}
    assert (trained / "kind.checkpoints" / "last.ckpt").is_file()


def test_training_goes_on(omniline, trained):
    code, out, err = omniline("train", trained / "tasks.yaml", "trainer.max_steps=82", "--resume")
    assert code == 0 and "kind/accuracy" in out and err.endswith(f"saved: {trained / 'kind'}\n")


def test_predict(omniline, trained):
    bundle = trained / "kind"
    assert omniline("predict", bundle, "kind", "word=cat")[:2] == (0, "kind: animal\n")
    assert omniline("predict", bundle, GOOD, "word=cup")[:2] == (0, "kind: thing\n")
    assert omniline("predict", bundle, write(trained / "line.txt", GOOD + "\n"), "word=cup")[1] == "kind: thing\n"
    assert omniline("predict", bundle, "-", "word=cup", stdin=GOOD)[1] == "kind: thing\n"
    assert omniline("predict", bundle, "kind", "word=-", stdin="dog\n")[1] == "kind: animal\n"
    code, out, _ = omniline("predict", bundle, "kind", "--json", f"word=@{write(trained / 'word.txt', 'box')}")
    found = json.loads(out)
    assert code == 0 and found["values"] == {"kind": "thing"} and 0.5 < found["scores"]["kind"] <= 1
    code, out, err = omniline("predict", bundle, "kind", "word=cat", "--out", trained / "out")
    assert (code, out, err) == (0, "", f"wrote {trained / 'out' / 'kind.txt'}\n")
    assert (trained / "out" / "kind.txt").read_text() == "animal"


def test_predict_streams(omniline, trained):
    bundle = trained / "kind"
    assert omniline("predict", bundle, "kind", "word=cat", "--stream")[:2] == (0, "kind: animal\n")
    assert (
        omniline("predict", bundle, "[TEXT:word] -> [TEXT:kind] and [TEXT:more,max_length=3]", "word=cat", "--stream")[
            :2
        ]
        == omniline("predict", bundle, "[TEXT:word] -> [TEXT:kind] and [TEXT:more,max_length=3]", "word=cat")[:2]
    )
    code, _, err = omniline("predict", bundle, "kind", "word=cat", "--stream", "--json")
    assert code == 1 and "`--stream` prints texts as they come and `--json` one document: give one of the two" in err


def test_evaluate(omniline, trained):
    path = trained / "tasks.yaml"
    code, out, _ = omniline("evaluate", trained / "kind", path, "--json", "--rows", "3")
    found = json.loads(out)["kind"]
    assert code == 0 and (found["rows"], found["metrics"]) == (3, {"kind/accuracy": 1.0})
    assert omniline("evaluate", trained / "kind", path)[1].split()[4:] == ["kind", "kind/accuracy", "1.0000", "↑", "4"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "none", "kind", "word=cat"), "none is no bundle"),
        (("predict", "kind", "knid", "word=cat"), "`knid` is no instruction, .*; did you mean the task `kind`?"),
        (("predict", "kind", "kind", "wrod=cat"), "the instruction has no column `wrod`; did you mean `word`?"),
        (("predict", "kind", "kind", "word=@none.txt"), "`word=@none.txt`: there is no file none.txt"),
        (("predict", "kind", "kind", "word=@bad.json"), "bad.json must be JSON, but: Expecting"),
        (("predict", "kind", "kind"), "there is no column `word`"),
        (("predict", "kind", "[IMAGE:img] -> [TEXT:kind]", "img=none.png"), "error: "),
        (("evaluate", "kind", "tasks.yaml", "--split", "test"), "no task of tasks.yaml has test rows"),
        (("evaluate", "kind", "tasks.yaml", "--rows", "0"), "--rows must be at least 1, but is 0"),
        (("evaluate", "kind", "tasks.yaml", "tasks.kind.metrics=[acuracy]"), "did you mean `accuracy`?"),
        (("train", "tasks.yaml", "save=null"), "tasks.yaml must say where the model goes: `save: FOLDER`"),
        (("train", "tasks.yaml", "save=."), "exists and is no bundle: save to a new folder"),
        (
            ("train", "tasks.yaml", "trainer.max_stpes=1"),
            "there is no key `trainer.max_stpes`; did you mean `max_steps`?",
        ),
        (
            ("train", "tasks.yaml", "trainer.max_steps=null", "trainer.max_steps=x"),
            "`max_steps` must be int, but is 'x'",
        ),
        (("train", "tasks.yaml", "trainer={logger: false}", "trainer.max_steps=null"), "error: "),
        (
            ("train", "tasks.yaml", "trainer.max_time=soon"),
            "tasks.yaml line 8: `trainer` does not suit Lightning: `Timer",
        ),
        (("train", "tasks.yaml", "--resume", "none.ckpt"), "there is no checkpoint none.ckpt"),
        (
            ("train", "tasks.yaml", "save=other", "--resume"),
            "there is no checkpoint in .*other.checkpoints: train without",
        ),
        (("train", "tasks.yaml", "tasks.kind.train=none.csv"), "there is no file .*none.csv"),
        (("train", "tasks.yaml", "backbone=ofa-tinny"), "`ofa-tiny`"),
        (("train", "tasks.yaml", "fit.learning_rate=-1"), "learning_rate must be above 0, but is -1"),
    ],
)
def test_mistakes(omniline, trained, monkeypatch, words, message):
    monkeypatch.chdir(trained)
    write(trained / "bad.json", "{")
    before = sorted(trained.rglob("*"))
    code, out, err = omniline(*words)
    assert (code, out) == (1, ""), err
    assert err.startswith("error") and "Traceback" not in err
    assert all(part in err for part in message.split(".*")), err
    assert sorted(trained.rglob("*")) == before, "nothing is left behind"


def test_a_table_has_even_columns(capsys):
    show.table(("a", "long head", "c"), [("xyz", "1", "2"), ("", "22", "3")])
    assert capsys.readouterr().out == "a    long head  c\nxyz  1          2\n     22         3\n"


def test_the_entry_point_is_there():
    import tomllib

    root = Path(sys.modules["omniline"].__file__).resolve().parent
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    assert EntryPoint("omniline", scripts["omniline"], "console_scripts").load() is main
