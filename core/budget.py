"""The arithmetic of budgets: whether a plan can fit a backbone's context, and how the room is shared.

What has a most takes it: media never give way, and a written `max_length` is taken at its word. What has none (text
without `max_length`, lists of unknown length) shares the rest. Prompts are counted only when room is shared, by their
bytes, an upper bound for every byte-based tokenizer; `judge` leaves them out, so it never refuses what would fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .catalog import Catalog
from .errors import Diagnostic, Fix, Label, OmnilineError, Source, Span
from .plan import Alternative, Branch, Plan, Prompt, Repeat, Side, SlotPlan, Step, Use, walk

Context = int | tuple[int, int]


@dataclass(frozen=True, slots=True)
class Term:
    """One slot's share of a sum: the tokens of one value, and how many values count."""

    slot: SlotPlan
    tokens: int
    times: int = 1

    @property
    def total(self) -> int:
        return self.tokens * self.times


@dataclass(frozen=True, slots=True)
class Stream:
    """Steps that share one room: `side` is None when source and target are joined in one sequence."""

    steps: tuple[Step, ...]
    room: int
    side: Side | None


def streams(alternative: Alternative, context: Context) -> tuple[Stream, ...]:
    """The sequences that a backbone of this context makes of an alternative, with the room of each."""
    source, target = alternative.source, alternative.target
    if alternative.arrow == "<->":
        room = context if isinstance(context, int) else context[0]
        return Stream(source, room, "source"), Stream(target, room, "target")
    if isinstance(context, int):
        return (Stream((*source, *target), context, None),)
    return Stream(source, context[0], "source"), Stream(target, context[1], "target")


def terms(steps: tuple[Step, ...], slots: Sequence[SlotPlan], times: int = 1) -> list[Term]:
    """What steps take: a slot its most if it has one, a group its fewest repetitions, a ranking its largest branch."""
    out: list[Term] = []
    for step in steps:
        if isinstance(step, Use):
            budget = slots[step.slot].budget
            tokens = budget.least if budget.most is None else budget.most
            out.append(Term(slots[step.slot], tokens, times))
        elif isinstance(step, Repeat):
            out += terms(step.steps, slots, times * step.least)
        elif isinstance(step, Branch):
            out += max((terms(branch, slots, times) for branch in step.branches), key=total)
    return [term for term in out if term.total]


def total(sum_of: Iterable[Term]) -> int:
    """The sum of the terms, in tokens."""
    return sum(term.total for term in sum_of)


def judge(
    plan: Plan,
    backbone: str,
    context: Context,
    *,
    catalog: Catalog | None = None,
    source: Source | None = None,
    spans: Sequence[Sequence[Span]] | None = None,
) -> list[Diagnostic]:
    """An error with its arithmetic for each sequence that cannot fit.

    Args:
        plan: the plan to judge.
        backbone: the name to print.
        context: the most tokens of the whole, or of source and target apart.
        catalog: when given, the settings behind a number are shown, and the one to lower.
        source: the text to point into; the plan's own when None.
        spans: per alternative and slot, its inside in that text.
    """
    source = source or Source(plan.text)
    found: list[Diagnostic] = []
    for number, alternative in enumerate(plan.alternatives):
        places = spans[number] if spans else [Span(s.span.start + 1, s.span.end - 1) for s in alternative.slots]
        for stream in streams(alternative, context):
            needed = terms(stream.steps, alternative.slots)
            if total(needed) > stream.room:
                found.append(_overfull(needed, stream, backbone, catalog, source, places))
    return found


def _overfull(
    needed: list[Term], stream: Stream, backbone: str, catalog: Catalog | None, source: Source, places: Sequence[Span]
) -> Diagnostic:
    largest = max(needed, key=lambda term: term.total)
    labels = []
    for number, term in enumerate(needed):
        text = _shown(term, catalog) if term is largest or number == 0 else f"{term.total:,}"
        text = f"+ {text}" if number else text
        text += f" > {stream.room:,}" if number == len(needed) - 1 else ""
        labels.append(Label(places[term.slot.index], text))
    help, fix = _remedy(needed, largest, stream.room, catalog)
    place = places[largest.slot.index]
    at = source.text.find(fix[0], place.start, place.end) if fix else -1
    side = f"its {stream.side} side takes at most {stream.room:,} tokens"
    return Diagnostic(
        code="OL301",
        severity="error",
        message=f"the task cannot fit the context of `{backbone}`",
        source=source,
        span=place,
        labels=tuple(labels),
        notes=(side,) if stream.side else (),
        help=help,
        fixes=(Fix(Span(at, at + len(fix[0])), fix[1]),) if fix and at >= 0 else (),
    )


def _shown(term: Term, catalog: Catalog | None) -> str:
    times = f"{term.times:,} times " if term.times > 1 else ""
    for key, value, each in _linear(term, catalog):
        return f"{times}{value:,} {key.removeprefix('max_').removeprefix('num_')} x {each:,} tokens = {term.total:,}"
    return f"{times}{term.tokens:,} tokens" + (f" = {term.total:,}" if times else "")


