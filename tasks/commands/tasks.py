"""`omniline tasks`: the ready task files of all installed packages."""

from __future__ import annotations

import argparse
import json

from ...plugins.manager import installed
from . import show


def run(args: argparse.Namespace) -> int:
    """List name, package and path."""
    catalog = installed()
    found = [
        {"name": name, "package": entry.owner.package, "version": entry.owner.version, "path": str(entry.part)}
        for name in catalog.names("tasks")
        for entry in (catalog.parts["tasks"][name],)
    ]
    if args.json:
        show.line(json.dumps(found, ensure_ascii=False, indent=2))
    elif found:
        show.table(("task", "package", "file"), [(one["name"], one["package"], one["path"]) for one in found])
    else:
        show.line("no installed package brings a task file")
    return 0
