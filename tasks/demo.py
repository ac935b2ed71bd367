"""The demo: one tiny model learns three one-line tasks at once from the sample data, and a report says how well."""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path
from typing import Any

import lightning as L
import torch
from rich.console import Console
from rich.table import Table

from ..core.example import Example, RowId
from ..core.packing import pack
from .datamodule import DataModule
from .drawing import Position
from .evaluation import Evaluation, evaluate
from .fit import fit
from .memory import keep_pages
from .model import Model
from .module import Module
from .presets.samples import digit_rows, emoji_rows, english_rows
from .report import Report, Score, Shot
from .task import Task

EMOJI = "[IMAGE:img,size=40,patch=8] what is this? -> [TEXT:name,max_length=32]"
DIGIT = "[IMAGE:img,size=32,patch=8] which digit? -> [TEXT:digit,closed_set]"
INFILL = 'what is the complete text of "[TEXT:text,mask_ratio=0.3,max_length=160]"? -> [TEXT:text,max_length=160]'
SIZE, EMOJI_COUNT = 40, 110
PER_EMOJI = {"train": 250, "valid": 8}
BATCH_TOKENS = 2048
BACKBONE = "decoder-tiny,width=128,ffn=384"
SPLITS = ("train", "valid")

CAVEATS = (
    "Emoji: training and held-out pictures show the same 110 drawings; what is new is the place, size, angle and "
    "background. The number does not say that another artist's drawing, or an emoji outside the 110, would be named.",
    "Digits: held-out scans are other scans, but the data do not say who wrote which: a writer may be in both halves.",
    "Infilling: a word counts when it stands in the answer and not in what was visible; word order is not judged. The "
    "texts are dictionary definitions, more regular than running text. In five minutes the model learns how such "
    "sentences run; it does not yet copy what is visible, as longer training would teach it.",
    "Held-out rows were looked at while the demo's settings were chosen, so the figures are a little kind to it.",
    "All three are tiny tasks for a model of a few million parameters: they show that the way works, not how good a "
    "large model would be.",
)


def tasks() -> list[Task]:
    """The demo's three tasks over the sample data."""
    emoji = {s: emoji_rows(split=s, size=SIZE, emoji=EMOJI_COUNT, per_emoji=PER_EMOJI[s]) for s in SPLITS}
    digit = {split: digit_rows(split=split) for split in SPLITS}
    english = {split: english_rows(split=split) for split in SPLITS}
    return [
        Task("emoji", EMOJI, train=emoji["train"], valid=emoji["valid"], weight=8.0),
        Task("digit", DIGIT, train=digit["train"], valid=digit["valid"], weight=1.6),
        Task("infill", INFILL, train=english["train"], valid=english["valid"], weight=2.2),
    ]


