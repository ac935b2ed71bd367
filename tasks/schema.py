"""What a task file may hold: each key with the test that its value must pass. All mistakes are found at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..core.near import nearest
from .presets.about import KEYS
from .shares import STRATEGIES
from .source_rows import kind_of

Keys = tuple[str, ...]
Check = Callable[[Any], str | None]
NAME = re.compile(r"[\w.-]+")


def whole(value: Any) -> str | None:
    """None for a whole number, else what it must be."""
    return None if isinstance(value, int) and not isinstance(value, bool) else "a whole number"


def number(value: Any) -> str | None:
    """None for a number, else what it must be."""
    return None if isinstance(value, int | float) and not isinstance(value, bool) else "a number"


def curve(value: Any) -> str | None:
    """None for a number or numbers by step, else what it must be."""
    points = value if isinstance(value, dict) else {0: value}
    fits = points and all(str(step).isdigit() and not number(one) for step, one in points.items())
    return None if fits else "a number, or a mapping from step to number"


def flag(value: Any) -> str | None:
    """None for a boolean, else what it must be."""
    return None if isinstance(value, bool) else "true or false"


def text(value: Any) -> str | None:
    """None for a text, else what it must be."""
    return None if isinstance(value, str) and value else "a text"


def texts(value: Any) -> str | None:
    """None for a text or a list of texts, else what it must be."""
    listed = isinstance(value, list) and value and all(isinstance(item, str) for item in value)
    return None if listed or not text(value) else "a text or a list of texts"


def settings(value: Any) -> str | None:
    """None for a flag, a text or a mapping, else what it must be."""
    return None if isinstance(value, bool | str | dict) else "true, a text of settings, or a mapping of them"


def metrics(value: Any) -> str | None:
    """None for a list of names, or such lists by slot, else what it must be."""
    lists = list(value.values()) if isinstance(value, dict) else [value]
    fits = all(isinstance(item, list) and all(isinstance(name, str) for name in item) for item in lists)
    return None if fits else "a list of names, or a mapping from slot to such a list"


def members(value: Any) -> str | None:
    """None for lists of texts by slot, else what it must be; numbers are texts, as in a slot."""
    lists = list(value.values()) if isinstance(value, dict) else [None]
    fits = all(isinstance(item, list) and item and not any(text(one) and number(one) for one in item) for item in lists)
    return None if fits else "a mapping from slot to a list of members (put true and false in quotes)"


def source(value: Any) -> str | None:
    """None for a path, a list of paths or rows, or a call, else what it must be."""
    if isinstance(value, dict):
        return None if isinstance(value.get("call"), str) and ":" in value["call"] else CALLED
    if isinstance(value, list):
        return None if value and all(isinstance(item, str | dict) for item in value) else ROWS
    return None if not text(value) else ROWS


def one_of(*words: str) -> Check:
    """The test for one of some words."""

    def checked(value: Any) -> str | None:
        return None if value in words else " or ".join(f"`{word}`" for word in words)

    return checked


ROWS = 'a path, a list of paths or of rows, or {call: "module:function", ...}'
CALLED = '{call: "module:function", ...}, a mapping with `call`'

TASK: Mapping[str, Check] = {
    "instruction": texts,
    "train": source,
    "valid": source,
    "test": source,
    "weight": curve,
    "since": whole,
    "until": whole,
    "max_bad": number,
    "metrics": metrics,
    "closed_sets": members,
    "on_error": one_of("raise", "skip"),
}
FIT: Mapping[str, Check] = {
    "learning_rate": number,
    "warmup": number,
    "schedule": text,
    "weight_decay": number,
    "batch_tokens": whole,
    "batch_rows": whole,
    "padded": flag,
    "workers": whole,
    "worker_start": one_of("fork", "spawn", "forkserver"),
    "valid_rows": whole,
    "metric_rows": whole,
    "ledger": text,
    "weighting": text,
    "fewer_page_faults": flag,
    "compile": flag,
    "lora": settings,
    "freeze": texts,
}
ABOUT: Mapping[str, Check] = dict.fromkeys(KEYS, text)
MIXTURE: Mapping[str, Check] = {"strategy": one_of(*STRATEGIES), "temperature": number}
TOP: Mapping[str, Check | Mapping[str, Check] | None] = {
    "about": ABOUT,
    "tasks": None,
    "backbone": text,
    "model": text,
    "tokenizer": text,
    "seed": whole,
    "mixture": MIXTURE,
    "fit": FIT,
    "trainer": None,
    "save": text,
}


def problems(values: Mapping[str, Any]) -> Iterator[tuple[Keys, str]]:
    """What is wrong with a task file's values: the keys that lead to it, and a sentence.

    >>> list(problems({"tasks": {"a": {"instruction": "-> [TEXT:x]", "wieght": 2}}}))
    [(('tasks', 'a', 'wieght'), 'there is no key `tasks.a.wieght`; did you mean `weight`?')]
    """
    yield from _table(values, TOP, ())
    if values.get("model") is not None:
        for key in ("backbone", "tokenizer"):
            if values.get(key) is not None:
                yield (key,), f"`{key}` is of a new model: leave it out, or leave out `model`"
    tasks = values.get("tasks")
    if tasks is None or tasks == {}:
        yield (), "the file must have `tasks`, at least one"
    elif not isinstance(tasks, dict):
        yield ("tasks",), f"`tasks` must be a mapping from name to task, but is {kind_of(tasks)}"
    else:
        for name, entry in tasks.items():
            yield from _task(name, entry)
    yield from _trainer(values.get("trainer"))


def _task(name: Any, entry: Any) -> Iterator[tuple[Keys, str]]:
    path = ("tasks", str(name))
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield path, f"a task's name must be letters, digits, `_`, `-` or `.`, but is {name!r}"
    elif not isinstance(entry, dict):
        yield path, f"`{'.'.join(path)}` must be a mapping with `instruction`, but is {kind_of(entry)}"
    elif entry.get("instruction") is None:
        yield path, f"`{'.'.join(path)}` must have an `instruction`"
        yield from _table(entry, TASK, path)
    else:
        yield from _table(entry, TASK, path)


def _trainer(values: Any) -> Iterator[tuple[Keys, str]]:
    if values is not None and not isinstance(values, dict):
        yield ("trainer",), f"`trainer` must be a mapping of Lightning's settings, but is {kind_of(values)}"


def _table(
    values: Mapping[Any, Any], known: Mapping[str, Check | Mapping[str, Check] | None], path: Keys
) -> Iterator[tuple[Keys, str]]:
    for key, value in values.items():
        here = (*path, str(key))
        dotted = ".".join(here)
        if key not in known:
            near = nearest(str(key), known)
            hint = f"did you mean `{near}`?" if near else f"the keys are {', '.join(known)}"
            yield here, f"there is no key `{dotted}`; {hint}"
            continue
        check = known[key]
        if value is None or check is None:
            continue
        if not callable(check):
            if isinstance(value, dict):
                yield from _table(value, check, here)
            else:
                yield here, f"`{dotted}` must be a mapping, but is {kind_of(value)}"
        elif must := check(value):
            yield here, f"`{dotted}` must be {must}, but is {value!r}"
