"""Bad input, seen as a user: the kind of error, and that its sentence names task, place, slot and column."""

import json

import pytest

import omniline as ol
from omniline.core.errors import ConfigError, DataError, OmnilineError
from omniline.core.errors import InstructionError as Wrong

SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=128"
ROWS = [{"img": "a.png", "caption": f"a cat {i}", "label": "ab"[i % 2], "n": i} for i in range(12)]
LINE = "what is [TEXT:caption]? -> [TEXT:label]"


def go(line=LINE, rows=ROWS, *, task=(), **settings):
    settings = {"backbone": SMALL, "max_steps": 1, "enable_progress_bar": False, "limit_val_batches": 0} | settings
    return ol.fit(ol.Task("pets", line, train=rows, **dict(task)), **settings)


class Strange:
    """Rows that go wrong behind the first ones."""

    def __init__(self, bad):
        self.bad = bad

    def __len__(self):
        return len(ROWS)

    def __getitem__(self, index):
        return ROWS[index] | (self.bad if index == 10 else {})


BINDING = [
    ("say [TEXT:captoin] -> [TEXT:label]", {}, Wrong,
     ["OL310", "the train rows of task `pets` have no column `captoin`", "did you mean `caption`", "^^^"]),
    ("[TEXT:caption] -> [TEXT:n]", {}, Wrong,
     ["OL312", "task `pets`, rows[0]", "slot `n`", "text must be a string, but is int 0", "str(0)", "^^^"]),
    ("[TEXT:caption] -> [TEXT:x,column=n]", {}, Wrong, ["slot `x` (column `n`)", "but is int 0"]),
    ("[IMAGE:img,size=16] -> [TEXT:label]", {}, Wrong, ["rows[0]", "slot `img`", "'a.png' does not exist", "^^^"]),
    ("[BOX:caption] -> [TEXT:label]", {}, Wrong, ["slot `caption`", "a box must be four numbers"]),
    ("[TEXT:caption] -> [TEXT:label,closed_set=a|c]", {}, Wrong,
     ["rows[1]", "slot `label`", "'b' is not in the closed set"]),
    ("[TEXT:caption] -> [CATEGORY:label,closed_set=apple|b]", {}, Wrong, ["rows[0]", "slot `label`", "'a'"]),
    ("[TEXT:caption] -> ( [TEXT:label] )*", {}, Wrong, ["slot `label`", "must hold a list"]),
    (LINE, {"rows": []}, DataError, ["task `pets`: its train rows are empty"]),
    (LINE, {"rows": 3}, DataError, ["pets.train", "must be a list of mappings", "is an int"]),
    (LINE, {"rows": [3]}, DataError, ["rows[0] must be a mapping from column to value, but is an int"]),
    (LINE, {"rows": "none.jsonl"}, DataError, ["pets.train", "there is no file `none.jsonl`"]),
    (LINE, {"task": {"closed_sets": {"lable": ["a"]}}}, ConfigError,
     ["closed_sets of task `pets` names `lable`, which is no slot; did you mean `label`"]),
    ("[TEXT:caption] -> [CATEGORY:label]", {"rows": iter([])}, OmnilineError, []),
    ("[TEXT:caption] -> [TEXT:label,no_loss]", {}, ConfigError, ["its instruction supervises nothing"]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "more", "kind", "parts"), BINDING, ids=[f"{b[0]} {i}" for i, b in enumerate(BINDING)])
def test_before_a_weight_exists(line, more, kind, parts):
    with pytest.raises(kind) as found:
        go(line, **more)
    for part in parts:
        assert part in str(found.value)


RUNNING = [
    ({"caption": None}, ["the column `caption` holds None; write `optional`"]),
    ({"label": 7}, ["text must be a string, but is int 7"]),
    ({"caption": float("nan")}, ["the column `caption` holds nan"]),
]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize(("bad", "parts"), RUNNING, ids=[str(b[0]) for b in RUNNING])
def test_a_row_behind_the_first_ones(bad, parts, split, workers):
    """In training, in a loader's worker too, and in validation."""
    (column,) = bad
    rows = {"train": ROWS, "valid": ROWS} | {split: Strange(bad)}
    with pytest.raises(DataError) as found:
        go(rows=rows["train"], task={"valid": rows["valid"]}, workers=workers, limit_val_batches=None)
    text = str(found.value) + "\n".join(getattr(found.value, "__notes__", []))
    for part in ("task `pets`", "rows[10]", f"slot `{column}`", *parts):
        assert part in text
    assert "^" * len(column) in text, "the place in the instruction is marked"
    assert LINE in text


