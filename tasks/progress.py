"""The progress bar: step, the loss of every task, tokens a second, in one live line."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.live import Live
from rich.table import Table


class Progress(ProgressBar):
    """A live table of the run; on a pipe one plain line now and then.

    Args:
        every: seconds between plain lines when the output is not a terminal.
    """

    def __init__(self, *, every: float = 10.0) -> None:
        super().__init__()
        self.every = every
        self.console = Console(file=sys.stderr)
        self._live: Live | None = None
        self._said = 0.0
        self._began = time.monotonic()
        self._enabled = True

    def disable(self) -> None:
        """Say nothing (ranks other than the first)."""
        self._enabled = False

    def enable(self) -> None:
        """Speak again."""
        self._enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the live display."""
        self._began = time.monotonic()
        if self._enabled and self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4, transient=False)
            self._live.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the newest numbers."""
        if not self._enabled:
            return
        now = time.monotonic()
        if self._live is not None:
            self._live.update(self._table(trainer))
        elif now - self._said >= self.every:
            self._said = now
            self.console.print(self._line(trainer), highlight=False)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the last state on the screen."""
        self._close(trainer)
        if self._enabled and not self.console.is_terminal:
            self.console.print(self._line(trainer), highlight=False)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._close(trainer)

    def _close(self, trainer: L.Trainer) -> None:
        if self._live is not None:
            self._live.update(self._table(trainer))
            self._live.stop()
            self._live = None

    def _position(self, trainer: L.Trainer) -> str:
        most = trainer.max_steps if trainer.max_steps and trainer.max_steps > 0 else None
        total = trainer.estimated_stepping_batches if most is None else most
        known = total if isinstance(total, int) else None
        spent = time.monotonic() - self._began
        left = ""
        if known and trainer.global_step:
            left = f", {spent * (known - trainer.global_step) / trainer.global_step:.0f} s left"
        return f"step {trainer.global_step}/{known or '?'} ({spent:.0f} s{left})"

    def _numbers(self, trainer: L.Trainer) -> tuple[dict[str, float], float | None]:
        metrics = {name: float(value) for name, value in trainer.progress_bar_metrics.items() if name != "v_num"}
        speed = metrics.pop("tokens_per_second", None)
        return metrics, speed

    def _line(self, trainer: L.Trainer) -> str:
        losses, speed = self._numbers(trainer)
        parts = [self._position(trainer), *(f"{name} {value:.3f}" for name, value in losses.items())]
        return "  ".join(parts + ([f"{speed:,.0f} tokens/s"] if speed else []))

    def _table(self, trainer: L.Trainer) -> Table:
        losses, speed = self._numbers(trainer)
        table = Table(box=None, pad_edge=False)
        table.add_column(self._position(trainer))
        for name in losses:
            table.add_column(name, justify="right")
        if speed:
            table.add_column("tokens/s", justify="right")
        table.add_row("loss", *(f"{value:.3f}" for value in losses.values()), *([f"{speed:,.0f}"] if speed else []))
        return table
