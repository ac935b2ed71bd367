"""The target side of a wording as a program for generation: what is forced, what is decoded, what repeats.

A program belongs to a wording and knows no values; the values that a call gives are passed beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .codec import Encoded
from .conversing import Thoughts
from .inventory import Inventory
from .networks import DecoderSearch
from .pattern import Pattern
from .plan import Branch, Prompt, Repeat, Use
from .plan import Step as PlanStep
from .trie import Trie

Given = Encoded | None | Sequence["Given"]
"""A stream's value for a `Forced` step: one value, or inside groups a list with one entry per repetition (nested as
the groups are), which then says how often the group repeats; None where an optional value is absent. One value stands
for all repetitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forced:
    """Rows that the caller gives: a prompt or the value of a slot with `no_loss`.

    Attributes:
        key: under which the values are passed; a slot's index, or -1, -2, ... for prompts in reading order.
        kind: the port that embeds them, as in `Layout.kinds`.
        held: the ports of what the values hold (`Encoded.parts`), by modality.
    """

    key: int
    kind: int
    held: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decode:
    """A slot whose value is to be found.

    Attributes:
        slot: the slot's index; answers come under it.
        name: the slot's name, for errors.
        kind: its port, as in `Layout.kinds`.
        predicts: "tokens", "values" or "class".
        limit: most rows, end mark included; for values without an end, exactly so many.
        decoder: how the value is found.
        trie: the closed set over the port's tokens, end mark included; it then rules the length, not `limit`.
        end: the token that ends the value where it is not the port's own.
        stops: other tokens that end it; they are no part of it either.
        thoughts: the tokens around a thought that may open it.
        inventory: what its tokens write, for a decoder that rules what may be written.
        pattern: what every text of it is, where its codec says so; a grammar of the decoder's overrules it.
    """

    slot: int
    name: str
    kind: int
    predicts: str
    limit: int
    decoder: DecoderSearch
    trie: Trie | None = None
    end: int | None = None
    stops: tuple[int, ...] = ()
    thoughts: Thoughts | None = None
    inventory: Inventory | None = None
    pattern: Pattern | None = None

    @property
    def most(self) -> int:
        """The most rows that it takes."""
        return 1 if self.predicts == "class" else self.trie.depth if self.trie else self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A group: a CONTINUE mark before each repetition, a STOP mark after the last.

    `decoder` chooses between the two; None takes the likelier one.
    """

    steps: tuple[Step, ...]
    least: int
    most: int | None
    decoder: DecoderSearch | None = None


Step = Forced | Decode | Loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The steps after the START mark, and the texts of its prompts: `prompts[i]` is the value of the key `-1 - i`.

    Within a frame no mark opens it (`opens` is False): the first step then feeds what it goes on from.
    """

    steps: tuple[Step, ...]
    prompts: tuple[str, ...] = ()
    opens: bool = True

    @property
    def first(self) -> int:
        """The key of what a program without a mark goes on from."""
        return -1 - len(self.prompts)

    def going_on(self, kind: int) -> tuple[Program, tuple[Forced, ...]]:
        """The program that goes on from one token of the port `kind`, and the steps that are fed before that token."""
        count = next((i for i, step in enumerate(self.steps) if not isinstance(step, Forced)), len(self.steps))
        steps = (Forced(key=self.first, kind=kind), *self.steps[count:])
        return replace(self, steps=steps, opens=False), tuple(s for s in self.steps[:count] if isinstance(s, Forced))


def walk_steps(steps: Sequence[Step]) -> Iterator[Step]:
    """All steps, groups before what they hold."""
    for step in steps:
        yield step
        if isinstance(step, Loop):
            yield from walk_steps(step.steps)


def make_program(steps: Sequence[PlanStep], slots: Mapping[int, Step | Sequence[Step]], *, prompt_kind: int) -> Program:
    """The program of a wording's target side.

    Args:
        steps: `Alternative.target`; of a ranking the first branch is taken.
        slots: what becomes of each target slot, one step or several.
        prompt_kind: the port of prompts.

    >>> make_program((Prompt("a"), Use(1)), {1: Forced(key=1, kind=2)}, prompt_kind=0).prompts
    ('a',)
    """
    prompts: list[str] = []

    def flatten(parts: Sequence[PlanStep]) -> Iterator[Step]:
        for part in parts:
            if isinstance(part, Prompt):
                prompts.append(part.text)
                yield Forced(key=-len(prompts), kind=prompt_kind)
            elif isinstance(part, Use):
                found = slots[part.slot]
                yield from (found if isinstance(found, Sequence) else (found,))
            elif isinstance(part, Branch):
                yield from flatten(part.branches[0])
            else:
                yield make_loop(part, flatten)

    return Program(steps=tuple(flatten(steps)), prompts=tuple(prompts))


def make_loop(group: Repeat, flatten: Callable[[Sequence[PlanStep]], Iterator[Step]]) -> Loop:
    """A group's loop: its first token slot's decoder also chooses the marks, as a closed set of two."""
    steps = tuple(flatten(group.steps))
    decoders = (s.decoder for s in walk_steps(steps) if isinstance(s, Decode) and s.predicts == "tokens")
    return Loop(steps=steps, least=group.least, most=group.most, decoder=next(decoders, None))
