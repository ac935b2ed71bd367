"""A packed batch against the same rows padded: forward and backward, taking turns.

Rows of bytes, so that the backbone and not the output layer is what is measured: supervised rows alone reach the
output layer either way.
"""

from __future__ import annotations

import gc
import time
from statistics import median

import torch

from omniline.core.batch import Batch
from omniline.core.example import RowId
from omniline.core.packing import pack
from omniline.tasks.memory import keep_pages
from omniline.tasks.model import Model
from omniline.tasks.task import Task

from .measuring import THREADS, Figure, calibrate
from .words import Row, Texts

SHARES = (0, 45, 66, 75)
ROWS, LONGEST, ROUNDS = 16, 240, 7


def measure() -> list[Figure]:
    """Time of the padded batch over that of the packed one, by share of padding."""
    keep_pages()
    torch.set_num_threads(THREADS)
    data = {share: _rows(share) for share in SHARES}
    task = Task("copy", "[TEXT:src] -> [TEXT:tgt]", train=data[0])
    model = Model.build(backbone="ofa-tiny", tasks=task, tokenizer=None)
    reader = model.reader(model.bound(task))
    calibration, found = calibrate(), []
    for share, rows in data.items():
        examples = [reader.example(row, RowId("copy", i)) for i, row in enumerate(rows)]
        pair = [pack(examples, {"copy": reader}, padded=padded) for padded in (False, True)]
        times = [[_step(model, batch) for batch in pair] for _ in range(ROUNDS + 1)][1:]
        packed, padded = (median(column) for column in zip(*times, strict=True))
        real, laid = (batch.layout.rows for batch in pair)
        detail = {"packed_seconds": packed, "padded_seconds": padded, "padding": 1 - real / laid}
        found.append(
            Figure(
                section="padding",
                name=f"padding-{share}",
                value=padded / packed,
                calibration=calibration,
                detail=detail,
            )
        )
    return found


def _rows(share: int) -> list[Row]:
    """Texts whose lengths, over the longest, are a power of evenly spread numbers, so that their mean is right."""
    power = 1 / (1 - share / 100) - 1
    text = " ".join(Texts(3).text(100, 100) for _ in range(2))
    lengths = [max(4, round(LONGEST * ((i + 0.5) / ROWS) ** power)) for i in range(ROWS - 1)] + [LONGEST]
    return [{"src": text[:length], "tgt": text[-length:]} for length in lengths]


def _step(model: Model, batch: Batch) -> float:
    gc.collect()
    start = time.perf_counter()
    torch.manual_seed(0)
    model.network.loss(batch).total.backward()
    took = time.perf_counter() - start
    model.network.zero_grad(set_to_none=True)
    return took
