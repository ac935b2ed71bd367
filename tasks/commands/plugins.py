"""`omniline plugins`: every installed part with its package and its settings."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ...core.catalog import KINDS, SINGULAR, Entry
from ...core.errors import ConfigError
from ...core.modality import Modality
from ...core.settings import Declaration, settings_of
from ...plugins.manager import installed
from . import show


def run(args: argparse.Namespace) -> int:
    """List all parts by kind."""
    catalog = installed()
    if args.json:
        parts = {kind: {name: about(entry) for name, entry in sorted(catalog.parts[kind].items())} for kind in KINDS}
        broken = [{"plugin": b.name, "package": b.package, "cause": b.cause} for b in catalog.broken]
        show.line(json.dumps({"parts": parts, "broken": broken}, ensure_ascii=False, indent=2))
        return 0
    rows = [
        (SINGULAR[kind], name, f"{entry.owner.package} {entry.owner.version}".strip(), phrase(entry.part))
        for kind in KINDS
        for name, entry in sorted(catalog.parts[kind].items())
    ]
    show.table(("kind", "name", "package", "what it is"), rows)
    for b in catalog.broken:
        show.note(f"the plugin `{b.name}` of {b.package} does not load: {b.cause}")
    return 0


def about(entry: Entry) -> dict[str, Any]:
    """One part for a program: owner, what it is, settings."""
    found: dict[str, Any] = {"package": entry.owner.package, "version": entry.owner.version, "help": phrase(entry.part)}
    if entry.rivals:
        found["rivals"] = [rival.package for rival in entry.rivals]
    if isinstance(entry.part, Modality):
        found |= {"source": entry.part.source, "target": entry.part.target, "timed": entry.part.timed}
    if isinstance(entry.part, type) and issubclass(entry.part, Declaration):
        found["settings"] = _settings(entry.part)
    return found


def _settings(part: type[Declaration]) -> dict[str, Any]:
    try:
        known = settings_of(part)
    except (ConfigError, NameError) as cause:
        return {"error": str(cause)}
    return {
        name: {
            "kind": setting.kind,
            "required": setting.required,
            "default": setting.default,
            "at_least": setting.at_least,
            "at_most": setting.at_most,
            "choices": list(setting.choices),
            "help": setting.help,
        }
        for name, setting in known.items()
    }


def phrase(part: Any) -> str:
    """The first line of what a part says of itself."""
    if isinstance(part, Modality):
        return part.help
    if isinstance(part, str):
        return part
    return (getattr(part, "__doc__", None) or "").strip().split("\n")[0]
