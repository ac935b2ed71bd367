"""Written values to typed values: the type is the declaration's, never guessed from how a value looks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from ..core.near import nearest
from ..core.settings import Setting, Value
from .diagnostics import Findings
from .nodes import Attribute

WHOLE = re.compile(r"[+-]?\d{1,18}")
NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?")
KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "`true` or `false`, or stand alone",
    "str": "one word",
    "list": "a list of words",
}

UNIVERSAL: Mapping[str, Setting] = MappingProxyType(
    {
        "adapter": Setting(name="adapter", kind="str", default=None),
        "column": Setting(name="column", kind="str", default=None),
        "max_length": Setting(name="max_length", kind="int", default=None, at_least=1),
        "optional": Setting(name="optional", kind="bool", default=False),
        "sync": Setting(name="sync", kind="str", default=None),
        "loss": Setting(name="loss", kind="str", default=None),
        "weight": Setting(name="weight", kind="float", default=1.0, at_least=0),
        "no_loss": Setting(name="no_loss", kind="bool", default=False),
        "closed_set": Setting(name="closed_set", kind="list", default=None),
        "reward": Setting(name="reward", kind="str", default=None),
        "samples": Setting(name="samples", kind="int", default=1, at_least=1),
        "decoder": Setting(name="decoder", kind="str", default=None),
    }
)
ANY_SIDE = ("adapter", "column", "max_length", "optional", "sync")
MATCHING = (*ANY_SIDE, "loss", "weight")


class Wrong(Exception):
    """The value was reported and cannot be used."""


def typed(setting: Setting, attribute: Attribute, findings: Findings) -> Value:
    """The value that an attribute gives to a setting.

    Raises:
        Wrong: after the finding was recorded.
    """
    value = _converted(setting, attribute, findings)
    if isinstance(value, tuple):
        for number, member in enumerate(value):
            _in_choices(setting, attribute, member, number, findings)
    elif value is not None:
        _in_choices(setting, attribute, value, 0, findings)
        _in_range(setting, attribute, value, findings)
    return value


def _converted(setting: Setting, attribute: Attribute, findings: Findings) -> Value:
    key = attribute.key
    if attribute.values is None:
        if setting.kind == "bool":
            return True
        if setting is UNIVERSAL["closed_set"]:
            return ()
        _complain(findings, "OL204", attribute, f"`{key}` needs a value: {KINDS[setting.kind]}", f"write `{key}=...`")
    assert attribute.values is not None, "complaining raises"
    texts = tuple(value.text for value in attribute.values)
    if setting.kind == "list":
        return texts
    if len(texts) > 1:
        _complain(findings, "OL202", attribute, f"`{key}` must be {KINDS[setting.kind]}, but is a list", None)
    word = texts[0]
    if setting.nullable and word == "none":
        return None
    if setting.kind == "bool":
        if word in ("true", "false"):
            return word == "true"
        message = f"`{key}` must be {KINDS['bool']}, but is `{word}`"
        _complain(findings, "OL202", attribute, message, f"write `{key}`")
    if setting.kind == "int" and not WHOLE.fullmatch(word):
        _complain(findings, "OL202", attribute, f"`{key}` must be a whole number, but is `{word}`", setting.help)
    if setting.kind == "float" and not (NUMBER.fullmatch(word) and math.isfinite(float(word))):
        _complain(findings, "OL202", attribute, f"`{key}` must be a number, but is `{word}`", setting.help)
    return int(word) if setting.kind == "int" else float(word) if setting.kind == "float" else word


def _in_choices(setting: Setting, attribute: Attribute, value: object, number: int, findings: Findings) -> None:
    if not setting.choices or value in setting.choices:
        return
    assert attribute.values is not None, "a flag has no choices"
    names = [str(choice) for choice in setting.choices]
    near = nearest(str(value), names)
    legal = ", ".join(f"`{name}`" for name in names)
    hint = f"did you mean `{near}`? " if near else ""
    span = attribute.values[number].span
    findings.error(
        "OL203",
        f"`{attribute.key}` must be one of {legal}, but is `{value}`",
        span,
        help=f"{hint}legal: {' '.join(names)}",
        fix=near,
    )
    raise Wrong


def _in_range(setting: Setting, attribute: Attribute, value: object, findings: Findings) -> None:
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float)):
        return
    low, high = setting.at_least, setting.at_most
    if (low is None or value >= low) and (high is None or value <= high):
        return
    bounds = (("at least", low), ("at most", high))
    legal = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    findings.error(
        "OL203",
        f"`{attribute.key}` must be {legal}, but is {value:g}",
        attribute.value_span,
        label="out of range",
        help=setting.help or f"write a number {legal}",
    )
    raise Wrong


def _complain(findings: Findings, code: str, attribute: Attribute, message: str, help: str | None) -> None:
    findings.error(code, message, attribute.value_span, help=help or None)
    raise Wrong
