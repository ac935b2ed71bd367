"""What is fuzzed: bytes go in, and only the errors that a target may raise come out."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import omniline as ol
from omniline.core.codec import Reading
from omniline.core.errors import DataError, OmnilineError
from omniline.core.opening.pictures import open_picture
from omniline.plugins.audio.codec import AudioCodec
from omniline.plugins.language.structures import structured
from omniline.plugins.motion.bvh import parse_bvh
from omniline.tasks.sources import open_source
from omniline.tasks.taskfile import read_taskfile

from .language import stand_in, torture

KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=64"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that reads bytes.

    Attributes:
        name: what it is called.
        seeds: bytes that it reads well.
        read: reads; raises only what `allowed` names.
        allowed: the errors by which it may refuse.
        words: pieces that mutated bytes are spliced with.
    """

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    words: tuple[bytes, ...] = ()

    def judge(self, data: bytes) -> bool:
        """Whether it was read; whatever is not allowed is raised."""
        try:
            self.read(data)
        except self.allowed:
            return False
        return True


def instruction() -> Target:
    """The parser and the compiler."""
    catalog = stand_in().CATALOG
    lines = (
        "[IMAGE:img,size=64] what? -> ( [BOX:box] [TEXT:name,max_length=5] )*",
        "[TEXT:a] <-> [IMAGE:b] ||| [TEXT:a]",
    )
    return Target(
        name="instruction", seeds=tuple(line.encode() for line in lines), allowed=(),
        read=lambda data: torture(data.decode("utf-8", "surrogateescape"), catalog, deep=False),
        words=(b"[TEXT:a]", b" -> ", b" <-> ", b")*", b"{0,1}", b"\\", b" ||| ", b",loss=ctc", b" > ", "［".encode()),
    )  # fmt: skip


def taskfile() -> Target:
    """Task files in YAML."""
    seed = b"""seed: 3
tasks:
  a: {instruction: "[TEXT:q] -> [TEXT:a,max_length=6]", train: rows.csv, weight: {0: 3, 1000: 1}}
  b: {instruction: ["x [TEXT:q] -> [TEXT:a]", "y [TEXT:q] -> [TEXT:a]"], train: ['a.jsonl'], on_error: skip}
trainer: {max_steps: 10, precision: bf16-mixed}
fit: {batch_tokens: \"${trainer.max_steps}\"}
save: out
"""
    return Target(
        name="taskfile", seeds=(seed,), read=lambda data: read_taskfile(_written(data, "t.yaml")),
        allowed=(OmnilineError,),
        words=(b"!!python/object/apply:os.system [x]", b"&a ", b"*a", b"${", b"}", b"<<: ", b"- ", b"\n  ", b"? ",
               b"null", b"_include_: t.yaml", b"1e999", b".nan", b"0x7fffffffffffffffff", b"2001-01-01", b"\t", b"| "),
    )  # fmt: skip


def _archive() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for name, body in (("a/0.txt", b"abc"), ("a/0.json", b'{"x": [1]}'), ("a/1.cls", b"7")):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return held.getvalue()


def rows() -> Iterator[Target]:
    """Files of rows of every kind."""
    seeds = {
        ".jsonl": b'{"a": "x", "b": [1, 2.5, null]}\n\n{"a": "y"}\n',
        ".json": b'[{"a": "x"}, {"a": {"b": 1}}]',
        ".csv": b'a,b\n1,"x\ny"\n2,"""z"""\n',
        ".tsv": b"a\tb\n1\t2\n",
        ".tar": _archive(),
        ".parquet": _parquet(),
    }
    for suffix, seed in seeds.items():
        yield Target(
            name=f"rows{suffix}", seeds=(seed,), allowed=(DataError,),
            read=lambda data, suffix=suffix: _read_rows(data, suffix),
            words=(b'"', b"\n", b"\r", b"{", b"[", b"\\ud800", b"\xff", b"\x00", b"1e999", b"NaN", b"../", b"0" * 12),
        )  # fmt: skip


def _parquet() -> bytes:
    import pyarrow
    from pyarrow import parquet

    held = io.BytesIO()
    parquet.write_table(pyarrow.table({"a": ["x", None], "b": [[1], [2, 3]]}), held)
    return held.getvalue()


