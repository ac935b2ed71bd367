"""Sources: whatever a task is given as rows is read by number, by any process, and a wrong one is a sentence."""

import gzip
import io
import json
import pickle
import tarfile

import datasets
import fsspec
import numpy as np
import pandas
import polars
import pytest
import torch

from omniline.core.errors import DataError
from omniline.tasks.source_stream import StreamRows
from omniline.tasks.sources import Rows, braced, open_source

PETS = [{"text": "a cat", "n": 1}, {"text": "a dog", "n": 2}, {"text": "a hen", "n": 3}]


class Mapped(torch.utils.data.Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return PETS[index]


class Streamed(torch.utils.data.IterableDataset):
    """As many do, it gives each loader worker a share of its rows."""

    def __init__(self, count=5):
        self.count = count
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        info = torch.utils.data.get_worker_info()
        step, first = (info.num_workers, info.id) if info else (1, 0)
        yield from ({"n": n} for n in range(first, self.count, step))


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def shard(path, members):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def files(folder):
    """The same three rows in every kind of file that keeps numbers apart from texts."""
    lines = "".join(json.dumps(row) + "\n" for row in PETS)
    (folder / "pets.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pandas.DataFrame(PETS).to_parquet(folder / "pets.parquet")
    return [
        write(folder / "pets.jsonl", lines),
        write(folder / "pets.json", json.dumps(PETS)),
        folder / "pets.jsonl.gz",
        folder / "pets.parquet",
    ]


def sources(folder):
    return [
        PETS,
        tuple(PETS),
        Mapped(),
        datasets.Dataset.from_list(PETS),
        pandas.DataFrame(PETS),
        polars.DataFrame(PETS),
        *files(folder),
        str(folder / "pets.jsonl"),
    ]


def test_every_source_gives_the_same_rows(tmp_path):
    for data in sources(tmp_path):
        rows = open_source(data, name="pets.train")
        assert isinstance(rows, Rows) and rows.finite, data
        assert len(rows) == 3, data
        assert [dict(rows[i]) for i in (2, 0, 1)] == [PETS[2], PETS[0], PETS[1]], data
        assert [dict(row) for row in rows] == PETS, data
        assert rows.columns() == ("text", "n"), data
        assert open_source(rows, name="again") is rows


def test_every_source_pickles_after_use(tmp_path):
    for data in sources(tmp_path):
        rows = open_source(data, name="pets.train")
        first = rows[1]
        copy = pickle.loads(pickle.dumps(rows))
        assert copy[1] == first == PETS[1] and len(copy) == 3 and copy.place(1) == rows.place(1), data


def test_a_row_that_is_not_there(tmp_path):
    for data in sources(tmp_path):
        rows = open_source(data, name="pets.train")
        for index in (3, -1):
            with pytest.raises(IndexError, match=r"pets.train: the row must be in 0..2, but is"):
                rows[index]


# Streams


def test_a_stream_goes_round():
    rows = open_source(Streamed(3), name="s")
    assert not rows.finite
    assert [rows[j]["n"] for j in range(8)] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert rows.place(1) == "row 1" and rows.place(7) == "row 1 of pass 2"
    assert [row["n"] for row in rows] == [0, 1, 2]
    assert rows.columns() == ("n",)


def test_a_stream_keeps_the_last_rows_and_else_starts_anew():
    data = Streamed(100)
    rows = StreamRows(data, name="s", kept=10)
    assert rows[50]["n"] == 50
    assert [rows[j]["n"] for j in range(41, 51)] == list(range(41, 51)) and data.passes == 1
    assert rows[40]["n"] == 40 and data.passes == 2
    assert rows[45]["n"] == 45 and data.passes == 2


def test_a_stream_does_not_read_the_passes_before():
    data = Streamed(4)
    rows = open_source(data, name="s")
    assert rows[4_000_003]["n"] == 3
    assert data.passes == 2


def test_streams_of_other_kinds():
    hugging = datasets.Dataset.from_list(PETS).to_iterable_dataset()

    class Again:
        def __iter__(self):
            return iter(PETS)

    for data in (hugging, Again(), {"a": 1}.keys()):
        rows = open_source(data, name="s")
        assert not rows.finite
        if not isinstance(data, type({}.keys())):
            assert [dict(rows[j]) for j in (0, 1, 2, 4, 0)] == [*PETS, PETS[1], PETS[0]]


def test_a_stream_pickles_and_is_read_again():
    rows = open_source(Streamed(4), name="s")
    assert rows[9]["n"] == 1
    copy = pickle.loads(pickle.dumps(rows))
    assert copy[9]["n"] == 1 and copy.place(9) == "row 1 of pass 2"


class Window(torch.utils.data.IterableDataset):
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        yield [self.rows[j]["n"] for j in range(7)]


@pytest.mark.parametrize("data", [Streamed(5), datasets.Dataset.from_dict({"n": range(5)}).to_iterable_dataset(2)])
def test_every_loader_worker_sees_every_row(data):
    loader = torch.utils.data.DataLoader(Window(open_source(data, name="s")), batch_size=None, num_workers=2)
    assert list(loader) == [[0, 1, 2, 3, 4, 0, 1]] * 2


def test_wrong_streams():
    with pytest.raises(DataError, match="readable more than once, but is a generator"):
        open_source(({"n": n} for n in range(3)), name="s")
    with pytest.raises(DataError, match="s: the source has no rows"):
        open_source(Streamed(0), name="s")[0]
    with pytest.raises(TypeError, match="s: a stream has no length"):
        len(open_source(Streamed(3), name="s"))
    with pytest.raises(IndexError, match="at least 0"):
        open_source(Streamed(3), name="s")[-1]

    class Shrinking(Streamed):
        def __iter__(self):
            self.passes += 1
            return iter([{"n": 0}] * (4 - self.passes))

    with pytest.raises(DataError, match="the first gave 3 and this one 2"):
        open_source(Shrinking(), name="s")[5]


# Tables of other libraries


def test_labels_become_names():
    label = datasets.ClassLabel(names=["cat", "dog"])
    features = datasets.Features(
        {
            "one": label,
            "many": datasets.Sequence(label),
            "deep": {"in": datasets.Sequence(label)},
            "n": datasets.Value("int64"),
        }
    )
    rows = {
        "one": [1, None, -1],
        "many": [[0, 1], [], [1]],
        "deep": [{"in": [0]}, {"in": []}, {"in": [1]}],
        "n": [1, 0, 1],
    }
    data = datasets.Dataset.from_dict(rows, features=features)
    wanted = [
        {"one": "dog", "many": ["cat", "dog"], "deep": {"in": ["cat"]}, "n": 1},
        {"one": None, "many": [], "deep": {"in": []}, "n": 0},
        {"one": None, "many": ["dog"], "deep": {"in": ["dog"]}, "n": 1},
    ]
    assert list(open_source(data, name="h")) == wanted
    assert list(open_source(data.to_iterable_dataset(), name="h")) == wanted


def test_a_frame_gives_plain_values():
    frame = pandas.DataFrame({"n": [1, 2], "x": [0.5, None], "when": [pandas.NaT, pandas.NaT], 3: ["a", None]})
    row = open_source(frame.iloc[::-1], name="f")[1]
    assert row == {"n": 1, "x": 0.5, "when": None, "3": "a"}
    assert type(row["n"]) is int
    assert open_source(pandas.DataFrame({"i": pandas.array([None, 1], "Int64")}), name="f")[0] == {"i": None}


def test_wrong_tables():
    twice = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(DataError, match="names must differ, but `a` is there twice"):
        open_source(twice, name="f")
    with pytest.raises(DataError, match=r"pass frame.collect\(\)"):
        open_source(polars.DataFrame(PETS).lazy(), name="f")
    with pytest.raises(DataError, match=r"pass series.to_frame\(\)"):
        open_source(pandas.Series([1]), name="f")
    split = datasets.DatasetDict({"train": datasets.Dataset.from_list(PETS)})
    with pytest.raises(DataError, match=r"must be one split, but holds train: pass data\['train'\]"):
        open_source(split, name="f")


# Files


def test_jsonl_counts_lines(tmp_path):
    path = write(tmp_path / "a.jsonl", '\ufeff{"a": 1}\n\n  \n{"a": "\u2028ü"}\r\n{"a": 3}')
    rows = open_source(path, name="t")
    assert [row["a"] for row in rows] == [1, "\u2028ü", 3]
    assert [rows.place(i) for i in range(3)] == ["a.jsonl line 1", "a.jsonl line 4", "a.jsonl line 5"]


def test_csv_and_tsv(tmp_path):
    long = "x" * 200_000
    text = f'\ufeffname,"said, really"\ncat,"one\ntwo"\n\ndog,"a ""b"""\nhen,{long}\n'
    rows = open_source(write(tmp_path / "a.csv", text), name="t")
    assert rows.columns() == ("name", "said, really")
    assert [row["said, really"] for row in rows] == ["one\ntwo", 'a "b"', long]
    assert [rows.place(i) for i in range(3)] == ["a.csv line 2", "a.csv line 5", "a.csv line 6"]
    table = open_source(write(tmp_path / "a.tsv", "a\tb\n1\t2, 3\n"), name="t")
    assert list(table) == [{"a": "1", "b": "2, 3"}]


def test_several_files(tmp_path):
    for number in range(3):
        write(
            tmp_path / f"part-{number:02}.jsonl",
            "".join(json.dumps({"n": 10 * number + i}) + "\n" for i in range(number)),
        )
    wanted = [10, 20, 21]
    for data in (
        tmp_path / "*.jsonl",
        str(tmp_path / "part-{00..02}.jsonl"),
        str(tmp_path / "part-{00,01,02}.jsonl"),
        [tmp_path / "part-01.jsonl", str(tmp_path / "part-02.jsonl")],
    ):
        rows = open_source(data, name="t")
        assert [row["n"] for row in rows] == wanted
        assert rows.place(2) == "part-02.jsonl line 2"
        assert pickle.loads(pickle.dumps(rows))[1] == {"n": 20}
    assert list(braced("{a,b}-{8..10}")) == [f"{w}-{n}" for w in "ab" for n in (8, 9, 10)]


def test_files_beside_the_data_file(tmp_path, monkeypatch):
    (tmp_path / "data" / "pictures").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name in ("data/pictures/a.png", "data/b.png", "b.png"):
        write(tmp_path / name, "")
    row = {
        "img": "pictures/a.png",
        "both": "b.png",
        "none": "c.png",
        "many": ["pictures/a.png", 1],
        "text": "a.\nb.png",
    }
    write(tmp_path / "data" / "rows.jsonl", json.dumps(row))
    found = open_source("data/rows.jsonl", name="t")[0]
    assert found["img"] == str(tmp_path / "data" / "pictures" / "a.png") and found["many"] == [found["img"], 1]
    assert (found["both"], found["none"], found["text"]) == ("b.png", "c.png", "a.\nb.png")


@pytest.mark.parametrize("name", ["s-{00..01}.tar", "s-0*.tar.gz"])
def test_shards(tmp_path, name):
    members = [
        ("x/1.jpg", b"\xff1"),
        ("x/1.TXT", "ä".encode()),
        ("x/2.jpg", b"\xff2"),
        ("x/2.seg.json", b"[1]"),
        ("x/2.cls", b"4"),
    ]
    suffix = ".tar.gz" if name.endswith("gz") else ".tar"
    shard(tmp_path / f"s-00{suffix}", members)
    shard(tmp_path / f"s-01{suffix}", [("._3.jpg", b"?"), ("3.jpg", b"\xff3")])
    rows = open_source(str(tmp_path / name), name="t")
    assert list(rows) == [
        {"__key__": "x/1", "jpg": b"\xff1", "txt": "ä"},
        {"__key__": "x/2", "jpg": b"\xff2", "seg.json": [1], "cls": 4},
        {"__key__": "3", "jpg": b"\xff3"},
    ]
    assert rows.place(1) == f"s-00{suffix} member x/2"
    assert pickle.loads(pickle.dumps(rows))[2]["jpg"] == b"\xff3"


def linked(path):
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("1.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return path


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("../1.jpg", b"")], r"`../1.jpg` must lie inside the archive, but leads out"),
        ([("/1.jpg", b"")], r"`/1.jpg` must lie inside"),
        ([("README", b"")], "`README` must be named key.extension, but has no extension"),
        ([("1.jpg", b""), ("1.JPG", b"")], "`1.JPG` is there twice"),
        ([("1.cls", b"cat")], "s.tar member 1: `cls` cannot be read: invalid literal"),
        ([("1.json", b"{")], "s.tar member 1: `json` cannot be read: Expecting property name"),
    ],
)
def test_wrong_shards(tmp_path, members, message):
    with pytest.raises(DataError, match=message):
        list(open_source(shard(tmp_path / "s.tar", members), name="t"))


