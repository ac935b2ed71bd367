"""A plan for the eye: a tree for the terminal, and a Mermaid flowchart for a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .modality import Tokens
from .plan import Alternative, Objective, Part, Plan, Prompt, Repeat, Side, SlotPlan, Step, Use

INDENT = "   "


def tree(plan: Plan) -> str:
    """Sides, slots with tensors and budgets, losses, decoders and objectives, one below the other."""
    lines = [plan.text]
    several = len(plan.alternatives) > 1
    for number, alternative in enumerate(plan.alternatives):
        if several:
            lines.append(f"alternative {number + 1} of {len(plan.alternatives)}")
        lines += _alternative(alternative)
    lines.append("parts")
    lines += [("└─ " if part is plan.parts[-1] else "├─ ") + _part(part, True) for part in plan.parts]
    return "\n".join(lines)


def _alternative(alternative: Alternative) -> Iterator[str]:
    arrow = "matched with" if alternative.arrow == "<->" else "target"
    sides: tuple[tuple[str, Side], ...] = (("source", "source"), (arrow, "target"))
    for title, side in sides:
        least, most = _range(alternative, side)
        yield f"{title}  {_count(Tokens(least, most))} and the prompts"
        yield from _steps(alternative.steps(side), alternative, "")
    yield "objectives"
    last = len(alternative.objectives) - 1
    if last < 0:
        yield "└─ none: nothing is supervised"
    for number, objective in enumerate(alternative.objectives):
        yield ("└─ " if number == last else "├─ ") + _objective(objective, alternative)


def _range(alternative: Alternative, side: Side) -> tuple[int, int | None]:
    return _sum(alternative.steps(side), alternative.slots)


def _sum(steps: Sequence[Step], slots: Sequence[SlotPlan]) -> tuple[int, int | None]:
    """The least and most tokens of the steps' slots."""
    least, most = 0, 0
    open_ended = False
    for step in steps:
        low, high = _one(step, slots)
        least += low
        open_ended |= high is None
        most += high or 0
    return least, None if open_ended else most


def _one(step: Step, slots: Sequence[SlotPlan]) -> tuple[int, int | None]:
    if isinstance(step, Prompt):
        return 0, 0
    if isinstance(step, Use):
        slot = slots[step.slot]
        return (0 if slot.optional else slot.budget.least), slot.budget.most
    if isinstance(step, Repeat):
        low, high = _sum(step.steps, slots)
        return low * step.least, None if high is None or step.most is None else high * step.most
    sums = [_sum(branch, slots) for branch in step.branches]
    highs = [high for _, high in sums if high is not None]
    return min(low for low, _ in sums), max(highs) if len(highs) == len(sums) else None


def _steps(steps: Sequence[Step], alternative: Alternative, indent: str) -> Iterator[str]:
    if not steps:
        yield f"{indent}└─ nothing"
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        head, below = indent + ("└─ " if last else "├─ "), indent + (INDENT if last else "│  ")
        if isinstance(step, Prompt):
            yield f"{head}prompt {step.text!r}"
        elif isinstance(step, Use):
            yield from _slot(alternative.slots[step.slot], alternative, head, below)
        elif isinstance(step, Repeat):
            yield f"{head}list of {_times(step)}"
            yield from _steps(step.steps, alternative, below)
        else:
            yield f"{head}ranking, the preferred first"
            yield from _steps([inner for branch in step.branches for inner in branch], alternative, below)


def _slot(slot: SlotPlan, alternative: Alternative, head: str, below: str) -> Iterator[str]:
    marks = [f"from column {slot.path}"] if slot.path != slot.name else []
    marks += [word for word, on in (("given", slot.given), ("optional", slot.optional)) if on]
    marks += [f"in time with {alternative.slots[slot.sync].name}"] if slot.sync is not None else []
    marks += [f"holds {' '.join(slot.holds)}"] if slot.holds else []
    yield f"{head}{slot.name} {slot.modality}" + "".join(f", {mark}" for mark in marks)
    lines = [f"adapter {_part(slot.adapter)}"]
    lines += [f"tensor {tensor}" for tensor in slot.tensors]
    cut = f", max_length={slot.limit}" if slot.limit is not None else ""
    lines.append(f"budget {_count(slot.budget)}{cut}")
    if slot.predicts and not slot.given:
        lines.append(f"predicts {slot.predicts}")
    if slot.closed_set is not None:
        lines.append("closed set " + (" | ".join(slot.closed_set) or "of the task or the data, bound later"))
    if slot.decoder:
        lines.append(f"decoder {_part(slot.decoder)}")
    for number, line in enumerate(lines):
        yield below + ("└─ " if number == len(lines) - 1 else "├─ ") + line


