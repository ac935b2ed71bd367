"""Task files: what they say is what runs, and a wrong key or value is a sentence with its line."""

import inspect
import json
import sys

import pytest

from omniline.core.errors import ConfigError, InstructionError, PluginError
from omniline.tasks.schema import FIT, TASK
from omniline.tasks.taskfile import read_taskfile
from omniline.tasks.yamlfile import load_value

WHOLE = """
tasks:
  label.v1:
    instruction: "[TEXT:text] -> [TEXT:label,closed_set]"
    train: data/train.jsonl
    valid: {call: "rows_of_mine:rows", split: valid}
    closed_sets: {label: [yes, no, on, 3]}
    weight: 2
  page:
    instruction: ["-> [TEXT:text]", "say: -> [TEXT:text]"]
    train: [{text: a}, {text: b}]
backbone: ofa-tiny
seed: 7
mixture: {strategy: proportional, temperature: 2}
fit: {learning_rate: 1e-3, batch_tokens: 512, padded: false}
trainer: {max_steps: 3, logger: false}
save: runs/label
"""
ONE = 'tasks:\n  a: {instruction: "-> [TEXT:text]"}\n'


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def whole(tmp_path, monkeypatch):
    write(tmp_path / "data" / "train.jsonl", json.dumps({"text": "x", "label": "yes"}) + "\n")
    write(tmp_path / "rows_of_mine.py", "def rows(split):\n    return [{'text': split, 'label': 'no'}]\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield write(tmp_path / "tasks.yaml", WHOLE)
    sys.modules.pop("rows_of_mine", None)


def test_a_file_says_what_runs(whole, tmp_path):
    file = read_taskfile(whole)
    assert (file.backbone, file.seed, file.tokenizer) == ("ofa-tiny", 7, None)
    assert file.fit == {"learning_rate": 0.001, "batch_tokens": 512, "padded": False}
    assert file.trainer_settings() == {"max_steps": 3, "logger": False}
    assert file.save == str(tmp_path / "runs" / "label")
    mixture = file.tasks()
    assert (mixture.strategy, mixture.temperature) == ("proportional", 2)
    label, page = mixture
    assert (label.name, label.weight, label.train) == ("label.v1", 2, str(tmp_path / "data" / "train.jsonl"))
    assert label.valid == [{"text": "valid", "label": "no"}]
    assert label.closed_sets == {"label": ["yes", "no", "on", 3]}
    assert page.train == [{"text": "a"}, {"text": "b"}] and len(page.plan.alternatives) == 2
    assert "rows_of_mine" in sys.modules


def test_reading_and_checking_run_nothing(whole):
    assert read_taskfile(whole).check() == []
    assert "rows_of_mine" not in sys.modules


def test_overrides(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "data")
    texts = [
        "tasks.label.v1.weight=3.5",
        "tasks.page=null",
        "fit.padded=true",
        "trainer.max_steps=9",
        "fit.schedule=off",
    ]
    texts += ["tasks.label.v1.train=train.jsonl", "tasks.new.instruction=[TEXT:a] which: x -> [TEXT:b]", "save=out"]
    file = read_taskfile(whole, texts)
    assert list(file.entries) == ["label.v1", "new"]
    assert file.entries["label.v1"]["weight"] == 3.5
    assert file.entries["label.v1"]["train"] == str(tmp_path / "data" / "train.jsonl")
    assert file.instruction("new") == "[TEXT:a] which: x -> [TEXT:b]"
    assert file.fit["padded"] is True and file.fit["schedule"] == "off" and file.trainer["max_steps"] == 9
    assert file.save == str(tmp_path / "data" / "out")


def test_includes(tmp_path):
    write(tmp_path / "base" / "more.yaml", "seed: 1\nfit: {batch_tokens: 1, workers: 2}\n")
    write(
        tmp_path / "base" / "base.yaml", "_include_: [more.yaml]\n" + ONE + "    \nfit: {batch_tokens: 2}\nsave: here\n"
    )
    top = write(
        tmp_path / "top.yaml", "_include_: base/base.yaml\ntasks: {a: {train: rows.csv}}\nfit: {padded: true}\n"
    )
    file = read_taskfile(top)
    assert file.seed == 1 and file.fit == {"batch_tokens": 2, "workers": 2, "padded": True}
    assert file.entries["a"] == {"instruction": "-> [TEXT:text]", "train": str(tmp_path / "rows.csv")}
    assert file.save == str(tmp_path / "base" / "here")


def test_interpolation(tmp_path):
    path = write(tmp_path / "t.yaml", ONE + 'seed: 3\nfit: {batch_rows: "${seed}"}\n')
    assert read_taskfile(path, ["seed=4"]).fit == {"batch_rows": 4}
    with pytest.raises(ConfigError, match=r"t.yaml line 4: `fit.batch_rows` cannot be resolved: .*'sed' not found"):
        read_taskfile(write(tmp_path / "t.yaml", ONE + 'seed: 3\nfit: {batch_rows: "${sed}"}\n'))


def test_mistakes_in_lines_have_their_place(tmp_path):
    line = 'tasks:\n  a:\n    instruction: "[IMGE:i] -> [TEXT:t]"\n'
    text = line + "  b:\n    instruction: >\n      [TEXT:x,lenght=3]\n      -> [TEXT:y]\n"
    file = read_taskfile(write(tmp_path / "t.yaml", text))
    found = file.check()
    assert [(d.source.name, d.source.line) for d in found] == [("task `a`", 3), ("task `b`", 6)]
    assert found[0].code == "OL103" and "lenght" in found[1].message
    assert f" --> {tmp_path}/t.yaml:3" in str(found[0])
    with pytest.raises(InstructionError) as caught:
        file.tasks()
    assert caught.value.diagnostics == tuple(found)


def test_a_line_without_an_aim_is_an_error_when_it_trains(tmp_path):
    text = 'tasks:\n  a:\n    instruction: "[TEXT:x] -> [TEXT:y,no_loss]"\n    train: x.csv\n'
    assert [(d.code, d.severity) for d in read_taskfile(write(tmp_path / "t.yaml", text)).check()] == [
        ("OL217", "error")
    ]
    without = text.replace("    train: x.csv\n", "")
    assert [d.severity for d in read_taskfile(write(tmp_path / "t.yaml", without)).check()] == ["warning"]


def test_budgets_are_judged_against_the_files_backbone(tmp_path):
    path = write(tmp_path / "t.yaml", 'tasks: {a: {instruction: "-> [TEXT:x,max_length=100000]"}}\n')
    assert [d.code for d in read_taskfile(path).check()] == ["OL301"]
    with pytest.raises(PluginError, match="did you mean `ofa-tiny`"):
        read_taskfile(path, ["backbone=ofa-tinny"]).check()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.yaml: the file must have `tasks`, at least one"),
        ("tasks: {}", "the file must have `tasks`, at least one"),
        ("- a", "t.yaml: the file must hold keys with values, but holds list"),
        ("tasks: [a]", "line 1: `tasks` must be a mapping from name to task, but is a list"),
        ("tasks: {a: b}", "line 1: `tasks.a` must be a mapping with `instruction`, but is the text 'b'"),
        ("tasks: {a: {train: b}}", "line 1: `tasks.a` must have an `instruction`"),
        ("tasks: {1: {}}", "line 1: a task's name must be letters, .* but is 1"),
        ("tasks:\n  a b: {}", "line 2: a task's name must be letters, .* but is 'a b'"),
        (ONE + "sede: 1", r"line 3: there is no key `sede`; did you mean `seed`\?"),
        (ONE + "fit: {x: 1}", "line 3: there is no key `fit.x`; the keys are learning_rate, warmup"),
        (ONE + "fit: 3", "line 3: `fit` must be a mapping, but is an int"),
        (ONE + "trainer: 3", "line 3: `trainer` must be a mapping of Lightning's settings, but is an int"),
        (ONE + "seed: true", "line 3: `seed` must be a whole number, but is True"),
        (ONE + "seed: 1.5", "line 3: `seed` must be a whole number, but is 1.5"),
        (ONE + "fit:\n  padded: yes", "line 4: `fit.padded` must be true or false, but is 'yes'"),
        (
            ONE + "mixture: {strategy: random}",
            "must be `weights` or `proportional` or `round_robin` or `all`, but is 'random'",
        ),
        ('tasks: {a: {instruction: ""}}', "`tasks.a.instruction` must be a text or a list of texts, but is ''"),
        (
            ONE.replace("}", ", weight: many}"),
            "line 2: `tasks.a.weight` must be a number, or a mapping from step to number, but is 'many'",
        ),
        (ONE.replace("}", ", on_error: pass}"), "`tasks.a.on_error` must be `raise` or `skip`, but is 'pass'"),
        (ONE.replace("}", ", train: {split: x}}"), "`tasks.a.train` must be {call: .*}, a mapping with `call`"),
        (ONE.replace("}", ", train: 3}"), "`tasks.a.train` must be a path, a list of paths or of rows"),
        (ONE.replace("}", ", metrics: bleu}"), "`tasks.a.metrics` must be a list of names"),
        (ONE.replace("}", ", closed_sets: {x: [true]}}"), r"must be a mapping from slot to .*\(put true and false in"),
        (ONE + "seed: !!python/object:os.system x", "line 3: values must be plain, but have the tag `!!python/object"),
        (ONE + "seed: 1\nseed: 2", "t.yaml line 4, column 1: the key `seed` is there twice"),
        ("tasks:\n  a: {instruction: [TEXT:a] -> [TEXT:b]}", "t.yaml line 2, column .*; put a value that starts with"),
        (ONE + "_include_: 3", "`_include_` must be a path or a list of paths, but is 3"),
        (ONE + "_include_: none.yaml", "there is no file .*none.yaml"),
        (ONE + "_include_: t.yaml", "must not include itself, but t.yaml includes t.yaml"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_taskfile(write(tmp_path / "t.yaml", text))


def test_all_mistakes_at_once(tmp_path):
    text = ONE.replace("}", ", wieght: 1}") + "seed: x\nfit: {workers: 1.5}\n"
    with pytest.raises(ConfigError) as caught:
        read_taskfile(write(tmp_path / "t.yaml", text))
    assert [line.partition(": ")[0].rpartition("/")[2] for line in str(caught.value).splitlines()] == [
        "t.yaml line 3",
        "t.yaml line 4",
        "t.yaml line 2",
    ]


def test_cycles_of_includes(tmp_path):
    write(tmp_path / "a.yaml", "_include_: b.yaml\n")
    path = write(tmp_path / "b.yaml", "_include_: a.yaml\n")
    with pytest.raises(ConfigError, match="but b.yaml includes a.yaml includes b.yaml"):
        read_taskfile(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", "an override must be key=value, .* but is `seed`"),
        ("=3", "an override must be key=value"),
        ("seed=x", "^override `seed=x`: `seed` must be a whole number, but is 'x'"),
        ("fit.lerning_rate=1", r"there is no key `fit.lerning_rate`; did you mean `learning_rate`\?"),
        ("save=[", r"the override `save=\[` cannot be read as YAML: .*; put the value in quotes"),
        ("tasks.a=null", "the file must have `tasks`, at least one"),
    ],
)
def test_wrong_overrides(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_taskfile(write(tmp_path / "t.yaml", ONE), [text])


def test_files_that_are_not_there(tmp_path):
    write(tmp_path / "tasks.yaml", ONE)
    with pytest.raises(ConfigError, match=r"there is no file .*task.yaml; did you mean `tasks.yaml`\?"):
        read_taskfile(tmp_path / "task.yaml")
    with pytest.raises(ConfigError, match="must be a file, but is a folder"):
        read_taskfile(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"seed: \xff")
    with pytest.raises(ConfigError, match="b.yaml: the file must be UTF-8, but invalid start byte at byte 6"):
        read_taskfile(tmp_path / "b.yaml")


def test_calls_that_fail(whole):
    with pytest.raises(PluginError, match=r"^override .*: the call of `tasks.label.v1.valid` .* has no `row`; did you"):
        read_taskfile(whole, ['tasks.label.v1.valid={call: "rows_of_mine:row"}']).tasks()
    with pytest.raises(ConfigError, match=r"line 6: the call of `tasks.label.v1.valid` does not fit: .*'part'"):
        read_taskfile(whole, ["tasks.label.v1.valid.part=x"]).tasks()


def test_calls_in_trainer_settings(whole):
    file = read_taskfile(whole, ['trainer.callbacks=[{call: "collections:Counter", a: 1}]'])
    assert file.trainer_settings()["callbacks"] == [{"a": 1}]


def test_words_are_those_of_yaml_1_2():
    texts = {"yes": "yes", "off": "off", "true": True, "010": "010", "1:30": "1:30", "2024-01-01": "2024-01-01"}
    texts |= {"1e-3": 0.001, "-1.5": -1.5, ".5": 0.5, "12": 12, "null": None, "~": None, "[1, a]": [1, "a"]}
    assert {text: load_value(text, "x") for text in texts} == texts


def test_the_keys_are_those_of_fit_and_task():
    from omniline import Task, fit

    apart = {"tasks", "model", "backbone", "tokenizer", "seed", "trainer", "resume", "trainer_settings"}
    assert set(FIT) == set(inspect.signature(fit).parameters) - apart
    assert set(TASK) == set(inspect.signature(Task).parameters) - {"name", "catalog"}


def test_checking_a_file_checks_its_metrics(tmp_path):
    first = 'tasks:\n  a:\n    instruction: "-> [TEXT:text]"\n    metrics: [bleuu]\n'
    second = '  b: {instruction: "-> [TEXT:x]", metrics: [iou]}\n'
    with pytest.raises(ConfigError) as caught:
        read_taskfile(write(tmp_path / "t.yaml", first + second)).check()
    found = str(caught.value).splitlines()
    assert "t.yaml line 4: `tasks.a.metrics`: " in found[0] and "did you mean `bleu`?" in found[0]
    assert "line 5: `tasks.b.metrics`: the metric `iou` suits BOX, but `x` is TEXT" in found[1]
