"""Which tokenizer a model gets: bytes, a file, one trained on the tasks' own text, or the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any

from ..core.catalog import Catalog
from ..core.codec import UNREADABLE
from ..core.parts import adapter_of, working_half
from ..core.plan import Prompt, SlotPlan, walk
from ..core.rows import as_written, is_absent, is_list
from .binding import Bound

MOST_ROWS = 20_000
"""Rows of each task that a tokenizer is trained on."""
MOST_KEPT = 64
"""Strings of which it is remembered what they are written as."""


def tokenizer_for(wanted: Any, bounds: Sequence[Bound], catalog: Catalog) -> Any:
    """The tokenizer that `Model.build(tokenizer=)` asks for; None when no installed adapter needs one.

    The maker is named by the adapter that reads prompts, the default one of TEXT.

    Raises:
        ConfigError: it cannot be made.
    """
    text = catalog.find("modalities", "TEXT")
    if text is None or text.part.source is None:
        return wanted
    name = text.part.source
    maker = working_half(catalog.adapter(name).makers["tokenizer"], f"the tokenizer of the adapter `{name}`")
    return maker(wanted, lambda: texts_of(bounds))


def texts_of(bounds: Sequence[Bound]) -> Iterator[str]:
    """All text of the tasks' training rows, and each prompt as often as these rows show it."""
    for bound in bounds:
        train = bound.rows.get("train") or next(iter(bound.rows.values()), None)
        wordings = bound.plan.alternatives
        rows = 0 if train is None else min(len(train), MOST_ROWS) if train.finite else MOST_ROWS
        for wording in wordings:
            for step in walk(wording.source + wording.target):
                if isinstance(step, Prompt):
                    yield from repeat(step.text, max(1, rows // len(wordings)))
        if train is None:
            continue
        slots = {slot.path: slot for slot in sorted(text_slots(bound), key=lambda slot: bool(_says(slot, bound)))}
        for path, slot in sorted(slots.items()):
            said = _sayer(slot, bound)
            for value in train.values(path, MOST_ROWS, skip=bound.task.on_error == "skip"):
                yield from said(value)


def text_slots(bound: Bound) -> list[SlotPlan]:
    """The slots whose values go through the tokenizer."""
    slots = [slot for wording in bound.plan.alternatives for slot in wording.slots]
    return [s for s in slots if "tokenizer" in bound.task.catalog.adapter(s.adapter.name).assets]


def _says(slot: SlotPlan, bound: Bound) -> str:
    return bound.task.catalog.adapter(slot.adapter.name).says


def _sayer(slot: SlotPlan, bound: Bound) -> Callable[[Any], Iterable[str]]:
    """What gives the texts of a slot's values: the adapter's own function, or the strings that they hold."""
    target = _says(slot, bound)
    if not target:
        return _strings
    says = working_half(target, f"what the adapter `{slot.adapter.name}` says")
    settings = adapter_of(slot, bound.task.catalog).settings()

    def one(value: Any) -> list[str]:
        try:
            return list(says(settings, value))
        except UNREADABLE:
            return []  # it is named when the row is read

    kept = lru_cache(MOST_KEPT)(one)  # often a path, the same in every row

    def every(value: Any, depth: int = slot.depth) -> Iterator[str]:
        if is_absent(value):
            return
        if depth and is_list(value):
            for item in value:
                yield from every(item, depth - 1)
            return
        yield from kept(value) if isinstance(value, str) else one(value)

    return every


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if ";base64," not in value[:80]:
            yield as_written(value)
    elif is_list(value) or isinstance(value, Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


def read_tokenizer(content: str | None, catalog: Catalog) -> Any:
    """The tokenizer of a bundle, from its content; None when the bundle has none."""
    return None if content is None else tokenizer_for(content, [], catalog)
