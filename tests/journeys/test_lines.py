"""The way as a user goes it: a line of text, rows, `fit`, a loss that falls, values that come out and are judged."""

from types import SimpleNamespace

import pytest

import omniline as ol
from omniline.tasks.evaluation import evaluate
from omniline.tasks.module import Module
from omniline.tasks.presets.samples import digit_rows

OFA = "ofa-tiny,width=48,heads=4,ffn=96,encoder_layers=1,decoder_layers=1,positions=256,dropout=0"
DECODER = "decoder-tiny,width=48,heads=4,key_heads=2,ffn=96,layers=2,positions=512"
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
both = pytest.mark.parametrize("backbone", [OFA, DECODER], ids=["ofa", "decoder"])


def fitted(tasks, backbone, steps, monkeypatch, **settings):
    """A trained model with the history of its losses."""
    modules = []
    monkeypatch.setattr(Module, "on_train_end", lambda self: modules.append(self), raising=False)
    settings = {"learning_rate": 6e-3, "batch_tokens": 280, "limit_val_batches": 0, "warmup": 0.1} | settings
    model = ol.fit(
        tasks, backbone=backbone, max_steps=steps, log_every_n_steps=max(steps // 10, 1), enable_progress_bar=False,
        **settings,
    )  # fmt: skip
    history = modules[0].history
    for name in history[0]:
        if name not in ("step", "tokens_per_second"):
            values = [entry[name] for entry in history if name in entry]
            assert values[-1] < values[0], f"the loss {name} does not fall: {values}"
    return SimpleNamespace(model=model, history=history)


def metrics(model, task):
    (found,) = evaluate(model, task)
    return found.values


@both
def test_text_to_text_and_a_closed_set_and_a_category(backbone, monkeypatch):
    rows = [{"digit": f"{i % 10}", "name": NUMBERS[i % 10], "odd": ("even", "odd")[i % 2]} for i in range(60)]
    tasks = [
        ol.Task("name", "spell [TEXT:digit] -> [TEXT:name,max_length=8]", train=rows, valid=rows[:10]),
        ol.Task("odd", "is [TEXT:digit] odd? -> [TEXT:odd,closed_set]", train=rows, valid=rows[:10]),
        ol.Task("sort", "which is [TEXT:digit]? -> [CATEGORY:name]", train=rows, valid=rows[:10]),
    ]
    model = fitted(tasks, backbone, 150, monkeypatch).model
    assert metrics(model, tasks[0])["name/exact_match"] >= 0.7
    assert metrics(model, tasks[1]) == {"odd/accuracy": 1.0}
    assert metrics(model, tasks[2])["name/accuracy"] >= 0.7
    out = model.predict(tasks[0].instruction, {"digit": "7"})
    assert isinstance(out.name, str) and 0 < out.scores["name"] <= 1
    assert model.predict(tasks[1].instruction, {"digit": "4"}).odd == "even"


def test_digits_from_scans(monkeypatch):
    line = "[IMAGE:img,size=8,patch=2] -> [TEXT:digit,closed_set]"
    task = ol.Task("digit", line, train=digit_rows(split="train", size=8), valid=digit_rows(split="valid", size=8))
    model = fitted(task, OFA, 200, monkeypatch, batch_tokens=1000, learning_rate=3e-3).model
    assert metrics(model, task)["digit/accuracy"] >= 0.5
    out = model.predict(line, {"img": digit_rows(split="valid", size=8)[0]["img"]})
    assert out.digit in set("0123456789")


@both
def test_boxes_and_names_in_a_group(small, backbone, monkeypatch):
    """`( [BOX:box] [TEXT:name] )*`: as many as there are, none included."""
    line = "[IMAGE:img,size=16,patch=8] what are the objects? -> ( [BOX:box,bins=20] [TEXT:name,max_length=6] )*"
    from PIL import Image

    rows = []
    for count in range(3):
        for _ in range(8):
            picture = Image.new("RGB", (16, 16), (255 * (count == 1), 0, 255 * (count == 2)))
            boxes = [(0.1 + 0.4 * j, 0.2, 0.4 + 0.4 * j, 0.8) for j in range(count)]
            rows.append({"img": picture, "box": boxes, "name": ["red", "blue"][:count]})
    task = ol.Task("objects", line, train=rows)
    model = fitted(task, backbone, 120, monkeypatch).model
    for count in range(3):
        out = model.predict(line, {"img": rows[8 * count]["img"]})
        assert len(out.box) == len(out.name) == len(out.scores["name"]) == count
        assert out.name == ["red", "blue"][:count]
        for box, truth in zip(out.box, rows[8 * count]["box"], strict=True):
            assert box == pytest.approx(truth, abs=0.06)


@both
def test_matching_and_retrieval(backbone, monkeypatch):
    rows = [{"a": f"number {i}", "b": NUMBERS[i]} for i in range(10)]
    task = ol.Task("match", "[TEXT:a] <-> [TEXT:b]", train=rows, valid=rows)
    model = fitted(task, backbone, 120, monkeypatch).model
    assert metrics(model, task)["match/recall_at_1"] >= 0.7
    own, other = model.predict(task.instruction, [rows[3], {"a": "number 3", "b": "eight"}])
    assert own.scores["match"] > other.scores["match"]
    assert own.embeddings["source"].shape == own.embeddings["target"].shape


@both
def test_a_ranking_prefers(backbone, monkeypatch):
    rows = [{"q": f"{i} plus 1", "good": NUMBERS[(i + 1) % 10], "bad": "wrong"} for i in range(10)]
    task = ol.Task("rank", "[TEXT:q] -> [TEXT:good] > [TEXT:bad]", train=rows)
    run = fitted(task, backbone, 40, monkeypatch)
    assert run.history[-1]["rank/rank"] < 0.2 < run.history[0]["rank/rank"]


@both
def test_a_language_model(backbone, monkeypatch):
    pages = [{"page": "the cat sat on the mat"}, {"page": "the dog sat on the rug"}]
    task = ol.Task("lm", "-> [TEXT:page]", train=pages * 4)
    model = fitted(task, backbone, 150, monkeypatch).model
    assert model.predict("-> [TEXT:page]", {}, most_tokens=40).page in {row["page"] for row in pages}
    drawn = model.predict("-> [TEXT:page]", [{}] * 12, decoder="sample", temperature=0.5, most_tokens=40, seed=1)
    assert {o.page for o in drawn} >= {row["page"] for row in pages}
    again = model.predict("-> [TEXT:page]", [{}] * 12, decoder="sample", temperature=0.5, most_tokens=40, seed=1)
    assert [o.page for o in drawn] == [o.page for o in again]


@both
def test_tables_given_slots_prompts_and_two_outputs(backbone, monkeypatch):
    rows = [
        {"k": f"{i}", "t": {"n": NUMBERS[i]}, "tone": ("loud", "soft")[i % 2], "say": NUMBERS[i].upper()[: 3 + i % 2],
         "odd": ("even", "odd")[i % 2]}
        for i in range(6)
    ]  # fmt: skip
    tasks = [
        ol.Task("table", "look up [TEXT:k] -> [STRUCT:t,form=mapping,max_length=20]", train=rows),
        ol.Task("say", "[TEXT:k] -> be [TEXT:tone,no_loss] : [TEXT:say,max_length=8] and [CATEGORY:odd]", train=rows),
    ]
    model = fitted(tasks, backbone, 150, monkeypatch).model
    outs = model.predict(tasks[0].instruction, [{"k": row["k"]} for row in rows])
    assert sum(out.t == {"n": NUMBERS[i]} for i, out in enumerate(outs)) >= 4
    outs = model.predict(tasks[1].instruction, [{"k": r["k"], "tone": r["tone"]} for r in rows])
    assert sum(out.say == row["say"] for out, row in zip(outs, rows, strict=True)) >= 4
    assert [out.odd for out in outs] == [row["odd"] for row in rows]
    assert outs[0].tone == "loud"


def test_wordings_optional_slots_and_absence(monkeypatch):
    """Alternatives train together, an optional value may be lacking, and `{0,1}` learns to say nothing."""
    rows = [{"a": f"{i}", "b": NUMBERS[i] if i % 2 else None, "m": "hint" if i % 3 else None} for i in range(10)]
    lines = ["name [TEXT:a] [TEXT:m,optional] -> ( [TEXT:b] ){0,1}", "odd [TEXT:a]? -> ( [TEXT:b] ){0,1}"]
    task = ol.Task("t", lines, train=rows)
    model = fitted(task, OFA, 200, monkeypatch).model
    for line in (lines, lines[1]):
        outs = model.predict(line, [{"a": row["a"], "m": row["m"]} for row in rows])
        right = sum(out.b == row["b"] for out, row in zip(outs, rows, strict=True))
        assert right >= 8, [out.b for out in outs]


def test_save_load_and_train_on(tmp_path, monkeypatch):
    rows = [{"a": f"{i}", "b": NUMBERS[i]} for i in range(10)]
    first = ol.Task("first", "spell [TEXT:a] -> [TEXT:b,max_length=8]", train=rows, valid=rows)
    model = fitted(first, OFA, 100, monkeypatch).model
    loaded = ol.load(model.save(tmp_path / "m"))
    assert [o.b for o in loaded.predict(first.instruction, rows)] == [
        o.b for o in model.predict(first.instruction, rows)
    ]
    second = ol.Task("second", "which [TEXT:a] -> [CATEGORY:b]", train=rows, valid=rows)
    tuned = ol.fit(
        [first, second], model=loaded, max_steps=60, learning_rate=4e-3, batch_tokens=280, enable_progress_bar=False
    )
    assert metrics(tuned, second)["b/accuracy"] >= 0.7
    assert metrics(tuned, first)["b/exact_match"] >= 0.7


def test_decoders_by_name(monkeypatch):
    rows = [{"a": f"{i}", "b": NUMBERS[i]} for i in range(10)]
    task = ol.Task("t", "spell [TEXT:a] -> [TEXT:b,max_length=8]", train=rows)
    model = fitted(task, OFA, 100, monkeypatch).model
    greedy = model.predict(task.instruction, rows)
    beam = model.predict(task.instruction, rows, decoder="beam", beams=3)
    cold = model.predict(task.instruction, rows, decoder="sample", temperature=0.01)
    assert sum(a.b == b.b for a, b in zip(greedy, beam, strict=True)) >= 8
    assert sum(a.b == b.b for a, b in zip(greedy, cold, strict=True)) >= 8
    chosen = model.predict("spell [TEXT:a] -> [TEXT:b,closed_set=one|two]", {"a": "2"})
    assert chosen.b == "two"
