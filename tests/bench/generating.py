"""Tokens a second of `Model.predict`, encoding and decoding of text included, with the end mark held back."""

from __future__ import annotations

from functools import partial

import torch

from omniline.tasks.memory import keep_pages
from omniline.tasks.model import Model
from omniline.tasks.task import Task

from .measuring import THREADS, Figure, calibrate, seconds
from .words import Texts, large_tokenizer

CASES = {
    "greedy-32-1": ("greedy", 32, 1),
    "greedy-32-8": ("greedy", 32, 8),
    "beam-32-1": ("beam", 32, 1),
    "beam-32-8": ("beam", 32, 8),
    "beam-128-8": ("beam", 128, 8),
}
TIMES = 7


def measure() -> list[Figure]:
    """Every case; also what a token of the long beam costs against one of the short."""
    keep_pages()
    torch.set_num_threads(THREADS)
    rows = Texts(2).column(8, src=(5, 120))
    task = Task("ask", "[TEXT:src] -> [TEXT:out]", train=[{**row, "out": "so"} for row in rows])
    model = Model.build(backbone="ofa-tiny", tasks=task, tokenizer=large_tokenizer())
    found = []
    for name, (decoder, length, batch) in CASES.items():
        line = f"[TEXT:src] -> [TEXT:out,max_length={length + 1}]"
        ask = partial(model.predict, line, rows[:batch], decoder=decoder, min_length=length)
        calibration = calibrate()
        took = seconds(ask, times=TIMES)
        detail = {"seconds": took, "milliseconds_a_step": 1e3 * took / length}
        found.append(
            Figure(section="generate", name=name, value=batch * length / took, calibration=calibration, detail=detail)
        )
    return found
