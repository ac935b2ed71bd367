"""Task files: the tasks of a run, its backbone and its settings, as YAML.

```yaml
_include_: base.yaml                     # a path or a list; what stands here wins
tasks:
  caption:
    instruction: "[IMAGE:img] what does the image describe? -> [TEXT:cap]"
    train: data/train.jsonl              # anything that a Task takes as a path, or a list of rows
    valid: {call: "mine.data:rows", split: valid}
    weight: 2.0
backbone: ofa-tiny
tokenizer: bpe:8000
seed: 0
mixture: {strategy: weights, temperature: 1.0}
fit: {batch_tokens: 4096, learning_rate: 1e-3}
trainer: {max_steps: 500}                # Lightning's own names
save: runs/caption
about: {title: Captioning, licence: MIT} # in words; also `data`, `metric` and `ofasys`
```

Paths are relative to the file that they stand in; in an override, to the working directory. `call` runs a function of
an installed module, or of one beside the file, with the other keys as keywords: a task file is code that you trust.
Reading a file imports nothing that it names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.catalog import Catalog
from ..core.errors import ConfigError, Diagnostic, InstructionError, PluginError
from ..core.parts import working_half
from ..plugins.manager import installed
from .metrics import check_metrics
from .mixture import Mixture
from .presets.about import About, about_of
from .schema import problems
from .task import SPLITS, Task
from .verbs import check, compile
from .yamlfile import Document, interpolated, load_document, override

CALL = "call"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFile:
    """A task file, read and checked; nothing that it names has been imported.

    Attributes:
        path: the file.
        entries: each task's keys as they are written, by the task's name.
        fit: settings of `fit` besides backbone, tokenizer and seed.
        model: the folder of a model to go on from, a bundle or a checkpoint; else a new one is made of `backbone`.
        trainer: settings of Lightning's Trainer.
        save: the folder that takes the bundle.
        about: what the file says of itself.
    """

    path: Path
    entries: Mapping[str, Mapping[str, Any]]
    backbone: str = "ofa-tiny"
    model: str | None = None
    tokenizer: str | None = None
    seed: int = 0
    mixture: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    trainer: Mapping[str, Any] = field(default_factory=dict)
    save: str | None = None
    about: About = About()
    document: Document = field(repr=False)

    def check(self, *, catalog: Catalog | None = None) -> list[Diagnostic]:
        """All findings about all instructions, with file and line; budgets are judged against the file's backbone.

        Raises:
            PluginError: there is no such backbone.
            ConfigError: a metric that does not exist, or cannot judge its slot, with its place.
        """
        found: list[Diagnostic] = []
        for name, entry in self.entries.items():
            judged = self.backbone if self.model is None else None
            for one in check(entry["instruction"], catalog=catalog, backbone=judged):
                aimless = one.code == "OL217" and entry.get("train") is not None
                found.append(self._placed(replace(one, severity="error") if aimless else one, name))
        if not any(one.severity == "error" for one in found):
            self._check_metrics(catalog or installed())
        return sorted(found, key=lambda one: one.severity != "error")

    def _check_metrics(self, catalog: Catalog) -> None:
        wrong = []
        for name, entry in self.entries.items():
            if entry.get("metrics") is None:
                continue
            try:
                check_metrics(name, compile(entry["instruction"], catalog=catalog), entry["metrics"], catalog)
            except (ConfigError, PluginError) as cause:
                place = self.document.place(("tasks", name, "metrics"))
                wrong.append(f"{place}`tasks.{name}.metrics`: {cause}")
        if wrong:
            raise ConfigError("\n".join(wrong))

    def instruction(self, task: str) -> str | list[str]:
        """The line of one task, or its wordings."""
        line: str | list[str] = self.entries[task]["instruction"]
        return line

    def tasks(self, *, catalog: Catalog | None = None) -> Mixture:
        """The tasks as a mixture; here `call`s run.

        Raises:
            InstructionError: lines are wrong; all findings of all tasks, with file and line.
            ConfigError: a `call` fails, or a setting is wrong.
        """
        errors = [one for one in self.check(catalog=catalog) if one.severity == "error"]
        if errors:
            raise InstructionError(errors)
        made = [self._task(name, entry, catalog or installed()) for name, entry in self.entries.items()]
        return Mixture(made, **self.mixture)

    def trainer_settings(self) -> dict[str, Any]:
        """Lightning's settings; here `call`s run, as in `callbacks: [{call: "mine.parts:Stop", patience: 3}]`."""
        return {name: self._made(value, ("trainer", name)) for name, value in self.trainer.items()}

    def _task(self, name: str, entry: Mapping[str, Any], catalog: Catalog) -> Task:
        sources = {split: self._made(entry.get(split), ("tasks", name, split)) for split in SPLITS}
        rest = {key: value for key, value in entry.items() if key not in (*SPLITS, "instruction")}
        return Task(name, entry["instruction"], **sources, **rest, catalog=catalog)

    def _made(self, value: Any, path: tuple[str, ...]) -> Any:
        """The value, with every mapping that holds `call` replaced by what the call returns."""
        if isinstance(value, list):
            return [self._made(item, path) for item in value]
        if not isinstance(value, dict) or CALL not in value:
            return value
        keywords = {key: self._made(item, path) for key, item in value.items() if key != CALL}
        folder = str(self.path.parent.resolve())
        if folder not in sys.path:
            sys.path.append(folder)
        dotted = ".".join(path)
        function = working_half(value[CALL], f"{self.document.place(path)}the call of `{dotted}`")
        try:
            return function(**keywords)
        except TypeError as cause:
            raise ConfigError(f"{self.document.place(path)}the call of `{dotted}` does not fit: {cause}") from cause

    def _placed(self, found: Diagnostic, name: str) -> Diagnostic:
        mark = self.document.marks.get(("tasks", name, "instruction"))
        file, line = (mark.file, mark.line) if mark else (None, None)
        return replace(found, source=replace(found.source, name=f"task `{name}`", file=file, line=line))


