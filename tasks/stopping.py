"""SIGTERM where several ranks train: whichever of them hears it, all end behind the same step of the optimiser."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.exceptions import SIGTERMException


class Stopping(L.Callback):
    """Ends all ranks of a run in one step once any of them was asked to end.

    The trainer's own handler calls a collective operation from within the signal, which meets those of another step on
    the other ranks, or none: then they wait for ever. This one only notes the signal; the module tells it to all ranks
    with the counts of the next step. A second signal ends the process at once.

    Attributes:
        asked: whether this rank was asked to end.
        agreed: whether all ranks know that one of them was.
    """

    def __init__(self) -> None:
        self.asked = False
        self.agreed = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the trainer's place at SIGTERM; at the end the trainer puts back what was there before it."""
        self.asked = self.agreed = False
        if trainer.world_size > 1 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.asked = True

    def ends(self, trainer: L.Trainer, batch_idx: int) -> bool:
        """Whether the run ends behind this batch."""
        return self.agreed and (batch_idx + 1) % trainer.accumulate_grad_batches == 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End, if that was agreed.

        Raises:
            SIGTERMException: with the exit status of a process that SIGTERM ended.
        """
        if self.ends(trainer, batch_idx):
            rank_zero_warn(f"a rank was asked to end (SIGTERM), so that all end behind step {trainer.global_step}")
            raise SIGTERMException(128 + signal.SIGTERM)