def _read_rows(data: bytes, suffix: str) -> None:
    found = open_source(_written(data, f"x{suffix}"), name="x")
    for index in range(min(len(found), 20)):
        found.place(index)
        with _skipping():
            dict(found[index])


@contextmanager
def _skipping() -> Iterator[None]:
    """One bad row does not hide the next."""
    try:
        yield
    except DataError as error:
        assert str(error)


def values() -> Iterator[Target]:
    """Pictures, sounds, motions and structures, from bytes."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 10, 3), dtype=np.uint8))
    allowed = (ValueError, TypeError, OSError)
    yield Target(
        name="picture", seeds=tuple(_saved(picture, kind) for kind in KINDS),
        read=_opened, allowed=allowed,
    )  # fmt: skip
    yield Target(name="sound", seeds=(_wav(),), read=lambda data: AudioCodec().encode(data, Reading()), allowed=allowed)
    bvh = (
        b"HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n"
    )
    bvh += b"End Site\n{\nOFFSET 0 1 0\n}\n}\nMOTION\nFrames: 1\nFrame Time: 0.03\n0 0 0 0 0 0\n"
    yield Target(
        name="motion", seeds=(bvh,), read=lambda data: parse_bvh(data.decode("utf-8", "replace"), "x"), allowed=allowed,
        words=(b"JOINT b\n{\n", b"}\n", b"Frames: 99999999999", b"nan", b"1e999", b"CHANNELS -1"),
    )  # fmt: skip
    yield Target(
        name="struct", seeds=(b'{"a": [1, {"b": null}]}', b"a,b\n1,2\n", b"x | y | z"),
        read=lambda data: structured(data.decode("utf-8", "replace")).text(), allowed=allowed,
        words=(b"|", b"[", b"{", b"\n"),
    )  # fmt: skip


def _opened(data: bytes) -> tuple[int, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, of damaged tags
        return open_picture(data).size


def _saved(picture: Image.Image, kind: str) -> bytes:
    held = io.BytesIO()
    picture.save(held, kind)
    return held.getvalue()


def _wav() -> bytes:
    import soundfile

    held = io.BytesIO()
    soundfile.write(held, np.sin(np.arange(800) / 9).astype(np.float32), 8000, format="WAV")
    return held.getvalue()


def bundle() -> Target:
    """The bundle reader, behind the hashes: a file is changed and the list of hashes made anew."""
    folder = Path(tempfile.mkdtemp(prefix="omniline-fuzz-"))
    task = ol.Task("a", "[TEXT:q] -> [TEXT:a,closed_set=x|y]", train=[{"q": "b", "a": "x"}])
    ol.Model.build(backbone=SMALL, tasks=task).save(folder / "bundle")
    kept = {path.name: path.read_bytes() for path in (folder / "bundle").iterdir()}
    index = json.loads(kept["bundle.json"])
    names = sorted({*index["files"]} - {"bundle.json"})

    def read(data: bytes) -> object:
        name = names[data[0] % len(names)] if data else names[0]
        place = folder / "changed"
        place.mkdir(exist_ok=True)
        for other, body in kept.items():
            (place / other).write_bytes(data[1:] if other == name else body)
        hashes = {n: hashlib.sha256((place / n).read_bytes()).hexdigest() for n in names}
        (place / "bundle.json").write_text(json.dumps(index | {"files": index["files"] | hashes}))
        return ol.load(place)

    seeds = tuple(bytes([number]) + kept[name] for number, name in enumerate(names))
    words = (b"null", b"-1", b"1e999", b"[]", b"{}", b'"', b"../", b"true", b"9" * 20, b'"os:system"')
    return Target(name="bundle", seeds=seeds, read=read, allowed=(OmnilineError,), words=words)


def _written(data: bytes, name: str) -> Path:
    path = Path(tempfile.gettempdir()) / f"omniline-fuzz-{id(open_source):x}-{name}"
    path.write_bytes(data)
    return path


def targets() -> dict[str, Callable[[], Target]]:
    """All of them by name, made when they are wanted."""
    found: dict[str, Callable[[], Target]] = {"instruction": instruction, "taskfile": taskfile, "bundle": bundle}
    for target in (*rows(), *values()):
        found[target.name] = lambda target=target: target
    return found
