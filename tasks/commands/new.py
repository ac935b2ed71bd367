"""`omniline new plugin NAME`: a complete package that installs and passes its own tests."""

from __future__ import annotations

import argparse
import keyword
import os
import re
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from string import Template

from ...core.catalog import Catalog
from ...core.errors import ConfigError
from ...plugins.manager import installed
from . import show

NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
TEMPLATE = Path(__file__).resolve().parents[1] / "template"
FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "{package}/__init__.py": "init.py",
    "{package}/plugin.py": "plugin.py",
    "{package}/parts.py": "parts.py",
    "tests/test_contracts.py": "test_contracts.py",
    "tests/test_training.py": "test_training.py",
}


def run(args: argparse.Namespace) -> int:
    """Write the package into a new folder of the working directory."""
    folder = write_plugin(args.name, Path.cwd(), catalog=installed())
    show.line(f"wrote {folder.name}/: next\n  pip install -e './{folder.name}[dev]'\n  pytest {folder.name}")
    return 0


def write_plugin(name: str, where: Path, *, catalog: Catalog) -> Path:
    """The new package's folder, written whole or not at all.

    Args:
        name: of the package; its last word names the modality.
        where: the folder that gets it.
        catalog: what is installed, whose names are taken.

    Raises:
        ConfigError: the name cannot be used, or the folder exists.
    """
    words = names_of(name, catalog)
    folder = where / words["project"]
    if folder.exists():
        raise ConfigError(f"{folder} exists already: choose another name, or move it away")
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=where))
    try:
        for place, source in FILES.items():
            path = made / place.format(package=words["package"])
            path.parent.mkdir(exist_ok=True)
            text = (TEMPLATE / f"{source}.txt").read_text(encoding="utf-8")
            path.write_text(Template(text).substitute(words), encoding="utf-8")
        made.chmod(0o755)
        os.replace(made, folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return folder


def names_of(name: str, catalog: Catalog) -> dict[str, str]:
    """Every name that the template needs.

    Raises:
        ConfigError: it is no package name, or is taken.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"the name must be words of lower-case letters and digits with - between, as acme-depth, but is `{name}`"
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or find_spec(package) is not None:
        raise ConfigError(f"the name must be new, but Python already has a module `{package}`: try my-{name}")
    word = next((word for word in (package.rpartition("_")[2], package) if _free(word, catalog)), None)
    if word is None:
        raise ConfigError(
            f"the modality must be new, but `{package.upper()}` is installed already: choose another name"
        )
    return {
        "project": name.replace("_", "-"),
        "package": package,
        "name": word,
        "modality": word.upper(),
        "Name": "".join(part.capitalize() for part in word.split("_")),
    }


def _free(word: str, catalog: Catalog) -> bool:
    """Whether a word can name a modality, an adapter and a Python class."""
    taken = catalog.find("modalities", word.upper()) or catalog.find("adapters", word)
    return word[0].isalpha() and not keyword.iskeyword(word) and taken is None
