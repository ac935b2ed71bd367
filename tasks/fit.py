"""`fit`: the model, the module, the data and a Trainer in one call."""

from __future__ import annotations

import inspect
import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L

from ..core.errors import ConfigError
from ..core.near import nearest
from .compiling import compiled
from .datamodule import DataModule
from .ledger import report
from .memory import keep_pages
from .mixture import Mixture, mixture_of
from .model import Model
from .module import Module
from .progress import Progress
from .saving import unreadable, with_whole_files
from .task import Task
from .trainer_settings import suited

KILLED = re.compile(r"DataLoader worker .*(killed by signal|exited unexpectedly).*")
LOGGERS = ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch")


def fit(
    tasks: Mixture | Task | Iterable[Task],
    *,
    model: Model | None = None,
    backbone: str | None = None,
    tokenizer: Any = None,
    seed: int = 0,
    trainer: L.Trainer | None = None,
    resume: str | Path | None = None,
    learning_rate: float = 1e-3,
    warmup: float = 0.06,
    schedule: str = "cosine",
    weight_decay: float = 0.01,
    batch_tokens: int = 4096,
    batch_rows: int | None = None,
    padded: bool | None = None,
    workers: int = 0,
    worker_start: str | None = None,
    valid_rows: int = 256,
    metric_rows: int = 64,
    ledger: str | Path | None = None,
    weighting: str | None = None,
    fewer_page_faults: bool = False,
    compile: bool | str = False,
    lora: Any = None,
    freeze: str | Iterable[str] = (),
    **trainer_settings: Any,
) -> Model:
    """Train a model on tasks, all of them in every batch.

    Args:
        tasks: one task, several, or a Mixture.
        model: go on with this one; a new one is built otherwise.
        backbone: of a new model, "ofa-tiny" by default; see `Model.build`.
        tokenizer: of a new model; see `Model.build`.
        seed: every draw is a function of (seed, task, row, epoch) or of (seed, step).
        trainer: your own; `trainer_settings` must then be empty.
        resume: a Lightning checkpoint to go on from.
        learning_rate, warmup, schedule, weight_decay, metric_rows, ledger, weighting: see `Module`.
        batch_tokens, batch_rows, padded, workers, worker_start, valid_rows: see `DataModule`.
        fewer_page_faults: keep freed memory (Linux): faster on a CPU, for some hundreds of megabytes more.
        compile: run the backbone's blocks through `torch.compile`, or through one of its backends by name.
        lora, freeze: what is trained, see `Model.train_only`; by default all.
        trainer_settings: Lightning's own names, such as `max_steps`, `precision`, `callbacks`, `logger`.

    Returns:
        The trained model, on the CPU.

    Raises:
        InstructionError: rows do not suit a line. ConfigError: a wrong setting. DataError: a row that cannot be read.
    """
    mixture = mixture_of(tasks)
    if model is not None and (backbone is not None or tokenizer is not None):
        raise ConfigError("backbone= and tokenizer= belong to a new model: leave them out, or leave out model=")
    if trainer is not None and trainer_settings:
        raise ConfigError(f"with your own trainer, `{next(iter(trainer_settings))}` must be set on it, not here")
    if resume is not None and (why := unreadable(resume)):
        raise ConfigError(why)
    own = trainer is None
    if trainer is None:
        with _quiet(own):
            trainer = _trainer(trainer_settings)
    if fewer_page_faults:
        keep_pages()
    model = _model(model, mixture, backbone, tokenizer, seed, {"lora": lora, "freeze": freeze})
    rate = {"learning_rate": learning_rate, "warmup": warmup, "schedule": schedule, "weight_decay": weight_decay}
    judged = {"metric_rows": metric_rows, "ledger": ledger, "weighting": weighting}
    module = Module(model, mixture, seed=seed, **rate, **judged)  # type: ignore[arg-type]
    size = {"batch_tokens": batch_tokens, "batch_rows": batch_rows, "padded": padded, "valid_rows": valid_rows}
    loading = {"workers": workers, "worker_start": worker_start}
    data = DataModule(mixture, model=model, seed=seed, **loading, **size)  # type: ignore[arg-type]
    with _quiet(own), compiled(model, trainer, compile), _workers_named():
        trainer.fit(module, datamodule=data, ckpt_path=str(resume) if resume is not None else None, weights_only=True)
    report(module.ledger)
    model.network.to("cpu")
    return model


def _model(
    model: Model | None,
    mixture: Mixture,
    backbone: str | None,
    tokenizer: Any,
    seed: int,
    trained: dict[str, Any],
) -> Model:
    """The model that is trained; what a given one has is frozen or widened before the tasks add to it."""
    if model is None:
        name = "ofa-tiny" if backbone is None else backbone
        model = Model.build(backbone=name, tasks=mixture, tokenizer=tokenizer, seed=seed)
        model.train_only(**trained)
        return model
    model.train_only(**trained)
    model.adopt(mixture, seed=seed)
    return model


def _trainer(settings: dict[str, Any]) -> L.Trainer:
    known = inspect.signature(L.Trainer.__init__).parameters
    for name in settings:
        if name not in known:
            names = [*known, *inspect.signature(fit).parameters]
            near = nearest(name, names)
            hint = f"; did you mean `{near}`?" if near else ""
            raise ConfigError(f"`{name}` is neither a setting of fit nor of Lightning's Trainer{hint}")
    settings = suited(settings, Path(settings.get("default_root_dir") or "."))
    settings = with_whole_files(settings)
    defaults: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    given = settings.pop("callbacks", None) or []
    callbacks = list(given) if isinstance(given, list | tuple) else [given]
    if settings.get("enable_progress_bar", True) and not any(
        isinstance(c, L.pytorch.callbacks.ProgressBar) for c in callbacks
    ):
        callbacks.append(Progress())
    if "max_steps" not in settings and "max_epochs" not in settings and "max_time" not in settings:
        raise ConfigError("say how long to train: max_steps=, max_epochs= or max_time=")
    return L.Trainer(**{**defaults, **settings, "callbacks": callbacks})


@contextmanager
def _workers_named() -> Iterator[None]:
    """A loader worker that was killed is a sentence; torch tells it from within whatever runs at that moment.

    Raises:
        ConfigError: a worker was killed.
    """
    try:
        yield
    except RuntimeError as cause:
        found = KILLED.search(str(cause))
        if found is None:
            raise
        raise ConfigError(
            f"a loader worker ended at once ({found[0].strip(' .')}), as one does that takes too much memory: use "
            "fewer workers, or rows that take less; resume= goes on from a checkpoint"
        ) from cause


@contextmanager
def _quiet(own: bool) -> Iterator[None]:
    """Around a Trainer of our own: only Lightning's warnings, without one that torch draws from its tree utilities."""
    levels = [(logging.getLogger(name), logging.getLogger(name).level) for name in LOGGERS]
    with warnings.catch_warnings():
        if own:
            warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)` is deprecated")
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*across ranks is zero.*")
            for logger, _ in levels:
                logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in levels:
                logger.setLevel(level)
