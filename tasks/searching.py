"""How target slots are searched at predicting: their decoders, with the settings of the plan, the loss and the call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..core.catalog import Catalog
from ..core.errors import ConfigError
from ..core.networks import DecoderSearch
from ..core.parts import adapter_of, declared, working_half
from ..core.plan import Alternative, Part, SlotPlan
from ..core.settings import settings_of

NOTHING: Mapping[str, Any] = MappingProxyType({})
NAMED = re.compile(r",\s*decoder\s*=")


def make_searches(
    wording: Alternative,
    slots: Sequence[SlotPlan],
    catalog: Catalog,
    *,
    decoder: str | None = None,
    settings: Mapping[str, Any],
    sampling: Mapping[str, Any] = NOTHING,
    text: str = "",
) -> dict[int, DecoderSearch]:
    """The decoder of each slot that is found, by the slot's index.

    Args:
        wording: what is predicted.
        slots: its target slots that are not given.
        catalog: where declarations are found.
        decoder: a decoder's name for all of them, instead of those of the plan.
        settings: of the decoders; each takes those that it knows. One that is None (`schedule`) is that of the slot's
            loss, if the loss has it.
        sampling: settings that a checkpoint brings, where the user writes none: `do_sample` makes slots sample that
            would search greedily.
        text: the instruction, as the plan writes it, which says whether a slot names its decoder.

    Raises:
        ConfigError: no decoder knows a setting, or a slot has none.
    """
    parts = {slot.index: _part(slot, catalog, decoder, settings, _brought(slot, sampling, text)) for slot in slots}
    known = {name for part in parts.values() for name in part.options()}
    unknown = [name for name in settings if name not in known]
    if unknown and parts:
        names = list(dict.fromkeys(f"`{part.name}`" for part in parts.values()))
        raise ConfigError(
            f"the decoder {' or '.join(names)} has no setting `{unknown[0]}` (settings: "
            f"{', '.join(sorted(known)) or 'none'})"
        )
    losses = {index: o.loss for o in wording.objectives if o.kind == "predict" for index in o.slots}
    return {index: _made(part, losses.get(index), catalog) for index, part in parts.items()}


def _brought(slot: SlotPlan, sampling: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    """What a checkpoint says of a slot: nothing of one that names its decoder, has few members, or is no text."""
    named = NAMED.search(text[slot.span.start : slot.span.end])
    return NOTHING if named or slot.closed_set is not None or slot.predicts != "tokens" else sampling


def _part(
    slot: SlotPlan, catalog: Catalog, decoder: str | None, settings: Mapping[str, Any], brought: Mapping[str, Any]
) -> Part:
    part = slot.decoder
    name = decoder or (part.name if part else adapter_of(slot, catalog).default_decoder())
    if decoder is None and name == "greedy" and brought.get("do_sample"):
        name = "sample"
    if name is None:
        raise ConfigError(f"slot `{slot.name}` has no decoder: write `decoder=` in the slot")
    declaration = catalog.decoder(name)
    known = settings_of(declaration)
    base: dict[str, Any] = {}
    if part is not None and part.name in ("greedy", name):  # what the slot says of its answers holds for both
        plain = settings_of(catalog.decoder(part.name))
        base = {key: value for key, value in part.options().items() if key in known and value != plain[key].default}
    own = {key: value for key, value in {**brought, **base, **settings}.items() if key in known}
    return Part("decoder", name, tuple(declaration(**own).settings().items()))


def _made(part: Part, loss: Part | None, catalog: Catalog) -> DecoderSearch:
    build: str = declared(part, catalog).build  # type: ignore[attr-defined]
    told = {} if loss is None else loss.options()
    options = {name: told.get(name) if value is None else value for name, value in part.options().items()}
    search: DecoderSearch = working_half(build, f"the decoder `{part.name}`")(**options)
    return search
