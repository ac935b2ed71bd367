"""From built-in plugins and installed packages to one frozen Catalog.

A built-in plugin that does not load is a fault of this library and raises. A stranger's plugin that does not load is
recorded in `Catalog.broken` by name and cause, and the rest works. Plugins are judged one at a time, so that none can
take another down.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

import pluggy

from .. import __version__
from ..core.catalog import KINDS, Broken, Catalog, Entry, Owner
from ..core.errors import PluginError
from ..core.near import nearest
from .hookspecs import PROJECT, Hooks

ONLY = "OMNILINE_PLUGINS"
TYPE = re.compile(r"[A-Z][A-Z0-9_]*")

BUILTIN = (
    "omniline.plugins.language.plugin",
    "omniline.plugins.vision.plugin",
    "omniline.plugins.audio.plugin",
    "omniline.plugins.motion.plugin",
    "omniline.plugins.ofa.plugin",
    "omniline.plugins.qwen.plugin",
    "omniline.plugins.automodel.plugin",
    "omniline.plugins.likelihood.plugin",
    "omniline.plugins.contrastive.plugin",
    "omniline.plugins.search.plugin",
    "omniline.plugins.scores.plugin",
    "omniline.plugins.diffusion.plugin",
    "omniline.plugins.preference.plugin",
    "omniline.plugins.policy.plugin",
    "omniline.plugins.weighting.plugin",
)

Offer = tuple[str, str, Any]  # kind, name, part


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One plugin, imported and asked: what it offers, and whether its import brought torch."""

    name: str
    owner: Owner
    offers: tuple[Offer, ...]
    heavy: bool


@lru_cache(maxsize=1)
def installed() -> Catalog:
    """The catalog of this process: the built-in parts and every installed package, read once.

    `installed.cache_clear()` makes the next call read again, after a package or OMNILINE_PLUGINS has changed.
    """
    return load_catalog()


def load_catalog(*, builtin: Iterable[str] = BUILTIN, outside: Iterable[EntryPoint] | None = None) -> Catalog:
    """A catalog of these plugins.

    Args:
        builtin: dotted names of modules; their parts belong to the package `omniline`.
        outside: entry points of other packages; None takes what is installed, limited by OMNILINE_PLUGINS (names of
            packages or plugins with commas between; the empty text means none).

    Raises:
        PluginError: a built-in plugin does not load. Others are recorded in `Catalog.broken`.
    """
    points, broken = found(os.environ.get(ONLY)) if outside is None else (tuple(outside), ())
    loaded = [_own(name) for name in builtin]
    for point in points:
        outcome = _outside(point)
        if isinstance(outcome, Loaded):
            loaded.append(outcome)
        else:
            broken += (outcome,)
    return Catalog(_merged(loaded), broken, tuple(plugin.name for plugin in loaded if plugin.heavy))


def found(only: str | None = None) -> tuple[tuple[EntryPoint, ...], tuple[Broken, ...]]:
    """The installed entry points, by package and name, and what `only` lists in vain.

    Args:
        only: names of packages or plugins with commas between; None for all.
    """
    points = sorted(entry_points(group=PROJECT), key=lambda point: (_owner(point).package, point.name))
    if only is None:
        return tuple(points), ()
    wanted = {_plain(word): word for word in (part.strip() for part in only.split(",")) if word}
    names = [{_plain(point.name), _plain(_owner(point).package)} for point in points]
    kept = tuple(point for point, known in zip(points, names, strict=True) if known & wanted.keys())
    missing = wanted.keys() - set().union(*names)
    cause = f"{ONLY} lists it, but no installed package or plugin has that name"
    return kept, tuple(Broken(wanted[key], wanted[key], cause) for key in sorted(missing))


