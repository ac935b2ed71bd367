"""What data costs beside the steps: loading, waiting, resuming, the state of exact resuming, ranks without a port."""

from __future__ import annotations

import io
import logging
import tempfile
import time
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from omniline.core.batch import Batch
from omniline.core.seeding import mix
from omniline.tasks.datamodule import DataModule
from omniline.tasks.drawing import WINDOW, Position
from omniline.tasks.model import Model
from omniline.tasks.module import Module
from omniline.tasks.task import Task

from .measuring import THREADS, Figure, calibrate, seconds
from .words import photographs

WORKERS, FILES, PASSES = 2, 512, 3
CAPTION = "[IMAGE:img] what? -> [TEXT:cap]"
FAR = 1_000_000
STEPS = 12


def measure() -> list[Figure]:
    """Every figure of the section."""
    torch.set_num_threads(THREADS)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    calibration = calibrate()
    found: list[tuple[str, float, dict[str, Any]]] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = _files(Path(folder))
        found += [_loader(paths), *_steps(paths)]
    found += [_resuming(), _zero_rows()]
    return [
        Figure(section="data", name=name, value=value, calibration=calibration, detail=detail)
        for name, value, detail in found
    ]


def _files(folder: Path) -> list[str]:
    """FILES JPEG files of 64 photographs."""
    pictures = list(photographs(64))
    paths = [folder / f"{number}.jpg" for number in range(FILES)]
    for number, path in enumerate(paths):
        path.write_bytes(pictures[number % len(pictures)])
    return [str(path) for path in paths]


class Bare(Dataset[Any]):
    """Decode, resize, and nothing else."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        with Path(self.paths[index]).open("rb") as file:
            picture = Image.open(io.BytesIO(file.read()))
            return torch.from_numpy(np.array(picture.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)))


def _task(paths: list[str]) -> Task:
    return Task("caption", CAPTION, train=[{"img": path, "cap": "a picture of a cat"} for path in paths])


def _loader(paths: list[str]) -> tuple[str, float, dict[str, Any]]:
    """Pictures a second of two workers, ours and a bare loop's, in turns; each loader is warm when the clock starts."""
    task = _task(paths)
    data = DataModule(task, model=Model.build(backbone="ofa-tiny", tasks=task), batch_tokens=4096, workers=WORKERS)
    ours, bare = [], []
    for _ in range(PASSES):
        ours.append(_rate(len(batch.ids) for batch in data.train_dataloader()))
        loader = DataLoader(Bare(paths), batch_size=18, num_workers=WORKERS, prefetch_factor=4)
        bare.append(_rate(len(batch) for batch in loader))
    return "loader-share", median(ours) / median(bare), {"ours": median(ours), "bare": median(bare)}


def _rate(counts: Iterator[int]) -> float:
    next(counts)
    start = time.perf_counter()
    return sum(counts) / (time.perf_counter() - start)


class _Clock(L.Callback):
    """Seconds of the steps, without the first ones."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())


def _steps(paths: list[str]) -> list[tuple[str, float, dict[str, Any]]]:
    """The share of the time in which a step waits for its batch, and that of what resuming needs at every step."""
    task = _task(paths)
    model = Model.build(backbone="ofa-tiny", tasks=task)
    data, module = DataModule(task, model=model, batch_tokens=2048, workers=1), Module(model, task, metric_rows=0)
    clock = _Clock()
    trainer = L.Trainer(
        max_steps=STEPS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[clock], log_every_n_steps=STEPS,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    waiting = float(trainer.callback_metrics["waiting_for_data"])
    step = median(b - a for a, b in zip(clock.ends[2:], clock.ends[3:], strict=False))
    batch = next(iter(data.train_dataloader()))
    cost = seconds(lambda: _state(data, batch), times=200)
    detail = {"step_seconds": step, "microseconds": cost * 1e6}
    return [("waiting", waiting, {"step_seconds": step}), ("resume-state", cost / step, detail)]


def _state(data: DataModule, batch: Batch) -> None:
    """What exact resuming does at every step: a seed out of the position, the position noted."""
    torch.manual_seed(mix(0, "step", *batch.position, 0))
    data.position = Position(*batch.after)


class Many(Dataset[Any]):
    """Two million rows."""

    def __len__(self) -> int:
        return 2 * FAR

    def __getitem__(self, index: int) -> dict[str, str]:
        return {"q": f"{index:07} and {index * 7919 % 1009:04}", "a": f"{index:07}"}


def _resuming() -> tuple[str, float, dict[str, Any]]:
    """From a fresh start to the first batch, at row 10 and at row 1,000,000, in turns."""
    task = Task("count", "[TEXT:q] -> [TEXT:a]", train=Many())
    model = Model.build(backbone="ofa-tiny", tasks=task)
    near, far = [], []
    for _ in range(9):
        for row, times in ((10, near), (FAR, far)):
            data = DataModule(task, model=model, batch_tokens=256)
            start = time.perf_counter()
            data.position = Position(row // WINDOW, 1)
            next(islice(data.stream.batches(data.position), 1))
            times.append(time.perf_counter() - start)
    return "resume-far", median(far) / median(near), {"row_10": median(near), "row_1000000": median(far)}


def _zero_rows() -> tuple[str, float, dict[str, Any]]:
    """A rank without pictures: its port called with zero rows, against a made-up picture that counts nothing."""
    picture = Image.new("RGB", (224, 224))
    seen = Task("seen", CAPTION, train=[{"img": picture, "cap": "a cat"}] * 4)
    read = Task("read", "[TEXT:q] -> [TEXT:a]", train=[{"q": "a text " * 20, "a": "another"}] * 8)
    model = Model.build(backbone="ofa-tiny", tasks=[seen, read])
    model.network.train()
    pictures = next(iter(DataModule(seen, model=model).train_dataloader()))
    text = next(iter(DataModule(read, model=model, batch_tokens=1024).train_dataloader()))
    kind = next(item for item in pictures.inputs if "tokens" not in item.tensors)
    none = type(kind)(kind=kind.kind, tensors={name: tensor[:0] for name, tensor in kind.tensors.items()})
    one = next(iter(DataModule(seen, model=model, batch_rows=1).train_dataloader()))
    fake = type(kind)(kind=kind.kind, tensors=next(i for i in one.inputs if i.kind == kind.kind).tensors)
    ports = tuple({item.kind for item in text.inputs} | {kind.kind})
    times: dict[str, list[float]] = {"without": [], "zero": [], "fake": []}
    for _ in range(15):
        for name, also in (("without", ()), ("zero", (none,)), ("fake", (fake,))):
            start = time.perf_counter()
            model.network.loss(text, dict(text.counts), also, ports if also else ()).total.backward()
            model.network.zero_grad(set_to_none=True)
            times[name].append(time.perf_counter() - start)
    without, zero, made = (median(times[name]) for name in ("without", "zero", "fake"))
    detail = {"without": without, "zero_rows": zero, "fake_input": made}
    return "zero-rows", zero / made, detail
