"""The LightningDataModule: the stream as a loader, its position as two integers of Lightning's checkpoint."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ..core.batch import Batch
from ..core.errors import ConfigError, DataError, OmnilineError
from ..core.example import Example, RowId
from ..core.packing import pack
from ..core.reader import Reader
from .binding import Bound
from .drawing import WINDOW, Position, whole_windows
from .ledger import Failure
from .lengths import Lengths
from .mixture import Mixture, mixture_of
from .model import Model
from .restoring import changed, print_of, recorded, taken_up
from .stream import Stream
from .task import Split, Task
from .workers import start_context

EXACT = 8
"""Windows of a pass that are planned to know its batches; a longer pass is estimated by so many."""


class DataModule(L.LightningDataModule):
    """Batches of a mixture for a model.

    Args:
        tasks: one task, several, or a Mixture.
        model: the model that will read the batches; `Module(model, tasks)` of the same trainer is found when left out.
        seed: of every draw of the stream.
        batch_tokens: most tokens of a batch, source and target together.
        batch_rows: most rows of a batch.
        padded: padded layouts instead of packed ones; None for packed ones but where padding costs less than 5%.
        workers: loader processes; the stream does not depend on it.
        worker_start: how they begin: "fork", "spawn" or "forkserver"; None for torch's choice, fork on Linux.
        steps_per_epoch: batches that make an epoch in Lightning's sense; by default one pass over all training rows.
        valid_rows: most validation rows of a task for its loss.
    """

    def __init__(
        self,
        tasks: Mixture | Task | Iterable[Task],
        *,
        model: Model | None = None,
        seed: int = 0,
        batch_tokens: int = 4096,
        batch_rows: int | None = None,
        padded: bool | None = None,
        workers: int = 0,
        worker_start: str | None = None,
        steps_per_epoch: int | None = None,
        valid_rows: int = 256,
    ) -> None:
        super().__init__()
        for name, value in (("batch_tokens", batch_tokens), ("valid_rows", valid_rows)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, but is {value}")
        start_context(worker_start)
        self.mixture = mixture_of(tasks)
        self.model = model
        self.seed = seed
        self.batch_tokens = batch_tokens
        self.batch_rows = batch_rows
        self.padded = padded
        self.workers, self.worker_start = workers, worker_start
        self.steps_per_epoch = steps_per_epoch
        self.valid_rows = valid_rows
        self.position = Position()
        self._stream: Stream | None = None
        self._prints: dict[str, str] = {}
        self._waited = 0.0

    def take_waited(self) -> float:
        """Seconds that the trainer waited for batches since it last asked."""
        waited, self._waited = self._waited, 0.0
        return waited

    @property
    def bounds(self) -> Mapping[str, Bound]:
        """The bound tasks by name."""
        return {task.name: self._model().bound(task) for task in self.mixture}

    def _model(self) -> Model:
        if self.model is None:
            module = getattr(self.trainer, "lightning_module", None)
            found = getattr(module, "model", None)
            if not isinstance(found, Model):
                raise ConfigError("DataModule needs its model: pass model=, or fit it with an omniline Module")
            self.model = found
        return self.model

    @property
    def stream(self) -> Stream:
        """The stream of training batches, for all ranks."""
        if self._stream is None:
            model = self._model()
            bounds = {name: bound for name, bound in self.bounds.items() if "train" in bound.rows}
            if not bounds:
                raise ConfigError("no task has training rows: pass train= to at least one")
            sizes = [bound.rows_of_a_pass("train", WINDOW) for bound in bounds.values()]
            self._stream = Stream(
                window=whole_windows(sizes),
                tasks=bounds,
                readers={name: model.reader(bound) for name, bound in bounds.items()},
                shares=self.mixture.tree({name: bound.size("train") for name, bound in bounds.items()}).checked(),
                rounds=self.mixture.strategy == "all",
                accumulate=self._trainer_value("accumulate_grad_batches", 1),
                lengths=Lengths(bounds, shared=self.workers > 0),
                seed=self.seed,
                batch_tokens=self.batch_tokens,
                batch_rows=self.batch_rows,
                padded=self.padded,
                ranks=self._trainer_value("world_size", 1),
            )
        return self._stream

    def _trainer_value(self, name: str, default: int) -> int:
        return int(getattr(self.trainer, name, default)) if self.trainer is not None else default

    def train_dataloader(self) -> Loader:
        """The loader of this rank, from the recorded position on."""
        accumulate = self._trainer_value("accumulate_grad_batches", 1)
        return Loader(
            self, accumulate=accumulate, rank=self._trainer_value("global_rank", 0), steps=self._steps(accumulate)
        )

    def _steps(self, accumulate: int) -> int:
        """Batches of an epoch: those of a pass over all rows, or about as many when it is a long one."""
        if self.steps_per_epoch is not None:
            steps = self.steps_per_epoch
        else:
            stream, at = self.stream, Position()
            sizes = [bound.rows_of_a_pass("train", WINDOW) for bound in stream.tasks.values()]
            total = sum(size or 0 for size in sizes) or WINDOW
            whole = stream.draws.shares.constant and not stream.rounds and None not in sizes
            windows = max(1, round(total / stream.window)) if whole else 1
            batches = rows = 0
            for _ in range(min(windows, EXACT)):
                plan = stream.planned(at)
                batches, rows = batches + len(plan.batches), rows + sum(map(len, plan.batches))
                at = stream.draws.following(at, len(plan.batches) // stream.ranks)
            passes = 1.0 if whole and windows <= EXACT else total / max(rows, 1)
            steps = max(1, round(passes * batches / stream.ranks))
        return max(accumulate, steps // accumulate * accumulate)

    def val_dataloader(self) -> list[ValidLoader]:
        """One loader per task that has validation rows."""
        return self._evaluation("valid")

    def test_dataloader(self) -> list[ValidLoader]:
        """One loader per task that has test rows."""
        return self._evaluation("test")

    def _evaluation(self, split: Split) -> list[ValidLoader]:
        model = self._model()
        rank, ranks = self._trainer_value("global_rank", 0), self._trainer_value("world_size", 1)
        return [
            ValidLoader(bound, model.reader(bound), split, self.batch_tokens, self.valid_rows, rank, ranks)
            for bound in self.bounds.values()
            if split in bound.rows
        ]

    def state_dict(self) -> dict[str, Any]:
        """The position of the next batch and what the stream is a function of, as plain values."""
        if not self._prints:
            self._prints = {name: print_of(bound.rows["train"]) for name, bound in self.stream.tasks.items()}
        steps = self._trainer_value("global_step", 0)
        return recorded(self.stream, self.position, steps=steps, prints=self._prints)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the recorded position.

        Raises:
            ConfigError: the run is resumed with another seed, which would be another stream.
        """
        if self.trainer is not None and self.trainer.state.fn not in (None, TrainerFn.FITTING):
            return
        if state_dict["seed"] != self.seed:
            raise ConfigError(
                f"the checkpoint's stream has seed {state_dict['seed']}, but this run has {self.seed}: pass the same"
            )
        for what in changed(state_dict["made"], self.state_dict()["made"]):
            rank_zero_warn(f"this run does not go on exactly as it was: {what}")
        self.position = taken_up(state_dict, self.stream)


