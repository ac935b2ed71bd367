"""`omniline train`: a task file's mixture, trained by Lightning, saved as a bundle."""

from __future__ import annotations

import argparse
import inspect
import logging
import warnings
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.trainer.states import TrainerStatus

from ...core.errors import BundleError, ConfigError
from ...core.near import nearest
from ..bundle import INDEX, load
from ..evaluation import evaluate
from ..fit import fit
from ..progress import Progress
from ..saving import unreadable, with_whole_files
from ..taskfile import TaskFile
from ..trainer_settings import suited
from . import keeping, show
from .evaluate import table
from .given import taskfile

LENGTHS = ("max_steps", "max_epochs", "max_time")
JUDGED_ROWS = 256


def run(args: argparse.Namespace) -> int:
    """Train, save, and show the metrics of held-out rows."""
    file = taskfile(args.file, args.values)
    folder = place_of(file)
    mixture = file.tasks()
    checkpoints = folder.with_name(f"{folder.name}.checkpoints")
    resume = None if args.resume is None else checkpoint_of(args.resume, checkpoints)
    quieten()
    trainer = make_trainer(file, checkpoints)
    own = {"fewer_page_faults": True, "ledger": checkpoints / "skipped.jsonl", **file.fit}
    try:
        start = None if file.model is None else load(file.model)
        model = fit(
            mixture,
            model=start,
            backbone=file.backbone if start is None else None,
            tokenizer=file.tokenizer,
            seed=file.seed,
            trainer=trainer,
            resume=resume,
            **own,
        )
    except MisconfigurationException as cause:
        raise ConfigError(f"the Trainer cannot run: {cause}") from cause
    except SystemExit:
        if trainer.state.status == TrainerStatus.INTERRUPTED:
            raise KeyboardInterrupt from None
        raise
    if trainer.global_rank:
        return 0
    model.save(folder)
    table(evaluate(model, mixture, rows=file.fit.get("valid_rows", JUDGED_ROWS)))
    show.note(f"saved: {folder}")
    return 0


def place_of(file: TaskFile) -> Path:
    """The folder that takes the bundle; looked at before training, not after it.

    Raises:
        ConfigError: the file does not say.
        BundleError: something else is there.
    """
    if file.save is None:
        raise ConfigError(f"{file.path} must say where the model goes: `save: FOLDER`, or save=FOLDER here")
    folder = Path(file.save)
    taken = folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or (folder / INDEX).is_file()))
    if taken:
        raise BundleError(f"{folder} exists and is no bundle: save to a new folder")
    return folder


def checkpoint_of(wanted: str, folder: Path) -> Path:
    """The checkpoint to go on from: the one that is named, else the newest of the folder.

    Raises:
        ConfigError: there is none.
    """
    if wanted:
        if why := unreadable(wanted):
            raise ConfigError(why)
        return Path(wanted)
    found = sorted(folder.glob("*.ckpt"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found:
        why = unreadable(path)
        if not why:
            return path
        show.note(why)
    none = "whole checkpoint" if found else "checkpoint"
    raise ConfigError(f"there is no {none} in {folder}: train without --resume first, or name one")


def make_trainer(file: TaskFile, checkpoints: Path) -> L.Trainer:
    """Lightning's Trainer with the file's settings.

    Raises:
        ConfigError: an unknown setting, a wrong value, or no length of training.
    """
    settings = file.trainer_settings()
    known = [name for name in inspect.signature(L.Trainer.__init__).parameters if name != "self"]
    for name in settings:
        if name not in known:
            near = nearest(name, known)
            hint = f"; did you mean `{near}`?" if near else "; the names are those of Lightning's Trainer"
            raise ConfigError(f"{file.document.place(('trainer', name))}there is no key `trainer.{name}`{hint}")
    if not any(name in settings for name in LENGTHS):
        raise ConfigError(
            f"{file.path} must say how long to train: trainer.max_steps, trainer.max_epochs or trainer.max_time"
        )
    try:
        settings = suited(settings, Path(settings.get("default_root_dir", checkpoints)))
    except ConfigError as cause:
        raise ConfigError(f"{file.document.place(('trainer',))}{cause}") from cause
    given = settings.pop("callbacks", None) or []
    callbacks = list(given) if isinstance(given, list) else [given]
    if settings.get("enable_progress_bar", True):
        callbacks.append(Progress())
    if settings.get("enable_checkpointing", True):
        callbacks += keeping.checkpoints(checkpoints)
    settings = with_whole_files(settings)
    defaults: dict[str, Any] = {"logger": False, "enable_model_summary": False, "default_root_dir": str(checkpoints)}
    try:
        return L.Trainer(**{**defaults, **settings, "callbacks": callbacks})
    except (ValueError, TypeError, MisconfigurationException) as cause:
        raise ConfigError(f"{file.document.place(('trainer',))}`trainer` does not suit Lightning: {cause}") from cause


def quieten() -> None:
    """Keep Lightning's advice off the screen; its errors stay."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
