"""`omniline data`: real data sets that do not ship; `omniline data NAME` fetches one and prints where it lies."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..presets.fetching import cache_folder
from ..presets.sets import SETS, described, fetch_set, is_there, known, place_of
from . import show


def run(args: argparse.Namespace) -> int:
    """List the sets, or fetch those that are named; the folders go to standard output, all else beside it."""
    if not args.names:
        _list(args.json)
        return 0
    for name in args.names:
        known(name)
    for name in args.names:
        wanted = known(name)
        if not is_there(name):
            show.note(described(name, wanted).rstrip())
            show.note(f"archives: {wanted.megabytes:.1f} MB")
        folder = fetch_set(name, own=[Path(word) for word in args.own or ()])
        if not args.json:
            show.line(str(folder))
            show.note(f"use it: {wanted.command(folder)}")
    if args.json:
        show.line(json.dumps({name: str(place_of(name)) for name in args.names}, ensure_ascii=False, indent=2))
    return 0


def _list(as_json: bool) -> None:
    if as_json:
        whole = {
            name: {
                "title": one.title,
                "licence": one.licence,
                "columns": list(one.columns),
                "megabytes": round(one.megabytes, 1),
                "folder": str(place_of(name)),
                "fetched": is_there(name),
            }
            for name, one in SETS.items()
        }
        show.line(json.dumps(whole, ensure_ascii=False, indent=2))
        return
    rows = [
        (name, "here" if is_there(name) else f"{one.megabytes:.0f} MB", ", ".join(one.columns), one.licence, one.title)
        for name, one in SETS.items()
    ]
    show.table(("set", "size", "columns", "licence", "what it is"), rows)
    show.note(f"`omniline data NAME` fetches one into {cache_folder()} (OMNILINE_CACHE names another folder)")
