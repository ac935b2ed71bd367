"""Tasks meet their data: closed sets, columns, first rows; tasks and mixtures themselves."""

import pickle

import pytest

import omniline as ol
from omniline.core.errors import ConfigError, InstructionError
from omniline.tasks.binding import bind
from omniline.tasks.mixture import mixture_of
from omniline.tasks.task import Task

ROWS = [{"a": "x", "b": "no", "n": 2}, {"a": "y", "b": "yes", "n": 10}, {"a": "z", "b": "no", "n": 2}]


def members(line, rows=ROWS, **more):
    return bind(ol.Task("t", line, train=rows, **more)).plan.targets[0].closed_set


@pytest.mark.parametrize(
    ("line", "more", "wanted"),
    [
        ("[TEXT:a] -> [TEXT:b]", {}, None),
        ("[TEXT:a] -> [TEXT:b,closed_set]", {}, ("no", "yes")),
        ("[TEXT:a] -> [TEXT:b,closed_set=no|maybe|yes]", {}, ("no", "maybe", "yes")),
        ("[TEXT:a] -> [TEXT:b,closed_set]", {"closed_sets": {"b": ["yes", "no", "?"]}}, ("yes", "no", "?")),
        ("[TEXT:a] -> [TEXT:c,column=b,closed_set]", {"closed_sets": {"b": ["yes", "no"]}}, ("yes", "no")),
        ("[TEXT:a] -> [TEXT:n,closed_set]", {}, ("10", "2")),
        ("[TEXT:a] -> [CATEGORY:b]", {}, ("no", "yes")),
        ("[TEXT:a] -> [TEXT:b]", {"closed_sets": {"b": ["yes", "no"]}}, ("yes", "no")),
    ],
)
def test_closed_sets_come_from_the_slot_the_task_or_the_rows(line, more, wanted):
    assert members(line, **more) == wanted


def test_members_of_lists_and_of_rows_that_lack_them():
    rows = [{"a": "x", "b": ["q", "p"]}, {"a": "y", "b": []}, {"a": "z", "b": ["p", "r"]}]
    assert members("[TEXT:a] -> ( [TEXT:b,closed_set] )*", rows) == ("p", "q", "r")
    rows = [{"a": "x", "b": "q"}, {"a": "y", "b": None}]
    assert members("[TEXT:a] -> [TEXT:b,closed_set,optional]", rows) == ("q",)


def test_binding_gives_a_new_plan():
    task = ol.Task("t", "[TEXT:a] -> [TEXT:b,closed_set]", train=ROWS)
    found = bind(task)
    assert task.plan.targets[0].closed_set == () and found.plan != task.plan
    assert found.size("train") == 3 and found.read("train", 1) == ROWS[1]


def test_too_many_members(monkeypatch):
    monkeypatch.setattr("omniline.tasks.binding.MOST_MEMBERS", 2)
    rows = [{"a": "x", "b": str(i)} for i in range(3)]
    with pytest.raises(InstructionError, match=r"OL311.*\n.*\n.*\n?.*") as found:
        members("[TEXT:a] -> [TEXT:b,closed_set]", rows)
    assert "the column `b` has more than 2 distinct values" in str(found.value) and "^" in str(found.value)


def test_an_endless_source_needs_its_members_written():
    class Endless:
        def __iter__(self):
            while True:
                yield ROWS[0]

    with pytest.raises(InstructionError, match="the closed set of `b` cannot be gathered from an endless source"):
        members("[TEXT:a] -> [TEXT:b,closed_set]", Endless())
    assert members("[TEXT:a] -> [TEXT:b,closed_set=no|yes]", Endless()) == ("no", "yes")


def test_all_missing_columns_are_told_at_once():
    with pytest.raises(InstructionError) as found:
        bind(ol.Task("t", "[TEXT:aa] and [TEXT:q] -> [TEXT:b]", train=ROWS))
    assert [d.code for d in found.value.diagnostics] == ["OL310", "OL310"]
    assert "did you mean `a`" in str(found.value) or "columns: a, b, n" in str(found.value)


def test_every_split_is_checked():
    with pytest.raises(InstructionError, match="the valid rows of task `t` have no column `b`"):
        bind(ol.Task("t", "[TEXT:a] -> [TEXT:b]", train=ROWS, valid=[{"a": "x"}]))


@pytest.mark.parametrize("line", ["[TEXT:a] [TEXT:z,optional] -> [TEXT:b]", "[TEXT:a] -> ( [TEXT:z] ){0,1} [TEXT:b]"])
def test_columns_that_may_be_lacking(line):
    assert bind(ol.Task("t", line, train=ROWS)).plan


@pytest.mark.parametrize(
    ("tasks", "settings", "message"),
    [
        ([], {}, "a mixture needs at least one task"),
        (["a", "a"], {}, "task names must differ, but `a` is given twice"),
        (
            ["a"],
            {"strategy": "random"},
            'strategy must be one of "weights", "proportional", "round_robin", "all", but is \'random\'',
        ),
        (["a"], {"temperature": 0}, "temperature must be above 0, but is 0"),
    ],
)
def test_mixtures_that_are_refused(tasks, settings, message):
    with pytest.raises(ConfigError, match=message):
        ol.Mixture([Task(name, "[TEXT:a] -> [TEXT:b]") for name in tasks], **settings)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, (0.25, 0.75)),
        ({"strategy": "round_robin"}, (0.5, 0.5)),
        ({"strategy": "proportional"}, (0.5, 0.5)),
        ({"temperature": 1e9}, (0.5, 0.5)),
        ({"strategy": "proportional", "temperature": 2.0}, (0.5, 0.5)),
        ({"temperature": 0.5}, (0.1, 0.9)),
    ],
)
def test_shares(settings, wanted):
    tasks = [Task("a", "[TEXT:a] -> [TEXT:b]"), Task("b", "[TEXT:a] -> [TEXT:b]", weight=3.0)]
    found = ol.Mixture(tasks, **settings).shares({"a": 300, "b": 100})
    assert (found["a"], found["b"]) == pytest.approx(wanted)


def test_what_stands_for_a_mixture():
    task = Task("a", "[TEXT:a] -> [TEXT:b]")
    mixture = ol.Mixture([task])
    assert mixture_of(mixture) is mixture
    assert list(mixture_of(task)) == list(mixture_of(iter([task]))) == [task]


def test_a_task_travels_to_a_worker_that_is_spawned():
    found = pickle.loads(pickle.dumps(bind(ol.Task("t", "[TEXT:a] -> [TEXT:b,closed_set]", train=ROWS))))
    assert found.read("train", 1) == ROWS[1] and found.plan.targets[0].closed_set == ("no", "yes")
    assert found.task.catalog.adapter("text").modality == "TEXT"
