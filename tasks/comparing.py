"""What a metric compares: values as their codec says, and what stands beside each value in its group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.catalog import Catalog
from ..core.outputs import Output
from ..core.parts import adapter_of, make_codec, working_half
from ..core.plan import Alternative, Repeat, SlotPlan, uses, walk
from ..core.rows import as_member, entries, entry, is_absent, is_list, read_slot

NAMES = ("TEXT", "CATEGORY")
"""Slot types whose values name what stands beside them."""


class Compared(NamedTuple):
    """What makes a slot's values comparable: those that were found, and the true ones."""

    found: Callable[[Any], Any]
    true: Callable[[Any], Any]


def compared(slot: SlotPlan, catalog: Catalog) -> Compared:
    """A codec's `compared` for each value, as for boxes, and of true ones before its `returned`; else they stay.

    Raises:
        PluginError: the codec cannot be loaded.
    """
    adapter = adapter_of(slot, catalog)
    half = working_half(adapter.codec, f"the codec of the adapter `{slot.adapter.name}`")
    if not (hasattr(half, "compared") or hasattr(half, "returned")):
        return Compared(_same, _same)
    codec: Any = make_codec(adapter, slot.adapter.name, {"tokenizer": None, "closed_set": slot.closed_set})
    plain, back = getattr(codec, "compared", _same), returned(slot, catalog)
    return Compared(
        lambda value: _each(value, plain, slot.depth),
        lambda value: _each(value, lambda one: plain(back(one)), slot.depth),
    )


def returned(slot: SlotPlan, catalog: Catalog) -> Callable[[Any], Any]:
    """What makes one value of the data what the slot would give back."""
    adapter = adapter_of(slot, catalog)
    if not hasattr(working_half(adapter.codec, f"the codec of the adapter `{slot.adapter.name}`"), "returned"):
        return _same
    codec: Any = make_codec(adapter, slot.adapter.name, {"tokenizer": None, "closed_set": slot.closed_set})
    return codec.returned  # type: ignore[no-any-return]


def _same(value: Any) -> Any:
    return value


def neighbours(
    wording: Alternative, slot: SlotPlan, truths: Sequence[Mapping[str, Any]], outputs: Sequence[Output]
) -> dict[str, list[Any]]:
    """For a metric that is `paired`: `scores` of the predicted values, `names` and `true_names`, each one a row.

    Names are the values of the first text or class beside the slot in its innermost group; None where there is none.
    """
    beside = naming(wording, slot)
    return {
        "scores": [output.scores.get(slot.name) for output in outputs],
        "names": [output[beside.name] if beside and beside.name in output else None for output in outputs],
        "true_names": [truth_of(row, beside) if beside else None for row in truths],
    }


def truth_of(row: Mapping[str, Any], slot: SlotPlan) -> Any:
    """The true value of a slot in a row; texts and classes of a group as lists, and of a closed set the members."""
    value = read_slot(row, slot.path, slot.modality)
    closed = slot.closed_set is not None
    return _listed(value, slot.depth, closed) if closed or slot.modality in NAMES else value


def _listed(value: Any, depth: int, closed: bool) -> Any:
    if isinstance(value, list | tuple) or (depth and is_list(value)):
        return [_listed(one, depth - 1, closed) for one in entries(value)]
    if not closed or isinstance(value, str | Mapping) or is_absent(value):
        return value
    return str(as_member(value))


def naming(wording: Alternative, slot: SlotPlan) -> SlotPlan | None:
    """The first text or class beside a slot in its innermost group, which names its values."""
    groups = [step for step in walk(wording.target) if isinstance(step, Repeat) and slot.index in uses(step.steps)]
    inside = uses(groups[-1].steps) if groups else uses(wording.target)
    found = [wording.slots[index] for index in inside if index != slot.index]
    return next((one for one in found if one.modality in NAMES and one.depth == slot.depth), None)


def _each(value: Any, change: Callable[[Any], Any], depth: int) -> Any:
    """A value, or each of those in its lists; the list of an optional group may be left out."""
    if is_absent(value):
        return None
    if depth and is_list(value) and not _is_numbers(value):
        return [_each(item, change, depth - 1) for item in entries(value)]
    return change(value)


def _is_numbers(value: Any) -> bool:
    """Whether a list is one value of numbers, as a box is, and not a value for each repetition."""
    if not len(value):
        return False
    first = entry(value, 0)
    return not is_list(first) and (isinstance(first, int | float) or getattr(value, "dtype", None) is not None)
