"""Settings of adapters that only data can say: the skeleton of a motion is that of the first one, unless written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.adapter import Adapter
from ..core.catalog import Catalog
from ..core.parts import adapter_of, declared, working_half
from ..core.plan import Part, Plan, SlotPlan
from ..core.rows import entry, is_absent, is_list, read_path


def settle_by_data(plan: Plan, catalog: Catalog, first: Callable[[], Mapping[str, Any]]) -> Plan:
    """The plan with the settings that its slots' adapters take from their first values.

    Args:
        plan: of a task.
        catalog: where declarations are found.
        first: gives the first row; called only when an adapter asks.
    """

    def told(slot: SlotPlan, adapter: Adapter) -> Mapping[str, Any]:
        found = read_path(first(), slot.path)
        while slot.depth and is_list(found):
            found = entry(found, 0) if len(found) else None
        return _asked(adapter, None if is_absent(found) else found)

    return _with_settings(plan, catalog, told)


def settle_by_others(plan: Plan, catalog: Catalog, others: Iterable[Plan]) -> Plan:
    """The plan with the settings that a slot of the same adapter has in other plans, one of the same name first."""
    known = [slot for other in others for slot in other.slots]

    def told(slot: SlotPlan, adapter: Adapter) -> Mapping[str, Any]:
        same = [s for s in known if s.adapter.name == slot.adapter.name]
        if not same or any(adapter.settings()[name] is not None for name in adapter.settled):
            return _asked(adapter, None)
        chosen = next((s for s in same if s.name == slot.name), same[0]).adapter.options()
        return {name: chosen.get(name) for name in adapter.settled}

    return _with_settings(plan, catalog, told)


def _asked(adapter: Adapter, raw: Any) -> Mapping[str, Any]:
    """What the adapter's own function says of a value."""
    found: Mapping[str, Any] = working_half(adapter.settle, "the function that settles settings")(
        adapter.settings(), raw
    )
    return found


def _with_settings(plan: Plan, catalog: Catalog, told: Callable[[SlotPlan, Adapter], Mapping[str, Any]]) -> Plan:
    wordings = []
    for wording in plan.alternatives:
        slots = tuple(_settled(slot, adapter_of(slot, catalog), catalog, told) for slot in wording.slots)
        wordings.append(replace(wording, slots=slots) if slots != wording.slots else wording)
    return replace(plan, alternatives=tuple(wordings))


def _settled(
    slot: SlotPlan, adapter: Adapter, catalog: Catalog, told: Callable[[SlotPlan, Adapter], Mapping[str, Any]]
) -> SlotPlan:
    if not adapter.settle:
        return slot
    changed = told(slot, adapter)
    settings = tuple((name, changed.get(name, value)) for name, value in slot.adapter.settings)
    part: Part = replace(slot.adapter, settings=settings)
    made = declared(part, catalog)
    assert isinstance(made, Adapter)
    return replace(slot, adapter=part, tensors=made.tensors())
