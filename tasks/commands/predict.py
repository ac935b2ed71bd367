"""`omniline predict`: a bundle answers one row, given as `name=value`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError, OmnilineError
from ...core.near import nearest
from ...core.outputs import Output
from ...core.plan import Plan, SlotPlan
from ..bundle import load
from ..model import Model
from . import show
from .given import is_instruction

TEXTUAL = ("TEXT", "PHONE", "CATEGORY")


def run(args: argparse.Namespace) -> int:
    """Load, predict, print or write."""
    model = load(args.bundle)
    line = line_of(args.line, model)
    plan = model.plan(line)
    row = row_of(args.values, plan)
    if args.stream and args.json:
        raise ConfigError("`--stream` prints texts as they come and `--json` one document: give one of the two")
    output, told = streamed(model, line, row) if args.stream else (model.predict(line, row), set())
    if args.out:
        for path in output.save(args.out):
            show.note(f"wrote {path}")
    if args.json:
        show.line(json.dumps(plain(output), ensure_ascii=False, indent=2))
    elif not args.out:
        for name in output:
            if name in told:
                continue
            show.line(f"{name}: {shown(output[name])}")
        for name in output.scores.keys() - set(output):
            show.line(f"{name}: {output.scores[name]:.4f}")
    return 0


def streamed(model: Model, line: str, row: dict[str, Any]) -> tuple[Output, set[str]]:
    """The output, and the slots whose texts were printed piece by piece, each under its name."""
    at: tuple[str, tuple[int, ...]] | None = None
    told: set[str] = set()
    for said in model.stream(line, row):
        if isinstance(said, Output):
            if at is not None:
                show.line()
            return said, told
        if (said.slot, said.place) != at:
            show.part(f"{'' if at is None else chr(10)}{said.slot}: ")
            at = said.slot, said.place
            told.add(said.slot)
        show.part(said)
    raise AssertionError("a stream ends with its output")


def line_of(word: str, model: Model) -> str:
    """The instruction that an argument means: itself, a known task's, a file's, or standard input.

    Raises:
        ConfigError: it means none of these.
    """
    if word == "-":
        return sys.stdin.read().strip("\n")
    if is_instruction(word):
        return word.lstrip()
    if word in model.plans:
        return model.plans[word].text
    if Path(word).is_file():
        return Path(word).read_text(encoding="utf-8").strip("\n")
    near = nearest(word, model.plans)
    hint = f"; did you mean the task `{near}`?" if near else ""
    raise ConfigError(f"`{word}` is no instruction, no task of the bundle ({', '.join(model.plans)}) and no file{hint}")


def row_of(values: list[str], plan: Plan) -> dict[str, Any]:
    """The row that `name=value` arguments give.

    Raises:
        ConfigError: no `=`, a name that is no column, or a file that cannot be read.
    """
    slots = {slot.path: slot for wording in plan.alternatives for slot in wording.slots}
    named = {slot.name: slot for slot in slots.values()}
    row: dict[str, Any] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"a value must be name=value, as in img=cat.png, but is `{text}`")
        slot = slots.get(name) or named.get(name)
        if slot is None:
            near = nearest(name, slots)
            hint = f"did you mean `{near}`?" if near else f"its columns are {', '.join(slots)}"
            raise ConfigError(f"the instruction has no column `{name}`; {hint}")
        row[slot.path] = read_value(value, slot)
    return row


def read_value(value: str, slot: SlotPlan) -> Any:
    """A slot's value: texts and paths as they stand, lists and numbers as JSON, `@FILE` from a file, `-` from input.

    Raises:
        ConfigError: the file cannot be read, or is no JSON though it says so.
    """
    if value == "-":
        value = sys.stdin.read().rstrip("\n")
    elif value.startswith("@"):
        path = Path(value[1:]).expanduser()
        if not path.is_file():
            raise ConfigError(f"`{slot.name}={value}`: there is no file {path}")
        if path.suffix != ".json" and slot.modality not in TEXTUAL:
            return str(path)
        value = path.read_text(encoding="utf-8").rstrip("\n")
        if path.suffix == ".json":
            return _json(value, f"{path}")
    if slot.modality in TEXTUAL and not slot.depth:
        return value
    return _json(value, f"`{slot.name}=`") if value[:1] in ("[", "{") else value


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as cause:
        raise ConfigError(f"{what} must be JSON, but: {cause}") from cause


def shown(value: Any) -> str:
    """A value for a terminal; what is no text, number or list is named."""
    if isinstance(value, str | int | float):
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        size = getattr(value, "size", None) or getattr(value, "shape", "")
        size = size() if callable(size) else size
        return f"<{type(value).__name__} {size}> (write it with --out FOLDER)"


def plain(output: Output) -> dict[str, Any]:
    """An output for a program.

    Raises:
        OmnilineError: a value that JSON has no form for.
    """
    scores = {name: float(value) if not isinstance(value, list) else value for name, value in output.scores.items()}
    embeddings = {name: value.tolist() for name, value in output.embeddings.items()}
    values = {name: _listed(value) for name, value in output.to_dict().items()}
    found = {"values": values, "scores": scores, "embeddings": embeddings}
    try:
        json.dumps(found)
    except TypeError as cause:
        raise OmnilineError(f"a value has no JSON form ({cause}): write it with --out FOLDER") from cause
    return found


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_listed(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") and hasattr(value, "shape") else value
