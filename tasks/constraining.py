"""Slots whose decoders say what the answer must be: whether they can, and what their tokens write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError
from ..core.inventory import Inventory
from ..core.parts import adapter_of
from ..core.plan import SlotPlan

if TYPE_CHECKING:
    from .model import Model

SETTINGS = "`regex`, `json_schema` and `grammar`"


def is_constrained(search: Any) -> bool:
    """Whether a decoder says what a text must be."""
    return getattr(getattr(search, "rules", None), "grammar", None) is not None


def inventory_for(slot: SlotPlan, search: Any, model: Model, *, patterned: bool = False) -> Inventory | None:
    """What a slot's tokens write, where its decoder says what the answer must be, or its codec does (`patterned`).

    Raises:
        ConfigError: the slot has a closed set, is not written as text, or its tokenizer cannot tell.
    """
    adapter = adapter_of(slot, model.catalog)
    written = slot.predicts == "tokens" and "tokenizer" in adapter.assets
    if not is_constrained(search):
        if patterned and not written:
            raise ConfigError(
                f"slot `{slot.name}`: a codec with a `pattern` must write tokens of the asset `tokenizer`, but that of "
                f"the adapter `{slot.adapter.name}` does not"
            )
        return _inventory(slot, model) if patterned and slot.closed_set is None else None
    if slot.closed_set is not None:
        raise ConfigError(
            f"slot `{slot.name}`: its closed set says what the answer may be, so {SETTINGS} cannot say it too: leave "
            "one out, or write the setting in the slot that it is for"
        )
    if not written:
        raise ConfigError(
            f"slot `{slot.name}`: {SETTINGS} need a slot that is written as text, but {slot.modality} is not: write "
            "the setting in the slot that it is for"
        )
    found = _inventory(slot, model)
    search.rules.check(found)
    return found


def _inventory(slot: SlotPlan, model: Model) -> Inventory:
    try:
        found: Inventory = model.tokenizer.inventory
    except ValueError as cause:
        raise ConfigError(f"slot `{slot.name}`: what its answer must be cannot be said: {cause}") from cause
    return found
