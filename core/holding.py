"""Values inside of values: which kinds may stand in a conversation's turns, and what reads them.

A member of `holds` is a kind, `image`, or a kind with the settings that its slot could write: "image,size=64,patch=8".
Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .adapter import Adapter
from .catalog import Catalog
from .errors import ConfigError
from .modality import Modality
from .near import nearest
from .plan import Part, SlotPlan
from .settings import settings_of
from .written import typed_value, unknown_setting

HOLDS = "holds"


def held_names(holds: Iterable[str]) -> tuple[str, ...]:
    """The modalities that may be held, text always and first.

    >>> held_names(("image,size=64", "audio"))
    ('TEXT', 'IMAGE', 'AUDIO')
    """
    return tuple(dict.fromkeys(["TEXT", *(_split(member)[0] for member in holds)]))


def held_parts(holds: Iterable[str], catalog: Catalog) -> dict[str, Part]:
    """The adapter that reads each kind that may be held, by modality: that of the source side, or `adapter=`.

    Raises:
        ConfigError: a kind twice, one that cannot be held, or settings that its adapter does not have.
        PluginError: an adapter that is not installed.
    """
    written: dict[str, dict[str, str]] = {"TEXT": {}}
    for member in holds:
        name, settings = _split(member)
        if settings and written.get(name):
            raise ConfigError(f"`holds` names `{name.lower()}` twice, with settings each time")
        written[name] = {**written.get(name, {}), **settings}
    return {name: _part(name, settings, catalog) for name, settings in written.items()}


def held_of(slot: SlotPlan, catalog: Catalog) -> dict[str, Part]:
    """The adapters of what a slot's values may hold, by modality; none for a slot that holds nothing."""
    if not slot.holds:
        return {}
    holds = slot.adapter.options().get(HOLDS)
    return held_parts(holds if isinstance(holds, tuple) else slot.holds, catalog)


def _split(member: str) -> tuple[str, dict[str, str]]:
    """The modality of a member, and its settings as they are written."""
    if "|" in member:
        raise ConfigError(
            f"each kind that `holds` names with settings must have quotes of its own, "
            f"holds={'|'.join(f'{chr(34)}{one.strip()}{chr(34)}' for one in member.split('|'))}, but one pair holds "
            f"{member!r}"
        )
    name, *rest = (word.strip() for word in member.split(","))
    found: dict[str, str] = {}
    for word in rest:
        key, equals, value = (part.strip() for part in word.partition("="))
        if key in found:
            raise ConfigError(f"`holds` gives `{key}` of `{name}` twice")
        found[key] = value if equals else "true"
    return name.upper(), found


def _part(name: str, written: Mapping[str, str], catalog: Catalog) -> Part:
    entry = catalog.find("modalities", name)
    modality = entry.part if entry else None
    if not isinstance(modality, Modality):
        near = nearest(name.lower(), [known.lower() for known in catalog.names("modalities")])
        hint = f"; did you mean `{near}`?" if near else ""
        raise ConfigError(f"`holds` names `{name.lower()}`, which no installed package provides{hint}")
    adapter = written.get("adapter") or modality.source
    if adapter is None:
        raise ConfigError(
            f"`holds` names `{name.lower()}`, which cannot be read: no adapter of it is for the source side"
        )
    declared = catalog.adapter(adapter)
    _suits(name, adapter, declared)
    settings = {key: value for key, value in written.items() if key != "adapter"}
    known = settings_of(declared)
    part = f"the adapter `{adapter}`"
    if unknown := [key for key in settings if key not in known]:
        raise unknown_setting(part, unknown[0], known)
    values = {key: typed_value(part, known[key], text) for key, text in settings.items()}
    values = {**catalog.defaults.get(adapter, {}), **values}
    missing = [key for key, setting in known.items() if setting.required and key not in values]
    if missing:
        raise ConfigError(
            f'the adapter `{adapter}` needs `{missing[0]}`: write it behind the kind, holds="{name.lower()},'
            f'{missing[0]}=..."'
        )
    owner = catalog.entry("adapters", adapter).owner
    made = declared(**values)
    return Part("adapter", adapter, tuple(made.settings().items()), owner.package, owner.version)


def _suits(name: str, adapter: str, declared: type[Adapter]) -> None:
    if declared.modality != name:
        raise ConfigError(
            f"`holds` reads `{name.lower()}` by the adapter `{adapter}`, which serves {declared.modality}"
        )
    if "source" not in declared.sides or "closed_set" in declared.assets or HOLDS in settings_of(declared):
        reason = "it needs a closed set" if "closed_set" in declared.assets else "it holds others itself"
        reason = "it is made and not read" if "source" not in declared.sides else reason
        raise ConfigError(f"`holds` cannot name `{name.lower()}`: {reason}")
