"""Settings that are written behind a part's name, `name,key=value,...`, as a backbone's or a weighting's are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
            raise unknown_setting(what, key, known)
        if key in found:
            raise ConfigError(f"the setting `{key}` of {what} is given twice")
        found[key] = typed_value(what, known[key], text)
    return found


def typed_value(part: str, setting: Setting, text: str) -> Value:
    """A setting's value from its text, within its range: "none" where it may be None, `a|b` for a list.

    Raises:
        ConfigError: it does not suit the setting.
    """
    what = f"the setting `{setting.name}` of {part}"
    value = None if setting.nullable and text == "none" else _typed(what, setting, text)
    chosen = value if isinstance(value, tuple) else (value,)
    if setting.choices and value is not None and any(one not in setting.choices for one in chosen):
        raise ConfigError(f"{what} must be one of {', '.join(map(str, setting.choices))}, but is `{text}`")
    low, high = setting.at_least, setting.at_most
    if isinstance(value, int | float) and not ((low is None or value >= low) and (high is None or value <= high)):
        bounds = [f"at {word} {edge:g}" for word, edge in (("least", low), ("most", high)) if edge is not None]
        raise ConfigError(f"{what} must be {' and '.join(bounds)}, but is {text}")
    return value


def unknown_setting(part: str, key: str, known: Iterable[str]) -> ConfigError:
    """The error for a setting that a part does not have."""
    names = list(known)
    near = nearest(key, names)
    hint = f"; did you mean `{near}`?" if near else f" (settings: {', '.join(names) or 'none'})"
    return ConfigError(f"{part} has no setting `{key}`{hint}")


def _typed(what: str, setting: Setting, text: str) -> Value:
    try:
        if setting.kind == "bool":
            return BOOLS[text.lower()]
        if setting.kind == "list":
            return tuple(text.split("|"))
        return int(text) if setting.kind == "int" else float(text) if setting.kind == "float" else text
    except (KeyError, ValueError) as cause:
        words = {"int": "a whole number", "float": "a number", "bool": "true or false"}
        raise ConfigError(f"{what} must be {words[setting.kind]}, but is `{text}`") from cause