def test_a_shard_that_is_none_or_holds_links(tmp_path):
    with pytest.raises(DataError, match="`1.jpg` must be a plain file, but is a link"):
        len(open_source(linked(tmp_path / "l.tar"), name="t"))
    with pytest.raises(DataError, match="t.tar: the file must be a tar archive"):
        len(open_source(write(tmp_path / "t.tar", "no tar" * 500), name="t"))


def test_a_member_with_holes_is_refused(tmp_path):
    """What stands in the archive are not its bytes, one after the other."""
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        info = tarfile.TarInfo("1.txt")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
        info.size = 512
        archive.addfile(info, io.BytesIO(b"1\n0\n9\n".ljust(512, b"\0")))
    with pytest.raises(DataError, match=r"`1.txt` must be a plain file, but has holes \(sparse\)"):
        len(open_source(tmp_path / "s.tar", name="t"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.jsonl",
            '{"a": 1}\n{"a": }\n',
            "a.jsonl line 2: each line must be one JSON object, but: Expecting value at column 7",
        ),
        ("a.jsonl", '{"a": 1}\n[1]\n', "a.jsonl line 2 must be a mapping from column to value, but is a list"),
        ("a.json", '[{"a": 1},\n{"a" 1}]', "a.json line 2: Expecting ':' delimiter at column 6"),
        ("a.json", '{"a": 1}', "a.json: the file must hold a list of rows, but holds a dict; one object a line"),
        ("a.csv", "a,b\n1,2\n3\n", "a.csv line 3: a row must have 2 values as the header has, but has 1"),
        ("a.csv", "a,b\n1,2,3\n", "a.csv line 2: a row must have 2 values as the header has, but has 3"),
        ("a.csv", "a,a\n1,2\n", "a.csv line 1: column names must differ, but `a` is there twice"),
        ("a.csv", 'a,b\n"1"x,2\n', 'a.csv line 2: .*; a value that starts with `"` must end with one'),
        ("a.csv", 'a,b\n"1,2\n', "a.csv line 2: unexpected end of data; a value that starts"),
        ("a.csv", "", "the first line must name the columns, but the file is empty"),
        ("a.csv", "a,b\n", "a.csv: the file has no rows"),
        ("a.jsonl", "\n", "t: the source has no rows"),
        ("a.parquet", "PAR1", "a.parquet: the file must be parquet, but"),
        ("a.jsonl.gz", "text", "a.jsonl.gz: the file cannot be read: Not a gzipped file"),
        ("a.txt", "text", "a file of rows must end with one of .jsonl, .*, but is `a.txt`"),
    ],
)
def test_wrong_files(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        rows = open_source(write(tmp_path / name, text), name="t")
        assert rows.columns()
        list(rows)


def test_text_that_is_not_unicode(tmp_path):
    for name, content in (("a.jsonl", b'{"a": 1}\n{"a": "\xff"}\n'), ("a.csv", b"a\n1\n\xff\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name} line [23]: the text must be UTF-8, but invalid start byte"):
            list(open_source(tmp_path / name, name="t"))


def test_a_file_that_shrinks(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"a": 1}\n{"a": 2}\n')
    rows = open_source(path, name="t")
    assert len(rows) == 2
    path.write_text("")
    with pytest.raises(DataError, match="must not change while it is read, but has become shorter"):
        rows[1]


def test_missing_files(tmp_path):
    write(tmp_path / "train.jsonl", "{}")
    with pytest.raises(DataError, match=r"t: there is no file `.*trian.jsonl`; did you mean `train.jsonl`\?"):
        open_source(tmp_path / "trian.jsonl", name="t")
    with pytest.raises(DataError, match=r"t: no file fits the pattern `.*\*.csv`"):
        open_source(tmp_path / "*.csv", name="t")
    with pytest.raises(DataError, match="must be a file, but `.*` is a folder: write `.*jsonl`"):
        open_source(tmp_path, name="t")
    with pytest.raises(DataError, match="from tar shards .* alone, but the source is `s3://b/a.jsonl`"):
        open_source("s3://b/a.jsonl", name="t")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "the source must be a list of mappings, .*, but is an int"),
        (b"rows", "but is a bytes"),
        ({"a": [1]}, "but is a mapping of columns: pass the rows one by one"),
        (list, "but is a type"),
    ],
)
def test_what_is_no_source(data, message):
    with pytest.raises(DataError, match=message):
        open_source(data, name="t")


