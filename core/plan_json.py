"""A plan as JSON text, and back: plain values only, nothing that it names is imported."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from .errors import PlanError, Span
from .modality import TensorSpec, Tokens
from .plan import FORMAT, Alternative, Branch, Objective, Part, Plan, Prompt, Repeat, SlotPlan, Step, Use
from .settings import Value

T = TypeVar("T")
Object = Mapping[str, Any]

PLAIN = ("index", "name", "path", "modality", "side", "predicts", "limit", "depth", "given", "optional", "sync")


def dump(plan: Plan) -> str:
    """The plan as JSON; parts are listed once and meant by their number."""
    parts = dict.fromkeys((*plan.parts, plan.prompt))
    for alternative in plan.alternatives:
        parts |= dict.fromkeys(part for part in _all_parts(alternative) if part)
    numbers = {part: number for number, part in enumerate(parts)}
    whole = {
        "format": plan.format,
        "text": plan.text,
        "parts": [_part(part) for part in parts],
        "named": [numbers[part] for part in plan.parts],
        "prompt": numbers[plan.prompt],
        "alternatives": [_alternative(alternative, numbers) for alternative in plan.alternatives],
    }
    return json.dumps(whole, ensure_ascii=False, indent=2)


def load(text: str) -> Plan:
    """Read what `dump` wrote.

    Raises:
        PlanError: not JSON, another format, or a value that is missing or of the wrong kind.
    """
    try:
        whole = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise PlanError(f"a plan must be JSON text, but this is not: {error}") from error
    if not isinstance(whole, dict):
        raise PlanError(f"a plan must be a JSON object, but is {type(whole).__name__}")
    if whole.get("format") != FORMAT:
        raise PlanError(
            f"the plan's format must be {FORMAT}, but is {whole.get('format')!r}: it was written by another version"
        )
    try:
        parts = tuple(_read_part(entry) for entry in whole["parts"])
        return Plan(
            text=_is(str, whole["text"]),
            alternatives=tuple(_read_alternative(entry, parts) for entry in whole["alternatives"]),
            parts=tuple(_pick(parts, number) for number in whole["named"]),
            prompt=_pick(parts, whole["prompt"]),
        )
    except KeyError as error:
        raise PlanError(f"the plan lacks {error}") from error
    except (TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise PlanError(f"the plan holds a wrong value: {error}") from error


def _all_parts(alternative: Alternative) -> list[Part | None]:
    out: list[Part | None] = []
    for slot in alternative.slots:
        out += [slot.adapter, slot.decoder]
    for objective in alternative.objectives:
        out += [objective.loss, objective.reward]
    return out


def _part(part: Part) -> dict[str, Any]:
    settings = [[key, list(value) if isinstance(value, tuple) else value] for key, value in part.settings]
    return {
        "kind": part.kind,
        "name": part.name,
        "settings": settings,
        "package": part.package,
        "version": part.version,
    }


def _alternative(alternative: Alternative, numbers: Mapping[Part, int]) -> dict[str, Any]:
    return {
        "arrow": alternative.arrow,
        "source": [_step(step) for step in alternative.source],
        "target": [_step(step) for step in alternative.target],
        "slots": [_slot(slot, numbers) for slot in alternative.slots],
        "objectives": [_objective(objective, numbers) for objective in alternative.objectives],
    }


def _step(step: Step) -> dict[str, Any]:
    if isinstance(step, Prompt):
        return {"prompt": step.text}
    if isinstance(step, Use):
        return {"slot": step.slot}
    if isinstance(step, Repeat):
        return {"repeat": [_step(inner) for inner in step.steps], "least": step.least, "most": step.most}
    return {"branches": [[_step(inner) for inner in branch] for branch in step.branches]}


def _slot(slot: SlotPlan, numbers: Mapping[Part, int]) -> dict[str, Any]:
    return {
        **{key: getattr(slot, key) for key in PLAIN},
        "adapter": numbers[slot.adapter],
        "decoder": None if slot.decoder is None else numbers[slot.decoder],
        "tensors": [[tensor.name, tensor.dtype, list(tensor.shape)] for tensor in slot.tensors],
        "budget": [slot.budget.least, slot.budget.most],
        "closed_set": None if slot.closed_set is None else list(slot.closed_set),
        "holds": list(slot.holds),
        "span": [slot.span.start, slot.span.end],
    }


def _objective(objective: Objective, numbers: Mapping[Part, int]) -> dict[str, Any]:
    return {
        "kind": objective.kind,
        "loss": numbers[objective.loss],
        "weight": objective.weight,
        "slots": list(objective.slots),
        "against": objective.against,
        "reward": None if objective.reward is None else numbers[objective.reward],
        "samples": objective.samples,
    }


def _is(kind: type[T] | tuple[type[T], ...], value: Any) -> T:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = kind.__name__ if isinstance(kind, type) else " or ".join(k.__name__ for k in kind)
        raise ValueError(f"it must be {names}, but is {value!r}")
    return value


def _maybe(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)


def _pick(parts: tuple[Part, ...], number: Any) -> Part:
    index = _is(int, number)
    if not 0 <= index < len(parts):
        raise ValueError(f"there is no part number {index}")
    return parts[index]


def _value(value: Any) -> Value:
    if isinstance(value, list):
        return tuple(_is(str, member) for member in value)
    if value is None or isinstance(value, (int, float, bool, str)):
        return value
    raise ValueError(f"a setting must be a plain value, but is {value!r}")


def _read_part(entry: Object) -> Part:
    settings = tuple((_is(str, key), _value(value)) for key, value in entry["settings"])
    kind, name, package, version = (_is(str, entry[key]) for key in ("kind", "name", "package", "version"))
    return Part(kind, name, settings, package, version)


def _read_alternative(entry: Object, parts: tuple[Part, ...]) -> Alternative:
    slots = tuple(_read_slot(slot, parts) for slot in entry["slots"])
    if [slot.index for slot in slots] != list(range(len(slots))):
        raise ValueError("slots must be numbered in order")
    if entry["arrow"] not in ("->", "<->"):
        raise ValueError(f"an arrow must be `->` or `<->`, but is {entry['arrow']!r}")
    return Alternative(
        arrow=entry["arrow"],
        source=tuple(_read_step(step, len(slots)) for step in entry["source"]),
        target=tuple(_read_step(step, len(slots)) for step in entry["target"]),
        slots=slots,
        objectives=tuple(_read_objective(objective, parts, len(slots)) for objective in entry["objectives"]),
    )


def _number(value: Any, count: int) -> int:
    index: int = _is(int, value)
    if not 0 <= index < count:
        raise ValueError(f"there is no slot number {index}")
    return index


def _read_step(entry: Object, count: int) -> Step:
    if "prompt" in entry:
        return Prompt(_is(str, entry["prompt"]))
    if "slot" in entry:
        return Use(_number(entry["slot"], count))
    if "repeat" in entry:
        steps = tuple(_read_step(inner, count) for inner in entry["repeat"])
        return Repeat(steps, _is(int, entry["least"]), _maybe(lambda v: _is(int, v), entry["most"]))
    return Branch(tuple(tuple(_read_step(inner, count) for inner in branch) for branch in entry["branches"]))


def _read_slot(entry: Object, parts: tuple[Part, ...]) -> SlotPlan:
    plain = {key: entry[key] for key in PLAIN}
    for key in ("name", "path", "modality", "side"):
        _is(str, plain[key])
    for key in ("index", "depth"):
        _is(int, plain[key])
    least, most = entry["budget"]
    start, end = entry["span"]
    return SlotPlan(
        **plain,
        adapter=_pick(parts, entry["adapter"]),
        decoder=_maybe(lambda number: _pick(parts, number), entry["decoder"]),
        tensors=tuple(_tensor(*tensor) for tensor in entry["tensors"]),
        budget=Tokens(_is(int, least), _maybe(lambda v: _is(int, v), most)),
        closed_set=_maybe(lambda members: tuple(_is(str, m) for m in members), entry["closed_set"]),
        holds=tuple(_is(str, kind) for kind in entry["holds"]),
        span=Span(_is(int, start), _is(int, end)),
    )


def _tensor(name: str, dtype: str, shape: list[Any]) -> TensorSpec:
    sizes = tuple(cast("int | str", _is((int, str), size)) for size in shape)
    return TensorSpec(_is(str, name), _is(str, dtype), sizes)


def _read_objective(entry: Object, parts: tuple[Part, ...], count: int) -> Objective:
    return Objective(
        kind=entry["kind"],
        loss=_pick(parts, entry["loss"]),
        weight=float(_is((int, float), entry["weight"])),
        slots=tuple(_number(index, count) for index in entry["slots"]),
        against=_maybe(lambda index: _number(index, count), entry["against"]),
        reward=_maybe(lambda number: _pick(parts, number), entry["reward"]),
        samples=_is(int, entry["samples"]),
    )
