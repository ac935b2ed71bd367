"""Training steps under Lightning on fixed batches: tokens a second, seconds a step, the most memory held.

Each case is a process of its own, so that its memory is its own. Tokens are those that the encoder reads, patches of
pictures among them, and those that the decoder is fed; a target's end mark is predicted, not fed.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import lightning as L
import torch

from omniline.core.batch import Batch
from omniline.core.example import RowId
from omniline.core.packing import pack
from omniline.tasks.memory import keep_pages
from omniline.tasks.model import Model
from omniline.tasks.module import Module
from omniline.tasks.task import Task

from .encoding import INFILL
from .measuring import THREADS, Figure, calibrate, peak_gigabytes, run_apart
from .words import Row, Texts, large_tokenizer, photographs

CASES = ("infill", "caption", "joint")
PRECISIONS = ("float32", "bfloat16")
CAPTION = "[IMAGE:img,adapter=timm,model=resnet50] what does the image describe? -> [TEXT:cap]"
BATCHES, BEFORE = 10, 3
ROWS = {"infill": 16, "caption": 8}


def measure() -> list[Figure]:
    """All cases, one process after the other."""
    return [figure for case in CASES for precision in PRECISIONS for figure in run_apart("train", case, precision)]


def measure_case(case: str, precision: str) -> list[Figure]:
    """One case in this process: tokens a second and the peak."""
    keep_pages()
    torch.set_num_threads(THREADS)
    before = calibrate()
    small = calibrate("bfloat16")
    tasks = _tasks(case)
    model = Model.build(backbone="ofa-tiny,dropout=0.1", tasks=tasks, tokenizer=large_tokenizer())
    batches = _batches(model, tasks)
    clock = _Clock()
    _train(model, tasks, batches, precision, clock)
    calibration = (before + calibrate()) / 2
    times, tokens = clock.times[BEFORE:], [_tokens(batch) for batch in batches[BEFORE:]]
    detail = {
        "step_seconds": median(times),
        "tokens_a_step": sum(tokens) / len(tokens),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "bfloat16_calibration": small,
        "threads": torch.get_num_threads(),
    }
    speed = median(n / t for n, t in zip(tokens, times, strict=True))
    values = {f"{case}-{precision}": speed, f"{case}-{precision}-memory": peak_gigabytes()}
    return [
        Figure(section="train", name=name, value=value, calibration=calibration, detail=detail)
        for name, value in values.items()
    ]


def _tasks(case: str) -> list[Task]:
    texts, count = Texts(1), BEFORE + BATCHES
    found = []
    if case in ("infill", "joint"):
        found.append(Task("infill", INFILL, train=texts.column(count * ROWS["infill"], text=(5, 120))))
    if case in ("caption", "joint"):
        files = list(photographs(ROWS["caption"] * 2))
        rows = texts.column(count * ROWS["caption"], cap=(6, 16))
        data: list[Row] = [{"img": files[i % len(files)], **row} for i, row in enumerate(rows)]
        found.append(Task("caption", CAPTION, train=data))
    return found


def _batches(model: Model, tasks: Sequence[Task]) -> list[Batch]:
    """Batches of exactly 16 and 8 rows of each task, made beforehand as a loader's workers would."""
    bounds = [model.bound(task) for task in tasks]
    readers = {bound.task.name: model.reader(bound) for bound in bounds}
    made = []
    for number in range(BEFORE + BATCHES):
        examples = []
        for bound in bounds:
            name = bound.task.name
            for row in range(number * ROWS[name], (number + 1) * ROWS[name]):
                examples.append(readers[name].example(bound.read("train", row), RowId(name, row)))
        made.append(replace(pack(examples, readers), position=(0, number), after=(0, number + 1)))
    return made


def _tokens(batch: Batch) -> int:
    return batch.layout.rows - batch.layout.streams


class _Fixed:
    """A loader that gives the same batches in the same order."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


class _Clock(L.Callback):
    """Seconds of each step, from the arrival of its batch to the end of the optimiser's work."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.start = 0.0

    def on_train_batch_start(self, *args: Any, **named: Any) -> None:
        self.start = time.perf_counter()

    def on_train_batch_end(self, *args: Any, **named: Any) -> None:
        self.times.append(time.perf_counter() - self.start)


def _train(model: Model, tasks: Sequence[Task], batches: Sequence[Batch], precision: str, clock: _Clock) -> None:
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    trainer = L.Trainer(
        max_steps=len(batches),
        accelerator="cpu",
        precision="bf16-mixed" if precision == "bfloat16" else "32-true",
        gradient_clip_val=1.0,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(Module(model, tasks, learning_rate=1e-4, warmup=0.0), train_dataloaders=_Fixed(batches))
