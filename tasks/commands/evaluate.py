"""`omniline evaluate`: a bundle's metrics on the held-out rows of a task file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from ...core.errors import ConfigError
from ..bundle import load
from ..evaluation import Evaluation, evaluate
from ..ledger import summary
from . import show
from .given import taskfile


def run(args: argparse.Namespace) -> int:
    """Load, predict, judge."""
    if args.rows is not None and args.rows < 1:
        raise ConfigError(f"--rows must be at least 1, but is {args.rows}")
    mixture = taskfile(args.file, args.values).tasks()
    if not any(task.rows(args.split) is not None for task in mixture):
        raise ConfigError(f"no task of {args.file} has {args.split} rows: write `{args.split}:` under one")
    results = evaluate(load(args.bundle), mixture, split=args.split, rows=args.rows)
    if args.json:
        show.line(json.dumps({one.task: plain(one) for one in results}, ensure_ascii=False, indent=2))
    else:
        table(results)
    return 0


def plain(result: Evaluation) -> dict[str, object]:
    """One task's result for a program."""
    return {
        "split": result.split,
        "rows": result.rows,
        "metrics": dict(result.values),
        "lower_is_better": sorted(result.lower),
        "skipped": summary(result.failures),
    }


def table(results: Sequence[Evaluation]) -> None:
    """Metrics by task and slot; an arrow says which way is better."""
    rows = [
        (one.task, name, f"{value:.4f} {'↓' if name in one.lower else '↑'}", str(one.rows))
        for one in results
        for name, value in one.values.items()
    ]
    if rows:
        show.table(("task", "metric", "value", "rows"), rows)
    for one in results:
        for text in summary(one.failures):
            show.note(f"skipped: {text}")
