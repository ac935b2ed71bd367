"""Libraries that come with an extra of the package, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from .errors import ConfigError


def needed(module: str, extra: str, what: str = "sounds") -> Any:
    """A module that an extra of the package installs; `what` needs it.

    Raises:
        ConfigError: it is not installed.

    >>> needed("acoustics", "audio")
    Traceback (most recent call last):
    omniline.core.errors.ConfigError: sounds need the library `acoustics`: pip install omniline[audio]
    """
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        raise ConfigError(f"{what} need the library `{module}`: pip install omniline[{extra}]") from cause
