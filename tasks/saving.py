"""Checkpoints as files: written beside and put in place whole, and looked at before a run goes on from one."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO, TorchCheckpointIO
from torch import Tensor

from ..core.errors import ConfigError

SHOWN = 3
PART = ".part"
REMOTE = "://"


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint into a file of its own beside its place, and moves it there when it is on the disk.

    So a run that is killed while it saves, or whose disk is full, still has the checkpoint before. Lightning's own
    writes into the folder of temporary files first and then copies where that lies on another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write one.

        Raises:
            ConfigError: it cannot be written.
        """
        if REMOTE in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        place = Path(path)
        part = place.with_name(f".{place.name}{PART}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(place)
        except (OSError, RuntimeError) as cause:  # torch's writer turns the one into the other
            with contextlib.suppress(OSError):
                part.unlink()
            said = cause if isinstance(cause, OSError) else cause.__context__ or cause
            kept = "; the one that was there is kept" if place.exists() else ""
            raise ConfigError(f"the checkpoint {place} cannot be written: {said}{kept}") from cause


def with_whole_files(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A Trainer's settings, with this way of writing where they bring none of their own."""
    plugins = settings.get("plugins")
    given = list(plugins) if isinstance(plugins, list | tuple) else [] if plugins is None else [plugins]
    own = any(isinstance(one, CheckpointIO) for one in given) or settings.get("accelerator") == "tpu"
    if own or getattr(settings.get("strategy"), "_checkpoint_io", None) is not None:
        return dict(settings)
    return {**settings, "plugins": [*given, WholeFiles()]}


def unreadable(path: str | Path) -> str:
    """Why a file is no whole checkpoint; nothing for one that is, or that lies elsewhere or in a folder."""
    if REMOTE in str(path) or Path(path).is_dir():
        return ""
    if not Path(path).is_file():
        return f"there is no checkpoint {path}"
    try:
        with zipfile.ZipFile(path) as file:
            inside = file.namelist()
    except (zipfile.BadZipFile, OSError) as cause:
        return f"the checkpoint {path} cannot be read, it may have been cut short: {cause}"
    return "" if any(name.endswith("data.pkl") for name in inside) else f"{path} is no checkpoint of torch"


def check_weights(checkpoint: Mapping[str, Any], own: Callable[[], Mapping[str, Any]]) -> None:
    """See that a checkpoint's weights are those of a module.

    Args:
        checkpoint: as Lightning read it.
        own: gives the module's weights by name.

    Raises:
        ConfigError: they are of another backbone or of other tasks.
    """
    state = checkpoint.get("state_dict")
    if not state:
        return
    told, here = _shapes(state), _shapes(own())
    wrong = [
        f"`{name}` is {told.get(name, 'not there')} in it and {here.get(name, 'not there')} here"
        for name in sorted({*told, *here})
        if told.get(name) != here.get(name)
    ]
    if wrong:
        more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ConfigError(
            f"the checkpoint is of another backbone, tokenizer or set of tasks: {'; '.join(wrong[:SHOWN])}{more}. Go "
            "on with those it was made with, or begin a new run from the model: `model=`"
        )


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items() if isinstance(value, Tensor)}
