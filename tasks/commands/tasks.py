"""`omniline tasks`: the ready task files; `omniline tasks NAME`: one of them whole."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError, OmnilineError
from ...plugins.manager import installed
from ..presets.catalog import RUNS, Preset, find_preset, main_task, near_preset, presets
from ..taskfile import TaskFile
from ..verbs import compile
from . import show

HEADS = ("task", "what it is", "metric", "licence", "line")
OWN_DATA = "mine.jsonl"


def run(args: argparse.Namespace) -> int:
    """List all, or show one."""
    if args.name:
        found = _asked(args.name)
        if args.json:
            show.line(json.dumps(plain(found), ensure_ascii=False, indent=2))
        else:
            whole(found)
        return 0
    known = list(presets(installed()).values())
    if args.json:
        show.line(json.dumps([plain(one) for one in known], ensure_ascii=False, indent=2))
    elif known:
        show.table(HEADS, [_row(one) for one in known])
    else:
        show.line("no installed package brings a task file")
    return 0


def plain(preset: Preset) -> dict[str, Any]:
    """A preset for a program; `error` says why its file cannot be read."""
    found: dict[str, Any] = {
        "name": preset.name,
        "package": preset.package,
        "version": preset.version,
        "path": str(preset.path),
    }
    try:
        file = preset.read()
    except (OmnilineError, OSError) as cause:
        return {**found, "error": str(cause)}
    about = file.about
    words = {key: getattr(about, key) for key in ("title", "data", "licence", "metric", "ofasys")}
    return {**found, **words, "tasks": {name: file.instruction(name) for name in file.entries}}


def whole(preset: Preset) -> None:
    """One preset: what it is, its lines, its columns, how to run it, how to give it rows of one's own."""
    file = preset.read()
    main = main_task(file, preset.name)
    show.line(f"{preset.name}: {file.about.title}" if file.about.title else preset.name)
    for name in file.entries:
        show.line(f"\ntask {name}")
        for line in _lines(file, name):
            show.line(f"  {line}")
        show.line("columns")
        show.table(("  column", "side", "type"), [(f"  {a}", b, c) for a, b, c in _columns(file, name)])
    show.line()
    for head, text in _facts(preset, file):
        show.line(f"{head:<9}{text}")
    shown = f"omniline train {preset.name}"
    show.line(f"\nrun it:       {shown}")
    show.line(f"own data:     {shown} tasks.{main}.train={OWN_DATA} tasks.{main}.valid=held-out.jsonl")
    show.line(f"other sizes:  {shown} trainer.max_steps=5000 backbone={file.backbone.partition(',')[0]}")
    show.line(f"ask it:       omniline predict {_near(file.save)} {main} {_asked_with(file, main)}")


def _asked(name: str) -> Preset:
    found = find_preset(name, installed())
    if found is None:
        near = near_preset(name, installed())
        hint = f"; did you mean `{near}`?" if near else "; `omniline tasks` lists them"
        raise ConfigError(f"there is no ready task `{name}`{hint}")
    return found


def _row(preset: Preset) -> tuple[str, ...]:
    try:
        file = preset.read()
    except (OmnilineError, OSError) as cause:
        return preset.name, f"cannot be read: {str(cause).splitlines()[0]}", "-", "-", str(preset.path)
    about = file.about
    line = _lines(file, main_task(file, preset.name))[0]
    return preset.name, about.title or "-", about.metric or "-", about.licence or "-", line


def _lines(file: TaskFile, task: str) -> list[str]:
    written = file.instruction(task)
    return [written] if isinstance(written, str) else list(written)


def _columns(file: TaskFile, task: str) -> Iterator[tuple[str, str, str]]:
    """Each column of a row once: its path, where it is read, and what it holds."""
    seen: dict[str, list[str]] = {}
    types: dict[str, str] = {}
    for wording in compile(file.instruction(task)).alternatives:
        for slot in wording.slots:
            sides = seen.setdefault(slot.path, [])
            if slot.side not in sides:
                sides.append(slot.side)
            listed = "list of " * slot.depth
            types[slot.path] = f"{listed}{slot.modality}" + (", may be absent" if slot.optional else "")
    for path, sides in seen.items():
        yield path, " and ".join(sides), types[path]


def _facts(preset: Preset, file: TaskFile) -> Iterator[tuple[str, str]]:
    about = file.about
    facts = {
        "data": about.data,
        "licence": about.licence,
        "metric": about.metric,
        "OFASys": about.ofasys,
        "model": file.backbone,
        "file": str(preset.path),
        "package": f"{preset.package} {preset.version}".strip(),
    }
    return ((head, text) for head, text in facts.items() if text)


def _near(folder: str | None) -> str:
    """A folder as one would write it here."""
    place = Path(folder or RUNS)
    return str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place)


def _asked_with(file: TaskFile, task: str) -> str:
    """The values that predicting asks for, as arguments."""
    sources = [slot for slot in compile(file.instruction(task)).alternatives[0].slots if slot.side == "source"]
    return " ".join(f"{path}=..." for path in dict.fromkeys(slot.path for slot in sources))