def run(argv: Sequence[str]) -> int:
    """`omniline demo [--out FOLDER] [--minutes M] [--seed N]`."""
    parser = argparse.ArgumentParser(prog="omniline demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="where the model and the report go")
    parser.add_argument("--minutes", type=float, default=4.5, help="most minutes of training")
    parser.add_argument("--steps", type=int, help="steps of training; by default what the minutes hold")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    console = Console(stderr=True)
    learned = tasks()
    for task in learned:
        console.print(f"{task.name}: {task.plan.text}", markup=False, highlight=False, soft_wrap=True)
    began = time.perf_counter()
    model, history = train(learned, options.minutes, options.steps, options.seed)
    minutes = (time.perf_counter() - began) / 60
    report = judged(model, learned, history, minutes)
    options.out.mkdir(parents=True, exist_ok=True)
    model.save(options.out / "model")
    page = options.out / "report.html"
    page.write_text(report.to_html(), encoding="utf-8")
    _print(report, Console())
    console.print(f"report: {page}\nmodel:  {options.out / 'model'}")
    return 0


def train(
    learned: Sequence[Task], minutes: float, steps: int | None, seed: int
) -> tuple[Model, list[dict[str, float]]]:
    """Train one model on all tasks, for as many steps as the minutes hold on this machine unless `steps` says."""
    keep_pages()
    model = Model.build(backbone=BACKBONE, tasks=learned, tokenizer="bpe:2000", seed=seed)
    history: list[dict[str, float]] = []
    fit(
        learned,
        model=model,
        seed=seed,
        max_steps=steps or affordable(model, learned, minutes),
        max_time={"seconds": int(minutes * 66)},
        learning_rate=2e-3,
        batch_tokens=BATCH_TOKENS,
        workers=1,
        callbacks=[_Keep(history)],
        log_every_n_steps=10,
        limit_val_batches=0,
    )
    return model, history


def affordable(model: Model, learned: Sequence[Task], minutes: float) -> int:
    """How many steps the minutes hold, from the time of a few, so that the learning rate can fall to its end."""
    batches = iter(DataModule(learned, model=model, batch_tokens=BATCH_TOKENS).stream.batches(Position()))
    spent = []
    for batch in islice(batches, 16):
        began = time.perf_counter()
        model.network.loss(batch).total.backward()
        spent.append(time.perf_counter() - began)
    model.network.zero_grad()
    return max(50, min(3000, int(minutes * 60 / statistics.median(spent[4:]))))


class _Keep(L.Callback):
    """Keeps a module's history after fit."""

    def __init__(self, history: list[dict[str, float]]) -> None:
        self.history = history

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Module), "the demo trains an omniline Module"
        self.history.extend(pl_module.history)


def judged(model: Model, learned: Sequence[Task], history: Sequence[Mapping[str, float]], minutes: float) -> Report:
    """Predict the held-out rows and set each task beside its trivial answer."""
    emoji, digit, infill = learned
    named = evaluate(model, emoji, rows=1000)[0]
    read = evaluate(model, digit)[0]
    filled = evaluate(model, infill, rows=400)[0]
    hidden = [_hidden_words(model, infill, number, row) for number, row in enumerate(filled.truths)]
    scores = [
        Score(
            task="emoji", metric="exact name", ours=_exact(named, "name"), rows=named.rows, **_majority(named, "name")
        ),
        Score(task="digit", metric="accuracy", ours=_exact(read, "digit"), rows=read.rows, **_majority(read, "digit")),
        _infilling(filled, hidden),
        _hidden_tokens(model, infill, filled.truths),
    ]
    speed = [entry["tokens_per_second"] for entry in history]
    facts = {
        "model": repr(model),
        "training": f"{minutes:.1f} minutes, {int(history[-1]['step']) if history else 0:,} steps",
        "speed": f"{statistics.median(speed):,.0f} tokens/s (median)" if speed else "not measured",
        "machine": f"{torch.get_num_threads()} threads, torch {torch.__version__}",
    }
    return Report(
        title="One model, three lines of text",
        lead="A tiny encoder-decoder trained from scratch, all tasks in every batch.",
        scores=scores,
        shots=_shots(named, read, filled, hidden),
        history=history,
        plans={task.name: model.plans[task.name] for task in learned},
        facts=facts,
        caveats=CAVEATS,
    )


def _exact(result: Evaluation, slot: str) -> float:
    pairs = zip(result.outputs, result.truths, strict=True)
    return sum(bool(output[slot] == row[slot]) for output, row in pairs) / result.rows


def _majority(result: Evaluation, slot: str) -> dict[str, Any]:
    counts = Counter(row[slot] for row in result.truths)
    word, count = counts.most_common(1)[0]
    return {"baseline": count / result.rows, "baseline_name": f"always the most frequent, “{word}”"}


def _laid_out(model: Model, task: Task, number: int, row: Mapping[str, Any]) -> tuple[Example, list[int], list[int]]:
    """A held-out row as it is read in validation: the example, the tokens that are seen and those that are wanted."""
    example = model.reader(model.bound(task)).example(row, RowId(task.name, number), mode="valid")
    seen = next(p for p in example.streams[0].source if p.slot >= 0).encoded.tensors["tokens"]
    wanted = next(p for p in example.streams[0].target if p.slot >= 0).encoded.labels["tokens"]
    return example, [int(i) for i in seen], [int(i) for i in wanted]


