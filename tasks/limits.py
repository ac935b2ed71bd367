"""How many tokens each target slot may take at predicting, so that all of them fit the context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.conversing import continues
from ..core.encoding import SlotReader
from ..core.errors import ConfigError
from ..core.example import rows_within
from ..core.plan import Alternative, Branch, Prompt, Repeat, Step, Use
from ..core.reader import Reader
from .forcing import ALL


def limits_of(
    reader: Reader, readers: Sequence[SlotReader], wording: Alternative, *, most_tokens: int, backbone: str
) -> dict[int, int]:
    """The most tokens of each slot that is found, so that all of them, groups as often as they must, fit the context.

    Args:
        reader: of the plan.
        readers: of the target slots that are needed.
        wording: what is predicted.
        most_tokens: of a value without a limit of its own.
        backbone: its name, for errors.

    Raises:
        ConfigError: what cannot be cut alone does not fit.
    """
    wants = {r.slot.index: ALL if continues(r.codec) else most_tokens for r in readers}
    limits = {r.slot.index: r.slot.budget.most or wants[r.slot.index] for r in readers}
    room = reader.target_room(reader.wordings[0])
    if room is None:
        return limits
    soft = [r.slot.index for r in readers if r.cuttable and r.trie < 0 and not r.slot.given]
    tries = {r.slot.index: reader.tries[r.trie].depth for r in readers if r.trie >= 0}
    given = {r.slot.index: 0 for r in readers if r.slot.given and r.slot.budget.most is None}
    steps = list(repeated(first_branches(wording.target)))
    times = {step.slot: often for step, often in steps if isinstance(step, Use)}
    fixed = sum((limits | tries | given)[i] * times[i] for i in limits if i not in soft)
    fixed += sum(reader.prompt_rows(step.text) * often for step, often in steps if isinstance(step, Prompt))
    fixed += 1 + sum((max(step.least, 1) + 1) * often for step, often in steps if isinstance(step, Repeat))
    wanted = [i for i in soft for _ in range(times[i])]
    shares = rows_within([limits[i] for i in wanted], room - fixed)
    if fixed > room or min(shares, default=1) < 1:
        raise ConfigError(
            f"the target needs at least {fixed + len(wanted):,} tokens ({fixed:,} of them cannot be cut), but the "
            f"context of `{backbone}` leaves {room:,}"
        )
    least = {i: min(share for one, share in zip(wanted, shares, strict=True) if one == i) for i in soft}
    return limits | least


def repeated(steps: tuple[Step, ...], often: int = 1) -> Iterator[tuple[Step, int]]:
    """All steps, each with how often it is at least found: in a group as often as that must repeat, at least once.

    >>> [often for _, often in repeated((Use(0), Repeat((Use(1), Repeat((Use(2),), 2, 3)), 3, None)))]
    [1, 1, 3, 3, 6]
    """
    for step in steps:
        yield step, often
        if isinstance(step, Repeat):
            yield from repeated(step.steps, often * max(step.least, 1))


def first_branches(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps that are predicted: of a ranking the preferred branch."""
    return tuple(s for step in steps for s in (step.branches[0] if isinstance(step, Branch) else (step,)))
