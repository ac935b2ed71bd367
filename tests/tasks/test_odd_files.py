"""Files that are unusual or broken in the middle: what can be read is read, and a row that cannot is one row."""

import gzip
import json
import pickle
import warnings
from pathlib import Path

import pyarrow
import pytest
import torch
from PIL import Image
from pyarrow import parquet

import omniline as ol
from omniline.core.errors import ConfigError, DataError, InstructionError
from omniline.core.example import RowId
from omniline.tasks.binding import bind
from omniline.tasks.comparing import truth_of
from omniline.tasks.sources import open_source

LINE = "[TEXT:q] -> [TEXT:a]"
SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1"
MIXED = b'\xef\xbb\xbf"q",a\r\n"one\r\ntwo",1\r\n\r\nshort\r\ncaf\xe9,2\r\n"x"y,3\r\nk\xc3\xa4se,4\r\n'


def written(path, content):
    path.write_bytes(content)
    return path


def test_each_wrong_row_of_a_table_is_one_row(tmp_path):
    """Too few values, Latin-1, a quote in the middle: the rows around them are read, quoted line ends and all."""
    rows = open_source(written(tmp_path / "a.csv", MIXED), name="t")
    assert len(rows) == 5 and rows[0] == {"q": "one\r\ntwo", "a": "1"} and rows[4] == {"q": "käse", "a": "4"}
    said = ("line 5: a row must have 2 values", "line 6: the text must be UTF-8", "line 7: .* expected after")
    for index, message in enumerate(said, 1):
        with pytest.raises(DataError, match=f"a.csv {message}"):
            rows[index]


def test_a_task_that_raises_is_told_before_training_and_one_that_skips_lists_it(tmp_path):
    path = written(tmp_path / "a.csv", MIXED)
    with pytest.raises(DataError, match=r"a.csv line 5: a row must have 2 values"):
        bind(ol.Task("t", LINE, train=[str(path), str(path)]))
    task = ol.Task("t", LINE, train=path, on_error="skip")
    ledger = tmp_path / "skipped.jsonl"
    ol.fit(task, backbone=SMALL, max_epochs=1, metric_rows=0, ledger=ledger, enable_progress_bar=False)
    places = sorted(json.loads(line)["place"] for line in ledger.read_text().splitlines())
    assert places == ["a.csv line 5", "a.csv line 6", "a.csv line 7"]


def test_an_open_quote_is_told_where_it_opens(tmp_path):
    """It takes everything behind it, so that no row is left to skip."""
    path = written(tmp_path / "a.csv", b'q,a\nx,1\n"y,2\n' + b"z,3\n" * 9)
    with pytest.raises(DataError, match="a.csv line 3: unexpected end of data; a value that starts with"):
        len(open_source(path, name="t"))
    last = open_source(written(tmp_path / "b.csv", b'q,a\nx,1\n"y,2'), name="t")
    assert len(last) == 2 and last[0] == {"q": "x", "a": "1"}


def test_an_empty_value_is_absent(tmp_path):
    """A slot that may be absent is; any other names row and column."""
    path = written(tmp_path / "pairs.csv", b"box,said,answer\n,hello,one\n,bye,\n")
    task = ol.Task("pairs", "[BOX:box,optional] [TEXT:said] -> [TEXT:answer]", train=path, on_error="skip")
    model = ol.Model.build(backbone=SMALL, tasks=task)
    bound = model.bound(task)
    reader = model.reader(bound)
    assert reader.example(bound.read("train", 0), RowId("pairs", 0))
    with pytest.raises(DataError, match="the column `answer` holds None; write `optional`"):
        reader.example(bound.read("train", 1), RowId("pairs", 1))


