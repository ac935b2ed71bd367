"""`omniline doctor`: versions, and what is wrong with this installation; exit code 1 when something is."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from ...core.catalog import KINDS, SINGULAR, Catalog
from ...plugins.manager import installed
from . import show

NEEDED = (
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "tokenizers",
    "safetensors",
    "torchmetrics",
    "omegaconf",
    "pluggy",
)
EXTRA = ("torchaudio", "soundfile", "decord", "pyarrow", "pandas", "polars", "datasets")
TOGETHER = {"torch": "2.11", "torchvision": "0.26", "torchaudio": "2.11"}


def run(args: argparse.Namespace) -> int:
    """Report versions and faults."""
    versions = {name: found(name) for name in ("omniline", *NEEDED, *EXTRA)}
    faults = [*together(versions), *missing(versions), *of_catalog(installed())]
    where = {"python": platform.python_version(), "executable": sys.executable, "platform": platform.platform()}
    if args.json:
        show.line(json.dumps({**where, "versions": versions, "faults": faults}, ensure_ascii=False, indent=2))
        return int(bool(faults))
    show.table(("what", "version"), [*where.items(), *((name, known or "-") for name, known in versions.items())])
    show.line()
    for fault in faults:
        show.line(f"fault: {fault}")
    show.line("" if faults else "no faults")
    return int(bool(faults))


def found(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def together(versions: dict[str, str | None]) -> Iterator[str]:
    """Torch and its two sisters must be of one set, and of one build."""
    builds = {}
    for name, wanted in TOGETHER.items():
        known = versions.get(name)
        if known is None:
            continue
        plain, _, build = known.partition("+")
        builds[name] = build
        if not plain.startswith(f"{wanted}."):
            pins = " ".join(f"{other}=={release}.*" for other, release in TOGETHER.items() if versions.get(other))
            yield f"{name} must be {wanted}.*, but is {known}: pip install {pins}"
    cpu = sorted(name for name, build in builds.items() if build.startswith("cpu"))
    other = sorted(name for name, build in builds.items() if build and not build.startswith("cpu"))
    if cpu and other:
        yield f"{', '.join(cpu)} is built for the CPU, but {', '.join(other)} is not: install all from one index"


def missing(versions: dict[str, str | None]) -> Iterator[str]:
    """Packages that must be there."""
    for name in NEEDED:
        if versions[name] is None:
            yield f"{name} is not installed: pip install omniline"


def of_catalog(catalog: Catalog) -> Iterator[str]:
    """Plugins that do not load, names given twice, plugins that import torch at once."""
    for broken in catalog.broken:
        yield f"the plugin `{broken.name}` of {broken.package} does not load: {broken.cause}"
    for kind in KINDS:
        for name, entry in sorted(catalog.parts[kind].items()):
            if entry.rivals:
                owners = ", ".join(owner.package for owner in (entry.owner, *entry.rivals))
                yield f"the {SINGULAR[kind]} `{name}` is given by more than one package: {owners}"
    for name in catalog.heavy:
        yield f"the plugin `{name}` imports torch when it is loaded, which slows every command: name its halves instead"
