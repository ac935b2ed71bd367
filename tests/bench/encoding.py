"""How many examples a second one process encodes and packs, in batches of 16, every row seen for the first time."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from statistics import median

import numpy as np
import torch
from PIL import Image

from omniline.core.batch import Batch
from omniline.core.example import RowId
from omniline.core.packing import pack
from omniline.core.parts import port_table
from omniline.core.reader import Reader, make_reader
from omniline.plugins.manager import installed
from omniline.tasks.binding import bind
from omniline.tasks.task import Task

from .compiling import LINES
from .measuring import THREADS, Figure, calibrate
from .words import Row, Texts, large_tokenizer, photographs

ROUNDS, ROWS, BATCH = 7, 512, 16
PICTURES = 64
INFILL = 'what is the complete text of " [TEXT:text,mask_ratio=0.3] "? -> [TEXT:text]'
SUMMARY = 'what is the summary of article " [TEXT:src] "? -> [TEXT:tgt]'
CAPTION = "[IMAGE:img] what does the image describe? -> [TEXT:cap]"
MEMBERS = ("yes", "maybe", "no")


def measure() -> list[Figure]:
    """Examples a second of each workload; for pictures also against loops that do nothing but decode and resize."""
    torch.set_num_threads(THREADS)
    calibration = calibrate()
    texts = Texts(0)
    rows = ROUNDS * ROWS
    jobs: dict[str, tuple[str, list[Row]]] = {
        "encode-text": (SUMMARY, texts.column(rows, src=(5, 120), tgt=(5, 20))),
        "encode-infill": (INFILL, texts.column(rows, text=(5, 120))),
        "encode-mnli": (LINES["mnli"], _entailment(texts, rows)),
    }
    found = []
    for name, (line, data) in jobs.items():
        reader = _reader(name, line, data[:8])
        parts = [data[i : i + ROWS] for i in range(0, rows, ROWS)]
        value = median(_rate(reader, part) for part in parts)
        found.append(Figure(section="encode", name=name, value=value, calibration=calibration))
    return [*found, *_pictures(texts, calibration)]


def _entailment(texts: Texts, count: int) -> list[Row]:
    data = texts.column(count, sent1=(5, 30), sent2=(5, 20))
    return [{**row, "label": MEMBERS[i % 3]} for i, row in enumerate(data)]


def _pictures(texts: Texts, calibration: float) -> list[Figure]:
    """Rounds of the three loops take turns, so that all of them see the same machine."""
    files = list(photographs(PICTURES))
    data = [{"img": file, **row} for file, row in zip(files, texts.column(PICTURES, cap=(6, 16)), strict=True)]
    reader = _reader("encode-jpeg", CAPTION, data[:1])
    rounds = [(_rate(reader, data), _bare(files, draft=False), _bare(files, draft=True)) for _ in range(ROUNDS)]
    ours, full, reduced = (median(column) for column in zip(*rounds, strict=True))
    detail = {"bytes": round(sum(map(len, files)) / len(files)), "full_loop": full, "reduced_loop": reduced}
    values = {"encode-jpeg": ours, "encode-jpeg-share": ours / full, "encode-jpeg-draft": ours / reduced}
    return [
        Figure(section="encode", name=name, value=value, calibration=calibration, detail=detail)
        for name, value in values.items()
    ]


def _reader(name: str, line: str, rows: Sequence[Row]) -> Reader:
    catalog, tokenizer = installed(), large_tokenizer()
    plan = bind(Task(name, line, train=list(rows))).plan
    return make_reader(name, plan, catalog=catalog, table=port_table([plan], catalog), tokenizer=tokenizer)


def _rate(reader: Reader, rows: Sequence[Row]) -> float:
    start = time.perf_counter()
    for first in range(0, len(rows), BATCH):
        packed(reader, rows[first : first + BATCH], first)
    return len(rows) / (time.perf_counter() - start)


def packed(reader: Reader, rows: Sequence[Row], first: int = 0) -> Batch:
    """One batch of these rows, as a loader's worker makes it."""
    examples = [reader.example(row, RowId(reader.task, first + i)) for i, row in enumerate(rows)]
    return pack(examples, {reader.task: reader})


def _bare(files: Sequence[bytes], *, draft: bool) -> float:
    """Decode, resize and make an array; with `draft` the decoder halves the picture, as it may."""
    start = time.perf_counter()
    for file in files:
        picture = Image.open(io.BytesIO(file))
        if draft:
            picture.draft("RGB", (224, 224))
        np.asarray(picture.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))
    return len(files) / (time.perf_counter() - start)