def _objective(objective: Objective, alternative: Alternative) -> str:
    names = " > ".join(alternative.slots[index].name for index in objective.slots)
    parts = [f"{objective.kind} {names}".rstrip() if objective.kind != "match" else "match source and target"]
    if objective.against is not None:
        parts[0] += f" against {alternative.slots[objective.against].name}"
    parts.append(f"loss {_part(objective.loss)}")
    if objective.reward:
        parts.append(f"reward {_part(objective.reward)}, {objective.samples} samples")
    if objective.weight != 1:
        parts.append(f"weight {objective.weight:g}")
    return "  ".join(parts)


def _part(part: Part, owner: bool = False) -> str:
    written = ", ".join(f"{key}={_value(value)}" for key, value in part.settings if value is not None)
    text = part.name + (f"({written})" if written else "")
    return f"{part.kind} {text} of {part.package} {part.version}" if owner else text


def _value(value: object) -> str:
    return "|".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _count(tokens: Tokens) -> str:
    if tokens.most is None:
        return _tokens(tokens.least) + " or more"
    if tokens.least == tokens.most:
        return _tokens(tokens.least)
    return f"{tokens.least:,} to {tokens.most:,} tokens"


def _tokens(count: int) -> str:
    return f"{count:,} token" + ("s" if count != 1 else "")


def _times(step: Repeat) -> str:
    if step.most is None:
        return f"{step.least} or more"
    return f"{step.least}" if step.least == step.most else f"{step.least} to {step.most}"


def mermaid(plan: Plan) -> str:
    """The plan as a Mermaid flowchart, left to right."""
    lines = ["flowchart LR"]
    for number, alternative in enumerate(plan.alternatives):
        lines += _chart(alternative, f"a{number}")
    return "\n".join(lines)


def _chart(alternative: Alternative, key: str) -> Iterator[str]:
    sides: tuple[tuple[Side, str], ...] = (
        ("source", "source"),
        ("target", "matched with" if alternative.arrow == "<->" else "target"),
    )
    for side, title in sides:
        yield f'  subgraph {key}_{side}["{title}"]'
        yield "    direction TB"
        yield from _nodes(alternative.steps(side), alternative, f"{key}_{side}", "    ")
        yield "  end"
    yield f"  {key}_source {'<-->' if alternative.arrow == '<->' else '-->'} {key}_target"
    for number, objective in enumerate(alternative.objectives):
        yield f'  {key}_o{number}{{{{"{_escaped(_objective(objective, alternative))}"}}}}'
        ends = [f"{key}_s{index}" for index in objective.slots] or [f"{key}_source", f"{key}_target"]
        yield from (f"  {end} -.-> {key}_o{number}" for end in ends)


def _nodes(steps: Sequence[Step], alternative: Alternative, key: str, indent: str) -> Iterator[str]:
    slots = key.split("_")[0]
    if not steps:
        yield f'{indent}{key}_none["nothing"]'
    for number, step in enumerate(steps):
        node = f"{key}_{number}"
        if isinstance(step, Prompt):
            yield f'{indent}{node}("{_escaped(step.text)}")'
        elif isinstance(step, Use):
            slot = alternative.slots[step.slot]
            yield f'{indent}{slots}_s{slot.index}["{_escaped(_slot_text(slot))}"]'
        else:
            title = f"list of {_times(step)}" if isinstance(step, Repeat) else "ranking"
            inner = step.steps if isinstance(step, Repeat) else [one for branch in step.branches for one in branch]
            yield f'{indent}subgraph {node}["{title}"]'
            yield from _nodes(inner, alternative, node, indent + "  ")
            yield f"{indent}end"


def _slot_text(slot: SlotPlan) -> str:
    return f"{slot.modality} {slot.name}<br/>{slot.adapter.name}, {_count(slot.budget)}"


def _escaped(text: str) -> str:
    """Text inside a Mermaid label: only what it takes literally."""
    safe = {'"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": "<br/>", "#": "#35;", "`": "#96;", "\\": "#92;"}
    kept = text.replace("<br/>", "\n")
    return "".join(safe.get(char, char) for char in kept)
