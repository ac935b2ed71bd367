"""Runs a page of the documentation: every block is executed, and what it prints is what the page shows.

    python tests/docs/pages.py docs/tour.md            run it in a temporary folder
    python tests/docs/pages.py --write docs/tour.md    put what was printed into the page

Blocks of one page share a folder and a namespace, in order:

- ```python          executed; the `text` block right behind it is its standard output (none: it prints nothing).
- ```console         each `$ omniline ...`, `$ pip install FOLDER` and `$ pytest FOLDER` runs; the lines up to the next
                     `$` are its output. A command whose output begins with `error` exits with 1, others with 0.
- ```LANGUAGE NAME   a file of that name is written; nothing is executed.
- ```sh, mermaid...  left alone.

`...` in an output stands for anything, as in doctest.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

FENCE = re.compile(r"^(?P<tick>```+)(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=tick)[ ]*$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it is, its text, and where the text stands."""

    language: str
    name: str
    text: str
    start: int
    line: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Mismatch(AssertionError):
    """A block did not do what the page says."""


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for match in FENCE.finditer(page):
        language, _, name = match["info"].strip().partition(" ")
        line = page.count("\n", 0, match.start("text")) + 1
        found.append(Block(language, name.strip(), match["text"], match.start("text"), line))
    return found


class Runner:
    """Executes the blocks of one page in the working directory.

    Args:
        path: the page.
        write: collect outputs instead of comparing them.
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self.path = path
        self.page = path.read_text(encoding="utf-8")
        self.write = write
        self.module = types.ModuleType("page")
        self.made: list[tuple[int, int, str]] = []
        self.site = Path.cwd() / ".site"

    def run(self) -> str:
        """Execute everything; the page with the outputs that were found."""
        blocks = blocks_of(self.page)
        for number, block in enumerate(blocks):
            behind = blocks[number + 1] if number + 1 < len(blocks) else None
            if block.name:
                path = Path(block.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                self._python(block, behind if behind and behind.language == "text" else None)
            elif block.language == "console":
                self._console(block)
        page = self.page
        for start, end, text in sorted(self.made, reverse=True):
            page = page[:start] + text + page[end:]
        return page

    def _python(self, block: Block, shown: Block | None) -> None:
        code = compile("\n" * (block.line - 1) + block.text, str(self.path), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            exec(code, self.module.__dict__)
        expected = shown.text if shown else ""
        self._compare(block.line, expected, printed.getvalue(), shown)

    def _console(self, block: Block) -> None:
        for command, expected in commands_of(block):
            code, printed = self._command(command)
            self._compare(expected.line, expected.text, printed, expected)
            wanted = int(printed.startswith("error"))
            if code != wanted:
                raise Mismatch(f"{self.path}:{expected.line}: `{command}` exits with {code}, not {wanted}:\n{printed}")

    def _compare(self, line: int, expected: str, printed: str, place: Block | None) -> None:
        if doctest.OutputChecker().check_output(expected or "\n", printed or "\n", FLAGS):
            return
        if not self.write or place is None:
            raise Mismatch(f"{self.path}:{line} must print\n{expected}\nbut prints\n{printed}")
        self.made.append((place.start, place.end, printed.rstrip("\n") + "\n" if printed.strip() else ""))

    def _command(self, command: str) -> tuple[int, str]:
        """Exit code and output of one command."""
        words = shlex.split(command)
        if words[0] == "omniline":
            return _omniline(words[1:])
        if words[:2] == ["pip", "install"]:
            return self._install(words[2:])
        if words[0] == "pytest":
            return self._process([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words[1:]])
        raise Mismatch(f"{self.path}: `{command}` is no command that a page may run")

    def _install(self, words: list[str]) -> tuple[int, str]:
        """A real installation, into a folder of its own and without the network."""
        folder = next(word for word in words if not word.startswith("-")).partition("[")[0]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
        options = ["--no-deps", "--no-build-isolation", "--upgrade", "--target", str(self.site), folder]
        done = self._process([*pip, *options])
        if str(self.site) not in sys.path:
            sys.path.insert(0, str(self.site))
        from omniline.plugins.manager import installed

        installed.cache_clear()
        return done

    def _process(self, words: list[str]) -> tuple[int, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "OMNILINE_"))}
        kept["PYTHONPATH"] = os.pathsep.join([str(self.site), *(path for path in sys.path if path)])
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=kept, timeout=300
        )
        return done.returncode, done.stdout + (done.stderr if done.returncode else "")


def commands_of(block: Block) -> Iterator[tuple[str, Block]]:
    """The commands of a console block, each with its output as a block; a line that ends with `\\` goes on."""
    at, command, first, line = block.start, None, block.start, block.line
    for number, text in enumerate(block.text.splitlines(keepends=True)):
        after = at + len(text)
        if command is not None and command.endswith("\\"):
            command, first = command[:-1] + text.strip(), after
        elif text.startswith("$ "):
            if command is not None:
                yield command, replace(block, text=_between(block, first, at), start=first, line=line)
            command, first, line = text[2:].strip(), after, block.line + number
        at = after
    if command is not None:
        yield command, replace(block, text=_between(block, first, at), start=first, line=line)


def _between(block: Block, first: int, last: int) -> str:
    return block.text[first - block.start : last - block.start]


def _omniline(words: list[str]) -> tuple[int, str]:
    from omniline.__main__ import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, printed.getvalue()


def in_folder(folder: Path, work: Callable[[], str]) -> str:
    """Work in a folder and come back."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        return work()
    finally:
        os.chdir(before)


def main(words: list[str]) -> None:
    """Run or rewrite the pages that are named."""
    write = "--write" in words
    for word in words:
        if word.startswith("--"):
            continue
        path = Path(word).resolve()
        with tempfile.TemporaryDirectory() as folder:
            made = in_folder(Path(folder), lambda path=path: Runner(path, write=write).run())
        if write:
            path.write_text(made, encoding="utf-8")
        print(f"{word}: ok")


if __name__ == "__main__":
    main(sys.argv[1:])
