"""The stream of batches as a pure function of (seed, window, step, rank)."""

import pickle
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch

import omniline as ol
from omniline.core.errors import ConfigError, DataError
from omniline.tasks.drawing import Position, all_rows
from omniline.tasks.stream import Stream

START = Position()


def stream(small, tasks, model=None, shares=None, **settings):
    model = model or small.build(tasks)
    bounds = {task.name: model.bound(task) for task in tasks}
    settings = {"batch_tokens": 150, "window": 24} | settings
    return Stream(
        tasks=bounds,
        readers={name: model.reader(bound) for name, bound in bounds.items()},
        shares=shares or {task.name: 1 / len(tasks) for task in tasks},
        **settings,
    )


@pytest.fixture(scope="module")
def tasks(small):
    masked = ol.Task("masked", "fill [TEXT:text,mask_ratio=0.4] -> [TEXT:text]", train=small.rows(10))
    worded = ol.Task("worded", ["a [TEXT:text] -> [TEXT:word]", "b [TEXT:text] -> [TEXT:word]"], train=small.rows(7))
    return [masked, worded, small.task("image", 5), small.task("group", 9)]


@pytest.fixture(scope="module")
def model(small, tasks):
    return small.build(tasks)


def print_of(batch):
    """Everything that a batch is, as plain values."""
    tensors = [tuple(t.flatten().tolist()) for i in batch.inputs for t in i.tensors.values()]
    return (batch.ids, batch.position, batch.after, tensors, batch.order.tolist(), batch.counts)


def rows_of(data, window):
    """The rows that a window draws."""
    return list(all_rows(data.draws.rows(Position(window))))


def first(stream, count, start=START, rank=0, **workers):
    return [print_of(batch) for batch in islice(stream.batches(start, rank, **workers), count)]


