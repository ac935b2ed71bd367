"""The Catalog: every part that a process may name, as a frozen value that is passed as an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from .adapter import Adapter
from .backbone import Backbone
from .decoder import Decoder
from .errors import PluginError
from .loss import Loss
from .metric import Metric
from .modality import Modality
from .near import nearest
from .settings import Declaration, Value
from .weighting import Weighting

T = TypeVar("T")
D = TypeVar("D", bound=Declaration)

KINDS = (
    "modalities",
    "adapters",
    "backbones",
    "losses",
    "decoders",
    "metrics",
    "weightings",
    "checkpoints",
    "rewards",
    "tasks",
)
SINGULAR = {
    "modalities": "modality",
    "adapters": "adapter",
    "backbones": "backbone",
    "losses": "loss",
    "decoders": "decoder",
    "metrics": "metric",
    "weightings": "weighting",
    "checkpoints": "checkpoint format",
    "rewards": "reward",
    "tasks": "task",
}


@dataclass(frozen=True, slots=True)
class Owner:
    """The package that brought a part."""

    package: str
    version: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A part under its name, with its owner; `rivals` are other owners of the same name, an error when used."""

    name: str
    part: Any
    owner: Owner
    rivals: tuple[Owner, ...] = ()


@dataclass(frozen=True, slots=True)
class Broken:
    """A plugin that could not be loaded: its entry-point name, package and cause."""

    name: str
    package: str
    cause: str


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """All parts by kind and name. Two catalogs may live in one process; equality is identity.

    `parts` maps each of `KINDS` to a mapping from name to Entry; `broken` lists plugins that did not load; `defaults`
    are settings of adapters that stand for those which a slot does not write, by the adapter's name.
    """

    parts: Mapping[str, Mapping[str, Entry]]
    broken: tuple[Broken, ...] = ()
    heavy: tuple[str, ...] = field(default=())
    defaults: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        plain = {kind: dict(table) for kind, table in self.parts.items()}
        return _frozen, (plain, self.broken, self.heavy, dict(self.defaults))

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of one kind, sorted."""
        return tuple(sorted(self.parts.get(kind, {})))

    def entry(self, kind: str, name: str) -> Entry:
        """The entry of that name or alias.

        Raises:
            PluginError: no such name (with the nearest), or two packages give it.
        """
        found = self.find(kind, name)
        if found is None:
            near = nearest(name, self.names(kind))
            hint = f"; did you mean `{near}`?" if near else ""
            lost = "".join(f"; the plugin `{b.name}` did not load: {b.cause}" for b in self.broken)
            raise PluginError(f"no installed package provides the {SINGULAR[kind]} `{name}`{hint}{lost}")
        if found.rivals:
            owners = ", ".join(o.package for o in (found.owner, *found.rivals))
            raise PluginError(
                f"the {SINGULAR[kind]} `{name}` is given by more than one package ({owners}): uninstall one, or list "
                "the wanted ones in OMNILINE_PLUGINS"
            )
        return found

    def find(self, kind: str, name: str) -> Entry | None:
        """The entry of that name or alias, or None; does not judge rivals."""
        table = self.parts.get(kind, {})
        if name in table:
            return table[name]
        for entry in table.values():
            if name in getattr(entry.part, "aliases", ()):
                return entry
        return None

    def modality(self, name: str) -> Modality:
        return self._typed("modalities", name, Modality)

    def adapter(self, name: str) -> type[Adapter]:
        return self._declared("adapters", name, Adapter)

    def backbone(self, name: str) -> type[Backbone]:
        return self._declared("backbones", name, Backbone)

    def loss(self, name: str) -> type[Loss]:
        return self._declared("losses", name, Loss)

    def decoder(self, name: str) -> type[Decoder]:
        return self._declared("decoders", name, Decoder)

    def metric(self, name: str) -> type[Metric]:
        return self._declared("metrics", name, Metric)

    def weighting(self, name: str) -> type[Weighting]:
        return self._declared("weightings", name, Weighting)

    def reward(self, name: str) -> Callable[..., float]:
        part: Callable[..., float] = self.entry("rewards", name).part
        return part

    def task(self, name: str) -> str:
        return str(self.entry("tasks", name).part)

    def _typed(self, kind: str, name: str, wanted: type[T]) -> T:
        part = self.entry(kind, name).part
        if not isinstance(part, wanted):
            raise PluginError(f"the {SINGULAR[kind]} `{name}` must be a {wanted.__name__}, but is {part!r}")
        return part

    def _declared(self, kind: str, name: str, wanted: type[D]) -> type[D]:
        part = self.entry(kind, name).part
        if not (isinstance(part, type) and issubclass(part, wanted)):
            raise PluginError(f"the {SINGULAR[kind]} `{name}` must be a subclass of {wanted.__name__}, but is {part!r}")
        return part


def _frozen(
    parts: dict[str, dict[str, Entry]],
    broken: tuple[Broken, ...],
    heavy: tuple[str, ...],
    defaults: dict[str, Mapping[str, Value]],
) -> Catalog:
    """A catalog from what its pickle holds: loader workers that are spawned get their tasks so."""
    tables = {kind: MappingProxyType(table) for kind, table in parts.items()}
    return Catalog(MappingProxyType(tables), broken, heavy, defaults)


def catalog_of(owner: Owner = Owner("test", "0"), **parts: Mapping[str, Any]) -> Catalog:
    """A catalog from plain mappings, for tests and small programs.

    >>> catalog_of(modalities={"DEPTH": Modality(source="depth")}).names("modalities")
    ('DEPTH',)
    """
    return Catalog(
        MappingProxyType(
            {kind: MappingProxyType({n: Entry(n, p, owner) for n, p in parts.get(kind, {}).items()}) for kind in KINDS}
        )
    )
