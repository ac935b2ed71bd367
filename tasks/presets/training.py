"""Training a preset from Python: its own settings, with fewer steps where that is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import lightning as L

from ..fit import fit
from ..mixture import Mixture
from ..model import Model
from ..taskfile import TaskFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What training a task file gave.

    Attributes:
        model: the trained model.
        mixture: the tasks it was trained on.
        losses: the descended loss of every batch, in order.
        seconds: how long `fit` took, the making of the model with it.
    """

    model: Model
    mixture: Mixture
    losses: tuple[float, ...]
    seconds: float

    def early(self) -> float:
        """The mean loss of the first tenth of the batches."""
        return _mean(self.losses[: max(1, len(self.losses) // 10)])

    def late(self) -> float:
        """The mean loss of the last tenth of the batches."""
        return _mean(self.losses[-max(1, len(self.losses) // 10) :])


class _Losses(L.Callback):
    """Notes the loss of every batch."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any) -> None:
        self.values.append(float(outputs["loss"] if isinstance(outputs, dict) else outputs))


def train_taskfile(file: TaskFile, *, steps: int | None = None, callbacks: Iterable[L.Callback] = ()) -> Trained:
    """Train a task file's mixture as `omniline train` does, without validation, checkpoints and output.

    Args:
        file: as `read_taskfile` or `read_preset` gave it.
        steps: of the optimiser; by default what the file says.
        callbacks: Lightning's, besides those of the file.

    Raises:
        ConfigError: the file does not say how long to train, or a setting is wrong.
        InstructionError: rows do not suit a line.
    """
    mixture = file.tasks()
    settings = file.trainer_settings()
    if steps is not None:
        settings = {key: value for key, value in settings.items() if key not in ("max_epochs", "max_time")}
        settings["max_steps"] = steps
    noted = _Losses()
    settings["callbacks"] = [*(settings.get("callbacks") or []), *callbacks, noted]
    settings |= {"enable_progress_bar": False, "limit_val_batches": 0}
    began = time.perf_counter()
    model = fit(mixture, backbone=file.backbone, tokenizer=file.tokenizer, seed=file.seed, **{**file.fit, **settings})
    return Trained(model=model, mixture=mixture, losses=tuple(noted.values), seconds=time.perf_counter() - began)


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / max(len(values), 1)
