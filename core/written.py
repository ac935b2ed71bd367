"""Settings that are written behind a part's name, `name,key=value,...`, as a backbone's or a weighting's are."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import ConfigError
from .near import nearest
from .settings import Declaration, Setting, Value, settings_of

BOOLS = {"true": True, "false": False}


def written_settings(what: str, declaration: type[Declaration], written: Sequence[str]) -> dict[str, Value]:
    """The settings that stand behind a name, `key=value` each, as values.

    Args:
        what: the part, for errors: "the backbone `ofa`".
        declaration: what has the settings.
        written: the texts between the commas.

    Raises:
        ConfigError: an unknown or doubled setting, or a value that does not suit it.
    """
    known = settings_of(declaration)
    found: dict[str, Value] = {}
    for item in written:
        key, equals, text = (part.strip() for part in item.partition("="))
        if not equals:
            raise ConfigError(f"behind the name of {what} must stand settings, `key=value`, but there is `{item}`")
        if key not in known:
            near = nearest(key, known)
            hint = f"; did you mean `{near}`?" if near else f" (settings: {', '.join(known)})"
            raise ConfigError(f"{what} has no setting `{key}`{hint}")
        if key in found:
            raise ConfigError(f"the setting `{key}` of {what} is given twice")
        found[key] = None if known[key].nullable and text == "none" else _value(what, known[key], text)
    return found


def _value(part: str, setting: Setting, text: str) -> Value:
    """A setting's value from its text, within its range."""
    what = f"the setting `{setting.name}` of {part}"
    value: int | float | bool | str
    if setting.kind == "list":
        return tuple(text.split("|")) if text else ()
    try:
        if setting.kind == "bool":
            value = BOOLS[text.lower()]
        else:
            value = int(text) if setting.kind == "int" else float(text) if setting.kind == "float" else text
    except (KeyError, ValueError) as cause:
        words = {"int": "a whole number", "float": "a number", "bool": "true or false"}
        raise ConfigError(f"{what} must be {words[setting.kind]}, but is `{text}`") from cause
    if setting.choices and value not in setting.choices:
        raise ConfigError(f"{what} must be one of {', '.join(map(str, setting.choices))}, but is `{text}`")
    low, high = setting.at_least, setting.at_most
    if not isinstance(value, str) and not ((low is None or value >= low) and (high is None or value <= high)):
        least, most = (None if edge is None else f"{edge:g}" for edge in (low, high))
        bounds = [f"at {word} {edge}" for word, edge in (("least", least), ("most", most)) if edge is not None]
        raise ConfigError(f"{what} must be {' and '.join(bounds)}, but is {text}")
    return value
