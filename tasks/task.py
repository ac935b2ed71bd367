"""A task: an instruction, its rows, and how it is judged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from ..core.catalog import Catalog
from ..core.errors import ConfigError
from ..core.plan import Plan
from ..instructions.nodes import Instruction
from ..plugins.manager import installed
from .metrics import check_metrics
from .shares import Curve, Weight
from .verbs import compile as compile_instruction

NAME = re.compile(r"[\w.-]+")
Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
OnError = Literal["raise", "skip"]


@dataclass(frozen=True, eq=False)
class Task:
    """One line of text with data.

    Args:
        name: letters, digits, `_`, `-`, `.`; unique in a mixture.
        instruction: the line, or a list of alternative wordings.
        train, valid, test: rows: a list of mappings, any torch `Dataset` or `IterableDataset`, a Hugging Face dataset,
            a pandas or polars frame, or a path (jsonl, json, csv, tsv, parquet, tar shards, globs).
        weight: its share of rows in a mixture, relative to the other tasks; a number, or a mapping from optimiser step
            to number with straight lines between.
        since, until: the optimiser steps at which it joins (included) and leaves (excluded) the mixture.
        metrics: names of metrics, with settings as in "accuracy,average=macro", or a mapping from target slot to
            names; by default what suits each slot.
        closed_sets: members of slots that write a bare `closed_set`, by slot name; by default the distinct training
            values.
        on_error: "raise" stops at a row that cannot be read, "skip" counts and lists it.
        max_bad: with "skip", what stops the run all the same: a share of the rows seen (0.01; judged from 100 rows on),
            or a whole number of unreadable rows in a row.
        catalog: the parts that the line may name; by default those of the installed packages.

    Raises:
        InstructionError: the line is wrong; all findings at once.
        ConfigError: a setting is wrong.

    >>> Task("caption", "[IMAGE:img] what is it? -> [TEXT:cap]").plan.targets[0].name
    'cap'
    """

    name: str
    instruction: str | Sequence[str] | Instruction
    _: KW_ONLY
    train: Any = None
    valid: Any = None
    test: Any = None
    weight: Weight = 1.0
    since: int = 0
    until: int | None = None
    metrics: Sequence[str] | Mapping[str, Sequence[str]] | None = None
    closed_sets: Mapping[str, Sequence[str]] | None = None
    on_error: OnError = "raise"
    max_bad: float | int = 100
    catalog: Catalog = field(default_factory=installed, repr=False)
    plan: Plan = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ConfigError(f"a task's name must be letters, digits, `_`, `-` or `.`, but is {self.name!r}")
        Curve.of(self.weight, f"the weight of task `{self.name}`")
        if self.since < 0 or (self.until is not None and self.until <= self.since):
            raise ConfigError(
                f"task `{self.name}` must join before it leaves, but is from {self.since} to {self.until}"
            )
        whole = isinstance(self.max_bad, int)
        if isinstance(self.max_bad, bool) or not (self.max_bad >= 1 if whole else 0 <= self.max_bad < 1):
            raise ConfigError(
                f"max_bad of task `{self.name}` must be a share of its rows below 1, or a whole number of rows in a "
                f"row from 1 on, but is {self.max_bad!r}"
            )
        if self.on_error not in ("raise", "skip"):
            raise ConfigError(f'on_error of task `{self.name}` must be "raise" or "skip", but is {self.on_error!r}')
        plan = compile_instruction(self.instruction, catalog=self.catalog)
        if self.train is not None and not plan.alternatives[0].objectives:
            raise ConfigError(
                f"task `{self.name}` has training rows, but its instruction supervises nothing: give it a target slot "
                "without `no_loss`"
            )
        check_metrics(self.name, plan, self.metrics, self.catalog)
        object.__setattr__(self, "plan", plan)

    def rows(self, split: Split) -> Any:
        """The rows of a split as they were given."""
        return getattr(self, split)
