"""`omniline explain`: the plan of an instruction, or of each task of a file."""

from __future__ import annotations

import argparse
import json

from ...core.errors import InstructionError
from ...core.plan import Plan
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
    if isinstance(asked, Line):
        _one(compile(asked.text), args)
    else:
        _several({name: compile(asked.instruction(name)) for name in asked.entries}, args)
    return 0


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
