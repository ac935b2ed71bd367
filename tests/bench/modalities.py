"""What each modality costs in training: tokens a second through the loader, beside the model alone on ready batches."""

from __future__ import annotations

import copy
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from statistics import median
from typing import Any

import lightning as L
import torch
from torch.utils.data import Dataset

from omniline.core.batch import Batch
from omniline.core.model import Network
from omniline.plugins.language.tokenizer import Tokenizer, train_bpe
from omniline.tasks.datamodule import DataModule
from omniline.tasks.drawing import Position
from omniline.tasks.memory import keep_pages
from omniline.tasks.model import Model
from omniline.tasks.module import Module
from omniline.tasks.optimising import adamw
from omniline.tasks.presets.catalog import read_preset
from omniline.tasks.presets.placements import SAMPLES
from omniline.tasks.presets.samples import english_rows
from omniline.tasks.task import Task

from .measuring import THREADS, Figure, calibrate

ROWS, BATCH_TOKENS = 96, 1024
BEFORE, STEPS = 2, 6
PRESETS = {
    "text-in": "summarisation",
    "tower-in": "captioning",
    "audio-in": "speech_recognition",
    "phone-in": "phone_to_text",
    "motion-in": "motion_captioning",
    "box-in": "grounded_captioning",
    "struct-in": "text_to_sql",
    "chat": "conversation",
    "text-out": "text_infilling",
    "image-out": "text_to_image",
    "video-out": "video_generation",
    "audio-out": "text_to_speech",
    "phone-out": "text_to_phone",
    "motion-out": "text_to_motion",
    "box-out": "detection",
    "struct-out": "sudoku",
}
"""Cases whose line and rows are those of a ready task."""


class First(Dataset[Any]):
    """The first rows of a source, each read when it is asked for."""

    def __init__(self, source: Any, count: int = ROWS) -> None:
        self.source, self.count = source, min(count, len(source))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.source[index]


def named_files(pattern: str, slot: str) -> list[dict[str, str]]:
    """Sample files with what their names say they show."""
    return [{slot: str(path), "name": path.stem.replace("-", " ")} for path in sorted(SAMPLES.glob(pattern))]


OWN: Mapping[str, tuple[str, Callable[[], Sequence[Any]]]] = {
    "image-in": (
        "[IMAGE:img,size=64,patch=8] what does the image describe? -> [TEXT:name]",
        lambda: named_files("emoji/sprites/*.png", "img"),
    ),
    "video-in": (
        "[VIDEO:clip,size=64,patch=16,max_frames=4] what does the video describe? -> [TEXT:name]",
        lambda: named_files("clips/*.mp4", "clip") * (ROWS // 3),
    ),
    "category-in": (
        "what does [TEXT:word] mean, of the kind [CATEGORY:group] ? -> [TEXT:text]",
        lambda: english_rows(split="train"),  # type: ignore[dict-item,return-value]
    ),
    "category-out": (
        "[TEXT:text] what kind of thing is it? -> [CATEGORY:group,closed_set]",
        lambda: english_rows(split="train"),  # type: ignore[dict-item,return-value]
    ),
}
"""Cases with a line of their own, and their rows."""


def measure() -> list[Figure]:
    """Every case, with one backbone and one tokenizer."""
    keep_pages()
    torch.set_num_threads(THREADS)
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return [_measured(name) for name in (*PRESETS, *OWN)]


def task_of(name: str) -> Task:
    """A case's line with its first rows."""
    if name in OWN:
        line, rows = OWN[name]
        return Task(name, line, train=First(rows()))
    known = next(task for task in read_preset(PRESETS[name]).tasks() if task.name == PRESETS[name])
    return Task(name, known.instruction, train=First(known.train))


@cache
def small_tokenizer() -> Tokenizer:
    """4,000 pieces of English."""
    rows = english_rows(split="train")
    return train_bpe([rows[index]["text"] for index in range(5000)], size=4000)


def _measured(name: str) -> Figure:
    """Steps of both kinds take turns on the same batches, so that they see the same machine."""
    task = task_of(name)
    model = Model.build(backbone="ofa-tiny", tasks=task, tokenizer=small_tokenizer())
    data = DataModule(task, model=model, batch_tokens=BATCH_TOKENS, steps_per_epoch=10**6)
    began = time.perf_counter()
    data.stream.planned(Position())
    planned = (time.perf_counter() - began) / len(model.bound(task).rows["train"])
    calibration = calibrate()
    turns = Turns(data, model.network)
    trainer = L.Trainer(
        max_steps=BEFORE + STEPS, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[turns],
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=10**6, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(Module(model, task, metric_rows=0), datamodule=data)
    seconds = sum(turns.whole[BEFORE:])
    detail = {
        "rows_a_second": sum(turns.rows[BEFORE:]) / seconds,
        "tokens_a_row": sum(turns.tokens[BEFORE:]) / sum(turns.rows[BEFORE:]),
        "share_of_reading": sum(turns.waited[BEFORE:]) / seconds,
        "reading_us_a_row": 1e6 * sum(turns.waited[BEFORE:]) / sum(turns.rows[BEFORE:]),
        "measuring_us_a_row": 1e6 * planned,
    }
    return Figure(
        section="modalities",
        name=f"modality-{name}",
        value=turns.speed(turns.whole),
        theirs=turns.speed(turns.alone),
        calibration=calibration,
        detail=detail,
    )


class Turns(L.Callback):
    """After each step of the trainer, one of a copy of the network on the same batch, with nothing around it.

    Attributes:
        whole, waited, alone: seconds of each step of the trainer, those of them in which it waited for its batch (it
            is read in the same process), and those of the copy's.
        tokens, rows: of each batch.
    """

    def __init__(self, data: DataModule, network: Network) -> None:
        self.data, self.network = data, copy.deepcopy(network).train()
        self.optimizer = adamw(self.network, [], learning_rate=1e-3, weight_decay=0.01, betas=(0.9, 0.98))
        self.whole: list[float] = []
        self.waited: list[float] = []
        self.alone: list[float] = []
        self.tokens: list[int] = []
        self.rows: list[int] = []
        self.since = 0.0

    def on_train_start(self, *_: Any) -> None:
        """Start the clock."""
        self.since = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Batch, *_: Any) -> None:
        """Note the step, and take the copy's turn."""
        self.whole.append(time.perf_counter() - self.since)
        self.waited.append(self.data.take_waited())
        self.tokens.append(batch.layout.rows)
        self.rows.append(len(batch.ids))
        began = time.perf_counter()
        self.network.loss(batch, dict(batch.counts)).total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.since = time.perf_counter()
        self.alone.append(self.since - began)

    def speed(self, seconds: Sequence[float]) -> float:
        """Tokens a second, the median of the steps that count."""
        return median(n / t for n, t in zip(self.tokens[BEFORE:], seconds[BEFORE:], strict=True))
