"""A backbone's name, as a model is asked for: `<name>-<size>`, `<name>:<argument>`, or `<name>` alone.

Settings may follow behind commas: `ofa-tiny,dropout=0.1`.
"""

from __future__ import annotations

from dataclasses import replace

from .backbone import Backbone
from .catalog import Catalog
from .errors import PluginError
from .near import nearest
from .settings import settings_of
from .written import written_settings


def resolve_backbone(name: str, catalog: Catalog) -> Backbone:
    """The declaration with the settings that its name gives.

    Raises:
        PluginError: no such backbone, no such size, or it takes no argument; the message lists what there is.
        ConfigError: a setting behind a comma that the backbone does not have, or a value that does not suit it.
    """
    if not isinstance(name, str):
        raise TypeError(f"a backbone's name must be text, but is {type(name).__name__}")
    name, *written = name.split(",")
    made = _named(name, catalog)
    return replace(made, **written_settings(f"the backbone `{name}`", type(made), written)) if written else made


def _named(name: str, catalog: Catalog) -> Backbone:
    base, colon, argument = name.partition(":")
    if colon:
        return _with_argument(base, argument, catalog)
    if catalog.find("backbones", name):
        return _bare(name, catalog)
    for cut in reversed([at for at, char in enumerate(name) if char == "-"]):
        if catalog.find("backbones", name[:cut]):
            return _sized(name[:cut], name[cut + 1 :], catalog)
    known = known_backbones(catalog)
    near = nearest(name, known)
    hint = f"did you mean `{near}`?" if near else f"there are: {' '.join(known) or 'none'}"
    lost = "".join(f"; the plugin `{b.name}` did not load: {b.cause}" for b in catalog.broken)
    raise PluginError(f"no installed package provides the backbone `{name}`; {hint}{lost}")


def known_backbones(catalog: Catalog) -> tuple[str, ...]:
    """The names that can be asked for: each backbone with each of its sizes, or with its argument."""
    names: list[str] = []
    for base in catalog.names("backbones"):
        declared = catalog.parts["backbones"][base].part
        names += [f"{base}-{size}" for size in getattr(declared, "sizes", {})]
        if getattr(declared, "argument", None):
            names.append(f"{base}:{declared.argument.upper()}")
    return tuple(names)


def _with_argument(base: str, argument: str, catalog: Catalog) -> Backbone:
    declared = catalog.backbone(base)
    if declared.argument is None:
        sizes = ", ".join(f"`{base}-{size}`" for size in declared.sizes)
        raise PluginError(f"the backbone `{base}` takes no argument after `:`; its sizes are {sizes or 'none'}")
    if not argument:
        raise PluginError(f"the backbone `{base}:` needs an argument, {declared.argument}")
    return declared(**{declared.argument: argument})


def _bare(name: str, catalog: Catalog) -> Backbone:
    declared = catalog.backbone(name)
    missing = [key for key, setting in settings_of(declared).items() if setting.required]
    if declared.sizes or missing:
        ways = [f"`{name}-{size}`" for size in declared.sizes]
        ways += [f"`{name}:{declared.argument.upper()}`"] if declared.argument else []
        raise PluginError(f"the backbone `{name}` needs a size: write {' or '.join(ways) or ', '.join(missing)}")
    return declared()


def _sized(base: str, size: str, catalog: Catalog) -> Backbone:
    declared = catalog.backbone(base)
    if size not in declared.sizes:
        near = nearest(size, declared.sizes)
        hint = f"did you mean `{base}-{near}`? " if near else ""
        sizes = ", ".join(f"`{base}-{known}`" for known in declared.sizes) or "none"
        raise PluginError(f"the backbone `{base}` has no size `{size}`; {hint}its sizes are {sizes}")
    return declared(**declared.sizes[size])
