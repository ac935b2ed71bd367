"""Names to parts: every look-up in the catalog happens here, once, and tells what to write instead when it fails."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.catalog import SINGULAR, Catalog, Entry
from ..core.errors import ConfigError, Span
from ..core.near import nearest
from ..core.plan import Part
from ..core.settings import Declaration, Kind, Setting, Value, settings_of
from .diagnostics import Findings

SCALARS: Mapping[Any, Kind] = types.MappingProxyType({int: "int", float: "float", bool: "bool", str: "str"})


@dataclass(frozen=True, slots=True)
class Found:
    """A part under its name, the settings it offers, and its declaration (or, for a reward, its function).

    `defaults` stand for settings that are not written, where the catalog has others than the declaration.
    """

    kind: str
    entry: Entry
    offers: Mapping[str, Setting]
    defaults: Mapping[str, Value] = field(default_factory=dict)

    def part(self, settings: Mapping[str, Value]) -> Part:
        """The part as a plan keeps it."""
        owner = self.entry.owner
        return Part(self.kind, self.entry.name, tuple(settings.items()), owner.package, owner.version)


def find(catalog: Catalog, kind: str, name: str, span: Span, findings: Findings) -> Found | None:
    """The part of that name; a finding and None when it is missing, given twice, or not what it should be."""
    entry = catalog.find(kind, name)
    word = SINGULAR[kind]
    if entry is None:
        names = catalog.names(kind)
        near = nearest(name, names)
        findings.error(
            "OL103" if kind == "modalities" else "OL207",
            f"unknown {word} `{name}`",
            span,
            label="no installed plugin provides it",
            notes=lost_plugins(catalog),
            help=f"did you mean `{near}`?" if near else f"installed: {' '.join(names) or 'none'}",
            fix=near,
        )
        return None
    if entry.rivals:
        owners = " and ".join(f"`{owner.package}`" for owner in (entry.owner, *entry.rivals))
        findings.error(
            "OL208",
            f"the {word} `{name}` is given by more than one package: {owners}",
            span,
            help="uninstall one, or list the wanted ones in OMNILINE_PLUGINS",
        )
        return None
    try:
        defaults = catalog.defaults.get(entry.name, {}) if kind == "adapters" else {}
        return Found(word, entry, {} if kind == "modalities" else offered(entry.part), defaults)
    except Exception as error:  # a plugin's declaration may fail in any way; the reader learns which and why
        _unusable(findings, word, entry, span, error)
        return None


def lost_plugins(catalog: Catalog) -> tuple[str, ...]:
    """A note for each plugin that did not load, since the missing name may be its own."""
    return tuple(f"the plugin `{b.name}` ({b.package}) did not load: {b.cause}" for b in catalog.broken)


def _unusable(findings: Findings, word: str, entry: Entry, span: Span, error: Exception) -> None:
    findings.error(
        "OL220",
        f"the {word} `{entry.name}` of `{entry.owner.package}` cannot be used: {error}",
        span,
        help="this is the package's mistake; its contract tests would show it",
    )


def offered(part: object) -> Mapping[str, Setting]:
    """The settings of a declaration class, or of a reward function's keyword-only parameters."""
    if isinstance(part, type) and issubclass(part, Declaration):
        return settings_of(part)
    if callable(part):
        return _keywords(part)
    raise ConfigError(f"it must be a declaration or a function, but is {part!r}")


@functools.lru_cache(maxsize=256)
def _keywords(function: Callable[..., Any]) -> Mapping[str, Setting]:
    hints = typing.get_type_hints(function)
    found: dict[str, Setting] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or name not in hints:
            continue
        required = parameter.default is inspect.Parameter.empty
        args = [arg for arg in typing.get_args(hints[name]) if arg is not type(None)]
        hint = args[0] if len(args) == 1 and hints[name] not in SCALARS else hints[name]
        found[name] = Setting(
            name=name,
            kind=SCALARS.get(hint, "list" if typing.get_origin(hint) is tuple else "str"),
            default=None if required else parameter.default,
            required=required,
            nullable=type(None) in typing.get_args(hints[name]),
        )
    return types.MappingProxyType(found)


def filled(found: Found, written: Mapping[str, Value], span: Span, findings: Findings) -> Declaration | None:
    """The declaration with its settings; a finding and None when one is missing or it refuses them."""
    written = {**found.defaults, **written}
    missing = [name for name, setting in found.offers.items() if setting.required and name not in written]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        findings.error(
            "OL205",
            f"the {found.kind} `{found.entry.name}` needs {names}",
            span,
            help=f"write `{missing[0]}=...`" + _meaning(found.offers[missing[0]]),
        )
        return None
    try:
        made: Declaration = found.entry.part(**written)
        return made
    except Exception as error:  # see `find`
        findings.error("OL220", f"the {found.kind} `{found.entry.name}` refuses its settings: {error}", span)
        return None


def _meaning(setting: Setting) -> str:
    return f", {setting.help}" if setting.help else ""