def _linear(term: Term, catalog: Catalog | None) -> Iterator[tuple[str, int, int]]:
    """The whole-number settings that the tokens are a multiple of: name, value, tokens for each."""
    for key, value in _numbers(term):
        half = value // 2
        if half and term.tokens % value == 0 and _tokens(term, key, half, catalog) == term.tokens // value * half:
            yield key, value, term.tokens // value


def _numbers(term: Term) -> list[tuple[str, int]]:
    settings = term.slot.adapter.settings
    return [(key, value) for key, value in settings if isinstance(value, int) and not isinstance(value, bool)]


def _tokens(term: Term, key: str, value: int, catalog: Catalog | None) -> int | None:
    """The tokens that the slot would take with another setting; None when that is not a legal one."""
    if catalog is None:
        return None
    try:
        declared = catalog.adapter(term.slot.adapter.name)
        tokens = declared(**{**term.slot.adapter.options(), key: value}).tokens()
    except (OmnilineError, ValueError, TypeError, ArithmeticError):
        return None
    most = tokens.least if tokens.most is None else tokens.most
    return most if term.slot.limit is None else min(most, term.slot.limit)


def _remedy(
    needed: list[Term], largest: Term, room: int, catalog: Catalog | None
) -> tuple[str, tuple[str, str] | None]:
    """The largest setting, by halving, with which the sum fits; else what could be done."""
    rest = total(needed) - largest.total
    if largest.tokens == largest.slot.limit and rest < room:
        fits = (room - rest) // largest.times
        if fits:
            return f"max_length={fits} fits ({_sum(needed, largest, fits)})", (
                f"max_length={largest.slot.limit}",
                f"max_length={fits}",
            )
    for key, value in _numbers(largest):
        smaller = value // 2
        while smaller:
            tokens = _tokens(largest, key, smaller, catalog)
            if tokens is None or tokens >= largest.tokens:
                break
            if tokens * largest.times + rest <= room:
                text = f"{key}={smaller} fits ({_sum(needed, largest, tokens)})"
                return text, (f"{key}={value}", f"{key}={smaller}")
            smaller //= 2
    return "use a backbone with a longer context, or smaller inputs", None


def _sum(needed: list[Term], changed: Term, tokens: int) -> str:
    return " + ".join(f"{tokens * t.times if t is changed else t.total:,}" for t in needed)


def byte_length(text: str) -> int:
    """The UTF-8 bytes of a prompt: at least as many as its tokens under any byte-based tokenizer."""
    return len(text.encode("utf-8", "surrogatepass"))


def shares(
    alternative: Alternative,
    context: Context,
    *,
    wanted: Mapping[int, int] | None = None,
    prompt_tokens: Callable[[str], int] = byte_length,
) -> dict[int, int]:
    """How many tokens each slot without a most may take, over all its repetitions, by the slot's index.

    With `wanted`, the tokens that one row's values have, targets are served first and the rest is shared equally; a
    value that wants less leaves room to the others. Without it the room is split equally, a remainder going to targets.
    A room that the fixed parts fill leaves 0.
    """
    granted: dict[int, int] = {}
    for stream in streams(alternative, context):
        shared = _open(stream.steps, alternative.slots)
        fixed = total([term for term in terms(stream.steps, alternative.slots) if term.slot.index not in shared])
        prompts = sum(prompt_tokens(step.text) for step in walk(stream.steps) if isinstance(step, Prompt))
        left = max(stream.room - fixed - prompts, 0)
        first = sorted(shared, key=lambda index: (alternative.slots[index].side == "source", index))
        if wanted is None:
            granted |= dict(zip(first, fill([left] * len(first), left), strict=True))
            continue
        for side in ("target", "source"):
            some = [index for index in first if alternative.slots[index].side == side]
            given = fill([wanted.get(index, 0) for index in some], left)
            granted |= dict(zip(some, given, strict=True))
            left -= sum(given)
    return granted


def _open(steps: tuple[Step, ...], slots: Sequence[SlotPlan], inside: bool = False) -> set[int]:
    """The slots that have no most: their own budget has none, or they repeat without end."""
    out: set[int] = set()
    for step in steps:
        if isinstance(step, Use) and (inside or slots[step.slot].budget.most is None):
            out.add(step.slot)
        elif isinstance(step, Repeat):
            out |= _open(step.steps, slots, inside or step.most is None)
        elif isinstance(step, Branch):
            for branch in step.branches:
                out |= _open(branch, slots, inside)
    return out


def fill(wants: Sequence[int], room: int) -> list[int]:
    """Share `room` equally among `wants`; who wants less than its part leaves the rest to the others.

    >>> fill([2, 100, 100], 12)
    [2, 5, 5]
    >>> fill([100, 100], 7)
    [4, 3]
    """
    granted = [0] * len(wants)
    order = sorted(range(len(wants)), key=lambda index: (wants[index], -index))
    for position, index in enumerate(order):
        granted[index] = min(wants[index], room // (len(order) - position))
        room -= granted[index]
    return granted


def whole_repetitions(sizes: Sequence[int], room: int) -> int:
    """How many of a group's repetitions, of these sizes in tokens, fit whole.

    >>> whole_repetitions([5, 5, 5], 12)
    2
    """
    used = 0
    for count, size in enumerate(sizes):
        used += size
        if used > room:
            return count
    return len(sizes)