def test_rows_that_are_no_mappings():
    with pytest.raises(DataError, match=r"rows\[1\] must be a mapping from column to value, but is a tuple; return"):
        open_source([{"a": 1}, (1, 2)], name="t")[1]
    with pytest.raises(DataError, match=r"rows\[0\] must be a mapping from column to value, but is a float64"):
        open_source(np.zeros(3), name="t")[0]

    class Lengthless(torch.utils.data.Dataset):
        def __getitem__(self, index):
            return {}

    with pytest.raises(DataError, match="has __getitem__ but no __len__"):
        open_source(Lengthless(), name="t")


def test_remote_shards(tmp_path):
    """Through fsspec, shard by shard, in workers too: every process opens its own."""
    whole = tmp_path / "shard-0.tar"
    with tarfile.open(whole, "w") as archive:
        for key in ("a", "b"):
            data = io.BytesIO(key.encode())
            info = tarfile.TarInfo(f"{key}.txt")
            info.size = 1
            archive.addfile(info, data)
    with fsspec.open("memory://shards/s-0.tar", "wb") as file:
        file.write(whole.read_bytes())
    rows = open_source("memory://shards/s-{0..0}.tar", name="t")
    assert [row["txt"] for row in rows] == ["a", "b"] and rows.place(1) == "s-0.tar member b"
    again = pickle.loads(pickle.dumps(rows))
    assert again[0] == rows[0]
    with pytest.raises(DataError, match=r"memory://shards/none.tar: the file cannot be read"):
        len(open_source("memory://shards/none.tar", name="t"))
    with pytest.raises(DataError, match="nowhere"):
        len(open_source("nowhere://shards/none.tar", name="t"))


def test_a_packed_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(210):
            file.write(b"\n" * (1 << 20))
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        len(open_source(path, name="t"))


class Chunked(torch.utils.data.IterableDataset):
    """As litdata's and mosaic's sets are: made to be streamed, and readable by number; a rank's length is its share."""

    def __init__(self, **chunks):
        self.__dict__.update(chunks)
        self.opened = 0

    def __len__(self):
        return 5

    def __getitem__(self, index):
        self.opened += 1
        return {"n": index}

    def __iter__(self):
        raise AssertionError("it is read by number")


@pytest.mark.parametrize("chunks", [{"region_of_interest": [(0, 4), (2, 8)]}, {"size": 10}])
def test_sets_in_chunks_are_read_by_number(chunks):
    data = Chunked(**chunks)
    rows = open_source(data, name="x")
    assert rows.finite and len(rows) == 10 and rows[9] == {"n": 9}
    assert data.opened == 0, "the user's own stays untouched, so that other processes can copy it"
    assert len(open_source(Chunked(), name="x")) == 5
