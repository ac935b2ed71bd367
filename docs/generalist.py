"""One tiny model on many tasks of all modalities, against one specialist of the same kind for each task.

    python docs/generalist.py --minutes 40        train, judge, write docs/generalist.md
    python docs/generalist.py --fresh             forget what an earlier run has done

A task's specialist has the same budget for it as the generalist: the same number of steps, the same number of its rows
in each, the same backbone, tokenizer, learning rate and schedule; the other tasks' rows are missing, and nothing else.
What is finished is kept in a folder, so that a run that breaks off goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch

from omniline.core.errors import DataError
from omniline.tasks.bundle import load
from omniline.tasks.datamodule import DataModule
from omniline.tasks.evaluation import evaluate
from omniline.tasks.fit import fit
from omniline.tasks.memory import keep_pages
from omniline.tasks.model import Model
from omniline.tasks.presets.baseline import trivial_values
from omniline.tasks.presets.catalog import find_preset, read_preset
from omniline.tasks.task import Task

sys.path.insert(0, str(Path(__file__).resolve().parent))
from generalist_page import written

PAGE = Path(__file__).resolve().parent / "generalist.md"
WORK = Path(__file__).resolve().parents[1] / "build" / "generalist"
BACKBONE = "ofa-tiny,width=128,heads=4,ffn=384,encoder_layers=3,decoder_layers=3,dropout=0"
TOKENIZER = "bpe:2000"
RATE = 1.5e-3
ROWS = 28
"""Rows of a batch."""
TOKENS = 1 << 16
TIMED = 10
SHARE = 0.80
"""Of the minutes for training; the rest is for answering held-out rows."""
WANTED: Mapping[str, float] = {
    "image_classification": 0.7,
    "captioning": 1.2,
    "grounding": 1.2,
    "grounded_captioning": 1.0,
    "text_to_image": 1.2,
    "video_classification": 1.0,
    "speech_recognition": 1.5,
    "text_to_speech": 1.0,
    "text_to_phone": 1.0,
    "text_to_motion": 1.0,
    "motion_captioning": 1.0,
    "table_to_text": 1.0,
}
"""Presets, and their share of rows: more where learning takes longer."""
LINES = {
    "image_classification": "[IMAGE:img,size=16,patch=4] which digit? -> [CATEGORY:digit]",
}
"""Lines in the place of the preset's, so that every modality is there."""
WEIGHTS = {"text_to_motion": ("[MOTION:bvh_frames,", 8), "text_to_speech": ("[AUDIO:wav,", 2)}
"""Of losses whose values are far below those of tokens, so that the others do not drown them in one model."""
METRICS = {"image_classification": "digit/accuracy"}


@dataclass(frozen=True, kw_only=True)
class Member:
    """A task of the comparison.

    Attributes:
        task: with its rows; its weight is its share of all rows.
        metric: by which it is judged, `SLOT/METRIC`.
    """

    task: Task
    metric: str

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def line(self) -> str:
        """The instruction, the first wording of several."""
        return self.task.plan.text.split(" ||| ")[0]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What both kinds of model are trained with."""

    backbone: str = BACKBONE
    tokenizer: str = TOKENIZER
    learning_rate: float = RATE
    rows: int = ROWS
    judged: int = 96
    workers: int = 1
    seed: int = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Plan, train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=40.0, help="for all of it, on this machine")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these presets alone")
    parser.add_argument("--fresh", action="store_true", help="begin again")
    parser.add_argument("--work", type=Path, default=WORK, help="the folder of what is finished")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(argv)
    if options.fresh:
        shutil.rmtree(options.work, ignore_errors=True)
    keep_pages()
    members = members_of(options.only or list(WANTED))
    results = compare(members, options.work, Settings(), minutes=options.minutes)
    options.page.write_text(written(results), encoding="utf-8")
    print(f"wrote {options.page}")
    return 0


def members_of(names: Sequence[str]) -> list[Member]:
    """The named presets that there are, each by its main task."""
    found = []
    for name in names:
        if find_preset(name) is None:
            print(f"{name}: there is no such preset, it is left out")
            continue
        file = read_preset(name)
        (task,) = (one for one in file.tasks() if one.name == name)
        if name in LINES:
            task = replace(task, instruction=LINES[name], metrics=None)
        if name in WEIGHTS:
            slot, weight = WEIGHTS[name]
            task = replace(task, instruction=str(task.instruction).replace(slot, f"{slot}weight={weight},"))
        task = replace(task, weight=WANTED.get(name, 1.0))
        found.append(Member(task=task, metric=METRICS.get(name, file.about.metric)))
    return found


def compare(members: Sequence[Member], work: Path, settings: Settings, *, minutes: float) -> dict[str, Any]:
    """Train and judge the generalist and every specialist that is not finished yet.

    Returns:
        What the page shows: the settings, the rows, both results of every task, seconds and parameters.
    """
    work.mkdir(parents=True, exist_ok=True)
    key = digest(members, settings, minutes)
    began = time.perf_counter()
    plan = kept(work / "plan.json", key)
    if plan is None:
        plan = store(work / "plan.json", key, {"steps": affordable(members, settings, minutes)})
    general = kept(work / "generalist.json", key)
    if general is None:
        model, facts = train([one.task for one in members], settings, plan["steps"])
        model.save(work / "generalist")
        general = store(work / "generalist.json", key, {**facts, "tasks": judge(model, members, settings)})
        say(f"generalist: {facts['seconds']:.0f} s, {facts['parameters']:,} parameters")
    tokenizer = load(work / "generalist").tokenizer
    special: dict[str, Any] = {}
    for one in members:
        name = one.name
        found = kept(work / f"specialist-{name}.json", key)
        if found is None:
            seen = general["rows"].get(name, 0)
            each = max(1, round(seen / general["steps"]))
            model, facts = train([one.task], replace(settings, rows=each), max(1, round(seen / each)), tokenizer)
            found = store(work / f"specialist-{name}.json", key, {**facts, "tasks": judge(model, [one], settings)})
            values = [part["tasks"][name].get("value") for part in (general, found)]
            say(f"{name}: {one.metric} generalist {values[0]}, specialist {values[1]}, {facts['seconds']:.0f} s")
        special[name] = found
    return {
        "settings": {"backbone": settings.backbone, "learning_rate": settings.learning_rate, "rows": settings.rows},
        "members": [{"name": m.name, "metric": m.metric, "line": m.line} for m in members],
        "generalist": general,
        "specialists": special,
        "judged": settings.judged,
        "threads": torch.get_num_threads(),
        "seconds": time.perf_counter() - began,
    }


class Count(L.Callback):
    """Counts the rows of each task that were trained."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        self.rows.update(id.task for id in batch.ids)


