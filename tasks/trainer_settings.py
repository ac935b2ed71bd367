"""A Trainer's settings, checked before it is made: their types, its loggers, which may be named, and its callbacks.

Lightning takes most values as they are and fails in the middle of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import lightning as L
from lightning.pytorch import loggers
from lightning.pytorch.loggers import Logger

from ..core.errors import ConfigError
from ..core.near import nearest

NAMES: Mapping[str, Callable[[Path], Logger]] = {
    "csv": lambda folder: loggers.CSVLogger(folder, name="", version=""),
    "tensorboard": lambda folder: loggers.TensorBoardLogger(folder, name="", version="tensorboard"),
    "wandb": lambda folder: loggers.WandbLogger(save_dir=folder),
    "mlflow": lambda folder: loggers.MLFlowLogger(save_dir=str(folder / "mlflow")),
}


def suited(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A Trainer's settings, with the loggers that they name.

    Args:
        settings: of Lightning's Trainer; `logger` may be a name, a logger, a list of both, true or false.
        folder: that the named ones write into.

    Raises:
        ConfigError: a value of a type that the setting does not take, an unknown name, or a logger that is not
            installed.
    """
    made = dict(settings)
    for name, value in made.items():
        if name not in ("logger", "callbacks"):
            _check_plain(name, value)
    if "logger" in made:
        made["logger"] = _loggers(made["logger"], folder)
    given = made.get("callbacks")
    for callback in given if isinstance(given, list | tuple) else [] if given is None else [given]:
        if not isinstance(callback, L.Callback):
            raise ConfigError(
                f"`callbacks` must be Lightning's callbacks, but one is {callback!r}; in a task file write "
                '`callbacks: [{call: "mine.parts:Stop"}]`'
            )
    return made


def _check_plain(name: str, value: Any) -> None:
    """A number, a text or a flag must be among what Lightning annotates; objects it judges itself."""
    wanted = _plain_types().get(name)
    if wanted is None or not isinstance(value, str | int | float) or value in wanted:
        return
    types = tuple(one for one in wanted if isinstance(one, type))
    if isinstance(value, types) and not (isinstance(value, bool) and bool not in types):
        return
    if isinstance(value, int) and float in types and not isinstance(value, bool):
        return
    names = [one.__name__ if isinstance(one, type) else repr(one) for one in wanted if one is not type(None)]
    raise ConfigError(f"`{name}` must be {' or '.join(names)}, but is {value!r}")


@cache
def _plain_types() -> Mapping[str, tuple[Any, ...]]:
    """By setting: the types, and the values of literals, that Lightning's Trainer annotates."""
    return {name: tuple(_flat(hint)) for name, hint in get_type_hints(L.Trainer.__init__).items() if name != "return"}


def _flat(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    elif get_origin(hint) in (Union, UnionType):
        for one in get_args(hint):
            yield from _flat(one)
    else:
        yield get_origin(hint) or hint


def _loggers(given: Any, folder: Path) -> Any:
    if isinstance(given, list | tuple):
        return [_logger(one, folder) for one in given]
    return given if given is None or isinstance(given, bool) else _logger(given, folder)


def _logger(given: Any, folder: Path) -> Logger:
    if isinstance(given, Logger):
        return given
    if not isinstance(given, str) or given not in NAMES:
        near = nearest(given, NAMES) if isinstance(given, str) else None
        hint = f"; did you mean `{near}`?" if near else ""
        raise ConfigError(f"`logger` must be {', '.join(NAMES)}, or one of Lightning's, but is {given!r}{hint}")
    try:
        return NAMES[given](folder)
    except ModuleNotFoundError as cause:
        raise ConfigError(f"the logger `{given}` is not installed: {str(cause).splitlines()[0]}") from cause