def _hidden_words(model: Model, task: Task, number: int, row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What the model saw of a row, and the words that it did not see."""
    _, ids, _ = _laid_out(model, task, number, row)
    runs: list[list[int]] = [[]]
    for i in ids:
        if i == model.tokenizer.mask:
            runs.append([])
        else:
            runs[-1].append(i)
    seen = " ▢ ".join(model.tokenizer.decode(run).strip() for run in runs).strip()
    left = Counter(str(row["text"]).split()) - Counter(seen.split())
    return seen, list(left.elements())


def _hidden_tokens(model: Model, task: Task, rows: Sequence[Mapping[str, Any]]) -> Score:
    """How often the likeliest next token is the true one where it was hidden, all before it being given."""
    right = total = 0
    counts: Counter[int] = Counter()
    reader = model.reader(model.bound(task))
    model.network.eval()
    for number, row in enumerate(rows):
        example, seen, wanted = _laid_out(model, task, number, row)
        batch = pack([example], {task.name: reader})
        with torch.inference_mode():
            target = batch.targets[0]
            found = model.network.port(target.kind).project(model.network(batch)[target.rows]).argmax(-1).tolist()
        blocks = SequenceMatcher(None, seen, wanted, autojunk=False).get_matching_blocks()
        given = {place for block in blocks for place in range(block.b, block.b + block.size)}
        hidden = [place for place in range(len(wanted) - 1) if place not in given]
        right += sum(found[place] == wanted[place] for place in hidden)
        total += len(hidden)
        counts.update(wanted[place] for place in hidden)
    token, count = counts.most_common(1)[0]
    return Score(
        task="infill",
        metric="hidden token, the text before it given",
        ours=right / max(total, 1),
        baseline=count / max(total, 1),
        baseline_name=f"unigram: “{model.tokenizer.decode([token]).strip()}” for every hidden token",
        rows=len(rows),
    )


def _infilling(result: Evaluation, hidden: Sequence[tuple[str, list[str]]]) -> Score:
    found = total = 0
    words: Counter[str] = Counter()
    for output, (seen, lost) in zip(result.outputs, hidden, strict=True):
        new = Counter(str(output["text"]).split()) - Counter(seen.split())
        found += sum((new & Counter(lost)).values())
        total += len(lost)
        words.update(lost)
    word, count = words.most_common(1)[0] if words else ("", 0)
    return Score(
        task="infill",
        metric="hidden words found",
        ours=found / max(total, 1),
        baseline=count / max(total, 1),
        baseline_name=f"unigram: “{word}” for every hidden word",
        rows=result.rows,
    )


def _shots(
    named: Evaluation, read: Evaluation, filled: Evaluation, hidden: Sequence[tuple[str, list[str]]]
) -> list[Shot]:
    shots = []
    for result, slot, step in ((named, "name", 41), (read, "digit", 17)):
        for row, output in list(zip(result.truths, result.outputs, strict=True))[::step][:18]:
            right = output[slot] == row[slot]
            shots.append(
                Shot(
                    task=result.task,
                    picture=row["img"],
                    answer=output[slot],
                    truth=row[slot],
                    score=output.scores[slot],
                    right=right,
                )
            )
    for row, output, (seen, _) in list(zip(filled.truths, filled.outputs, hidden, strict=True))[:10]:
        shots.append(
            Shot(task="infill", text=seen, answer=output["text"], truth=row["text"], score=output.scores["text"])
        )
    return shots


def _print(report: Report, console: Console) -> None:
    table = Table(title="held-out metrics")
    for name in ("task", "metric", "this model", "trivial", "rows"):
        table.add_column(name, justify="left" if name in ("task", "metric") else "right")
    for s in report.scores:
        table.add_row(s.task, s.metric, f"{s.ours:.1%}", f"{s.baseline:.1%}", f"{s.rows:,}")
    console.print(table)