def train(tasks: Sequence[Task], settings: Settings, steps: int, tokenizer: Any = None) -> tuple[Model, dict[str, Any]]:
    """A model of these tasks, and what its training was."""
    count = Count()
    began = time.perf_counter()
    model = fit(
        tasks,
        backbone=settings.backbone,
        tokenizer=tokenizer or settings.tokenizer,
        seed=settings.seed,
        learning_rate=settings.learning_rate,
        batch_rows=settings.rows,
        batch_tokens=TOKENS,
        workers=settings.workers,
        max_steps=steps,
        limit_val_batches=0,
        enable_progress_bar=False,
        callbacks=[count],
    )
    parameters = sum(one.numel() for one in model.network.parameters())
    seconds = round(time.perf_counter() - began, 1)
    return model, {"steps": steps, "rows": dict(count.rows), "seconds": seconds, "parameters": parameters}


def judge(model: Model, members: Sequence[Member], settings: Settings) -> dict[str, Any]:
    """Each task's metric on held-out rows, beside that of the best constant answer."""
    found = {}
    for member in members:
        result = evaluate(model, member.task, rows=settings.judged)[0]
        try:
            trivial = trivial_values(model.bound(member.task), result.truths).get(member.metric)
        except DataError:
            trivial = None
        found[member.name] = {
            "value": result.values.get(member.metric),
            "trivial": trivial,
            "lower": member.metric in result.lower,
            "rows": result.rows,
        }
    return found


def affordable(members: Sequence[Member], settings: Settings, minutes: float) -> int:
    """Steps of the generalist, so that it and all specialists together fit the minutes; timed on a few batches."""
    tasks = [one.task for one in members]
    model = Model.build(backbone=settings.backbone, tasks=tasks, tokenizer=settings.tokenizer, seed=settings.seed)
    whole = timed(model, tasks, settings)
    each = max(1, round(settings.rows / len(tasks)))
    parts = sum(timed(model, [task], replace(settings, rows=each, workers=0)) for task in tasks)
    steps = max(1, int(minutes * 60 * SHARE / (whole + parts)))
    say(f"{whole:.2f} s a step of {settings.rows} rows, {parts:.2f} s one of each specialist: {steps} steps")
    return steps


def timed(model: Model, tasks: Sequence[Task], settings: Settings) -> float:
    """Seconds of a training step, the mean of a few."""
    data = DataModule(
        tasks,
        model=model,
        batch_rows=settings.rows,
        batch_tokens=TOKENS,
        workers=settings.workers,
        steps_per_epoch=TIMED + 2,
    )
    batches = iter(data.train_dataloader())
    optimizer = torch.optim.AdamW(model.network.parameters(), fused=True)
    began = time.perf_counter()
    for number in range(TIMED + 2):
        if number == 2:
            began = time.perf_counter()
        batch = next(batches)
        model.network.loss(batch).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    return (time.perf_counter() - began) / TIMED


def digest(members: Sequence[Member], settings: Settings, minutes: float) -> str:
    """Of all that a result depends on, but the code."""
    text = json.dumps([[m.name, m.line, m.metric, m.task.weight] for m in members]) + repr(
        (settings, minutes, "equal steps")
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def kept(path: Path, key: str) -> dict[str, Any] | None:
    """What an earlier run found with the same settings."""
    if not path.is_file():
        return None
    held = json.loads(path.read_text(encoding="utf-8"))
    return held["found"] if held["key"] == key else None


def store(path: Path, key: str, found: dict[str, Any]) -> dict[str, Any]:
    """Keep what was found."""
    path.write_text(json.dumps({"key": key, "found": found}, indent=1), encoding="utf-8")
    return found


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
