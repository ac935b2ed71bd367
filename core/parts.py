"""From a plan's names to working halves: codecs for loaders, ports and losses for a model.

Declarations are looked up in the catalog; only here are the modules that they name imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .adapter import Adapter
from .catalog import Catalog
from .errors import PluginError
from .holding import held_of
from .near import nearest
from .plan import Part, Plan, SlotPlan
from .settings import Declaration, Value, settings_of

MARKS = "marks"
MARKS_PORT = "omniline.core.marks:Marks"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSpec:
    """A port that a model holds: slots with equal (target, settings, closed_set) share it.

    `name` is its place in the model's state; `target` its "module:Class".
    """

    name: str
    target: str
    settings: tuple[tuple[str, Value], ...] = ()
    closed_set: tuple[str, ...] | None = None
    assets: tuple[str, ...] = ()
    package: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two ports one."""
        return (self.target, self.settings, self.closed_set)


def working_half(target: str, what: str) -> Any:
    """The class or function that "module:Name" stands for.

    Raises:
        PluginError: the declaration names nothing, the module does not import, or lacks the name.
    """
    if not target:
        raise PluginError(f"{what} is declared, but its working half is not part of this version")
    module, colon, name = target.partition(":")
    if not colon:
        raise PluginError(f'{what} must be named as "module:Class", but is "{target}"')
    try:
        found = importlib.import_module(module)
    except Exception as cause:
        raise PluginError(f"{what} cannot be loaded: importing `{module}` failed: {cause}") from cause
    if not hasattr(found, name):
        near = nearest(name, dir(found))
        hint = f"; did you mean `{near}`?" if near else ""
        raise PluginError(f"{what} cannot be loaded: the module `{module}` has no `{name}`{hint}")
    return getattr(found, name)


def declared(part: Part, catalog: Catalog) -> Declaration:
    """The declaration of a plan's part with its settings.

    Raises:
        PluginError: the part is not installed, or its settings no longer fit (another version of its package).
    """
    kinds = {
        "adapter": "adapters",
        "loss": "losses",
        "decoder": "decoders",
        "backbone": "backbones",
        "metric": "metrics",
    }
    entry = catalog.entry(kinds[part.kind], part.name)
    try:
        made: Declaration = entry.part(**part.options())
    except TypeError as cause:
        wrote = f"{part.package} {part.version}".strip()
        has = f"{entry.owner.package} {entry.owner.version}".strip()
        raise PluginError(
            f"the {part.kind} `{part.name}` was written with {wrote} and does not fit the installed {has}: {cause}"
        ) from cause
    return made


def adapter_of(slot: SlotPlan, catalog: Catalog) -> Adapter:
    """The adapter declaration of a slot."""
    made = declared(slot.adapter, catalog)
    if not isinstance(made, Adapter):
        raise PluginError(f"the adapter `{slot.adapter.name}` must be an Adapter, but is {made!r}")
    return made


def port_of(part: Part, closed_set: tuple[str, ...] | None, catalog: Catalog) -> PortSpec:
    """The port that an adapter's slots go through, named after its class: `DepthPort` is "depth"."""
    adapter = declared(part, catalog)
    if not isinstance(adapter, Adapter):
        raise PluginError(f"the adapter `{part.name}` must be an Adapter, but is {adapter!r}")
    name = adapter.port.partition(":")[2].removesuffix("Port").lower() or part.name
    return PortSpec(
        name=name,
        target=adapter.port,
        settings=tuple(adapter.port_settings().items()),
        closed_set=closed_set if "closed_set" in adapter.assets else None,
        assets=tuple(adapter.assets),
        package=part.package,
    )


def port_table(plans: Iterable[Plan], catalog: Catalog, known: Iterable[PortSpec] = ()) -> tuple[PortSpec, ...]:
    """The ports that these plans need, marks first; the order does not depend on the order of the plans.

    Ports already `known` keep their places and names; new ones follow.
    """
    table = list(known) or [PortSpec(name=MARKS, target=MARKS_PORT)]
    wanted: dict[tuple[object, ...], PortSpec] = {}
    for plan in plans:
        specs = [port_of(plan.prompt, None, catalog)] if plan.prompt.name else []
        for slot in (slot for wording in plan.alternatives for slot in wording.slots):
            specs.append(port_of(slot.adapter, slot.closed_set, catalog))
            specs += [port_of(part, None, catalog) for part in held_of(slot, catalog).values()]
        wanted.update({spec.key: spec for spec in specs})
    have = {spec.key for spec in table}
    for spec in sorted(wanted.values(), key=lambda s: (s.name, repr(s.key))):
        if spec.key not in have:
            table.append(_named(spec, {s.name for s in table}))
    return tuple(table)


def _named(spec: PortSpec, taken: set[str]) -> PortSpec:
    name, count = spec.name, 2
    while name in taken:
        name, count = f"{spec.name}_{count}", count + 1
    return replace(spec, name=name)


def owner_of(spec: PortSpec, catalog: Catalog) -> type[Adapter] | None:
    """The installed adapter that declares this port, with its assets and all its weight-shaping settings."""
    wanted = {name for name, _ in spec.settings}
    for entry in catalog.parts.get("adapters", {}).values():
        part = entry.part
        if isinstance(part, type) and issubclass(part, Adapter) and part.port == spec.target:
            shaping = {name for name, known in settings_of(part).items() if not known.data_only}
            if shaping == wanted and tuple(part.assets) == spec.assets:
                return part
    return None


def bare_spec(spec: PortSpec, catalog: Catalog) -> PortSpec:
    """The same port without weights to start from, for one whose weights are loaded afterwards."""
    owner = owner_of(spec, catalog)
    if owner is None:
        return spec
    made: Adapter = owner(**dict(spec.settings))
    return replace(spec, settings=tuple(made.bare().port_settings().items()))


def kind_of(table: tuple[PortSpec, ...], spec: PortSpec) -> int:
    """The place of a port in the table: the `kind` of its rows.

    Raises:
        PluginError: the model has no such port.
    """
    for index, known in enumerate(table):
        if known.key == spec.key:
            return index
    raise PluginError(
        f"the model has no port for {spec.target} with these settings: it was built for "
        f"{', '.join(s.name for s in table[1:])}; train it on a task that uses the new slot, or write its settings"
    )


def make_codec(adapter: Adapter, name: str, assets: Mapping[str, Any], **more: Any) -> Any:
    """An adapter's codec, with its settings and the assets that it asks for, and `more` keywords."""
    made = working_half(adapter.codec, f"the codec of the adapter `{name}`")
    return made(**adapter.settings(), **{asset: assets[asset] for asset in adapter.assets}, **more)


def make_port(spec: PortSpec, width: int, assets: Mapping[str, Any]) -> Any:
    """A port, with its weight-shaping settings, `width` and the assets that it asks for."""
    made = working_half(spec.target, f"the port `{spec.name}`")
    extra = {name: (spec.closed_set if name == "closed_set" else assets[name]) for name in spec.assets}
    return made(width=width, **dict(spec.settings), **extra)
