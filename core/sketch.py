"""A sketch: one row against one wording, before any value is encoded.

It reads the columns, unrolls groups and rankings, measures every value and cuts what exceeds the context. The loader
plans its batches from sketches alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import DataError
from .example import rows_within
from .plan import Alternative, Branch, Prompt, Repeat, SlotPlan, Step, Use, uses
from .rows import MISSING, entry, is_absent, is_list, missing_column, read_slot

START, CONTINUE, STOP = 0, 1, 2
"""Marks: a target side opens with START; CONTINUE stands before each repetition of a group, STOP after the last."""


class Item(NamedTuple):
    """A place in one side: a prompt (`text`), a mark, or a value of a slot; `rows` it takes, `group` it repeats in.

    A `marked` text is a frame's: special tokens that it spells are marks. Items of one `clock` stand side by side in
    time.
    """

    slot: int = -1
    raw: Any = None
    text: str | None = None
    mark: int = -1
    forced: bool = True
    rows: int = 1
    group: tuple[int, int] = (-1, -1)
    marked: bool = False
    clock: int = -1


@dataclass(frozen=True, slots=True)
class Sketch:
    """The source side, and one target side per stream, START mark included."""

    source: list[Item]
    targets: list[list[Item]]

    def rows(self) -> tuple[int, int]:
        """Source and target rows over all streams."""
        source = sum(item.rows for item in self.source) * len(self.targets)
        return source, sum(item.rows for target in self.targets for item in target)


class Unroller:
    """Unrolls one wording against rows; knows the plan and nothing of codecs."""

    def __init__(self, wording: Alternative) -> None:
        self.wording = wording

    def side(self, steps: tuple[Step, ...], row: Mapping[str, Any], *, target: bool) -> list[list[Item]]:
        """The items of one side; several lists for a ranking, else one.

        Raises:
            DataError: a missing column, or a group's lists that do not fit.
        """
        out: list[list[Item]] = [[]]
        for step in steps:
            if isinstance(step, Branch):
                head = out[0]
                out = [head + self._items(branch, row, (), target, (-1, -1)) for branch in step.branches]
            else:
                out[0].extend(self._items((step,), row, (), target, (-1, -1)))
        return out

    def _items(
        self, steps: tuple[Step, ...], row: Mapping[str, Any], at: tuple[int, ...], target: bool, group: tuple[int, int]
    ) -> list[Item]:
        out: list[Item] = []
        for step in steps:
            if isinstance(step, Prompt):
                out.append(Item(text=step.text, group=group))
            elif isinstance(step, Use):
                slot = self.wording.slots[step.slot]
                raw = self._value(slot, row, at)
                if is_absent(raw) and slot.optional:
                    continue
                out.append(Item(slot=step.slot, raw=raw, forced=slot.given, group=group))
            elif isinstance(step, Repeat):
                out.extend(self._group(step, row, at, target, group))
        return out

    def _group(
        self, step: Repeat, row: Mapping[str, Any], at: tuple[int, ...], target: bool, outer: tuple[int, int]
    ) -> list[Item]:
        count = self._count(step, row, at)
        number = uses(step.steps)[0]
        out: list[Item] = []
        for i in range(count):
            group = outer if outer[0] >= 0 else (number, i)
            if target:
                out.append(Item(mark=CONTINUE, forced=i < step.least, group=group))
            out.extend(self._items(step.steps, row, at if bare(step) else (*at, i), target, group))
        if target:
            out.append(Item(mark=STOP, forced=step.most is not None and count >= step.most, group=outer))
        return out

    def _count(self, step: Repeat, row: Mapping[str, Any], at: tuple[int, ...]) -> int:
        first: tuple[str, int] | None = None
        for index in uses(step.steps):
            slot = self.wording.slots[index]
            value = self._value(slot, row, at, whole=True)
            if is_absent(value):
                if not bare(step) and not slot.optional:
                    raise _absent(slot, row, value)
                length = 0
            elif bare(step):
                length = 1
            elif is_list(value):
                length = len(value)
            else:
                raise DataError(
                    f"slot `{slot.name}`: the column `{slot.path}` must hold a list, one value per repetition of its "
                    f"group, but holds {_short(value)}"
                )
            if first is not None and length != first[1]:
                raise DataError(
                    f"the columns `{first[0]}` ({first[1]} values) and `{slot.path}` ({length} values) stand in one "
                    "group and must have equally many"
                )
            first = first or (slot.path, length)
        count = first[1] if first else 0
        if count < step.least or (step.most is not None and count > step.most):
            most = "any number" if step.most is None else str(step.most)
            raise DataError(
                f"the group of `{first[0] if first else ''}` must have {step.least} to {most} repetitions, but the row "
                f"has {count}"
            )
        return count

    def _value(self, slot: SlotPlan, row: Mapping[str, Any], at: tuple[int, ...], *, whole: bool = False) -> Any:
        value = read_slot(row, slot.path, slot.modality)
        for place in at:
            if not is_list(value) or place >= len(value):
                value = MISSING
                break
            value = entry(value, place)
        if whole or not is_absent(value) or slot.optional:
            return value
        raise _absent(slot, row, value)


def _absent(slot: SlotPlan, row: Mapping[str, Any], value: Any) -> DataError:
    """What to say of a value that must be there, but has no column, or is None or NaN."""
    if value is MISSING:
        error = DataError(f"slot `{slot.name}`: " + missing_column(slot.path, tuple(row)))
    else:
        error = DataError(
            f"slot `{slot.name}`: the column `{slot.path}` holds {value!r}; write `optional` in the slot if the data "
            "may lack it"
        )
    error.slot, error.column = slot.name, slot.path
    return error


def bare(step: Repeat) -> bool:
    """Whether a group is `{0,1}`: it reads a bare value or nothing, not a list."""
    return (step.least, step.most) == (0, 1)


def fit_context(
    sketch: Sketch, cuttable: tuple[bool, ...], context: int | tuple[int, int] | None
) -> tuple[Sketch, bool]:
    """The sketch with rows cut to the context, and whether anything was cut.

    Targets are served first. On a side, texts outside of groups and whole groups have equal shares of what is left: a
    group loses whole repetitions from its end, a text its last tokens. Only when a single repetition is too long, the
    texts in it are cut. Media never give way.

    Raises:
        DataError: it cannot fit.
    """
    if context is None:
        return sketch, False
    out_source, out_targets, cut = sketch.source, [], False
    for target in sketch.targets:
        if isinstance(context, tuple):
            new_target, cut_t = _fit(target, cuttable, context[1], "target")
            out_source, cut_s = _fit(sketch.source, cuttable, context[0], "source")
        else:
            room = max(context - _least(sketch.source, cuttable), _least(target, cuttable))
            new_target, cut_t = _fit(target, cuttable, min(context, room), "target")
            used = sum(item.rows for item in new_target)
            out_source, cut_s = _fit(out_source, cuttable, context - used, "source")
        out_targets.append(new_target)
        cut = cut or cut_t or cut_s
    return Sketch(out_source, out_targets), cut


def _least(items: list[Item], cuttable: tuple[bool, ...]) -> int:
    """The rows of a side that is cut as far as it goes: one token of each text, one repetition of each group."""
    soft = (item.slot >= 0 and cuttable[item.slot] for item in items)
    return sum(min(i.rows, 1) if s else i.rows for i, s in zip(items, soft, strict=True) if i.group[1] < 1)


def _fit(items: list[Item], cuttable: tuple[bool, ...], room: int, side: str) -> tuple[list[Item], bool]:
    if sum(item.rows for item in items) <= room:
        return items, False
    items = _fewer(items, cuttable, room)
    if sum(item.rows for item in items) <= room:
        return items, True
    soft = [i for i, item in enumerate(items) if item.slot >= 0 and cuttable[item.slot]]
    hard = sum(item.rows for i, item in enumerate(items) if i not in set(soft))
    if hard + len(soft) > room:
        raise DataError(
            f"the {side} side needs at least {hard + len(soft):,} tokens ({hard:,} of them cannot be cut), but the "
            f"context leaves {room:,}"
        )
    limits = rows_within([items[i].rows for i in soft], room - hard)
    out = list(items)
    for i, limit in zip(soft, limits, strict=True):
        out[i] = out[i]._replace(rows=limit)
    return out, True


def _fewer(items: list[Item], cuttable: tuple[bool, ...], room: int) -> list[Item]:
    """Drop the last repetitions of groups that exceed their share, all but one; their STOP is then not supervised."""
    groups: dict[int, dict[int, int]] = {}
    for item in items:
        if item.group[0] >= 0:
            counts = groups.setdefault(item.group[0], {})
            counts[item.group[1]] = counts.get(item.group[1], 0) + item.rows
    loose = [item for item in items if item.group[0] < 0]
    soft = [item.rows for item in loose if item.slot >= 0 and cuttable[item.slot]]
    hard = sum(item.rows for item in loose) - sum(soft)
    shares = rows_within([*soft, *(sum(counts.values()) for counts in groups.values())], room - hard)[len(soft) :]
    kept = {n: _first_that_fit(groups[n], share) for n, share in zip(groups, shares, strict=True)}
    out: list[Item] = []
    dropped = False
    for item in items:
        if item.group[0] >= 0 and item.group[1] not in kept[item.group[0]]:
            dropped = True
            continue
        out.append(item._replace(forced=True) if dropped and item.mark == STOP else item)
        dropped = False
    return out


def _first_that_fit(counts: dict[int, int], share: int) -> set[int]:
    """The first repetitions whose rows fit a share, at least one."""
    kept: set[int] = set()
    for number, rows in counts.items():
        share -= rows
        if kept and share < 0:
            break
        kept.add(number)
    return kept


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