def test_texts_that_name_files_stay_as_they_are_written(tmp_path, monkeypatch):
    """The same column is a picture to one slot and a text or a class to others, wherever the program runs."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (16, 16)).save(tmp_path / name)
    path = written(tmp_path / "pictures.csv", b"img\na.png\nb.png\n")
    monkeypatch.chdir(tmp_path.parent)
    task = ol.Task("names", "[IMAGE:img,size=16] -> [TEXT:file,column=img,closed_set]", train=path)
    model = ol.Model.build(backbone=SMALL, tasks=task)
    bound = model.bound(task)
    (slot,) = bound.plan.targets
    assert slot.closed_set == ("a.png", "b.png")
    row = pickle.loads(pickle.dumps(bound.read("train", 0)))
    assert row["img"] == str(tmp_path / "a.png") and truth_of(row, slot) == "a.png"
    assert model.reader(bound).example(row, RowId("names", 0))


def test_lines_that_end_with_a_bare_return(tmp_path):
    with pytest.raises(DataError, match="a.csv line 1: a CR stands alone; a line must end with LF or CR LF"):
        len(open_source(written(tmp_path / "a.csv", b"q,a\rx,1\r"), name="t"))


def test_empty_shards_among_others(tmp_path):
    written(tmp_path / "0.csv", b"")
    written(tmp_path / "1.csv", b"q,a\n")
    written(tmp_path / "2.csv", b"q,a\nx,1\n")
    written(tmp_path / "3.csv", b"\xef\xbb\xbf")
    assert list(open_source(tmp_path / "*.csv", name="t")) == [{"q": "x", "a": "1"}]
    with pytest.raises(DataError, match="its train rows are empty"):
        bind(ol.Task("t", LINE, train=tmp_path / "0.csv"))


def test_a_mark_of_byte_order_before_an_empty_line(tmp_path):
    path = written(tmp_path / "a.jsonl", b'\xef\xbb\xbf\r\n{"q": "x"}\r\n')
    assert list(open_source(path, name="t")) == [{"q": "x"}]


def test_packed_files(tmp_path):
    """Two members are one file, a suffix may be in capitals, and broken bytes are a sentence."""
    two = gzip.compress(b'{"q": 1}\n') + gzip.compress(b'{"q": 2}\n')
    assert len(open_source(written(tmp_path / "A.JSONL.GZ", two), name="t")) == 2
    broken = bytearray(gzip.compress(bytes(range(256)) * 40))
    broken[20:40] = b"\xff" * 20
    for name in ("b.jsonl.gz", "b.json.gz", "b.csv.gz"):
        with pytest.raises(DataError, match="the file cannot be read: "):
            len(open_source(written(tmp_path / name, bytes(broken)), name="t"))


def test_parquet_that_repeats_names_or_swells(tmp_path):
    twice = pyarrow.table([pyarrow.array([1]), pyarrow.array(["a"])], names=["x", "x"])
    parquet.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(DataError, match="twice.parquet: column names must differ, but `x` is there twice$"):
        len(open_source(tmp_path / "twice.parquet", name="t"))
    many = pyarrow.table({"n": pyarrow.array(torch.zeros(28 << 20, dtype=torch.int8).numpy())})
    parquet.write_table(many, tmp_path / "many.parquet")
    with pytest.raises(DataError, match="must hold at most 200 times its size"):
        len(open_source(tmp_path / "many.parquet", name="t"))


def test_parquet_with_bytes_that_are_no_text(tmp_path):
    """In a column's name, and in a value: a file that cannot be read, and a row that cannot."""
    parquet.write_table(pyarrow.table({"name": ["one", "two"]}), tmp_path / "a.parquet", compression="none")
    whole = (tmp_path / "a.parquet").read_bytes()
    with pytest.raises(DataError, match="named.parquet: the file must be parquet, but: .*can't decode byte 0xff"):
        len(open_source(written(tmp_path / "named.parquet", whole.replace(b"name", b"\xffame")), name="t"))
    rows = open_source(written(tmp_path / "valued.parquet", whole.replace(b"two", b"t\xffo")), name="t")
    assert rows[0] == {"name": "one"}
    with pytest.raises(DataError, match="valued.parquet row 1: a value cannot be read: .*can't decode byte 0xff"):
        rows[1]