def test_skipped_rows_are_counted_and_located(capfd):
    go(rows=Strange({"label": 7}), task={"on_error": "skip"})
    said = capfd.readouterr().err
    go(task={"on_error": "skip", "valid": Strange({"caption": 7})}, limit_val_batches=None)
    assert "valid rows[10]: slot `caption`" in capfd.readouterr().err
    assert "skipped: task `pets`: " in said and "rows[10]: slot `label`: text must be a string" in said


EMPTY = [
    ("[STRUCT:x] -> [TEXT:label]", [["a", "b"]], "", "a structured value must hold something"),
    ("[TEXT:label] -> [STRUCT:x]", {"a": ["b"], "c": ["d"]}, {"a": ["b"], "c": []}, "must be equally long"),
    ("[TEXT:label] -> [PHONE:x]", "HH AH0", [], "phones must be at least one"),
    ("[BOX:x] -> [TEXT:label]", [0, 0, 1, 1], [0, 0, 0, 1], "a box must have an area"),
    ("[TEXT:label] -> ( [BOX:x] )*", [], [[0.5, 0.2, 0.6, 0.2]], "a box must have an area"),
]


@pytest.mark.parametrize(("line", "good", "bad", "said"), EMPTY, ids=[e[0] for e in EMPTY])
def test_values_of_nothing_go_to_the_ledger(tmp_path, line, good, bad, said):
    """A list of no boxes and a table without rows are values; nothing at all is none."""
    rows = [{"x": bad if i == 10 else good, "label": "a"} for i in range(12)]
    with pytest.raises(DataError, match=rf"task `pets`, rows\[10\]: slot `x`: .*{said}"):
        go(line, rows, max_steps=2)
    go(line, rows, task={"on_error": "skip", "max_bad": 0.5}, max_steps=2, ledger=tmp_path / "skipped.jsonl")
    (found,) = map(json.loads, (tmp_path / "skipped.jsonl").read_text().splitlines())
    assert (found["row"], found["slot"]) == (10, "x") and said in found["cause"]


def test_a_column_that_only_some_rows_have():
    rows = [row if i < 9 else {k: v for k, v in row.items() if k != "label"} for i, row in enumerate(ROWS)]
    with pytest.raises(DataError, match=r"task `pets`, rows\[\d+\]: slot `label`: there is no column `label`"):
        go(rows=rows)


SETTINGS = [
    ({"max_step": 3}, r"`max_step` is neither a setting of fit nor of Lightning's Trainer; did you mean `max_steps`"),
    ({"learning_rat": 3}, r"did you mean `learning_rate`"),
    ({"learning_rate": -1}, r"learning_rate must be above 0, but is -1"),
    ({"schedule": "x"}, r"schedule must be one of cosine, linear, constant, but is 'x'"),
    ({"batch_tokens": 0}, r"batch_tokens must be at least 1, but is 0"),
    ({"max_steps": None}, r"say how long to train: max_steps=, max_epochs= or max_time="),
    ({"tokenizer": 3}, r"tokenizer must be .*but is int"),
    ({"backbone": "ofa-tiny,widht=3"}, r"the backbone `ofa-tiny` has no setting `widht`; did you mean `width`"),
    ({"backbone": "ofa-tiny,width=x"}, r"the setting `width` of the backbone `ofa-tiny` must be a whole number"),
    ({"backbone": "ofa-tiny,width=3"}, r"must be at least 8, but is 3"),
]


