"""How many tokens each target slot may take at predicting, so that all of them fit the context."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.conversing import continues
from ..core.encoding import SlotReader
from ..core.errors import ConfigError
from ..core.example import rows_within
from ..core.plan import Alternative, Branch, Prompt, Repeat, Step, walk
from ..core.reader import Reader
from .forcing import ALL


def limits_of(
    reader: Reader, readers: Sequence[SlotReader], wording: Alternative, *, most_tokens: int, backbone: str
) -> dict[int, int]:
    """The most tokens of each slot that is found, so that all of them, groups once, fit the context.

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
    fixed = sum((limits | tries | given)[i] for i in limits if i not in soft)
    steps = list(walk(first_branches(wording.target)))
    fixed += sum(reader.prompt_rows(step.text) for step in steps if isinstance(step, Prompt))
    fixed += 1 + 2 * sum(isinstance(step, Repeat) for step in steps)
    shares = rows_within([limits[i] for i in soft], room - fixed)
    if fixed > room or min(shares, default=1) < 1:
        raise ConfigError(
            f"the target needs at least {fixed + len(soft):,} tokens ({fixed:,} of them cannot be cut), but the "
            f"context of `{backbone}` leaves {room:,}"
        )
    return limits | dict(zip(soft, shares, strict=True))


def first_branches(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps that are predicted: of a ranking the preferred branch."""
    return tuple(s for step in steps for s in (step.branches[0] if isinstance(step, Branch) else (step,)))
