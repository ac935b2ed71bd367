"""`learn`: train a preset for a few steps and set it beside the best constant answer.

A learning test takes the fixture `learn` (from `conftest.py`):

    def test_captioning(learn):
        learned = learn("captioning", steps=60, fit__batch_tokens=1024)
        assert learned.last < 0.7 * learned.first
        assert learned.values["cap/rouge_l"] > learned.trivial["cap/rouge_l"] + 0.2

Overrides are those of the command line, `__` standing for a dot: `backbone="..."`, `tasks__captioning__train=...`
as keywords, or in a mapping, `**{"fit.learning_rate": 3e-3}`. Texts are written as they stand, the rest as YAML.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniline.tasks.evaluation import Evaluation, evaluate
from omniline.tasks.model import Model
from omniline.tasks.presets.baseline import trivial_values
from omniline.tasks.presets.catalog import main_task, read_preset
from omniline.tasks.presets.training import train_taskfile
from omniline.tasks.taskfile import read_taskfile


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a few steps gave.

    Attributes:
        first, last: the mean loss of the first and of the last tenth of the batches.
        values: each metric of the preset's main task as `SLOT/METRIC`, and of all its tasks as `TASK/SLOT/METRIC`.
        trivial: the same metrics for the best constant answer.
        seconds: of training.
        model: the trained model.
        results: each task's evaluation, with its rows and outputs.
    """

    first: float
    last: float
    values: Mapping[str, float]
    trivial: Mapping[str, float]
    seconds: float
    model: Model
    results: Mapping[str, Evaluation]


def learn(
    name: str | Path,
    *,
    steps: int,
    rows: int = 64,
    constant: Mapping[str, Any] | None = None,
    predict: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Learned:
    """Train a preset, or a task file of that path, and evaluate it on its held-out rows.

    Args:
        name: the preset's name, or a path.
        steps: of the optimiser.
        rows: held-out rows of each task that are predicted.
        constant: the trivial answer by target slot of the main task, or a function of the row; by default the
            commonest training values and the mean are tried.
        predict: settings of predicting, such as `{"most_tokens": 40}`.
        overrides: keys of the task file, `__` for a dot.
    """
    texts = [f"{key.replace('__', '.')}={_written(value)}" for key, value in overrides.items()]
    file = read_taskfile(name, texts) if isinstance(name, Path) else read_preset(name, texts)
    main = main_task(file, name.stem if isinstance(name, Path) else name.removeprefix("tasks/"))
    trained = train_taskfile(file, steps=steps)
    results = {one.task: one for one in evaluate(trained.model, trained.mixture, rows=rows, **(predict or {}))}
    assert main in results, f"the task `{main}` of the preset `{name}` has no `valid` rows"
    values, trivial = {}, {}
    for task in trained.mixture:
        if task.name not in results:
            continue
        result = results[task.name]
        bar = trivial_values(trained.model.bound(task), result.truths, constant=constant if task.name == main else None)
        for found, gathered in ((result.values, values), (bar, trivial)):
            gathered |= {f"{task.name}/{key}": value for key, value in found.items()}
            gathered |= dict(found) if task.name == main else {}
    return Learned(
        first=trained.early(),
        last=trained.late(),
        values=values,
        trivial=trivial,
        seconds=trained.seconds,
        model=trained.model,
        results=results,
    )


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
