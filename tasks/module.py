"""The LightningModule: one optimiser step over batches that hold several tasks, and the losses of each."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import GradClipAlgorithmType, rank_zero_warn
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from ..core.batch import Batch
from ..core.model import count_of
from ..core.seeding import mix
from .balancing import Balancing
from .drawing import Position
from .evaluation import evaluate
from .evening import Evening
from .judged import Judged
from .ledger import Ledger
from .mixture import Mixture, mixture_of
from .model import Model, objective_keys
from .optimising import adamw, check_rates, clear_denormal, shape_at
from .precision import keep_batches, within
from .ranks import Ranks, apart, check_same_rows, full_state, shard, summed_lists, whole
from .realised import Realised
from .restoring import inside_window, restorable, said
from .saving import check_weights
from .stopping import Stopping
from .task import Split, Task


class Module(L.LightningModule):
    """A model and its tasks under Lightning.

    Args:
        model: what `Model.build` or `load` gave; trained in place.
        tasks: one task, several, or a Mixture.
        learning_rate: the highest.
        warmup: share of steps over which it rises.
        schedule: how it falls afterwards: "cosine", "linear" (to a tenth) or "constant".
        weight_decay: of matrices; vectors and embeddings have none.
        betas: of AdamW.
        metric_rows: held-out rows of each task that are predicted and judged at every validation; 0 for losses alone.
        seed: of dropout and every other draw of a step.
        ledger: a file that takes a JSON line for each row that could not be read.
        weighting: how the losses of all objectives are balanced: "uncertainty", "gradient_norm", or another installed
            weighting, with settings behind commas; None for the weights that the slots write.

    Losses are logged as `task/slot`, how evenly experts are used as `balance`, tokens a second as `tokens_per_second`,
    the share of time spent waiting for batches as `waiting_for_data`, what the mixture came to by the names of
    `Realised.take`; validation losses as `valid/task/slot`, metrics as `valid/task/slot/metric`.

    Raises:
        DataError: in training, when a task that skips has more unreadable rows than its `max_bad`.
    """

    def __init__(
        self,
        model: Model,
        tasks: Mixture | Task | Iterable[Task],
        *,
        learning_rate: float = 1e-3,
        warmup: float = 0.06,
        schedule: str = "cosine",
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.98),
        metric_rows: int = 64,
        seed: int = 0,
        ledger: str | Path | None = None,
        weighting: str | None = None,
    ) -> None:
        super().__init__()
        check_rates(schedule, learning_rate, warmup)
        self.model = model
        self.network = model.network
        self.mixture = mixture_of(tasks)
        self.learning_rate, self.warmup, self.schedule = learning_rate, warmup, schedule
        self.weight_decay, self.betas, self.seed = weight_decay, betas, seed
        self.metric_rows = metric_rows
        limits = {task.name: task.max_bad for task in self.mixture if task.on_error == "skip"}
        self.ledger = Ledger(limits=limits, path=None if ledger is None else Path(ledger))
        keys = sorted(objective_keys(model.plans))
        self.balancing = None if weighting is None else Balancing(weighting, keys, model.catalog)
        self.evening = Evening()
        self.realised = Realised(tuple(task.name for task in self.mixture))
        self.history: list[dict[str, float]] = []
        self._totals: Mapping[str, float] = {}
        self._ranks: Ranks | None = None
        self._ports: tuple[int, ...] = ()
        self._good: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        self._after = Position()
        self._sums: dict[str, list[Tensor | int]] = {}
        self._judged = Judged()
        self._clock = time.perf_counter()
        self._tokens = 0
        self.stopping = Stopping()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step from (seed, position), so that dropout does not depend on what ran before.

        The last step's gradients go now: the trainer would keep them until the forward pass has its most memory.
        """
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self.zero_grad(set_to_none=True)
        torch.manual_seed(mix(self.seed, "step", *batch.position, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch, scaled so that the optimiser step sees each objective's mean over all its units."""
        accumulate = self.trainer.accumulate_grad_batches
        self.ledger.note(batch.failures)
        self._good.update(id.task for id in batch.ids)
        self._bad.update(failure.id.task for failure in batch.failures)
        if batch_idx % accumulate == 0 or not self._totals:
            self._totals = self._agreed(batch.totals or batch.counts, batch.ports)
            self.evening.begin()
        also = self._ranks.absent(self._ports, batch.inputs) if self._ranks else ()
        factors = self.balancing.factors() if self.balancing is not None else {}
        with self._precision():
            losses = self.network.loss(batch, self._totals, also, self._ports, factors)
        self._after = Position(*batch.after)
        self._note(batch, losses.sums)
        parts, total = self.trainer.world_size * accumulate, losses.total
        if self.balancing is not None:
            total = total + self.balancing.extra(losses.sums, self._totals, parts)
            self.balancing.watch(losses.hidden, batch, factors)
        if losses.balance is not None:
            total = total + self.evening.extra(losses.balance, parts, self._summed)
        return total * parts

    def _summed(self, told: Tensor) -> Tensor:
        """A tensor summed over all ranks."""
        if self.trainer.world_size == 1:
            return told
        found = self.trainer.strategy.reduce(told, reduce_op="sum")
        assert isinstance(found, Tensor)
        return found

    def configure_callbacks(self) -> list[L.Callback]:
        """What ends all ranks together."""
        return [self.stopping]

    def setup(self, stage: str) -> None:
        """With several ranks: see that all ports can be called with zero rows, and keep a ledger of each rank. A model
        that was loaded is in the mode of predicting, in which nothing is dropped: training ends that."""
        if stage == "fit":
            self.network.train()
        keep_batches(self.trainer.precision_plugin)
        if self.trainer.world_size == 1 or stage != "fit" or self._ranks is not None:
            return
        bounds = {task.name: self.model.bound(task) for task in self.mixture if task.train is not None}
        check_same_rows(bounds, self._summed, self.trainer.world_size, self.trainer.strategy.root_device)
        self._ranks = Ranks(self.model, bounds, self.trainer)
        if self.ledger.path is not None and self.global_rank:
            self.ledger.path = self.ledger.path.with_suffix(f".rank{self.global_rank}{self.ledger.path.suffix}")

    def configure_model(self) -> None:
        """Shard the weights under Lightning's ModelParallelStrategy (FSDP2)."""
        mesh = self.device_mesh if isinstance(self.trainer.strategy, ModelParallelStrategy) else None
        if mesh is not None and not isinstance(self.network, FSDPModule):
            shard(self.network, mesh["data_parallel"])

    def on_fit_end(self) -> None:
        """Give the model its whole weights again, on every rank."""
        if isinstance(self.network, FSDPModule):
            self.model.take(full_state(self.network))
            self.network = self.model.network

    def _agreed(self, counts: Mapping[str, int], ports: Sequence[int] = ()) -> Mapping[str, float]:
        """The step's counts over all ranks, and the ports that any of them uses. Rows read and failed are told too, so
        that all ranks stop in one step.

        Raises:
            DataError: more rows of a task are unreadable than it allows.
        """
        good, bad, keys = dict(self._good), dict(self._bad), sorted(objective_keys(self.model.plans))
        self._good.clear()
        self._bad.clear()
        if self.trainer.world_size > 1:
            names = [task.name for task in self.mixture]
            told = [[counts.get(k, 0) for k in keys], [good.get(n, 0) for n in names], [bad.get(n, 0) for n in names]]
            told += [[int(kind in ports) for kind in range(len(self.network.table))], [int(self.stopping.asked)]]
            tallied, went, failed, used, asked = summed_lists(told, self._summed, self.device)
            counts = dict(zip(keys, tallied, strict=True))
            good, bad = dict(zip(names, went, strict=True)), dict(zip(names, failed, strict=True))
            self._ports = tuple(kind for kind, uses in enumerate(used) if uses)
            self.stopping.agreed = any(asked)
        self.ledger.count(good, bad)
        return dict(counts)

    def _precision(self) -> ExitStack:
        return within(str(self.trainer.precision), self.device)

    def on_after_backward(self) -> None:
        """Record the position of the next batch: what was trained, not what was fetched; before any callback saves."""
        data = getattr(self.trainer, "datamodule", None)
        if data is not None and hasattr(data, "position"):
            data.position = self._after

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the counts of unreadable rows.

        Raises:
            ConfigError: the weights are of another backbone or of other tasks.
        """
        check_weights(checkpoint, self.state_dict)
        self.ledger.take_up(checkpoint.get("ledger", {}))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the counts of unreadable rows. Say when gradients are not kept: inside an accumulation window."""
        checkpoint["ledger"] = self.ledger.counts()
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        batches = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        lost = batches % self.trainer.accumulate_grad_batches
        if lost:
            rank_zero_warn(inside_window(lost))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Tell the weighting of the gradients. Clear denormal moments of idle rows now and then: they slow a CPU
        tenfold."""
        if self.balancing is not None:
            self.balancing.step(lambda sizes: self.trainer.strategy.reduce(sizes, reduce_op="sum"))
        if self.device.type == "cpu" and self.global_step % 200 == 199:
            clear_denormal(optimizer)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as the trainer says. Without a loss scale a fused optimiser may be clipped, which Lightning refuses."""
        plugin = self.trainer.precision_plugin
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            kind = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val or 0.0, kind)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def _note(self, batch: Batch, sums: Mapping[str, Tensor]) -> None:
        for key, value in sums.items():
            held = self._sums.setdefault(key, [torch.zeros((), device=value.device), 0])
            held[0] += value.detach()
            held[1] += count_of(batch.counts, key)
        self._tokens += batch.layout.rows
        self.realised.add(batch)
        every = max(1, getattr(self.trainer, "log_every_n_steps", 50))
        last = self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if (self.global_step + 1) % every == 0 or last:
            self._log_means()

    def _log_means(self) -> None:
        now = time.perf_counter()
        means = {key: float(total) / max(int(count), 1) for key, (total, count) in self._sums.items()}
        speed = self._tokens / max(now - self._clock, 1e-9)
        waited = self._waited() / max(now - self._clock, 1e-9)
        means |= self.evening.take()
        self._sums, self._tokens, self._clock = {}, 0, now
        for key, mean in means.items():
            self.log(key, mean, prog_bar=True, batch_size=1)
        self.log("tokens_per_second", speed, prog_bar=True, batch_size=1)
        for name, value in {**self.realised.take(), "waiting_for_data": waited}.items():
            self.log(name, value, batch_size=1)
        self.history.append({"step": float(self.global_step), "tokens_per_second": speed, **means})

    def _waited(self) -> float:
        """Seconds that this process waited for batches since it was last asked."""
        data = getattr(self.trainer, "datamodule", None)
        taken = getattr(data, "take_waited", None)
        return float(taken()) if taken is not None else 0.0

    def on_train_end(self) -> None:
        """Judge the rows of the last step too; with several ranks always, as one of them may have seen none."""
        if self._good or self._bad or self.trainer.world_size > 1:
            self._agreed({})

    def on_train_start(self) -> None:
        """Say whether the run can be restored exactly; start the clock of tokens a second."""
        if self.trainer.is_global_zero:
            bounds = [self.model.bound(task) for task in self.mixture]
            sources = {bound.task.name: bound.rows["train"] for bound in bounds if "train" in bound.rows}
            sys.stderr.write(said(restorable(sources)))
        self._clock = time.perf_counter()

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Sum the losses of held-out rows."""
        self._evaluation_step(batch)

    def on_validation_epoch_end(self) -> None:
        """The losses of held-out rows, by task and slot, and the metrics of each task over the first of them."""
        self._log_judged("valid")
        self._metrics("valid")

    def on_test_epoch_end(self) -> None:
        """The losses and metrics of test rows."""
        self._log_judged("test")
        self._metrics("test")

    def _log_judged(self, split: Split) -> None:
        several, keys = self.trainer.world_size > 1, objective_keys(self.model.plans)
        for key, (mean, count) in self._judged.take(keys, self._summed, self.device).items():
            self.log(f"{split}/{key}", mean, batch_size=count, sync_dist=several)

    def _metrics(self, split: Split) -> None:
        if not self.metric_rows:
            return
        several = self.trainer.world_size > 1  # every rank judges the same rows, so that any may monitor them
        whole(self.network)
        with self._precision():
            for result in evaluate(self.model, self.mixture, split=split, rows=self.metric_rows):
                for name, value in result.values.items():
                    self.log(f"{split}/{result.task}/{name}", value, batch_size=max(result.rows, 1), sync_dist=several)
        apart(self.network)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Sum the losses of test rows."""
        self._evaluation_step(batch)

    def _evaluation_step(self, batch: Batch) -> None:
        also = self._ranks.all(batch.inputs) if self._ranks else ()
        with self._precision():
            losses = self.network.loss(batch, None, also)
        self.ledger.note(batch.failures)
        self._judged.add(losses.sums, batch.counts)

    def configure_optimizers(self) -> Any:
        """AdamW, fused, with warm-up and a schedule over the trainer's steps."""
        extra = list(self.balancing.parameters()) if self.balancing is not None else []
        optimizer = adamw(
            self.network, extra, learning_rate=self.learning_rate, weight_decay=self.weight_decay, betas=self.betas
        )
        total = self.trainer.estimated_stepping_batches
        steps = int(total) if math.isfinite(total) else 10**9
        shape = partial(shape_at, steps=steps, warmup=self.warmup, schedule=self.schedule)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, shape)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
