"""Senses: the adapters that a backbone brings with it, as the defaults of its modalities."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from .catalog import Catalog, Entry
from .modality import Modality
from .settings import Value
from .written import written_settings

APART = re.compile(r"(?<!\\);")


def written_sense(name: str, settings: Mapping[str, Value]) -> str:
    r"""An adapter with its settings as `with_senses` takes it.

    >>> written_sense("chat", {"system": "Hi; there", "holds": ("text", "image")})
    'chat;system=Hi\\; there;holds=text|image'
    """
    return ";".join([name, *(f"{key}={_text(value)}" for key, value in settings.items())])


def _text(value: Value) -> str:
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    return ("|".join(value) if isinstance(value, tuple) else str(value)).replace(";", "\\;")


def with_senses(catalog: Catalog, senses: Sequence[str]) -> Catalog:
    r"""The catalog in which these adapters, with these settings, serve their modalities where a slot names none.

    An adapter that can stand on both sides becomes the default of both, one that only reads that of the source.

    Args:
        catalog: what is installed.
        senses: each as `name;key=value;...`, see `Backbone.senses`; a `;` of a value is written `\;`.

    Raises:
        PluginError: an adapter that is not installed.
        ConfigError: a setting that it does not have.
    """
    if not senses:
        return catalog
    modalities, defaults = dict(catalog.parts["modalities"]), dict(catalog.defaults)
    for sense in senses:
        name, *written = (part.replace("\\;", ";") for part in APART.split(sense))
        declared = catalog.adapter(name)
        defaults[name] = written_settings(f"the adapter `{name}`", declared, written)
        entry = modalities[declared.modality]
        modality: Modality = entry.part
        if "source" in declared.sides:
            modality = replace(modality, source=name)
        if "target" in declared.sides and declared.predicts is not None:
            modality = replace(modality, target=name)
        modalities[declared.modality] = Entry(entry.name, modality, entry.owner, entry.rivals)
    parts = {**catalog.parts, "modalities": MappingProxyType(modalities)}
    return Catalog(MappingProxyType(parts), catalog.broken, catalog.heavy, defaults)
