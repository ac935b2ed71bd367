"""What a command is given: an instruction, a task file, or either on standard input."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import ConfigError
from ...plugins.manager import installed

if TYPE_CHECKING:
    from ..taskfile import TaskFile

ARROW = re.compile(r"(?<![<\-=>])<?->(?![<\-=>])")
KEY = re.compile(r"^(tasks|_include_)\s*:", re.MULTILINE)
YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Line:
    """An instruction, and the file that it came from, if any."""

    text: str
    name: str = ""


def is_instruction(word: str) -> bool:
    """Whether an argument is an instruction: it holds `[` or an arrow.

    >>> is_instruction("-> [TEXT:page]"), is_instruction("a -> b"), is_instruction("runs/my-tasks.yaml")
    (True, True, False)
    """
    return "[" in word or "［" in word or bool(ARROW.search(word))


def given(word: str) -> Line | TaskFile:
    """The instruction or the task file that an argument means.

    Raises:
        ConfigError: there is no such file, or it is wrong.
    """
    if word == "-":
        text = sys.stdin.read()
        return _piped(text) if KEY.search(text) else Line(text.strip("\n"), "<stdin>")
    return Line(word.lstrip()) if is_instruction(word) else taskfile(word)


def taskfile(word: str, overrides: Sequence[str] = ()) -> TaskFile:
    """The task file of a path, or of the name of a ready one; a file of that path wins.

    Raises:
        ConfigError: there is neither, or it is wrong.
    """
    from ..presets.catalog import find_preset, near_preset
    from ..taskfile import read_taskfile

    path = Path(word).expanduser()
    if not path.is_file() and (ready := find_preset(word, installed())) is not None:
        return ready.read(overrides)
    if not path.exists() and not word.endswith(YAML):
        near = near_preset(word, installed())
        hint = f"; did you mean the ready task file `{near}`?" if near else "; an instruction has an arrow, `->`"
        raise ConfigError(f"`{word}` is neither an instruction nor a file{hint}")
    return read_taskfile(path, overrides)


def _piped(text: str) -> TaskFile:
    """A task file from standard input; its paths are relative to the working directory."""
    from ..taskfile import read_taskfile

    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix=".stdin-", dir=".", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        return read_taskfile(file.name)
