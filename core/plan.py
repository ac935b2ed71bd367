"""The plan: an instruction with every name resolved, as plain frozen values.

Made by `omniline.instructions.compiler`, read by everything downstream; nothing in it needs torch, and loading one
imports nothing that it names. Equal and hashable by content.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from .errors import Span
from .loss import ObjectiveKind
from .modality import TensorSpec, Tokens
from .settings import Value

FORMAT = 1
Side = Literal["source", "target"]
Arrow = Literal["->", "<->"]


@dataclass(frozen=True, slots=True)
class Part:
    """A named part with its settings (all of them, defaults filled in) and the package that brings it."""

    kind: str
    name: str
    settings: tuple[tuple[str, Value], ...] = ()
    package: str = ""
    version: str = ""

    def options(self) -> dict[str, Value]:
        """The settings as keywords."""
        return dict(self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPlan:
    """One slot, resolved.

    Attributes:
        index: its number in reading order over both sides; `Use(index)` stands for it.
        name: what outputs and errors call it.
        path: the column it reads; dots lead into mappings and map over lists.
        depth: how many groups enclose it, hence how many lists wrap its values.
        given: a target slot with `no_loss`: required as given at predicting, forced, never supervised.
        budget: tokens one value takes, `max_length` already applied.
        limit: the written `max_length`, None when none is.
        closed_set: the members, () when they come from the task or the data and are not bound yet, None when open.
        holds: for CHAT, the modalities that may stand in turns.
        decoder: how its value is found; None on the source side and for given slots.
    """

    index: int
    name: str
    path: str
    modality: str
    side: Side
    adapter: Part
    predicts: str | None = None
    tensors: tuple[TensorSpec, ...] = ()
    budget: Tokens = Tokens(1, None)
    limit: int | None = None
    depth: int = 0
    given: bool = False
    closed_set: tuple[str, ...] | None = None
    optional: bool = False
    sync: int | None = None
    holds: tuple[str, ...] = ()
    decoder: Part | None = None
    span: Span = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text of the instruction itself; on the target side it is forced."""

    text: str


@dataclass(frozen=True, slots=True)
class Use:
    """The value of slot number `slot`."""

    slot: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """A group: `steps` between `least` and `most` times (None: no most)."""

    steps: tuple[Step, ...]
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Branch:
    """A ranking: each branch ends the target in its own stream, the preferred first."""

    branches: tuple[tuple[Step, ...], ...]


Step = Prompt | Use | Repeat | Branch


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is optimised.

    Attributes:
        kind: predict, match, rank, rollout or align.
        loss: the loss with its settings.
        weight: its factor in the sum.
        slots: the slots it supervises (`rank`: preferred first; `match`: empty, both sides count whole).
        against: for `align`, the slot whose tokens are aligned to.
        reward: for `rollout`, the reward's part.
        samples: for `rollout`, the answers drawn for each example.
    """

    kind: ObjectiveKind
    loss: Part
    weight: float = 1.0
    slots: tuple[int, ...] = ()
    against: int | None = None
    reward: Part | None = None
    samples: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One wording of the instruction; all alternatives have the same target slots and objectives."""

    arrow: Arrow
    source: tuple[Step, ...]
    target: tuple[Step, ...]
    slots: tuple[SlotPlan, ...]
    objectives: tuple[Objective, ...]

    def slot(self, name: str) -> SlotPlan:
        """The first slot of that name, the target side first."""
        ordered = sorted(self.slots, key=lambda s: s.side == "source")
        for slot in ordered:
            if slot.name == name:
                return slot
        raise KeyError(name)

    def steps(self, side: Side) -> tuple[Step, ...]:
        """The steps of one side."""
        return self.source if side == "source" else self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An instruction, compiled.

    Attributes:
        format: the version of this layout, for JSON.
        text: the instruction in canonical spelling.
        alternatives: its wordings, one or more.
        parts: every distinct part that it names, in order of first use.
        prompt: the adapter that reads prompts.
    """

    text: str
    alternatives: tuple[Alternative, ...]
    parts: tuple[Part, ...]
    prompt: Part
    format: int = FORMAT

    @property
    def slots(self) -> tuple[SlotPlan, ...]:
        """The slots of the first alternative."""
        return self.alternatives[0].slots

    @property
    def targets(self) -> tuple[SlotPlan, ...]:
        """The target slots of the first alternative."""
        return tuple(slot for slot in self.slots if slot.side == "target")

    def explain(self) -> str:
        """A tree of sides, slots, tensors, budgets, losses, decoders and objectives, for a terminal."""
        from .explain import tree

        return tree(self)

    def to_mermaid(self) -> str:
        """The plan as a Mermaid flowchart."""
        from .explain import mermaid

        return mermaid(self)

    def to_json(self) -> str:
        """The plan as JSON text; `Plan.from_json` reads it back equal."""
        from .plan_json import dump

        return dump(self)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote; imports nothing that the plan names.

        Raises:
            PlanError: another format, or not a plan.
        """
        from .plan_json import load

        return load(text)


def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    """All steps, groups and branches before what they hold."""
    for step in steps:
        yield step
        if isinstance(step, Repeat):
            yield from walk(step.steps)
        elif isinstance(step, Branch):
            for branch in step.branches:
                yield from walk(branch)


def uses(steps: tuple[Step, ...]) -> tuple[int, ...]:
    """Indexes of the slots used by these steps, in order."""
    return tuple(step.slot for step in walk(steps) if isinstance(step, Use))


Json = Any
