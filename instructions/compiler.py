"""Nodes to a plan: every name is resolved against a catalog, once, and nothing downstream looks a name up again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..core.backbone import Backbone
from ..core.backbone_name import resolve_backbone
from ..core.budget import judge
from ..core.catalog import Catalog
from ..core.errors import Diagnostic, Label, Source, Span
from ..core.plan import Alternative, Branch, Objective, Part, Plan, Prompt, Repeat, Side, SlotPlan, Step, Use
from .diagnostics import Findings
from .drafts import Draft, Drafting, Place, Role, default_reader
from .naming import Names, name_all
from .nodes import Group, Instruction, Item, Ranking, Slot, Text, Wording, slots_of
from .objectives import matching_loss, objectives_of
from .parser import Reading, as_text, read
from .printer import spell_with_places
from .resolve import find

CACHED = 1024
NO_PROMPT = Part("adapter", "")
SLOT_LIKE = re.compile(r"[({<\u3010]\s*([A-Z][A-Z0-9_]*)\s*[:\uff1a]\s*[\w.-]+[^(){}<>\u3010\u3011\n]{0,80}[)}>\u3011]")


def compile(
    text: str | Sequence[str] | Instruction, *, catalog: Catalog, backbone: str | Backbone | None = None
) -> Plan:
    """The plan of an instruction.

    Args:
        text: an instruction, a list of wordings, or what `parse` returned.
        catalog: what is installed.
        backbone: when given, as `ofa-tiny`, the budget is judged against its context.

    Raises:
        InstructionError: with all mistakes of grammar, names, types, values and budget that one reading finds.
        PluginError: `backbone` names none.
        TypeError: `text` is no text.
    """
    if isinstance(text, Instruction):
        return _fresh(_again(text), catalog, backbone)
    return _cached(as_text(text), catalog, backbone)


def check(
    text: str | Sequence[str] | Instruction, *, catalog: Catalog, backbone: str | Backbone | None = None
) -> list[Diagnostic]:
    """All errors and warnings of an instruction, errors first; empty when there is nothing to say.

    Raises:
        PluginError: `backbone` names none.
        TypeError: `text` is no text.
    """
    reading = _again(text) if isinstance(text, Instruction) else read(Source(as_text(text)))
    _compiled(reading, catalog, backbone)
    return reading.findings.ordered()


@lru_cache(maxsize=CACHED)
def _cached(text: str, catalog: Catalog, backbone: str | Backbone | None) -> Plan:
    return _fresh(read(Source(text)), catalog, backbone)


def _fresh(reading: Reading, catalog: Catalog, backbone: str | Backbone | None) -> Plan:
    plan = _compiled(reading, catalog, backbone)
    reading.findings.raise_errors()
    assert plan is not None, "without an error there is a plan"
    return plan


def _again(instruction: Instruction) -> Reading:
    """An instruction that was read before, with its warnings; one made by hand is spelled first."""
    source = instruction.source
    reading = read(source) if source.text else None
    if reading is None or reading.instruction != instruction:
        reading = read(replace(source, text=str(instruction)))
    return reading


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One wording, compiled, and the drafts it came from."""

    alternative: Alternative
    drafts: tuple[Draft, ...]
    wording: Wording


