"""Binding: a task meets its data. Columns, first rows and closed sets are checked before a weight exists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ..core.catalog import Catalog
from ..core.codec import Mode
from ..core.errors import ConfigError, DataError, Diagnostic, InstructionError, Source, carets
from ..core.example import RowId
from ..core.near import nearest
from ..core.parts import port_table
from ..core.plan import Alternative, Plan, Repeat, SlotPlan, uses, walk
from ..core.reader import Reader, make_reader
from ..core.rows import MISSING, as_member, is_absent, is_list, read_path
from .settling import settle_by_data
from .source_stream import StreamRows
from .sources import Rows, open_source
from .task import SPLITS, Split, Task

MOST_MEMBERS = 10_000
FIRST_ROWS = 8
FIRST_READ = 100
"""Rows among which one must be readable."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A task with its data opened and its closed sets known.

    Attributes:
        task: as the user wrote it.
        plan: its plan, with the members of every closed set.
        rows: the opened source of each split that has one.
    """

    task: Task
    plan: Plan
    rows: Mapping[Split, Rows]

    def size(self, split: Split) -> int:
        """Rows of a split; for an endless source a nominal number."""
        rows = self.rows[split]
        return len(rows) if rows.finite else 1 << 40

    def rows_of_a_pass(self, split: Split, most: int) -> int | None:
        """Rows of a split; of a stream those of a pass, if they are no more than `most`, else None."""
        rows = self.rows[split]
        return rows.ends_within(most) if isinstance(rows, StreamRows) else len(rows)

    def read(self, split: Split, index: int) -> Mapping[str, Any]:
        """One row.

        Raises:
            DataError: it cannot be read. ConfigError: neither can any behind it.
        """
        return self.rows[split].read(index)

    def placed(self, split: Split, index: int, cause: DataError) -> DataError:
        """The error of a row with task and place before it, and a note that marks the slot in the instruction."""
        text = f"task `{self.task.name}`, {self.rows[split].place(index)}: {cause}"
        return note_place(DataError(text), self.plan)


def bind(task: Task, catalog: Catalog | None = None) -> Bound:
    """Open a task's sources, settle its closed sets, and read the first rows of every split.

    Args:
        task: what is bound.
        catalog: when it has defaults of its own, as those of a backbone's senses, the line is compiled with them.

    Raises:
        InstructionError: a column is missing, a value of the first rows does not suit its slot, or a closed set lacks
            one; with the caret under the slot.
        DataError: a source cannot be opened or is empty.
    """
    if catalog is not None and catalog.defaults and catalog is not task.catalog:
        task = replace(task, catalog=catalog)
    rows = {split: _open(task, split) for split in SPLITS if task.rows(split) is not None}
    plan = _with_closed_sets(task, rows)
    if rows:
        plan = settle_by_data(plan, task.catalog, lambda: _first(task, next(iter(rows.values())))[0])
    bound = Bound(task=task, plan=plan, rows=rows)
    for split in rows:
        _check_columns(bound, split)
    return bound


def _open(task: Task, split: Split) -> Rows:
    opened = open_source(task.rows(split), name=f"{task.name}.{split}")
    if opened.finite and len(opened) == 0:
        raise DataError(f"task `{task.name}`: its {split} rows are empty")
    if task.on_error == "raise":
        opened.refuse_wrong()
    return opened


def check_first_rows(bound: Bound, reader: Reader) -> None:
    """Encode the first rows of every split, so that a wrong type is found before training.

    Raises:
        InstructionError: a value does not suit its slot; where the task skips rows, none of the first suits.
    """
    for split, rows in bound.rows.items():
        first: DataError | None = None
        read = 0
        for index in range(min(FIRST_READ, len(rows)) if rows.finite else FIRST_READ):
            cause = _why_not(bound, reader, split, index)
            read += cause is None
            first = first or cause
            if cause is not None and bound.task.on_error == "raise":
                raise _unsuitable(bound, split, index, cause)
            if index >= FIRST_ROWS - 1 and read:
                break
        if first is not None and not read:
            raise _unsuitable(bound, split, 0, first)


def _why_not(bound: Bound, reader: Reader, split: Split, index: int) -> DataError | None:
    """Why a row cannot be read in one of its wordings, if it cannot."""
    mode: Mode = "train" if split == "train" else "valid"
    try:
        for wording in range(len(reader.wordings)):
            sketch, _ = reader.sketch(bound.read(split, index), wording, mode=mode)
            reader.encode(sketch, RowId(bound.task.name, index), wording=wording, mode=mode)
    except DataError as cause:
        return cause
    return None


def _unsuitable(bound: Bound, split: Split, index: int, cause: DataError) -> InstructionError:
    skips = "" if bound.task.on_error == "raise" else ", and no other of the first rows can be read"
    where = f"task `{bound.task.name}`, {bound.rows[split].place(index)}: {cause}{skips}"
    found = InstructionError([_finding("OL312", where, bound.plan, _blamed(bound.plan, cause))])
    found.__cause__ = cause
    return found


def trial_reader(bound: Bound, tokenizer: Any) -> Reader:
    """A reader with a port table of its own, for checking rows when no model exists yet."""
    table = port_table([bound.plan], bound.task.catalog)
    return make_reader(bound.task.name, bound.plan, catalog=bound.task.catalog, table=table, tokenizer=tokenizer)


def note_place(error: DataError, plan: Plan) -> DataError:
    """The error, with a note that marks the slot which it names in the instruction."""
    slot = _named(plan, error)
    if slot is not None:
        error.add_note("\n".join(carets(plan.text, slot.span, ())))
    return error


def _blamed(plan: Plan, cause: DataError) -> SlotPlan:
    return _named(plan, cause) or plan.slots[0]


def _named(plan: Plan, error: DataError) -> SlotPlan | None:
    """The slot that an error knows, or that its text calls a slot, or whose column it names."""
    text = str(error)
    ways: tuple[Callable[[SlotPlan], bool], ...] = (
        lambda slot: slot.name == error.slot,
        lambda slot: f"slot `{slot.name}`" in text,
        lambda slot: f"`{slot.path}`" in text,
    )
    return next((slot for way in ways for slot in plan.slots if way(slot)), None)


def _finding(code: str, message: str, plan: Plan, slot: SlotPlan, hint: str | None = None) -> Diagnostic:
    source = Source(plan.text)
    return Diagnostic(code=code, severity="error", message=message, source=source, span=slot.span, help=hint)


def _first(task: Task, rows: Rows) -> list[Mapping[str, Any]]:
    """The first row; where the task skips rows, the first ones that can be read.

    Raises:
        DataError: there is none.
    """
    if task.on_error == "raise":
        return [rows.read(0)]
    found = list(islice(rows.readable(FIRST_READ, skip=True), FIRST_ROWS))
    if found:
        return found
    try:
        rows.read(0)
    except DataError as cause:
        where = "" if rows.place(0) in str(cause) else f"{rows.place(0)}: "
        raise DataError(f"{rows.name}: none of the first rows can be read: {where}{cause}") from cause
    raise DataError(f"{rows.name}: none of the first rows can be read")


def _check_columns(bound: Bound, split: Split) -> None:
    firsts = _first(bound.task, bound.rows[split])
    columns = tuple(dict.fromkeys(column for row in firsts for column in row))
    findings = []
    for wording in bound.plan.alternatives:
        for slot in wording.slots:
            if slot.optional or any(read_path(row, slot.path) is not MISSING for row in firsts):
                continue
            if _in_optional_group(wording, slot):
                continue
            near = nearest(slot.path, columns)
            hint = f"did you mean `{near}`? " if near else ""
            findings.append(
                _finding(
                    "OL310",
                    f"the {split} rows of task `{bound.task.name}` have no column `{slot.path}`",
                    bound.plan,
                    slot,
                    f"{hint}columns: {', '.join(columns)}",
                )
            )
    if findings:
        raise InstructionError(findings)


def _in_optional_group(wording: Alternative, slot: SlotPlan) -> bool:
    groups = [s for s in walk(wording.source + wording.target) if isinstance(s, Repeat)]
    return any(slot.index in uses(group.steps) and group.least == 0 for group in groups)


def _with_closed_sets(task: Task, rows: Mapping[Split, Rows]) -> Plan:
    given = dict(task.closed_sets or {})
    names = {slot.name for slot in task.plan.slots} | {slot.path for slot in task.plan.slots}
    for name in given:
        if name not in names:
            near = nearest(name, names)
            hint = f"; did you mean `{near}`?" if near else ""
            raise ConfigError(f"closed_sets of task `{task.name}` names `{name}`, which is no slot{hint}")
    found: dict[str, tuple[str, ...]] = {}
    wordings = []
    for wording in task.plan.alternatives:
        slots = tuple(_settled(slot, task, given, rows, found) for slot in wording.slots)
        wordings.append(replace(wording, slots=slots))
    return replace(task.plan, alternatives=tuple(wordings))


def _settled(
    slot: SlotPlan,
    task: Task,
    given: Mapping[str, Any],
    rows: Mapping[Split, Rows],
    found: dict[str, tuple[str, ...]],
) -> SlotPlan:
    members = given.get(slot.name, given.get(slot.path))
    needs = "closed_set" in task.catalog.adapter(slot.adapter.name).assets
    named = members is not None and slot.side == "target"
    if slot.closed_set or (slot.closed_set is None and not needs and not named):
        return slot
    if slot.path not in found:
        found[slot.path] = tuple(map(str, members)) if members is not None else _distinct(slot, task, rows)
    return replace(slot, closed_set=found[slot.path])


def _distinct(slot: SlotPlan, task: Task, rows: Mapping[Split, Rows]) -> tuple[str, ...]:
    train = rows.get("train")
    if train is None:
        return ()
    if not train.finite:
        raise InstructionError(
            [
                _finding(
                    "OL311",
                    f"the closed set of `{slot.name}` cannot be gathered from an endless source",
                    task.plan,
                    slot,
                    "write its members, `closed_set=yes|no`, or pass `closed_sets=` to the task",
                )
            ]
        )
    members: set[str] = set()
    for found in train.values(slot.path, skip=task.on_error == "skip"):
        for value in _flat(found):
            members.add(str(as_member(value)))
        if len(members) > MOST_MEMBERS:
            raise InstructionError(
                [
                    _finding(
                        "OL311",
                        f"the column `{slot.path}` has more than {MOST_MEMBERS:,} distinct values: too many for a "
                        "closed set",
                        task.plan,
                        slot,
                        "leave `closed_set` out, or write the members",
                    )
                ]
            )
    return tuple(sorted(members))


def _flat(value: Any) -> Iterator[Any]:
    if is_list(value):
        for item in value:
            yield from _flat(item)
    elif not is_absent(value):
        yield value
