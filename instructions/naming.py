"""What slots are called, which column they read, and which other slot `sync` means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import Label
from ..core.near import nearest
from .diagnostics import Findings
from .drafts import Draft


@dataclass(frozen=True, slots=True)
class Names:
    """Per slot, in reading order: its name, its column's path, and the index that `sync` names."""

    names: tuple[str, ...]
    paths: tuple[str, ...]
    syncs: tuple[int | None, ...]


def name_all(drafts: Sequence[Draft], findings: Findings) -> Names:
    """Name the slots of one wording; conflicts are recorded."""
    names = _names(drafts, findings)
    _one_modality(drafts, findings)
    _one_depth(drafts, findings)
    columns = _columns(drafts, findings)
    paths = tuple(columns.get(name) or _column(draft) or name for name, draft in zip(names, drafts, strict=True))
    syncs = tuple(_sync(draft, drafts, names, findings) for draft in drafts)
    _no_circle(drafts, names, syncs, findings)
    return Names(names, paths, syncs)


def _names(drafts: Sequence[Draft], findings: Findings) -> tuple[str, ...]:
    written = {draft.slot.name: draft for draft in reversed(drafts) if draft.slot.name}
    counted: Counter[str] = Counter()
    out: list[str] = []
    for draft in drafts:
        if draft.slot.name:
            out.append(draft.slot.name)
            continue
        kind = draft.slot.type.lower()
        counted[kind] += 1
        name = kind if counted[kind] == 1 else f"{kind}_{counted[kind]}"
        if name in written:
            other = written[name].slot
            findings.error(
                "OL131",
                f"an unnamed {draft.slot.type} slot is called `{name}`, which another slot is named",
                draft.slot.inside,
                labels=(Label(draft.slot.inside, f"is called `{name}`"), Label(other.name_span, "so is this")),
                help=f"name it: `[{draft.slot.type}:...]`",
            )
        out.append(name)
    return tuple(out)


def _one_modality(drafts: Sequence[Draft], findings: Findings) -> None:
    first: dict[str, Draft] = {}
    for draft in drafts:
        name = draft.slot.name
        if name is None:
            continue
        other = first.setdefault(name, draft)
        if other.slot.type != draft.slot.type:
            findings.error(
                "OL130",
                f"`{name}` is both {other.slot.type} and {draft.slot.type}",
                draft.slot.inside,
                labels=(
                    Label(other.slot.inside, f"this is {other.slot.type}"),
                    Label(draft.slot.inside, f"this is {draft.slot.type}"),
                ),
                help=f"give one of them another name, with `column={name}` to read the same column",
            )


def _one_depth(drafts: Sequence[Draft], findings: Findings) -> None:
    first: dict[str, Draft] = {}
    for draft in drafts:
        name = draft.slot.name
        if name is None:
            continue
        other = first.setdefault(name, draft)
        if other.place.depth != draft.place.depth:
            findings.error(
                "OL132",
                f"`{name}` stands at two depths of groups",
                draft.slot.inside,
                labels=tuple(Label(d.slot.inside, _depth(d.place.depth)) for d in (other, draft)),
                help="a name is one column, which holds one value or a list of them, not both",
            )


def _depth(depth: int) -> str:
    return "outside of groups" if depth == 0 else "inside a group" if depth == 1 else f"inside {depth} groups"


def _column(draft: Draft) -> str | None:
    return draft.universal.text("column")


def _columns(drafts: Sequence[Draft], findings: Findings) -> dict[str, str]:
    """The written column of each written name; two slots of one name share it."""
    first: dict[str, Draft] = {}
    for draft in drafts:
        name, column = draft.slot.name, _column(draft)
        if name is None or column is None:
            continue
        other = first.setdefault(name, draft)
        if _column(other) != column:
            findings.error(
                "OL133",
                f"`{name}` reads two columns: `{_column(other)}` and `{column}`",
                draft.universal.span("column", draft.slot),
                labels=tuple(
                    Label(d.universal.span("column", d.slot), f"column `{_column(d)}`") for d in (other, draft)
                ),
                help="one name is one column: rename one of the slots",
            )
    return {name: str(_column(draft)) for name, draft in first.items()}


def _sync(draft: Draft, drafts: Sequence[Draft], names: tuple[str, ...], findings: Findings) -> int | None:
    wanted = draft.universal.text("sync")
    if wanted is None:
        return None
    span = draft.universal.span("sync", draft.slot)
    here = [d.place.index for d in drafts if d.place.side == draft.place.side and d is not draft]
    found = next((index for index in here if names[index] == wanted), None)
    timed = [names[i] for i in here if (m := drafts[i].modality) and m.timed]
    help = f"timed slots here: {', '.join(f'`{n}`' for n in timed)}" if timed else "there is no other timed slot here"
    if draft.modality and not draft.modality.timed:
        findings.error(
            "OL211", f"{draft.slot.type} has no duration, so it cannot have `sync`", span, help="it is for timed slots"
        )
    elif found is None:
        near = nearest(wanted, timed)
        own = names[draft.place.index] == wanted
        message = f"`sync={wanted}` names " + ("the slot itself" if own else "no other slot of this side")
        findings.error("OL211", message, span, help=f"did you mean `{near}`?" if near else help, fix=near)
    elif (other := drafts[found].modality) and not other.timed:
        findings.error(
            "OL211", f"`sync={wanted}` names a {drafts[found].slot.type} slot, which has no duration", span, help=help
        )
    return found


def _no_circle(
    drafts: Sequence[Draft], names: tuple[str, ...], syncs: tuple[int | None, ...], findings: Findings
) -> None:
    """Slots that are in step with each other say nowhere which seconds are read."""
    told: set[int] = set()
    for start in range(len(syncs)):
        walked: list[int] = []
        at: int | None = start
        while at is not None and at not in walked:
            walked.append(at)
            at = syncs[at]
        if at != start or told.intersection(walked):
            continue
        told.update(walked)
        spans = [drafts[index].universal.span("sync", drafts[index].slot) for index in sorted(walked)]
        findings.error(
            "OL211",
            f"the slots {', '.join(f'`{names[index]}`' for index in sorted(walked))} are in step with each other, but "
            "one must lead",
            spans[-1],
            labels=[
                Label(span, "leads the next" if n < len(spans) - 1 else "leads back") for n, span in enumerate(spans)
            ],
            help="leave one `sync` out",
        )
