"""Every docstring's example runs, under the installed name of its module."""

import doctest
import importlib
from pathlib import Path

import pytest

import omniline

ROOT = Path(omniline.__file__).resolve().parent
ROOMS = ("core", "instructions", "plugins", "tasks")


def with_examples() -> list[str]:
    """Dotted names of the modules that hold an example."""
    files = [*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]
    names = []
    for path in sorted(files):
        if ">>> " in path.read_text(encoding="utf-8"):
            words = path.relative_to(ROOT).with_suffix("").parts
            names.append(".".join(("omniline", *(word for word in words if word != "__init__"))))
    return names


@pytest.mark.parametrize("name", with_examples())
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert result.attempted > 0
    assert result.failed == 0