def test_a_text_that_comes_again_in_parquet_is_held_once(tmp_path):
    """A file of some kilobytes, whose rows would take 400 megabytes."""
    text = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * 1000, pyarrow.int32()), pyarrow.array(["x" * 400_000])
    )
    parquet.write_table(pyarrow.table({"q": text}), tmp_path / "a.parquet", store_schema=False)
    rows = open_source(tmp_path / "a.parquet", name="t")
    assert len(rows) == 1000 and rows[999]["q"] == "x" * 400_000
    assert rows.table().nbytes < 1 << 20


def test_rows_that_cannot_be_read_where_a_task_meets_its_data(tmp_path):
    """The first row, and one whose value a closed set is gathered from, are skipped like any other."""
    good = [json.dumps({"q": f"w{n}", "a": "ab"[n % 2]}).encode() for n in range(20)]
    path = written(tmp_path / "a.jsonl", b"\n".join([b"{bad", b'{"q": "no answer"}', *good, b"{bad", *good]))
    made = bind(ol.Task("t", "[TEXT:q] -> [TEXT:a,closed_set]", train=path, on_error="skip"))
    assert made.plan.targets[0].closed_set == ("a", "b")
    model = ol.Model.build(backbone=SMALL, tokenizer="bpe:300", tasks=made.task)
    assert model.tokenizer.vocabulary > 256
    with pytest.raises(InstructionError, match="the train rows of task `t` have no column `b`"):
        bind(ol.Task("t", "[TEXT:q] -> [TEXT:b]", train=path, on_error="skip"))
    lost = written(tmp_path / "b.jsonl", b"{bad\n" * 9)
    with pytest.raises(DataError, match=r"t.train: none of the first rows can be read: b.jsonl line 1: each line"):
        bind(ol.Task("t", LINE, train=lost, on_error="skip"))


class Lines(torch.utils.data.IterableDataset):
    """As most do, it holds its file open while it is read."""

    def __init__(self, path):
        self.path = path

    def __iter__(self):
        with Path(self.path).open() as file:
            for line in file:
                yield {"q": line.strip(), "a": "y"}


def test_forked_workers_do_not_share_an_open_stream(tmp_path):
    """The rows are read before the workers begin, so that each of them inherits a file in the middle of being read."""
    path = written(tmp_path / "rows.txt", b"".join(b"%05d %b\n" % (n, b"x" * 40) for n in range(1500)))
    task = ol.Task("t", LINE, train=Lines(path))
    model = ol.Model.build(backbone=SMALL, tasks=task)
    data = ol.DataModule(task, model=model, batch_tokens=2000, workers=2, steps_per_epoch=40, worker_start="fork")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
        seen = [id.row for batch in data.train_dataloader() for id in batch.ids]
    assert len(seen) > 1000 and len(set(seen)) == len(seen)
    texts = [row["q"] for row in model.bound(task).rows["train"].readable(1500)]
    assert texts == [f"{n:05d} {'x' * 40}" for n in range(1500)]


def test_a_source_whose_length_changes():
    """A run has planned with the length that it found: more rows are not read, and fewer are said."""
    rows = [{"q": f"w{n}", "a": "y"} for n in range(9)]
    held = open_source(rows, name="t")
    assert len(held) == 9
    rows.append({"q": "late", "a": "y"})
    assert len(held) == 9 and len(list(held)) == 9
    del rows[4:]
    with pytest.raises(DataError, match="t: the source must not change while it is read, but had 9 rows and has 4"):
        held[6]


class Ending(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield from ({"q": f"w{n}", "a": "y"} for n in range(600))
        raise ValueError("the link is gone")


def test_a_stream_that_breaks_in_a_worker_is_one_sentence():
    task = ol.Task("t", LINE, train=Ending(), on_error="skip")
    with pytest.raises(ConfigError, match="^t.train: the source ended with an error in row 600, so that no row"):
        ol.fit(task, backbone=SMALL, max_steps=60, workers=1, worker_start="fork", enable_progress_bar=False)
