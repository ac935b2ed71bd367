"""Which attribute is whose: universal ones are the slot's, the rest belong to its adapter, loss, decoder or reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.catalog import Catalog
from ..core.errors import Fix, Label, Span
from ..core.near import nearest
from ..core.settings import Value
from .aliases import KEYS, SPELLINGS, names_for
from .diagnostics import Findings
from .nodes import Attribute, Slot
from .resolve import Found, offered
from .values import ANY_SIDE, MATCHING, UNIVERSAL, Wrong, typed

PREFIXES = ("adapter", "loss", "decoder", "reward")
PROVIDERS = (("adapters", "adapter"), ("losses", "loss"), ("decoders", "decoder"), ("rewards", "reward"))


@dataclass(frozen=True, slots=True)
class Universal:
    """A slot's universal attributes: typed values, and where each was written."""

    values: Mapping[str, Value]
    places: Mapping[str, Attribute]

    def span(self, key: str, slot: Slot) -> Span:
        """Where a key's value stands, or the slot's inside when it is a default."""
        return self.places[key].value_span if key in self.places else slot.inside

    def text(self, key: str) -> str | None:
        """A value that is one word."""
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def flag(self, key: str) -> bool:
        return self.values.get(key) is True


@dataclass(frozen=True, slots=True)
class AdapterChoice:
    """The adapter that a slot writes: candidates in order of preference, settings that its spelling implies."""

    names: tuple[str, ...]
    settings: Mapping[str, Value]
    span: Span


def split(
    slot: Slot, legal: Sequence[str], place: str, findings: Findings
) -> tuple[Universal, list[Attribute], list[Attribute]]:
    """The universal attributes, those that choose the adapter, and the rest.

    `legal` are the universal keys that may stand here, `place` says where that is.
    """
    values: dict[str, Value] = {}
    places: dict[str, Attribute] = {}
    choosing: list[Attribute] = []
    rest: list[Attribute] = []
    seen: dict[str, Attribute] = {}
    for attribute in slot.attributes:
        key = KEYS.get(attribute.key, attribute.key)
        if key in seen:
            _twice(key, seen[key], attribute, findings)
            continue
        seen[key] = attribute
        if key == "preprocess" or key == "adapter":
            choosing.append(attribute)
        elif key not in UNIVERSAL:
            rest.append(attribute)
        elif key not in legal:
            _misplaced(key, attribute, legal, place, findings)
        else:
            try:
                values[key] = typed(UNIVERSAL[key], attribute, findings)
                places[key] = attribute
            except Wrong:
                continue
    return Universal(values, places), choosing, rest


def chosen_adapter(choosing: list[Attribute], catalog: Catalog, findings: Findings) -> AdapterChoice | None:
    """The adapter that `adapter=` and the ancestor's spellings name; None when none is written or one is wrong."""
    choices: list[AdapterChoice] = []
    for attribute in choosing:
        try:
            name = typed(UNIVERSAL["adapter"], attribute, findings)
        except Wrong:
            continue
        choice = _one_choice(attribute, str(name), catalog, findings)
        if choice:
            choices.append(choice)
    if not choices:
        return None
    common = tuple(name for name in choices[0].names if all(name in other.names for other in choices[1:]))
    if not common:
        findings.error(
            "OL213",
            "`preprocess` and `adapter` name different adapters",
            choices[1].span,
            labels=tuple(Label(c.span, f"means adapter={c.names[0]}") for c in choices),
            help=f"write `adapter={choices[0].names[0]}` alone",
        )
        return None
    settings = {key: value for choice in choices for key, value in choice.settings.items()}
    return AdapterChoice(common, settings, choices[0].span)


def _one_choice(attribute: Attribute, name: str, catalog: Catalog, findings: Findings) -> AdapterChoice | None:
    key = KEYS.get(attribute.key, attribute.key)
    spelling = SPELLINGS.get((key, name))
    if spelling and not (key == "adapter" and catalog.find("adapters", name)):
        return AdapterChoice(spelling.adapters, dict(spelling.settings), attribute.value_span)
    if key == "adapter":
        return AdapterChoice((name,), {}, attribute.value_span)
    known = names_for("preprocess")
    near = nearest(name, known)
    findings.error(
        "OL207",
        f"`{attribute.key}={name}` means no adapter",
        attribute.value_span,
        help=(f"did you mean `{near}`? " if near else "") + "here the word is `adapter=`",
        fix=near,
    )
    return None


def route(
    slot: Slot, rest: list[Attribute], owners: Sequence[Found], catalog: Catalog, findings: Findings, place: str
) -> dict[str, dict[str, Value]]:
    """The settings written for each part of the slot, by the part's kind."""
    out: dict[str, dict[str, Value]] = {owner.kind: {} for owner in owners}
    seen: dict[tuple[str, str], Attribute] = {}
    for attribute in rest:
        owner = _owner(slot, attribute, owners, catalog, findings, place)
        if owner is None:
            continue
        key = attribute.key.rpartition(".")[2]
        if (owner.kind, key) in seen:
            _twice(key, seen[owner.kind, key], attribute, findings)
            continue
        seen[owner.kind, key] = attribute
        if not _stands(attribute, owner, key, place, findings):
            continue
        try:
            out[owner.kind][key] = typed(owner.offers[key], attribute, findings)
        except Wrong:
            continue
    return out


