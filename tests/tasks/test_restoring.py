"""Going on with a run in which something has changed: each row of a pass is still met once, and the change is said."""

from collections import Counter
from itertools import islice

import pytest

import omniline as ol
from omniline.tasks.drawing import Position
from omniline.tasks.restoring import changed, print_of
from omniline.tasks.sources import open_source

SIZES = {"a": 25, "b": 700, "c": 40}


def task(name, count=None, **settings):
    rows = [{"q": f"{name}{n} " * (1 + n % 4), "a": "xy"[n % 2]} for n in range(count or SIZES[name])]
    return ol.Task(name, "[TEXT:q] -> [TEXT:a]", train=rows, **settings)


MIXTURES = {
    "two": lambda: ol.Mixture([task("b"), task("c")]),
    "weighed": lambda: ol.Mixture([task("b", weight=3), task("c")]),
    "three": lambda: ol.Mixture([task("a"), task("b"), task("c")]),
    "scheduled": lambda: ol.Mixture([task("b", weight={0: 1, 9: 4}), task("c", until=30)]),
    "scheduled more": lambda: ol.Mixture([task("a"), task("b", weight={0: 1, 9: 4}), task("c", until=30)]),
    "all": lambda: ol.Mixture([task("b"), task("c")], strategy="all"),
    "longer": lambda: ol.Mixture([task("b", 900), task("c")]),
}


@pytest.fixture(scope="module")
def model():
    small = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1"
    return ol.Model.build(backbone=small, tasks=MIXTURES["three"]())


def data(model, kind, tokens=400, **settings):
    return ol.DataModule(MIXTURES[kind](), model=model, batch_tokens=tokens, steps_per_epoch=10_000, **settings)


def taken(module, count):
    """Some batches; the position moves along as in training."""
    found = []
    for batch in islice(iter(module.train_dataloader()), count):
        module.position = Position(*batch.after)
        found += [tuple(id) for id in batch.ids]
    return found


def gone_on(model, before, now, *, at=31, more=70):
    """The rows of a run that begins in one way and goes on in another, and what is said of it."""
    first = data(model, *before)
    rows, state = taken(first, at), first.state_dict()
    then = data(model, *now)
    with pytest.warns(UserWarning, match="does not go on exactly as it was") as said:
        then.load_state_dict(state)
    return rows + taken(then, more), [str(one.message) for one in said], then


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (("two", 400), ("two", 900), "batch_tokens was 400 and is 900"),
        (("two", 400), ("two", 150), "batch_tokens was 400 and is 150"),
        (("two",), ("weighed",), r"mixture was weights (b 1, c 1) and is weights (b 3, c 1)"),
        (("two",), ("three",), "the rows of task `a` were 0 and are 25"),
        (("two",), ("scheduled", 300), "is weights (b {0: 1, 9: 4}, c 1 until 30)"),
        (("scheduled",), ("two",), "mixture was weights (b {0: 1, 9: 4}, c 1 until 30)"),
        (("scheduled",), ("scheduled more",), "the rows of task `a` were 0 and are 25"),
    ],
)
def test_each_row_of_a_pass_once_whatever_has_changed(model, before, now, said):
    """The window that was begun is ended with its own rows; a task that is new begins with its first pass."""
    rows, told, _ = gone_on(model, before, now)
    assert any(said in one for one in told)
    assert max(Counter(rows).values()) == 1
    for name in {task for task, _, _ in rows}:
        passes = Counter(epoch for task, _, epoch in rows if task == name)
        whole = [epoch for epoch in passes if epoch < max(passes) - 512 // SIZES[name] - 1]
        assert all(passes[epoch] == SIZES[name] for epoch in whole)


@pytest.mark.parametrize(
    ("before", "now"), [(("three",), ("two",)), (("all",), ("two",)), (("two",), ("all",)), (("two",), ("longer",))]
)
def test_where_the_window_cannot_be_told_it_is_begun_anew(model, before, now):
    """Its rows may come twice; those of the windows before do not."""
    first = data(model, *before)
    steps = len(first.stream.plan(Position()).batches)
    done, _, state = {*taken(first, steps)}, taken(first, 3), first.state_dict()
    then = data(model, *now)
    with pytest.warns(UserWarning, match="does not go on exactly"):
        then.load_state_dict(state)
    assert then.position.window == 1 and (then.position.step == 0 or before == ("two",) and now == ("all",))
    kept = {"c"} if now == ("longer",) else {"b", "c"}
    again = [row for row in taken(then, 30) if row[0] in kept]
    assert len(again) > 100 and not done & {*again}


def test_twice_changed_and_resumed_again_is_exact(model):
    """A run that goes on with another budget may itself be stopped, in the same window, and goes on bit by bit."""
    _, _, then = gone_on(model, ("two", 400), ("weighed", 700), at=5, more=1)
    state, whole = then.state_dict(), taken(then, 40)
    again = data(model, "weighed", 700)
    again.load_state_dict(state)
    assert taken(again, 40) == whole


def test_steps_of_a_schedule_do_not_depend_on_accumulation(model):
    first = data(model, "scheduled")
    taken(first, 31)
    state = first.state_dict() | {"steps": 31}
    other = data(model, "scheduled")
    other.stream.__dict__["accumulate"] = 2
    with pytest.warns(UserWarning, match="accumulate_grad_batches was 1 and is 2"):
        other.load_state_dict(state)
    assert other.position.began == 2 * first.position.began


def test_rows_that_are_others_are_said(tmp_path):
    """As many as before, in a file of the same name."""
    path = tmp_path / "a.jsonl"
    prints = []
    for word in ("cat", "dog", "dog"):
        path.write_text(f'{{"q": "{word}"}}\n' * 9)
        prints.append(print_of(open_source(path, name="t")))
    assert prints[1] == prints[2] != prints[0]
    made = [{"rows": {"t": 9}, "prints": {"t": one}} for one in prints]
    assert changed(made[0], made[1]) == ["the rows of task `t` are as many as they were, but others"]
    assert changed(made[1], made[2]) == []

    class Drawing:
        count = 0

        def __len__(self):
            return 3

        def __getitem__(self, index):
            self.count += 1
            return {"q": str(self.count)}

    assert print_of(open_source(Drawing(), name="t")) == "", "what draws by itself has no print"