def test_the_same_every_time_and_other_with_another_seed(small, tasks, model):
    one = first(stream(small, tasks, model), 12)
    assert one == first(pickle.loads(pickle.dumps(stream(small, tasks, model))), 12)
    assert one[0][0] != first(stream(small, tasks, model, seed=1), 1)[0][0]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_share_the_stream(small, tasks, model, workers):
    data = stream(small, tasks, model)
    whole = first(data, 13)
    parts = [first(data, 13, worker=w, workers=workers) for w in range(workers)]
    assert [parts[n % workers][n // workers] for n in range(13)] == whole


def test_from_any_position(small, tasks, model):
    data = stream(small, tasks, model)
    whole = first(data, 12)
    windows = {batch[1][0] for batch in whole}
    assert len(windows) >= 2, "the test must cross a window"
    for at in range(11):
        start = Position(*whole[at][2])
        assert start == Position(*whole[at + 1][1])
        assert first(data, 11 - at, start) == whole[at + 1 :]


def test_each_row_of_a_pass_exactly_once(small, tasks, model):
    data = stream(small, tasks, model)
    rows = [id for window in range(12) for id in rows_of(data, window)]
    for task in tasks:
        size = len(task.train)
        own = [id for id in rows if id.task == task.name]
        for epoch in range(len(own) // size):
            whole_pass = own[epoch * size : (epoch + 1) * size]
            assert {id.epoch for id in whole_pass} == {epoch}
            assert sorted(id.row for id in whole_pass) == list(range(size))
    orders = [tuple(id.row for id in rows if id.task == "masked" and id.epoch == e) for e in range(4)]
    assert len(set(orders)) == 4


def test_every_row_of_a_window_is_in_one_batch(small, tasks, model):
    data = stream(small, tasks, model)
    for window in range(3):
        drawn = Counter(rows_of(data, window))
        laid = Counter(row.id for batch in data.plan(Position(window)).batches for row in batch)
        assert drawn == laid


@pytest.mark.parametrize("shares", [(0.7, 0.1, 0.1, 0.1), (1 / 3, 1 / 3, 1 / 6, 1 / 6), (0.97, 0.01, 0.01, 0.01)])
def test_shares_are_exact_in_the_long_run(small, tasks, model, shares):
    wanted = {task.name: share for task, share in zip(tasks, shares, strict=True)}
    data = stream(small, tasks, model, shares=wanted)
    counts = Counter(id.task for window in range(50) for id in rows_of(data, window))
    for name, share in wanted.items():
        assert abs(counts[name] - share * 24 * 50) <= 1


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_are_disjoint_and_together_complete(small, tasks, model, ranks):
    data = stream(small, tasks, model, ranks=ranks)
    for window in range(2):
        steps = len(data.plan(Position(window)).batches) // ranks
        assert steps * ranks == len(data.plan(Position(window)).batches)
        seen = Counter()
        for rank in range(ranks):
            own = list(islice(data.batches(Position(window), rank), steps))
            assert [b.position for b in own] == [(window, step) for step in range(steps)]
            seen.update(id for b in own for id in b.ids)
        assert seen == Counter(rows_of(data, window))


def test_ranks_with_fewer_rows_than_ranks(small):
    one = small.task("text", 1)
    data = stream(small, [one], window=1, ranks=4)
    sizes = [len(next(data.batches(Position(), rank)).ids) for rank in range(4)]
    assert sorted(sizes) == [0, 0, 0, 1]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("budget", [60, 150, 700])
def test_budgets_are_kept(small, tasks, model, budget, padded):
    data = stream(small, tasks, model, batch_tokens=budget, padded=padded)
    full = 0
    for batch in islice(data.batches(Position()), 15):
        assert batch.layout.rows <= budget or len(batch.ids) == 1
        assert batch.layout.padded is padded
        full += batch.layout.rows > budget * 0.5
    assert full >= 5


def test_most_rows_of_a_batch(small, tasks, model):
    data = stream(small, tasks, model, batch_rows=3)
    assert {len(b.ids) for b in islice(data.batches(Position()), 8)} == {3}


def test_tasks_are_mixed_in_batches(small, tasks, model):
    data = stream(small, tasks, model, batch_tokens=700)
    batches = [b.ids for b in islice(data.batches(Position()), 8) if len(b.ids) > 3]
    assert len(batches) >= 3
    assert all(len({id.task for id in ids}) > 1 for ids in batches)


def test_draws_differ_from_pass_to_pass(small, tasks, model):
    """Masks and wordings are drawn anew for every epoch of a row."""
    data = stream(small, tasks, model)
    tokens: dict[tuple[int, int], list[int]] = {}
    wordings: dict[int, set[int]] = {}
    for window in range(16):
        for rows in data.plan(Position(window)).batches:
            for row in rows:
                if row.id.task == "masked":
                    piece = data._example(row).streams[0].source[1]
                    tokens[row.id.row, row.id.epoch] = piece.encoded.tensors["tokens"].tolist()
                if row.id.task == "worded":
                    wordings.setdefault(row.id.row, set()).add(row.wording)
    assert len({tuple(v) for (row, _), v in tokens.items() if row == 4}) > 3
    assert all(seen == {0, 1} for seen in wordings.values())


class Broken:
    """Rows of which some cannot be read, at once or only when they are encoded."""

    def __init__(self, rows, bad):
        self.rows, self.bad = rows, bad

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index] | self.bad.get(index, {})


def test_skipped_rows_leave_the_other_batches_unchanged(small, tmp_path):
    good = small.rows(16)
    cut = tmp_path / "cut.png"
    small.picture(0, 64).save(cut)
    cut.write_bytes(cut.read_bytes()[:900])
    line = "[IMAGE:img,size=16,patch=8] -> [TEXT:word]"
    model = small.build([ol.Task("t", line, train=good)])

    def run(bad, on_error):
        task = ol.Task("t", line, train=Broken(good, bad), on_error=on_error)
        return stream(small, [task], model, window=16, batch_tokens=60)

    whole = list(islice(run({}, "raise").batches(Position()), 8))
    holed = list(islice(run({5: {"img": str(cut)}}, "skip").batches(Position()), 8))
    failures = [failure for batch in holed for failure in batch.failures]
    assert {(f.id.row, f.place) for f in failures} == {(5, "rows[5]")}
    assert all("slot `img`" in f.cause and "cut.png" in f.cause for f in failures)
    assert [b.position for b in holed] == [b.position for b in whole]
    for before, after in zip(whole, holed, strict=True):
        assert after.ids == tuple(id for id in before.ids if id.row != 5)
    with pytest.raises(DataError, match=r"task `t`, rows\[5\]: slot `img`: .*cut.png"):
        list(islice(run({5: {"img": str(cut)}}, "raise").batches(Position()), 8))


def test_a_row_that_cannot_be_measured_is_skipped_when_its_window_is_planned(small):
    good = small.rows(8)
    task = ol.Task("t", "[TEXT:text] -> [TEXT:word]", train=Broken(good, {3: {"word": 7}}), on_error="skip")
    model = small.build([ol.Task("t", "[TEXT:text] -> [TEXT:word]", train=good)])
    data = stream(small, [task], model, window=8)
    batches = list(islice(data.batches(Position()), len(data.plan(Position(0)).batches)))
    assert [f.id.row for b in batches for f in b.failures] == [3]
    assert "text must be a string, but is int 7" in batches[0].failures[0].cause
    assert sorted(id.row for b in batches for id in b.ids) == [0, 1, 2, 4, 5, 6, 7]


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self):
        for n in range(100):
            yield {"text": f"row {n}", "word": "w"}


def test_a_source_without_length_is_read_in_order(small):
    task = ol.Task("t", "[TEXT:text] -> [TEXT:word]", train=Endless())
    data = stream(small, [task], window=10)
    assert [id.row for w in range(3) for id in rows_of(data, w)] == list(range(30))
    assert first(data, 6) == first(stream(small, [task], window=10), 6)


def test_finding_a_place_costs_no_reading(small):
    """A far position is reached by reading the rows of its own window alone."""
    read = []

    class Watched:
        def __len__(self):
            return 10_000

        def __getitem__(self, index):
            read.append(index)
            return {"text": f"row {index}", "word": "w"}

    data = stream(small, [ol.Task("t", "[TEXT:text] -> [TEXT:word]", train=Watched())], window=16)
    read.clear()
    next(data.batches(Position(321, 1)))
    assert len(read) <= 32 and len(set(read)) == 16, "each row of the window once to measure, those of the batch again"
    assert np.ptp(read) > 1000


class Small(torch.utils.data.IterableDataset):
    def __iter__(self):
        for n in range(37):
            yield {"text": f"row {n}" * (n % 5 + 1), "word": "w"}


@pytest.mark.parametrize("kind", ["map", "iterable", "proportional"])
def test_an_epoch_of_few_rows_is_one_pass(small, kind):
    """Also for a source whose end is only found by reading, and for tasks in proportion to their rows."""
    rows = list(Small())
    sources = {"map": [rows], "iterable": [Small()], "proportional": [rows, rows[:11]]}[kind]
    made = [ol.Task(f"t{n}", "[TEXT:text] -> [TEXT:word]", train=data) for n, data in enumerate(sources)]
    mixture = ol.Mixture(made, strategy="proportional")
    data = ol.DataModule(mixture, model=small.build(made), batch_tokens=150)
    seen = Counter(tuple(id) for batch in data.train_dataloader() for id in batch.ids)
    assert seen == {(f"t{n}", row, 0): 1 for n, source in enumerate(sources) for row in range(len(list(source)))}


class Holed(torch.utils.data.IterableDataset):
    """A stream in which some rows are not what they must be, or which breaks at one of them."""

    def __init__(self, breaks=False):
        self.breaks = breaks

    def __iter__(self):
        for n in range(20):
            if n == 7 and self.breaks:
                raise OSError("the disk is gone")
            yield ["no row"] if n == 7 else {"text": f"row {n}", "word": "w"}


def test_a_bad_row_of_a_stream_shifts_no_other(small):
    task = ol.Task("t", "[TEXT:text] -> [TEXT:word]", train=Holed(), on_error="skip")
    data = stream(small, [task], window=20)
    batches = list(islice(data.batches(Position()), len(data.plan(Position()).batches)))
    assert sorted(id.row for b in batches for id in b.ids) == [n for n in range(20) if n != 7]
    (failure,) = [f for b in batches for f in b.failures]
    assert failure.place == "row 7" and "must be a mapping" in failure.cause
    assert data.tasks["t"].read("train", 8)["text"] == "row 8"


def test_a_stream_that_breaks_never_passes_for_a_short_one(small):
    task = ol.Task("t", "[TEXT:text] -> [TEXT:word]", train=Holed(breaks=True), on_error="skip")
    with pytest.raises(ConfigError, match="ended with an error in row 7"):
        stream(small, [task], window=20).plan(Position())