@pytest.mark.parametrize(("settings", "message"), SETTINGS, ids=[str(s[0]) for s in SETTINGS])
def test_settings(settings, message):
    if settings == {"max_steps": None}:
        with pytest.raises(ConfigError, match=message):
            ol.fit(ol.Task("pets", LINE, train=ROWS), backbone=SMALL)
        return
    with pytest.raises(ConfigError, match=message):
        go(**settings)


@pytest.mark.parametrize("name", ["ofa-tyni", "offa-tiny", "decoder", "decoder:x", ""])
def test_backbones(name):
    with pytest.raises(OmnilineError, match="ofa-tiny|`decoder-tiny`"):
        go(backbone=name)


@pytest.fixture(scope="module")
def model():
    lines = ["[TEXT:caption] -> [TEXT:label,no_loss] [TEXT:caption]", "[TEXT:caption] -> [TEXT:label,closed_set]"]
    return ol.Model.build(backbone=SMALL, tasks=[ol.Task(f"t{i}", line, train=ROWS) for i, line in enumerate(lines)])


PREDICT = [
    ("[TEXT:caption] -> [TEXT:label,no_loss] [TEXT:caption]", {"caption": "x"}, {}, DataError,
     "slot `label` has `no_loss`, so its value must be given: there is no column `label`"),
    ("[TEXT:caption] -> [TEXT:label]", {"captoin": "x"}, {}, DataError,
     "row 0: slot `caption`: there is no column `caption`; did you mean `captoin`"),
    ("[TEXT:caption] -> [TEXT:label]", {"caption": 3}, {}, DataError, "row 0: slot `caption`: text must be a string"),
    ("[TEXT:caption] -> [TEXT:label]", [{"caption": "x"}, {}], {}, DataError, "row 1: slot `caption`"),
    ("[TEXT:caption] -> [TEXT:label]", ["x"], {}, ConfigError, "row 0 must be a mapping .*, but is str"),
    ("[TEXT:caption] -> [TEXT:label]", {"caption": "x"}, {"beems": 3}, ConfigError,
     "the decoder `greedy` has no setting `beems`"),
    ("[TEXT:caption] -> [TEXT:label]", {"caption": "x"}, {"decoder": "bean"}, OmnilineError,
     "no installed package provides the decoder `bean`; did you mean `beam`"),
    ("[TEXT:caption] -> [TEXT:other,closed_set]", {"caption": "x"}, {}, ConfigError,
     "the closed set of `other` has no members here"),
    ("[IMAGE:img] -> [TEXT:label]", {"img": "x"}, {}, OmnilineError, "the model has no port for .*ImagePort"),
    ("[TEXT:caption] -> [TEXT", {"caption": "x"}, {}, Wrong, "error"),
    ("[VIDEO:v] -> [TEXT:label]", {"v": "x.mp4"}, {}, OmnilineError, "the model has no port for .*ImagePort"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "data", "settings", "kind", "message"), PREDICT, ids=[f"{p[4][:40]}" for p in PREDICT]
)
def test_predicting(model, line, data, settings, kind, message):
    with pytest.raises(kind, match=message):
        model.predict(line, data, **settings)


TASKS = [
    ({"name": "two words"}, "a task's name must be letters, digits"),
    ({"weight": 0}, "the weight of task `pets` must be above 0 at some step and never below, but is 0"),
    ({"on_error": "ignore"}, 'on_error of task `pets` must be "raise" or "skip", but is \'ignore\''),
    ({"metrics": {"lable": ["accuracy"]}}, "name `lable`, which is no target slot; did you mean `label`"),
    ({"metrics": ["acuracy"]}, "no installed package provides the metric `acuracy`; did you mean `accuracy`"),
    ({"metrics": ["iou"]}, "the metric `iou` suits BOX, but `label` is TEXT"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), TASKS, ids=[str(t[0]) for t in TASKS])
def test_tasks(settings, message):
    from omniline.tasks.evaluation import evaluate

    settings = {"name": "pets", "train": ROWS, "valid": ROWS[:2]} | settings
    with pytest.raises(OmnilineError, match=message):
        task = ol.Task(settings.pop("name"), LINE, **settings)
        evaluate(ol.Model.build(backbone=SMALL, tasks=task), task, most_tokens=2)
