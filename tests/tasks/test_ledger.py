"""The ledger: every bad row is located once, all are counted, and too many stop the run."""

import json

import pytest
from PIL import Image

import omniline as ol
from omniline.core.errors import DataError, InstructionError
from omniline.core.example import RowId
from omniline.tasks.ledger import Failure, Ledger

SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=128,dropout=0"
QUIET = {"enable_progress_bar": False, "batch_tokens": 200}
LINE = "[IMAGE:img,size=16,patch=8] what? -> [TEXT:cap,max_length=8]"


def failure(row, task="t"):
    return Failure(RowId(task, row), f"file.jsonl line {row + 1}", "broken", "img", "img")


def test_a_row_is_listed_once_however_often_it_fails(tmp_path):
    ledger = Ledger(path=tmp_path / "deep" / "skipped.jsonl")
    for _ in range(3):
        ledger.note([failure(3), failure(5)])
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    assert [line["row"] for line in lines] == [3, 5] == [f.id.row for f in ledger.failures]
    assert lines[0] == {
        "task": "t", "split": "train", "row": 3, "place": "file.jsonl line 4", "slot": "img", "column": "img",
        "cause": "broken",
    }  # fmt: skip


def test_a_share_of_bad_rows_stops_from_a_hundred_rows_on():
    ledger = Ledger(limits={"t": 0.05})
    ledger.count({"t": 90}, {"t": 9})
    with pytest.raises(DataError, match=r"task `t`: 9.09% of 110 rows could not be read, more than max_bad=0.05"):
        ledger.count({"t": 10}, {"t": 1})


def test_a_share_within_the_limit_goes_on():
    ledger = Ledger(limits={"t": 0.05})
    for _ in range(20):
        ledger.count({"t": 97}, {"t": 3})
    assert (ledger.seen["t"], ledger.bad["t"]) == (2000, 60)


def test_bad_rows_in_a_row_stop_and_a_good_one_starts_anew():
    ledger = Ledger(limits={"t": 5})
    ledger.note([failure(7)])
    ledger.count({}, {"t": 4})
    ledger.count({"t": 1, "u": 3}, {"t": 3})
    with pytest.raises(DataError, match="5 rows in a row could not be read.*the last: file.jsonl line 8: broken"):
        ledger.count({"u": 2}, {"t": 2})


@pytest.fixture
def pictures(tmp_path):
    """200 rows of files, of which two are cut short and one is missing."""
    rows = []
    for number in range(200):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (20, 20), (number, 0, 0)).save(path)
        rows.append({"img": str(path), "cap": "red"})
    for number in (30, 120):
        path = tmp_path / f"{number}.png"
        path.write_bytes(path.read_bytes()[:40])
    (tmp_path / "77.png").unlink()
    return rows


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_over_bad_files_ends_and_names_each(tmp_path, pictures, workers):
    task = ol.Task("t", LINE, train=pictures, on_error="skip")
    path = tmp_path / "skipped.jsonl"
    ol.fit(task, backbone=SMALL, max_steps=25, workers=workers, ledger=path, metric_rows=0, **QUIET)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(line["row"] for line in lines) == [30, 77, 120]
    assert all(line["slot"] == "img" and f"{line['row']}.png" in line["cause"] for line in lines)


def test_a_run_stops_past_its_threshold(pictures):
    task = ol.Task("t", LINE, train=pictures, on_error="skip", max_bad=0.001)
    with pytest.raises(DataError, match="more than max_bad=0.001"):
        ol.fit(task, backbone=SMALL, max_steps=60, metric_rows=0, **QUIET)


def test_when_no_row_can_be_read_the_run_does_not_go_on_for_ever(pictures):
    rows = [row | {"img": "none.png"} for row in pictures]
    with pytest.raises(
        InstructionError, match=r"task `t`, rows.0.: .*none.png.* and no other of the first rows can be"
    ):
        ol.Model.build(backbone=SMALL, tasks=ol.Task("t", LINE, train=rows, on_error="skip"))
    task = ol.Task("t", LINE, train=[*rows[:99], pictures[0], *rows], on_error="skip")
    with pytest.raises(DataError, match="rows in a row could not be read"):
        ol.fit(task, backbone=SMALL, max_steps=60, metric_rows=0, **QUIET)


def test_an_error_in_code_is_never_skipped(pictures):
    class Broken:
        def __len__(self):
            return len(pictures)

        def __getitem__(self, index):
            return pictures[index] if index < 20 else undefined  # noqa: F821

    task = ol.Task("t", LINE, train=Broken(), on_error="skip")
    with pytest.raises(NameError):
        ol.fit(task, backbone=SMALL, max_steps=60, metric_rows=0, **QUIET)