def _compiled(reading: Reading, catalog: Catalog, backbone: str | Backbone | None) -> Plan | None:
    findings = reading.findings
    for slot in reading.loose:
        find(catalog, "modalities", slot.type, slot.type_span, findings)
    instruction = reading.instruction
    if instruction is None:
        return None
    spelled, places = spell_with_places(instruction)
    compiled = [
        _wording(wording, spans, catalog, findings) for wording, spans in zip(instruction.wordings, places, strict=True)
    ]
    prompt = _prompt(instruction, catalog, findings)
    whole = [found for found in compiled if found is not None]
    if findings.failed or len(whole) != len(compiled):
        return None
    _same_targets(whole, findings)
    if not whole[0].alternative.objectives:
        _aimless(whole[0].wording, findings)
    alternatives = tuple(found.alternative for found in whole)
    plan = Plan(text=spelled, alternatives=alternatives, parts=_parts(whole, prompt), prompt=prompt or NO_PROMPT)
    if backbone is not None:
        declared = resolve_backbone(backbone, catalog) if isinstance(backbone, str) else backbone
        name = backbone if isinstance(backbone, str) else type(backbone).__name__
        context = declared.context()
        spans = [[draft.slot.inside for draft in found.drafts] for found in whole]
        findings.found += judge(plan, name, context, catalog=catalog, source=findings.source, spans=spans)
    return plan


def _wording(wording: Wording, spans: tuple[Span, ...], catalog: Catalog, findings: Findings) -> _Compiled | None:
    places = tuple(_places(wording))
    matching = matching_loss(places, wording, catalog, findings) if wording.arrow == "<->" else None
    drafting = Drafting(catalog, findings, matching)
    drafts = tuple(drafting.draft(place) for place in places)
    names = name_all(drafts, findings)
    _slot_like(wording, catalog, findings)
    objectives = objectives_of(drafts, wording, matching, findings)
    if any(draft.adapter is None for draft in drafts):
        return None
    counter = iter(range(len(drafts)))
    source = tuple(_steps(wording.source, counter))
    target = tuple(_steps(wording.target, counter))
    slots = tuple(_slot(draft, names, spans[draft.place.index]) for draft in drafts)
    alternative = Alternative(arrow=wording.arrow, source=source, target=target, slots=slots, objectives=objectives)
    return _Compiled(alternative, drafts, wording)


def _places(wording: Wording) -> Iterator[Place]:
    index = 0
    sides: tuple[tuple[Side, tuple[Item, ...]], ...] = (("source", wording.source), ("target", wording.target))
    for side, items in sides:
        role: Role = "match" if wording.arrow == "<->" else side
        for slot, depth, rank in _deep(items, 0):
            yield Place(slot=slot, index=index, side=side, role=role, depth=depth, rank=rank)
            index += 1


def _deep(items: tuple[Item, ...], depth: int) -> Iterator[tuple[Slot, int, int | None]]:
    for item in items:
        if isinstance(item, Slot):
            yield item, depth, None
        elif isinstance(item, Group):
            yield from _deep(item.items, depth + 1)
        elif isinstance(item, Ranking):
            for rank, slot in enumerate(item.slots):
                yield slot, depth, rank


def _steps(items: tuple[Item, ...], counter: Iterator[int]) -> Iterator[Step]:
    for item in items:
        if isinstance(item, Text):
            yield Prompt(item.text)
        elif isinstance(item, Slot):
            yield Use(next(counter))
        elif isinstance(item, Group):
            yield Repeat(tuple(_steps(item.items, counter)), item.least, item.most)
        else:
            yield Branch(tuple((Use(next(counter)),) for _ in item.slots))


def _slot(draft: Draft, names: Names, span: Span) -> SlotPlan:
    assert draft.adapter is not None and draft.made is not None, "asked by the caller"
    place, values = draft.place, draft.universal.values
    limit, closed_set = values.get("max_length"), values.get("closed_set")
    return SlotPlan(
        index=place.index,
        name=names.names[place.index],
        path=names.paths[place.index],
        modality=draft.slot.type,
        side=place.side,
        adapter=draft.adapter,
        predicts=draft.made.predicts if place.role == "target" else None,
        tensors=draft.tensors,
        budget=draft.budget,
        limit=limit if isinstance(limit, int) else None,
        depth=place.depth,
        given=draft.given,
        closed_set=closed_set if isinstance(closed_set, tuple) else None,
        optional=draft.universal.flag("optional"),
        sync=names.syncs[place.index],
        holds=draft.holds,
        decoder=draft.decoder,
        span=span,
    )