class Loader:
    """An iterable with a length over this rank's batches; each carries the counts of its optimiser step."""

    def __init__(self, module: DataModule, *, accumulate: int, rank: int, steps: int) -> None:
        self.module = module
        self.accumulate = accumulate
        self.rank = rank
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def state_dict(self) -> dict[str, Any]:
        """The position, which tells Lightning that an epoch may be taken up in its middle."""
        return self.module.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the recorded position."""
        self.module.load_state_dict(state_dict)

    def _left(self) -> int:
        """Batches until the epoch ends; the trainer may end it earlier (limit_train_batches), or be in its middle."""
        trainer = self.module.trainer
        if trainer is None or trainer.state.fn != TrainerFn.FITTING:
            return self.steps
        limit, done = trainer.num_training_batches, trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return max(0, int(min(limit, self.steps)) - done)

    def __iter__(self) -> Iterator[Batch]:
        module = self.module
        data = _StreamData(module.stream, module.position, self.rank)
        loader = DataLoader(
            data,
            batch_size=None,
            num_workers=module.workers,
            multiprocessing_context=start_context(module.worker_start) if module.workers else None,
            prefetch_factor=4 if module.workers else None,
        )
        batches = _with_totals(_raised(loader), self.accumulate, self._left())
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            module._waited += time.perf_counter() - began
            if batch is None:
                return
            yield batch


def _with_totals(batches: Iterator[Batch], accumulate: int, steps: int) -> Iterator[Batch]:
    """Read one optimiser step ahead, so that each of its batches knows the counts of all of them; the last is cut
    short where an epoch is."""
    for first in range(0, steps, accumulate):
        held = [next(batches) for _ in range(min(accumulate, steps - first))]
        totals: dict[str, int] = {}
        ports: set[int] = set()
        for batch in held:
            ports.update(item.kind for item in batch.inputs)
            for key, count in batch.counts.items():
                totals[key] = totals.get(key, 0) + count
        for batch in held:
            yield batch.with_totals(totals, ports)


def _raised(batches: Iterable[Batch | OmnilineError]) -> Iterator[Batch]:
    """The batches, or the error that a loader worker met, as it was raised there."""
    for item in batches:
        if isinstance(item, OmnilineError):
            raise item
        yield item


class _StreamData(IterableDataset[Batch | OmnilineError]):
    def __init__(self, stream: Stream, start: Position, rank: int) -> None:
        self.stream, self.start, self.rank = stream, start, rank

    def __iter__(self) -> Iterator[Batch | OmnilineError]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        try:
            yield from self.stream.batches(self.start, self.rank, worker=worker, workers=workers)
        except OmnilineError as error:
            yield error


class ValidLoader:
    """The first rows of a split in order, in batches to a token budget; rank r takes every `ranks`-th batch."""

    def __init__(
        self, bound: Bound, reader: Reader, split: Split, batch_tokens: int, most: int, rank: int, ranks: int
    ) -> None:
        self.bound, self.reader, self.split = bound, reader, split
        self.batch_tokens, self.most = batch_tokens, most
        self.rank, self.ranks = rank, ranks

    def __iter__(self) -> Iterator[Batch]:
        number = -1
        for number, batch in enumerate(self._batches()):
            if number % self.ranks == self.rank:
                yield batch
        if self.rank > number % self.ranks >= 0:  # ranks take equally many, so that none waits for another
            yield self._batch([], [])

    def _batches(self) -> Iterator[Batch]:
        held: list[Example] = []
        failures: list[Failure] = []
        tokens = 0
        for example in self._examples(failures):
            if held and tokens + example.rows() > self.batch_tokens:
                yield self._batch(held, failures)
                held, failures[:], tokens = [], [], 0
            held.append(example)
            tokens += example.rows()
        if held or failures:
            yield self._batch(held, failures)

    def _batch(self, held: list[Example], failures: list[Failure]) -> Batch:
        return replace(pack(held, {self.bound.task.name: self.reader}), failures=tuple(failures))

    def _examples(self, failures: list[Failure]) -> Iterator[Example]:
        """The rows as examples; those that cannot be read are raised or listed, as the task says."""
        rows = self.bound.rows[self.split]
        for index in range(min(self.most, self.bound.rows_of_a_pass(self.split, self.most) or self.most)):
            id = RowId(self.bound.task.name, index)
            try:
                yield self.reader.example(self.bound.read(self.split, index), id, mode="valid")
            except DataError as cause:
                if self.bound.task.on_error == "raise":
                    raise self.bound.placed(self.split, index, cause) from cause
                failures.append(Failure.of(id, rows.place(index), cause, self.split))
