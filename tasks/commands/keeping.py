"""What `omniline train` keeps of a run for going on later: a state now and then, and the one in which it ends."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from ..module import Module
from . import show

EVERY = 500
"""Optimiser steps between two states."""


def checkpoints(folder: Path) -> list[L.Callback]:
    """The state every 500 steps of the optimiser, the newest alone, and at the end."""
    periodic = ModelCheckpoint(
        dirpath=folder,
        filename="newest",
        every_n_train_steps=EVERY,
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )
    return [periodic, Last(folder / "last.ckpt")]


class Last(L.Callback):
    """Keeps the state in which training ends, or in which it is interrupted.

    An interrupt (Ctrl-C, SIGTERM) ends the step of the optimiser first, since in the middle of one there is no state to
    go on from; a second Ctrl-C does not wait. Several ranks agree on the step behind which SIGTERM ends them; Ctrl-C
    ends them at once and keeps nothing.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._asked = False
        self._before: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen to Ctrl-C, unless somebody else does."""
        plain = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if trainer.world_size == 1 and plain and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: Any) -> None:
        if self._asked:
            self._deaf()
            raise KeyboardInterrupt
        self._asked = True
        show.note("ending this step; Ctrl-C again stops at once")

    def _deaf(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the state and stop, if that was asked for."""
        if trainer.world_size > 1:
            if isinstance(pl_module, Module) and pl_module.stopping.ends(trainer, batch_idx):
                self._keep(trainer)
        elif trainer.received_sigterm:  # Lightning stops behind this batch
            self._keep(trainer)
        elif self._asked and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._keep(trainer)
            raise KeyboardInterrupt

    def _keep(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        if trainer.is_global_zero:
            show.note(f"kept at step {trainer.global_step}: {self.path}; go on with --resume")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the last state."""
        self._deaf()
        trainer.save_checkpoint(self.path)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Listen no more."""
        self._deaf()
