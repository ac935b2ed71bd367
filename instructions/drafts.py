"""A slot with every name in it resolved, before it knows its neighbours: adapter, loss, decoder, reward, settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..core.adapter import Adapter
from ..core.catalog import Catalog
from ..core.errors import Fix, Label, OmnilineError, Span
from ..core.holding import held_names, held_parts
from ..core.loss import ObjectiveKind
from ..core.modality import Modality, TensorSpec, Tokens
from ..core.plan import Part, Side
from ..core.settings import Value
from .diagnostics import Findings
from .nodes import Attribute, Slot
from .resolve import Found, filled, find
from .routing import AdapterChoice, Universal, chosen_adapter, route, split
from .suits import suitable_decoder, suitable_loss
from .values import ANY_SIDE, MATCHING, UNIVERSAL

Role = Literal["source", "target", "match"]

PLACES = {"source": "the source side", "target": "the target side", "match": "a side of `<->`"}
LEGAL = {"source": (*ANY_SIDE, "loss", "weight"), "target": tuple(UNIVERSAL), "match": MATCHING}
USUAL_LOSS = {"rollout": "gspo", "rank": "bradley_terry", "match": "contrastive"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a slot stands: `rank` is its place in a ranking, counted from the preferred one."""

    slot: Slot
    index: int
    side: Side
    role: Role
    depth: int = 0
    rank: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A resolved slot. `adapter` and what follows are None when an error kept them from being known."""

    place: Place
    universal: Universal
    modality: Modality | None = None
    made: Adapter | None = None
    adapter: Part | None = None
    tensors: tuple[TensorSpec, ...] = ()
    budget: Tokens = Tokens(1, None)
    holds: tuple[str, ...] = ()
    held: tuple[Part, ...] = ()
    loss: Found | None = None
    losing: Part | None = None
    loss_settings: Mapping[str, Value] = field(default_factory=dict)
    decoder: Part | None = None
    reward: Part | None = None

    @property
    def slot(self) -> Slot:
        return self.place.slot

    @property
    def given(self) -> bool:
        """A target slot that is required and forced, never supervised."""
        return self.place.role == "target" and self.universal.flag("no_loss")


class Drafting:
    """Drafts the slots of one wording against one catalog; `matching` is the loss of a `<->`."""

    __slots__ = ("catalog", "findings", "matching")

    def __init__(self, catalog: Catalog, findings: Findings, matching: Found | None = None) -> None:
        self.catalog, self.findings, self.matching = catalog, findings, matching

    def draft(self, place: Place) -> Draft:
        """Resolve one slot; what is wrong goes to the findings."""
        slot, role = place.slot, place.role
        universal, choosing, rest = split(slot, LEGAL[role], PLACES[role], self.findings)
        self._contradictions(place, universal)
        found = find(self.catalog, "modalities", slot.type, slot.type_span, self.findings)
        if found is None or not isinstance(found.entry.part, Modality):
            return Draft(place=place, universal=universal)
        modality = found.entry.part
        blank = Draft(place=place, universal=universal, modality=modality)
        choice = chosen_adapter(choosing, self.catalog, self.findings)
        if choosing and choice is None:
            return blank
        adapter = self._adapter(place, modality, choice)
        if adapter is None:
            return blank
        return self._parts(blank, adapter, choice, rest)

    def _parts(self, blank: Draft, adapter: Found, choice: AdapterChoice | None, rest: list[Attribute]) -> Draft:
        place, universal = blank.place, blank.universal
        kind = self._objective(place, universal)
        reward = self._named(universal, "rewards", "reward", place.slot)
        loss = self.matching if place.role == "match" else self._loss(place, universal, adapter, kind)
        decoder = self._decoder(place, universal, adapter)
        owners = [part for part in (adapter, loss, decoder, reward) if part]
        written = route(place.slot, rest, owners, self.catalog, self.findings, PLACES[place.role])
        implied = {key: value for key, value in (choice.settings if choice else {}).items() if key in adapter.offers}
        settings = {**implied, **written["adapter"]}
        if "max_length" in adapter.offers and "max_length" in universal.values:
            settings["max_length"] = universal.values["max_length"]
        made = filled(adapter, settings, place.slot.inside, self.findings)
        if not isinstance(made, Adapter):
            return blank
        budget, tensors = self._measure(place, universal, adapter, made)
        holds, held = self._holds(place.slot, made)
        self._closed_set(place, universal, made)
        losing = self._filled(loss, written.get("loss", {}), place) if place.role != "match" else None
        return Draft(
            place=place,
            universal=universal,
            modality=blank.modality,
            made=made,
            adapter=adapter.part(made.settings()),
            tensors=tensors,
            budget=budget,
            holds=holds,
            held=held,
            loss=loss,
            losing=losing,
            loss_settings=written.get("loss", {}),
            decoder=self._filled(decoder, written.get("decoder", {}), place),
            reward=self._rewarding(reward, written.get("reward", {}), place),
        )

    def _contradictions(self, place: Place, universal: Universal) -> None:
        places = universal.places
        if universal.flag("no_loss"):
            for key in ("loss", "weight", "reward", "samples", "decoder"):
                if key in places:
                    self.findings.error(
                        "OL218",
                        f"a `no_loss` slot is given, so it has no `{key}`",
                        places[key].span,
                        labels=(Label(places["no_loss"].span, "given as it is"), Label(places[key].span, "not used")),
                        help="drop one of the two",
                    )
        if "samples" in places and "reward" not in places:
            self.findings.error(
                "OL212",
                "`samples` needs `reward`",
                places["samples"].key_span,
                help="write `reward=equal`, or another installed reward",
                fixes=(Fix(Span(places["samples"].span.start, places["samples"].span.start), "reward=equal,"),),
            )
        if "weight" in places and place.role == "source" and "loss" not in places:
            self.findings.error(
                "OL201", "`weight` on the source side needs an aligning `loss`", places["weight"].key_span
            )
        if place.rank is None:
            return
        for key in ("reward", "samples", "no_loss", *(("loss", "weight", "decoder") if place.rank else ())):
            if key in places:
                first = key in ("loss", "weight", "decoder")
                self.findings.error(
                    "OL201",
                    f"`{key}` cannot stand {'on a later slot of' if first else 'in'} a ranking",
                    places[key].key_span,
                    help="the first slot's loss and weight govern" if first else "a ranking is its own objective",
                )

    def _objective(self, place: Place, universal: Universal) -> ObjectiveKind:
        if place.role != "target":
            return "align" if place.role == "source" else "match"
        if place.rank is not None:
            return "rank"
        return "rollout" if "reward" in universal.places else "predict"

    def _adapter(self, place: Place, modality: Modality, choice: AdapterChoice | None) -> Found | None:
        side = "target" if place.role == "target" else "source"
        default = modality.target if side == "target" else modality.source
        if choice is None and default is None:
            deed = "made" if side == "target" else "read"
            self.findings.error(
                "OL210",
                f"{place.slot.type} cannot be {deed}: it has no adapter for {PLACES[place.role]}",
                place.slot.type_span,
                help="write `adapter=...` with one that can, if a package brings it",
            )
            return None
        name = choice.names[0] if choice else str(default)
        span = choice.span if choice else place.slot.type_span
        found = find(self.catalog, "adapters", name, span, self.findings)
        if found is None:
            return None
        part: type[Adapter] = found.entry.part
        if not (isinstance(part, type) and issubclass(part, Adapter)):
            self.findings.error("OL220", f"the adapter `{name}` must be a subclass of Adapter, but is {part!r}", span)
            return None
        if part.modality != place.slot.type:
            self._misfit(f"the adapter `{name}` serves {part.modality}, not {place.slot.type}", span, place)
            return None
        if side not in part.sides or (side == "target" and part.predicts is None):
            self._misfit(f"the adapter `{name}` cannot stand on the {side} side", span, place, "OL210")
            return None
        return found

    def _misfit(self, message: str, span: Span, place: Place, code: str = "OL209") -> None:
        others = [
            entry.name
            for entry in self.catalog.parts.get("adapters", {}).values()
            if getattr(entry.part, "modality", None) == place.slot.type
        ]
        self.findings.error(code, message, span, help=f"adapters of {place.slot.type}: {' '.join(sorted(others))}")

    def _named(self, universal: Universal, kind: str, key: str, slot: Slot) -> Found | None:
        name = universal.text(key)
        return find(self.catalog, kind, name, universal.span(key, slot), self.findings) if name else None

    def _loss(self, place: Place, universal: Universal, adapter: Found, kind: ObjectiveKind) -> Found | None:
        written = universal.text("loss")
        if universal.flag("no_loss") or place.rank or (place.role == "source" and not written):
            return None
        declared: Adapter = adapter.entry.part
        name = written or USUAL_LOSS.get(kind) or _default(declared, "loss")
        span = universal.span("loss", place.slot)
        found = find(self.catalog, "losses", name, span, self.findings) if name else None
        if found is None or not suitable_loss(found, place.slot.type, declared.predicts, kind, span, self.findings):
            return None
        return found

    def _decoder(self, place: Place, universal: Universal, adapter: Found) -> Found | None:
        if place.role != "target" or universal.flag("no_loss") or place.rank:
            return None
        declared: type[Adapter] = adapter.entry.part
        name = universal.text("decoder")
        if name is None and "closed_set" in universal.values:
            closed = self.catalog.find("decoders", "closed_set")
            name = "closed_set" if closed and declared.predicts in getattr(closed.part, "needs", ()) else None
        name = name or _default(declared, "decoder")
        span = universal.span("decoder", place.slot)
        found = find(self.catalog, "decoders", name, span, self.findings) if name else None
        if found is None or not suitable_decoder(found, place.slot.type, declared.predicts, span, self.findings):
            return None
        return found

    def _filled(self, found: Found | None, written: Mapping[str, Value], place: Place) -> Part | None:
        made = filled(found, written, place.slot.inside, self.findings) if found else None
        return found.part(made.settings()) if found and made else None

    def _rewarding(self, found: Found | None, written: Mapping[str, Value], place: Place) -> Part | None:
        if found is None:
            return None
        missing = [name for name, setting in found.offers.items() if setting.required and name not in written]
        if missing:
            self.findings.error(
                "OL205",
                f"the reward `{found.entry.name}` needs `{missing[0]}`",
                place.slot.inside,
                help=f"write `{missing[0]}=...`",
            )
            return None
        return found.part({name: written.get(name, setting.default) for name, setting in found.offers.items()})

    def _measure(
        self, place: Place, universal: Universal, adapter: Found, made: Adapter
    ) -> tuple[Tokens, tuple[TensorSpec, ...]]:
        try:
            tokens, tensors = made.tokens(), tuple(made.tensors())
        except Exception as error:  # a plugin's arithmetic may fail in any way
            name = adapter.entry.name
            self.findings.error("OL220", f"the adapter `{name}` refuses its settings: {error}", place.slot.inside)
            return Tokens(1, None), ()
        limit = universal.values.get("max_length")
        if not isinstance(limit, int):
            return tokens, tensors
        if limit < tokens.least and not made.cuttable:
            self.findings.error(
                "OL221",
                f"`max_length` is {limit:,}, but {place.slot.type} takes at least {tokens.least:,} tokens here",
                universal.span("max_length", place.slot),
                help="only text is cut; choose the adapter's own size instead",
            )
            return tokens, tensors
        most = limit if tokens.most is None else min(limit, tokens.most)
        return Tokens(min(tokens.least, most), most), tensors

    def _closed_set(self, place: Place, universal: Universal, made: Adapter) -> None:
        members = universal.values.get("closed_set")
        if not isinstance(members, tuple):
            return
        span = universal.span("closed_set", place.slot)
        if made.predicts not in ("tokens", "class"):
            self.findings.error(
                "OL209",
                f"`closed_set` needs tokens or a class, but {place.slot.type} is predicted as {made.predicts}",
                span,
            )
        doubled = next((member for number, member in enumerate(members) if member in members[:number]), None)
        if doubled is not None:
            self.findings.error("OL219", f"the closed set holds `{doubled}` twice", span, help="name it once")

    def _holds(self, slot: Slot, made: Adapter) -> tuple[tuple[str, ...], tuple[Part, ...]]:
        """The modalities that may stand in a conversation's turns, text always, and the adapters that read them."""
        kinds = getattr(made, "holds", None)
        if not isinstance(kinds, tuple):
            return (), ()
        written = next((a for a in slot.attributes if a.key in ("holds", "adapter.holds")), None)
        span = written.value_span if written else slot.type_span
        try:
            names = held_names(kinds)
            known = [find(self.catalog, "modalities", name, span, self.findings) for name in names]
            return names, tuple(held_parts(kinds, self.catalog).values()) if all(known) else ()
        except OmnilineError as error:
            self.findings.error("OL220", str(error), span)
            return (), ()


def _default(declared: Adapter | type[Adapter], what: Literal["loss", "decoder"]) -> str | None:
    """What the class itself names; the instance's answer depends on nothing but the class."""
    from ..core.adapter import DEFAULT_DECODER, DEFAULT_LOSS

    named = declared.loss if what == "loss" else declared.decoder
    usual = DEFAULT_LOSS if what == "loss" else DEFAULT_DECODER
    return named or (usual.get(declared.predicts) if declared.predicts else None)


def default_reader(catalog: Catalog, modality: str, span: Span, findings: Findings) -> Part | None:
    """The adapter that reads a modality when none is written, with its default settings."""
    entry = catalog.find("modalities", modality)
    name = entry.part.source if entry and isinstance(entry.part, Modality) else None
    if name is None:
        findings.error("OL210", f"{modality} cannot be read: it has no adapter for the source side", span)
        return None
    found = find(catalog, "adapters", name, span, findings)
    made = filled(found, {}, span, findings) if found else None
    return found.part(made.settings()) if found and made else None