def _stands(attribute: Attribute, owner: Found, key: str, place: str, findings: Findings) -> bool:
    """Whether a setting may be written on this side."""
    sides = owner.offers[key].sides
    if _side(place) in sides:
        return True
    findings.error(
        "OL201",
        f"`{attribute.key}` cannot stand on {place}",
        attribute.key_span,
        label=f"only on the {' or '.join(sides)} side",
        help=f"write it on a {' or '.join(sides)} slot",
    )
    return False


def _side(place: str) -> str:
    return "target" if place == "the target side" else "source"


def _owner(
    slot: Slot, attribute: Attribute, owners: Sequence[Found], catalog: Catalog, findings: Findings, place: str
) -> Found | None:
    prefix, dot, key = attribute.key.partition(".")
    if dot:
        owner = next((o for o in owners if o.kind == prefix), None)
        if owner and key in owner.offers:
            return owner
        _unknown(slot, attribute, owners, catalog, findings, place)
        return None
    holders = [owner for owner in owners if attribute.key in owner.offers]
    if len(holders) == 1:
        return holders[0]
    if not holders:
        _unknown(slot, attribute, owners, catalog, findings, place)
        return None
    ways = [f"{owner.kind}.{attribute.key}" for owner in holders]
    whose = " and ".join(f"the {owner.kind} `{owner.entry.name}`" for owner in holders)
    findings.error(
        "OL206",
        f"`{attribute.key}` is a setting of {whose}",
        attribute.key_span,
        label="which one?",
        help="write " + " or ".join(f"`{way}=`" for way in ways),
    )
    return None


def _unknown(
    slot: Slot, attribute: Attribute, owners: Sequence[Found], catalog: Catalog, findings: Findings, place: str
) -> None:
    prefix, dot, last = attribute.key.rpartition(".")
    here = [(owner.kind, key) for owner in owners for key, one in owner.offers.items() if _side(place) in one.sides]
    legal = [key for _, key in here]
    legal += [f"{kind}.{key}" for kind, key in here] if dot else _universal(place)
    if _list_member(slot, attribute, owners, findings):
        return
    near = nearest(attribute.key, legal)
    elsewhere = _provider(slot, last, prefix, owners, catalog)
    if near:
        help = f"did you mean `{near}`?"
    elif elsewhere:
        help = elsewhere
    elif attribute.values is None and slot.name is None and slot.attributes[0] is attribute:
        help = f"a name is written `[{slot.type}:{attribute.key}]`"
    else:
        help = f"legal here: {' '.join(dict.fromkeys([*legal, *_universal(place)]))}"
    findings.error(
        "OL200",
        f"unknown attribute `{attribute.key}` of the {slot.type} slot on {place}",
        attribute.key_span,
        notes=(elsewhere,) if elsewhere and near else (),
        help=help,
        fix=near,
    )


def _list_member(slot: Slot, attribute: Attribute, owners: Sequence[Found], findings: Findings) -> bool:
    """Whether the word after a comma was meant for the list before it, as in `closed_set=yes,no`; it is reported."""
    number = slot.attributes.index(attribute)
    before = slot.attributes[number - 1] if number else None
    if before is None or before.values is None or attribute.values is not None:
        return False
    lists = {key for owner in owners for key, one in owner.offers.items() if one.kind == "list"} | {"closed_set"}
    if KEYS.get(before.key, before.key) not in lists:
        return False
    gap = Span(before.span.end, attribute.span.start)
    listed = findings.source.text[before.span.start : gap.start]
    findings.error(
        "OL200",
        f"unknown attribute `{attribute.key}` of the {slot.type} slot",
        attribute.key_span,
        labels=(Label(before.span, "a list ends at its comma"), Label(attribute.key_span, "so this is an attribute")),
        help=f"members of a list are parted by `|`: `{listed}|{attribute.key}`",
        fixes=(Fix(gap, "|"),),
    )
    return True


def _universal(place: str) -> list[str]:
    if place == "the target side":
        return list(UNIVERSAL)
    return list(MATCHING if "<->" in place else ANY_SIDE)


def _provider(slot: Slot, key: str, prefix: str, owners: Sequence[Found], catalog: Catalog) -> str | None:
    """Another installed part that would offer this key here, with its package."""
    for kind, word in PROVIDERS:
        if prefix and prefix != word:
            continue
        for entry in catalog.parts.get(kind, {}).values():
            serves = getattr(entry.part, "modality", slot.type) == slot.type
            suits = slot.type in (getattr(entry.part, "modalities", ()) or (slot.type,))
            if serves and suits and not any(o.entry is entry for o in owners) and _offers(entry.part, key):
                whose = f"the {word} `{entry.name}` ({entry.owner.package})"
                return f"`{key}` is a setting of {whose}: `{word}={entry.name}`"
    return None


def _offers(part: object, key: str) -> bool:
    try:
        return key in offered(part)
    except Exception:  # a broken declaration offers nothing; using it is reported where it is named
        return False


def _twice(key: str, first: Attribute, second: Attribute, findings: Findings) -> None:
    findings.error(
        "OL111",
        f"the attribute `{key}` is written twice",
        second.span,
        labels=(Label(first.span, "first here"), Label(second.span, "again here")),
        help="keep one",
    )


def _misplaced(key: str, attribute: Attribute, legal: Sequence[str], place: str, findings: Findings) -> None:
    findings.error(
        "OL201",
        f"`{key}` cannot stand on {place}",
        attribute.key_span,
        label="only on the target side of `->`",
        help=f"legal here: {' '.join(legal)}",
    )