def read_taskfile(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> TaskFile:
    """Read a task file with what it includes.

    Args:
        path: the file.
        overrides: `key=value` texts that win over the file, such as `trainer.max_steps=10`; `tasks.caption=null`
            leaves a task out.

    Raises:
        ConfigError: all that is wrong with its keys and values, each with its place.
    """
    document = load_document(Path(os.path.expanduser(os.fspath(path))), absolute)
    for text in overrides:
        document = override(document, text, absolute)
    document = interpolated(document)
    if isinstance(tasks := document.values.get("tasks"), dict):
        document.values["tasks"] = {name: entry for name, entry in tasks.items() if entry is not None}
    found = [f"{document.place(at)}{sentence}" for at, sentence in problems(document.values)]
    if found:
        raise ConfigError("\n".join(found) if document.marks else f"{path}: {found[0]}")
    values = {key: value for key, value in document.values.items() if value is not None}
    entries = values.pop("tasks")
    values["about"] = about_of(values.get("about", {}))
    return TaskFile(path=Path(path), entries=entries, document=document, **values)


def absolute(values: dict[str, Any], folder: str) -> None:
    """Make the paths of a file absolute, in place: sources, a tokenizer's file, what is saved."""
    tasks = values.get("tasks")
    for entry in tasks.values() if isinstance(tasks, dict) else ():
        for split in SPLITS:
            if isinstance(entry, dict) and split in entry:
                entry[split] = _joined(entry[split], folder)
    for key in ("save", "model"):
        if isinstance(values.get(key), str):
            values[key] = _joined(values[key], folder)
    if str(values.get("tokenizer", "")).endswith(".json"):
        values["tokenizer"] = _joined(values["tokenizer"], folder)
    trainer = values.get("trainer")
    if isinstance(trainer, dict) and isinstance(trainer.get("default_root_dir"), str):
        trainer["default_root_dir"] = _joined(trainer["default_root_dir"], folder)


def _joined(value: Any, folder: str) -> Any:
    if isinstance(value, list):
        return [_joined(item, folder) for item in value]
    if not isinstance(value, str) or "://" in value or value.startswith("${"):
        return value
    return os.path.join(folder, os.path.expanduser(value))
