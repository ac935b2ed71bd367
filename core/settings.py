"""Settings: the typed fields of a declaration are the attributes that a slot may write.

A declaration is a frozen, keyword-only dataclass whose fields are made with `setting`. Nothing here imports torch,
so that checking a line stays cheap.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, cast, dataclass_transform

from .errors import ConfigError

Kind = Literal["int", "float", "bool", "str", "list"]
Value = int | float | bool | str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One field of a declaration as the compiler sees it."""

    name: str
    kind: Kind
    default: Value
    required: bool = False
    nullable: bool = False
    at_least: float | None = None
    at_most: float | None = None
    choices: tuple[Any, ...] = ()
    data_only: bool = False
    sides: tuple[str, ...] = ("source", "target")
    help: str = ""


def setting(
    default: Any = dataclasses.MISSING,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple[Any, ...] = (),
    data_only: bool = False,
    sides: tuple[str, ...] = ("source", "target"),
    help: str = "",
) -> Any:
    """A field of a declaration: an attribute that a slot may write.

    Args:
        default: the value when nothing is written; without one the attribute is required.
        at_least: smallest legal number.
        at_most: largest legal number.
        choices: the legal values, when they are few.
        data_only: the value changes how data is read and not the weights, so two slots that differ in it share
            one port; the port does not receive it.
        sides: where a slot may write it.
        help: one phrase for `omniline plugins` and for error messages.
    """
    metadata = {
        "at_least": at_least,
        "at_most": at_most,
        "choices": choices,
        "data_only": data_only,
        "sides": sides,
        "help": help,
    }
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting, dataclasses.field))
class Declaration:
    """Base of all parts: subclassing makes a frozen, keyword-only dataclass."""

    aliases: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)

    def settings(self) -> dict[str, Value]:
        """The fields as plain values, in order."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]


def settings_of(declaration: type[Declaration]) -> Mapping[str, Setting]:
    """The settings that a declaration class offers, by name."""
    return _settings(cast(Hashable, declaration))


@cache
def _settings(declaration: Any) -> Mapping[str, Setting]:
    hints = typing.get_type_hints(declaration)
    found: dict[str, Setting] = {}
    for field in dataclasses.fields(declaration):
        kind, nullable, literal = _kind(declaration, field.name, hints[field.name])
        meta = field.metadata
        required = field.default is dataclasses.MISSING
        found[field.name] = Setting(
            name=field.name,
            kind=kind,
            default=None if required else cast(Value, field.default),
            required=required,
            nullable=nullable,
            at_least=meta.get("at_least"),
            at_most=meta.get("at_most"),
            choices=tuple(meta.get("choices") or literal),
            data_only=bool(meta.get("data_only")),
            sides=tuple(meta.get("sides") or ("source", "target")),
            help=meta.get("help", ""),
        )
    return types.MappingProxyType(found)


def _kind(owner: type, name: str, hint: Any) -> tuple[Kind, bool, tuple[Any, ...]]:
    args = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return _kind(owner, name, type(args[0]))[0], False, args
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        inner = [a for a in args if a is not type(None)]
        if len(inner) == 1 and len(args) == 2:
            kind, _, literal = _kind(owner, name, inner[0])
            return kind, True, literal
    plain: dict[Any, Kind] = {int: "int", float: "float", bool: "bool", str: "str"}
    if hint in plain:
        return plain[hint], False, ()
    if typing.get_origin(hint) is tuple and args[:1] == (str,):
        return "list", False, ()
    raise ConfigError(
        f"the setting `{name}` of {owner.__qualname__} must be int, float, bool, str, tuple[str, ...], a Literal of "
        f"these, or one of them or None, but is {hint!r}"
    )
