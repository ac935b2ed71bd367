"""Shares of tasks over the steps: schedules, tasks that join and leave, nested mixtures, rounds of all tasks."""

from collections import Counter
from itertools import islice

import pytest

import omniline as ol
from omniline.core.errors import ConfigError
from omniline.tasks.drawing import Position
from omniline.tasks.stream import Stream


def task(small, name, rows=40, **settings):
    return ol.Task(name, "[TEXT:text] -> [TEXT:word]", train=small.rows(rows), **settings)


def stream(small, mixture, **settings):
    model = small.build(list(mixture))
    bounds = {t.name: model.bound(t) for t in mixture}
    return Stream(
        tasks=bounds,
        readers={name: model.reader(bound) for name, bound in bounds.items()},
        shares=mixture.tree({name: bound.size("train") for name, bound in bounds.items()}).checked(),
        rounds=mixture.strategy == "all",
        **({"batch_tokens": 150, "window": 24} | settings),
    )


def counts(batches):
    return Counter(id.task for batch in batches for id in batch.ids)


def test_a_schedule_is_told_in_optimiser_steps(small):
    """A task whose weight falls to 0 at step 8 has no row afterwards, one that joins at step 8 none before."""
    mixture = ol.Mixture([task(small, "old", until=8), task(small, "new", since=8), task(small, "always")])
    data = stream(small, mixture, window=6)
    batches = list(islice(data.batches(Position()), 40))
    early = [n for n, batch in enumerate(batches) if any(id.task == "old" for id in batch.ids)]
    late = [n for n, batch in enumerate(batches) if any(id.task == "new" for id in batch.ids)]
    assert max(early) < min(late)
    assert 8 <= min(late) <= 8 + 4, "the change takes effect at the first window after the step"
    assert {"always"} < {id.task for batch in batches[:6] for id in batch.ids}


def test_a_ramp_is_followed(small):
    ramp = ol.Mixture([task(small, "a", weight={0: 1, 60: 0}), task(small, "b", weight={0: 0, 60: 1})])
    batches = list(islice(stream(small, ramp, window=8).batches(Position()), 60))
    first, last = counts(batches[:15]), counts(batches[-15:])
    assert first["a"] > 2 * first["b"] and last["b"] > 2 * last["a"]


def test_a_schedule_resumes_from_its_position(small):
    mixture = ol.Mixture([task(small, "a", weight={0: 1, 20: 0.2}), task(small, "b", since=5)])
    data = stream(small, mixture, window=6)
    whole = list(islice(data.batches(Position()), 24))
    for at in (3, 9, 17):
        rest = islice(data.batches(Position(*whole[at].after)), 23 - at)
        assert [b.ids for b in rest] == [b.ids for b in whole[at + 1 :]]
    shared = [list(islice(data.batches(Position(), worker=w, workers=3), 8)) for w in range(3)]
    assert [shared[n % 3][n // 3].ids for n in range(24)] == [batch.ids for batch in whole]


def test_each_row_of_a_pass_once_under_a_schedule(small):
    mixture = ol.Mixture([task(small, "a", 10, weight={0: 1, 30: 3}), task(small, "b", 7)])
    batches = list(islice(stream(small, mixture, window=6).batches(Position()), 60))
    for name, size in (("a", 10), ("b", 7)):
        seen = Counter((id.epoch, id.row) for batch in batches for id in batch.ids if id.task == name)
        assert set(seen.values()) == {1}
        last = max(epoch for epoch, _ in seen)
        assert all(sum(e == epoch for e, _ in seen) == size for epoch in range(last - 1))


def test_all_tasks_in_every_batch(small):
    mixture = ol.Mixture([task(small, "a", weight=2), task(small, "b"), task(small, "c", 11)], strategy="all")
    batches = list(islice(stream(small, mixture, batch_tokens=200).batches(Position()), 20))
    for batch in batches:
        found = counts([batch])
        assert found["a"] == 2 * found["b"] == 2 * found["c"] > 0


def test_a_round_that_fits_no_batch_is_refused(small):
    """It would fill the memory: a round stays in one batch. Rounds of one row each stand alone, as a long row does."""
    mixture = ol.Mixture([task(small, "a", weight=100), task(small, "b")], strategy="all")
    said = r'a round of the strategy "all" takes [\d,]+ tokens and more \(101 rows, .*but a batch 150'
    with pytest.raises(ConfigError, match=said):
        next(stream(small, mixture).batches(Position()))
    even = ol.Mixture([task(small, "a"), task(small, "b")], strategy="all")
    assert len(next(stream(small, even, batch_tokens=5).batches(Position())).ids) == 2


def test_a_mixture_inside_another(small):
    inner = ol.Mixture([task(small, "a"), task(small, "b", weight=3)], weight=2, strategy="round_robin")
    found = ol.Mixture([inner, task(small, "c")]).shares({"a": 5, "b": 5, "c": 5})
    assert found == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: task(s, "a", weight={0: 0}), "must be above 0 at some step"),
        (lambda s: task(s, "a", weight={0: -1}), "must be above 0 at some step"),
        (lambda s: task(s, "a", since=5, until=5), "must join before it leaves"),
        (lambda s: task(s, "a", max_bad=1.5), "must be a share of its rows below 1, or a whole number"),
        (lambda s: ol.Mixture([ol.Mixture([task(s, "a")], strategy="all")]), "for a whole mixture"),
        (lambda s: ol.Mixture([task(s, "a"), ol.Mixture([task(s, "a")])]), "`a` is given twice"),
        (lambda s: ol.Mixture([task(s, "a", since=5)]).tree({"a": 3}).checked(), "no task takes part at step 0"),
        (lambda s: ol.Mixture([task(s, "a", until=5)]).tree({"a": 3}).checked(), "no task takes part at step 5"),
    ],
)
def test_what_is_refused(small, make, message):
    with pytest.raises(ConfigError, match=message):
        make(small)
