"""What a text is after reading: frozen nodes, one per construct of the grammar.

Two instructions are equal when they say the same; where in a text they said it (spans, the source) does not count.
The nodes hold no catalog knowledge: a type is any upper-case word, an attribute any key with written values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..core.errors import Source, Span
from ..core.plan import Arrow

NOWHERE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Value:
    """One written value of an attribute, without its quotes; its type is the declaration's business."""

    text: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`key`, `key=value` or `key=a|b|c`; `values` is None when nothing follows the key."""

    key: str
    values: tuple[Value, ...] | None = None
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    @property
    def key_span(self) -> Span:
        """The characters of the key alone."""
        return Span(self.span.start, self.span.start + len(self.key))

    @property
    def value_span(self) -> Span:
        """The characters of the values, or of the key when there is none."""
        if not self.values:
            return self.key_span
        return Span(self.values[0].span.start, self.values[-1].span.end)


@dataclass(frozen=True, slots=True)
class Slot:
    """`[TYPE:name,attributes]`; `span` includes the brackets, `name` is None when none is written."""

    type: str
    name: str | None = None
    attributes: tuple[Attribute, ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    type_span: Span = field(default=NOWHERE, compare=False, repr=False)
    name_span: Span = field(default=NOWHERE, compare=False, repr=False)

    @property
    def inside(self) -> Span:
        """The characters between the brackets."""
        return Span(self.span.start + 1, max(self.span.end - 1, self.span.start + 1))


@dataclass(frozen=True, slots=True)
class Text:
    """Text of the instruction itself, escapes already undone."""

    text: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """`( items )` repeated between `least` and `most` times (None: no most)."""

    items: tuple[Item, ...]
    least: int
    most: int | None
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Ranking:
    """`slot > slot > ...`, the preferred first."""

    slots: tuple[Slot, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)


Item = Text | Slot | Group | Ranking


@dataclass(frozen=True, slots=True)
class Wording:
    """One alternative: a source side, an arrow, a target side."""

    arrow: Arrow
    source: tuple[Item, ...]
    target: tuple[Item, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Instruction:
    """A text that was read: one wording, or several alternatives with the same target slots.

    `str(instruction)` is the canonical spelling, which reads back equal.

    >>> from omniline.instructions.parser import parse
    >>> str(parse("[ IMAGE : img ]what is it?->[TEXT:cap]"))
    '[IMAGE:img]what is it? -> [TEXT:cap]'
    """

    wordings: tuple[Wording, ...]
    source: Source = field(default=Source(""), compare=False, repr=False)

    def __str__(self) -> str:
        from .printer import spell

        return spell(self)


def slots_of(items: tuple[Item, ...]) -> Iterator[Slot]:
    """The slots of one side in reading order, those of groups and rankings included."""
    for item in items:
        if isinstance(item, Slot):
            yield item
        elif isinstance(item, Group):
            yield from slots_of(item.items)
        elif isinstance(item, Ranking):
            yield from item.slots
