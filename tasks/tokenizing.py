"""Which tokenizer a model gets: bytes, a file, one trained on the tasks' own text, or the caller's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..core.catalog import Catalog
from ..core.parts import working_half
from ..core.plan import Prompt, walk
from ..core.rows import is_list, read_path
from .binding import Bound

MOST_ROWS = 20_000
"""Rows of each task that a tokenizer is trained on."""


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
    """All text of the tasks' training rows and prompts."""
    for bound in bounds:
        for wording in bound.plan.alternatives:
            for step in walk(wording.source + wording.target):
                if isinstance(step, Prompt):
                    yield step.text
        train = bound.rows.get("train") or next(iter(bound.rows.values()), None)
        if train is None:
            continue
        paths = {slot.path for wording in bound.plan.alternatives for slot in wording.slots}
        for index in range(min(MOST_ROWS, len(train) if train.finite else MOST_ROWS)):
            for path in paths:
                yield from _strings(read_path(train[index], path))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_list(value):
        for item in value:
            yield from _strings(item)


def read_tokenizer(content: str | None, catalog: Catalog) -> Any:
    """The tokenizer of a bundle, from its content; None when the bundle has none."""
    return None if content is None else tokenizer_for(content, [], catalog)