def _prompt(instruction: Instruction, catalog: Catalog, findings: Findings) -> Part | None:
    """The adapter that reads prompts: what reads TEXT when nothing is written."""
    text = next((text for wording in instruction.wordings for text in _texts(wording)), None)
    entry = catalog.find("modalities", "TEXT")
    if text is None and entry is None:
        return None
    if entry is None:
        findings.error(
            "OL222",
            "prompt text needs the modality `TEXT`, which no installed plugin provides",
            text.span if text else Span(0, 0),
            help="install a package that brings it, or drop the text",
        )
        return None
    span = text.span if text else instruction.wordings[0].span
    return default_reader(catalog, "TEXT", span, findings)


def _texts(wording: Wording) -> Iterator[Text]:
    waiting = [*wording.source, *wording.target]
    for item in waiting:
        if isinstance(item, Text):
            yield item
        elif isinstance(item, Group):
            waiting.extend(item.items)


def _slot_like(wording: Wording, catalog: Catalog, findings: Findings) -> None:
    """Warn of prompt text in other brackets that reads like a slot."""
    for text in _texts(wording):
        for found in SLOT_LIKE.finditer(findings.source.text, text.span.start, text.span.end):
            if catalog.find("modalities", found[1]):
                mended = f"[{found[0][1:-1]}]"
                findings.warning(
                    "OL126",
                    "text that looks like a slot",
                    Span(*found.span()),
                    label="reads as text",
                    help=f"a slot has square brackets: `{mended}`",
                    fix=mended,
                )


def _parts(whole: list[_Compiled], prompt: Part | None) -> tuple[Part, ...]:
    """Every distinct part in order of first use."""
    parts: dict[Part, None] = {}
    for found in whole:
        for draft in found.drafts:
            parts |= dict.fromkeys(part for part in (draft.adapter, *draft.held, draft.decoder) if part)
        for objective in found.alternative.objectives:
            parts |= dict.fromkeys(part for part in (objective.loss, objective.reward) if part)
    texts = any(True for found in whole for _ in _texts(found.wording))
    return tuple(parts | (dict.fromkeys([prompt]) if prompt and texts else {}))


def _aimless(wording: Wording, findings: Findings) -> None:
    slots = [*slots_of(wording.source), *slots_of(wording.target)]
    findings.warning(
        "OL217",
        "nothing is supervised: the instruction has no objective",
        Span(slots[0].span.start, slots[-1].span.end),
        help="add a target slot without `no_loss`; predicting needs none",
    )


def _same_targets(whole: list[_Compiled], findings: Findings) -> None:
    """All alternatives must ask for the same."""
    first = whole[0]
    for other in whole[1:]:
        reason = _difference(first.alternative, other.alternative)
        if reason:
            findings.error(
                "OL216",
                f"alternatives differ in {reason}",
                other.wording.span,
                labels=(Label(first.wording.span, "the first"), Label(other.wording.span, "differs")),
                help="alternatives are other words for the same target slots and objectives",
            )


def _difference(one: Alternative, two: Alternative) -> str | None:
    if one.arrow != two.arrow:
        return "their arrow"
    if _targets(one) != _targets(two):
        return "their target slots"
    if [_aim(one, o) for o in one.objectives] != [_aim(two, o) for o in two.objectives]:
        return "their objectives"
    return None


def _targets(alternative: Alternative) -> list[SlotPlan]:
    return [replace(slot, index=0, span=Span(0, 0), sync=None) for slot in alternative.slots if slot.side == "target"]


def _aim(alternative: Alternative, objective: Objective) -> tuple[object, ...]:
    names = tuple(alternative.slots[index].name for index in objective.slots)
    against = None if objective.against is None else alternative.slots[objective.against].name
    return objective.kind, objective.loss, objective.weight, names, against, objective.reward, objective.samples
