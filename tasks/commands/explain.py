"""`omniline explain`: the plan of an instruction, or of each task of a file."""

from __future__ import annotations

import argparse
import json

from ...core.errors import ConfigError, InstructionError
from ...core.plan import Plan
from ..taskfile import TaskFile
from ..verbs import compile
from . import show
from .check import findings
from .given import Line, given


def run(args: argparse.Namespace) -> int:
    """Print plans as trees, Mermaid or JSON; warnings go to standard error."""
    asked = given(args.line)
    found = findings(asked, args.backbone)
    if any(one.severity == "error" for one in found):
        raise InstructionError(found)
    for warning in found:
        show.note(str(warning))
    if args.shares:
        _shares(asked, args)
    elif isinstance(asked, Line):
        _one(compile(asked.text), args)
    else:
        _several({name: compile(asked.instruction(name)) for name in asked.entries}, args)
    return 0


def _shares(asked: Line | TaskFile, args: argparse.Namespace) -> None:
    """The shares of rows, tokens and supervised tokens of a file's tasks; reads their first rows.

    Raises:
        ConfigError: it is an instruction, which has no rows.
    """
    if isinstance(asked, Line):
        raise ConfigError("--shares tells what a mixture comes to: give it a task file")
    from ..predicted import predicted_shares

    found = predicted_shares(asked.tasks(), tokenizer=asked.tokenizer, step=args.step)
    if args.json:
        show.line(json.dumps([share._asdict() for share in found], indent=2))
        return
    rows = [(s.task, f"{s.rows:.1%}", f"{s.tokens:.1%}", f"{s.supervised:.1%}") for s in found]
    show.table(("task", "rows", "tokens", "supervised tokens"), rows)


def _one(plan: Plan, args: argparse.Namespace) -> None:
    show.line(plan.to_json() if args.json else plan.to_mermaid() if args.mermaid else plan.explain())


def _several(plans: dict[str, Plan], args: argparse.Namespace) -> None:
    if args.json:
        whole = {name: json.loads(plan.to_json()) for name, plan in plans.items()}
        show.line(json.dumps(whole, ensure_ascii=False, indent=2))
        return
    for number, (name, plan) in enumerate(plans.items()):
        if number:
            show.line()
        show.line(f"%% {name}" if args.mermaid else f"task {name}")
        _one(plan, args)