def offers_of(plugin: object, *, name: str) -> tuple[Offer, ...]:
    """What a plugin's hooks return, checked one by one.

    Args:
        plugin: a module, or any object with methods marked `hookimpl`.
        name: what errors call it.

    Raises:
        PluginError: an unknown hook, a hook with arguments, or a hook that returns no mapping from name to part.
    """
    hooks = pluggy.PluginManager(PROJECT)
    hooks.add_hookspecs(Hooks)
    try:
        hooks.register(plugin, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(f"the hooks of `{name}` do not fit their specification: {_line(error)}") from error
    _refuse_unknown(hooks, plugin, name)
    return tuple(offer for kind in KINDS for offer in _asked(hooks, kind, name))


def _own(dotted: str) -> Loaded:
    try:
        return _load(dotted, Owner(PROJECT, __version__), lambda: import_module(dotted))
    except Exception as error:
        raise PluginError(f"the built-in plugin `{dotted}` does not load: {_line(error)}") from error


def _outside(point: EntryPoint) -> Loaded | Broken:
    owner = _owner(point)
    try:
        return _load(point.name, owner, point.load)
    except (Exception, SystemExit) as error:
        return Broken(point.name, owner.package, _line(error))


def _load(name: str, owner: Owner, imported: Callable[[], object]) -> Loaded:
    light = "torch" not in sys.modules
    plugin = imported()
    heavy = (light and "torch" in sys.modules) or _holds_torch(plugin)
    return Loaded(name=name, owner=owner, offers=offers_of(plugin, name=name), heavy=heavy)


def _holds_torch(plugin: object) -> bool:
    """Whether a module shows torch among its own names: all that can be seen once torch is there for other reasons."""
    if not isinstance(plugin, ModuleType):
        return False
    values = (value for value in vars(plugin).values() if isinstance(value, ModuleType | FunctionType | type))
    homes = (value.__name__ if isinstance(value, ModuleType) else value.__module__ for value in values)
    return any(home.partition(".")[0] == "torch" for home in homes if home)


def _refuse_unknown(hooks: pluggy.PluginManager, plugin: object, name: str) -> None:
    for caller in hooks.get_hookcallers(plugin) or ():
        if not caller.has_spec():
            near = nearest(caller.name, KINDS)
            hint = f"; did you mean `{near}`?" if near else f"; the hooks are {', '.join(KINDS)}"
            raise PluginError(f"`{name}` has a hook `{caller.name}` that does not exist{hint}")


def _asked(hooks: pluggy.PluginManager, kind: str, name: str) -> Iterator[Offer]:
    for hook in getattr(hooks.hook, kind).get_hookimpls():
        try:
            given = hook.function()
        except Exception as error:
            raise PluginError(f"`{kind}` of `{name}` raised {_line(error)}") from error
        if not isinstance(given, Mapping):
            raise PluginError(f"`{kind}` of `{name}` must return a mapping from name to part, but returned {given!r}")
        for key, part in given.items():
            _refuse_name(key, kind=kind, plugin=name)
            yield kind, key, part


def _refuse_name(key: object, *, kind: str, plugin: str) -> None:
    if not isinstance(key, str) or not key:
        raise PluginError(f"`{kind}` of `{plugin}` must name its parts by text, but one name is {key!r}")
    if kind == "modalities" and not TYPE.fullmatch(key):
        raise PluginError(f"a modality's name must be upper case as a slot writes it, but `{plugin}` brings `{key}`")


def _merged(loaded: Iterable[Loaded]) -> Mapping[str, Mapping[str, Entry]]:
    entries: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    for plugin in loaded:
        for kind, name, part in plugin.offers:
            entries[kind].append(Entry(name, part, plugin.owner))
    return MappingProxyType({kind: MappingProxyType(_table(entries[kind])) for kind in KINDS})


def _table(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by name. A word that two parts claim, by name or by alias, keeps the first with the others as rivals."""
    claims: dict[str, list[Entry]] = {}
    for entry in (entries := tuple(entries)):
        _claim(claims, entry.name, entry)
    names = frozenset(claims)
    for entry in entries:
        for alias in getattr(entry.part, "aliases", ()):
            _claim(claims, alias, entry)
    return {
        word: replace(first, name=word, rivals=tuple(rival.owner for rival in rest))
        for word, (first, *rest) in claims.items()
        if word in names or rest
    }


def _claim(claims: dict[str, list[Entry]], word: str, entry: Entry) -> None:
    known = claims.setdefault(word, [])
    if not any(other.part is entry.part and other.owner == entry.owner for other in known):
        known.append(entry)


def _owner(point: EntryPoint) -> Owner:
    if point.dist is None:
        return Owner(point.module.partition(".")[0], "")
    return Owner(point.dist.name, point.dist.version)


def _plain(name: str) -> str:
    """A package's name as the index compares it: case, `_`, `-` and `.` do not matter."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _line(error: BaseException) -> str:
    """An exception as one line; our own errors are sentences already."""
    text = " ".join(str(error).split())
    if isinstance(error, PluginError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
