"""`omniline check`: every finding with its place; exit code 1 when one is an error."""

from __future__ import annotations

import argparse
from dataclasses import replace

from ...core.errors import Diagnostic
from ...instructions.diagnostics import as_json
from ..verbs import check
from . import show
from .given import Line, given


def run(args: argparse.Namespace) -> int:
    """Check an instruction or all of a task file."""
    found = findings(given(args.line), args.backbone)
    failed = any(one.severity == "error" for one in found)
    if args.json:
        show.line(as_json(found))
    elif found:
        show.diagnostics(found)
    else:
        show.line("ok")
    return int(failed)


def findings(asked: object, backbone: str | None) -> list[Diagnostic]:
    """The findings about a line, or about a task file with another backbone than its own when one is named."""
    if isinstance(asked, Line):
        found = check(asked.text, backbone=backbone)
        return [replace(one, source=replace(one.source, name=asked.name)) for one in found]
    from ..taskfile import TaskFile

    assert isinstance(asked, TaskFile), "a line or a file"
    return (replace(asked, backbone=backbone) if backbone else asked).check()
