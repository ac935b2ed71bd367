"""What a metric compares: values as their codec says, and what stands beside each value in its group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.catalog import Catalog
from ..core.outputs import Output
from ..core.parts import adapter_of, make_codec, working_half
from ..core.plan import Alternative, Repeat, SlotPlan, uses, walk
from ..core.rows import is_absent, is_list, read_path

NAMES = ("TEXT", "CATEGORY")
"""Slot types whose values name what stands beside them."""


def compared(slot: SlotPlan, catalog: Catalog) -> Callable[[Any], Any]:
    """What makes a slot's values comparable: its codec's `compared` for each, as for boxes; else they stay.

    Raises:
        PluginError: the codec cannot be loaded.
    """
    adapter = adapter_of(slot, catalog)
    if not hasattr(working_half(adapter.codec, f"the codec of the adapter `{slot.adapter.name}`"), "compared"):
        return lambda value: value
    codec = make_codec(adapter, slot.adapter.name, {"tokenizer": None, "closed_set": slot.closed_set})
    return lambda value: _each(value, codec.compared, slot.depth)


def neighbours(
    wording: Alternative, slot: SlotPlan, truths: Sequence[Mapping[str, Any]], outputs: Sequence[Output]
) -> dict[str, list[Any]]:
    """For a metric that is `paired`: `scores` of the predicted values, `names` and `true_names`, each one a row.

    Names are the values of the first text or class beside the slot in its innermost group; None where there is none.
    """
    beside = _naming(wording, slot)
    return {
        "scores": [output.scores.get(slot.name) for output in outputs],
        "names": [output[beside.name] if beside and beside.name in output else None for output in outputs],
        "true_names": [read_path(row, beside.path) if beside else None for row in truths],
    }


def _naming(wording: Alternative, slot: SlotPlan) -> SlotPlan | None:
    groups = [step for step in walk(wording.target) if isinstance(step, Repeat) and slot.index in uses(step.steps)]
    inside = uses(groups[-1].steps) if groups else uses(wording.target)
    found = [wording.slots[index] for index in inside if index != slot.index]
    return next((one for one in found if one.modality in NAMES and one.depth == slot.depth), None)


def _each(value: Any, change: Callable[[Any], Any], depth: int) -> Any:
    """A value, or each of those in its lists; the list of an optional group may be left out."""
    if is_absent(value):
        return None
    if depth and is_list(value) and not (len(value) and not is_list(value[0]) and isinstance(value[0], int | float)):
        return [_each(item, change, depth - 1) for item in value]
    return change(value)
