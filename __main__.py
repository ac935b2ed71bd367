"""The command line: `omniline COMMAND ...`; each command's body is imported when it is called.

Exit codes: 0 all is well, 1 a mistake in an instruction, a file, the data or an installed package, 2 wrong usage, 130
interrupted. A mistake is one sentence on standard error; OMNILINE_TRACEBACK=1 shows where it was raised.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from . import __version__
from .core.errors import OmnilineError
from .core.garbage import uncollected

TRACEBACK = "OMNILINE_TRACEBACK"
WAITING = "OMP_WAIT_POLICY"
"""How torch's threads wait for each other: spinning, the default, halves the speed when a loader's worker shares the
cores."""
LINE = "an instruction (it holds `[` or an arrow), the path of a task file, or - for standard input"
LINES = ("check", "explain")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words, alone = list(sys.argv[1:] if argv is None else argv), argv is None
    os.environ.setdefault(WAITING, "PASSIVE")
    if words[:1] == ["demo"]:
        return _guarded("demo", words[1:], as_json=False, alone=alone)
    parser = make_parser()
    args, rest = parser.parse_known_args([_shielded(word) for word in words])
    values = getattr(args, "values", None)
    wrong = [word for word in rest if values is None or word.startswith("-") or "=" not in word]
    if wrong:
        parser.error(f"unrecognized arguments: {' '.join(wrong)}")
    if values is not None:
        args.values = [*values, *rest]
    return _guarded(args.body, args, as_json=getattr(args, "json", False), alone=alone)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="omniline", description="A multimodal task is one line of text.")
    parser.add_argument("--version", action="version", version=f"omniline {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help in (("check", "all findings about an instruction or a task file"), ("explain", "its plan")):
        made = _command(commands, name, help)
        made.add_argument("line", metavar="INSTRUCTION|FILE", help=LINE)
        made.add_argument("--backbone", help="judge token budgets against this backbone, such as ofa-tiny")
        made.add_argument("--json", action="store_true", help="one JSON document")
        if name == "explain":
            made.add_argument("--mermaid", action="store_true", help="a Mermaid flowchart")
            made.add_argument("--shares", action="store_true", help="of a file: what its mixture will come to")
            made.add_argument("--step", type=int, default=0, help="the optimiser step that --shares tells of")
    _running(commands)
    for name, help in (("tasks", "ready task files"), ("plugins", "all installed parts"), ("doctor", "what is wrong")):
        made = _command(commands, name, help)
        made.add_argument("--json", action="store_true", help="one JSON document")
        if name == "tasks":
            made.add_argument("name", nargs="?", metavar="NAME", help="one of them, whole")
    made = _command(commands, "data", "real data sets that do not ship: list, or fetch into a cache")
    made.add_argument("names", nargs="*", metavar="NAME", help="the sets to fetch; without one all are listed")
    made.add_argument("--from", dest="own", nargs="+", metavar="FILE", help="archives that are here already")
    made.add_argument("--json", action="store_true", help="one JSON document")
    made = _command(commands, "new", "write a new package")
    made.add_argument("kind", choices=("plugin",))
    made.add_argument("name", metavar="NAME", help="such as acme-depth; the folder is made in the working directory")
    commands.add_parser("demo", help="train one tiny model on three tasks and write a report", add_help=False)
    return parser


def _running(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(commands, "train", "train a mixture of tasks")
    made.add_argument("file", metavar="FILE", help="a task file, or the name of a ready one")
    made.add_argument("values", nargs="*", metavar="key=value", help="win over the file: trainer.max_steps=10")
    made.add_argument("--resume", nargs="?", const="", metavar="CHECKPOINT", help="go on; from the last one by default")
    made = _command(commands, "predict", "ask a trained model")
    made.add_argument("bundle", metavar="BUNDLE", help="the folder that training saved")
    made.add_argument(
        "line", metavar="INSTRUCTION|TASK|FILE", help="an instruction, a task that the bundle knows, or a file"
    )
    made.add_argument("values", nargs="*", metavar="name=value", help="the row; @FILE reads a value, - standard input")
    made.add_argument("--out", metavar="FOLDER", help="write each value as a file")
    made.add_argument("--stream", action="store_true", help="print texts as they are written")
    made.add_argument("--json", action="store_true", help="one JSON document")
    made = _command(commands, "evaluate", "judge a trained model on held-out rows")
    made.add_argument("bundle", metavar="BUNDLE", help="the folder that training saved")
    made.add_argument("file", metavar="FILE", help="a task file, or the name of a ready one")
    made.add_argument("values", nargs="*", metavar="key=value", help="win over the file")
    made.add_argument("--split", choices=("valid", "test"), default="valid")
    made.add_argument("--rows", type=int, help="most rows of a task")
    made.add_argument("--json", action="store_true", help="one JSON document")


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str
) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
    made.set_defaults(body=f"commands.{name}")
    return made


def _shielded(word: str) -> str:
    """An instruction that starts with an arrow is no option; white space before a line does not count."""
    return f" {word}" if word.startswith("-") and ("[" in word or "->" in word) else word


def _guarded(body: str, args: object, *, as_json: bool, alone: bool) -> int:
    try:
        with uncollected(freeze=alone):
            module = import_module(f".tasks.{body}", __package__)
        code: int = module.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OmnilineError, OSError) as error:
        if os.environ.get(TRACEBACK, "") not in ("", "0"):
            raise
        _report(error, as_json=as_json)
        return 1


def _report(error: Exception, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": {"type": type(error).__name__, "message": str(error)}}, ensure_ascii=False))
    show = import_module(".tasks.commands.show", __package__)
    show.error(error)


if __name__ == "__main__":
    sys.exit(main())
