"""Generation: a program of forced and decoded steps, run over all streams of a batch in lock-step.

The rows are laid out as in training: a START mark; then prompts, given values and decoded values in order; before each
repetition of a group CONTINUE, after its last STOP. Each row is predicted from the hidden state of the row before it.
Streams that have left a group wait until the others have. One step feeds each row once, whatever came before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .codec import PREDICTED_NAME, Encoded
from .few_rows import often
from .generation_frontier import Frontier, Tape
from .generation_given import GivenValues
from .generation_program import Decode, Forced, Given, Loop, Program, Step, walk_steps
from .known import known_rows
from .levels import Levels
from .networks import BackboneNetwork, Cache, Found
from .port import Port
from .seeding import mix
from .sketch import CONTINUE, START, STOP
from .trie import Trie

MARKS_KIND = 0
"""The port of the marks is the first of a model's ports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One value that was found.

    Attributes:
        predicted: what the codec decodes: "tokens" [n] without the end mark, "values" [n, ...] or "label" [1].
        log_probability: of the whole value under the model, end mark included; None when there is none.
        predictions: how many predictions it sums over; 1 for a member of a closed set, scored as a whole.
    """

    predicted: Mapping[str, Tensor]
    log_probability: float | None
    predictions: int

    @property
    def confidence(self) -> float | None:
        """The geometric mean of the probabilities, in 0..1."""
        if self.log_probability is None:
            return None
        return math.exp(min(self.log_probability, 0.0) / max(self.predictions, 1))


Watch = Callable[[int, tuple[int, ...], Sequence[int]], None]
"""Hears a slot's index, the repetitions of its groups, and the tokens that were found for a single stream."""

Answers = dict[int, Any]
"""A stream's answers by slot index: an `Answer`, or in groups a list with one entry per repetition."""


@torch.no_grad()
def generate(
    network: BackboneNetwork,
    cache: Cache,
    program: Program,
    *,
    ports: Sequence[Port],
    streams: int,
    given: Mapping[int, Sequence[Given]] | None = None,
    keys: Sequence[int] | None = None,
    room: Sequence[int] | None = None,
    shadow: Cache | None = None,
    levels: Levels | None = None,
    known: Mapping[int, Sequence[Encoded | None]] | None = None,
    read: Mapping[int, Sequence[Tensor]] | None = None,
    watch: Watch | None = None,
) -> list[Answers]:
    """Find the values of a target side for n streams.

    Args:
        network: the backbone, in eval mode.
        cache: what `network.prefill` made of the source sides; it is used up.
        program: the target side.
        ports: by kind, the marks first.
        streams: n.
        given: for each `Forced` step's key one value per stream.
        keys: one number a stream, the seed of its draws; its place by default.
        room: most target rows of each stream; a group that cannot surely repeat within it stops.
        shadow: what `prefill` made of the same streams without their source, for decoders with guidance; used up too.
        levels: the network's embeddings of noise levels.
        known: by slot, the source value of each stream of which rows are kept, see `core/known.py`.
        read: by port, the tokens of each stream's source [n], for decoders that penalise what was read.
        watch: told of each token of a single stream as it is found, the end marks left out.

    Returns:
        One mapping from slot index to answer per stream.

    Raises:
        ValueError: a group without a most and without `room`, or given values that do not fit their groups.
    """
    machine = Machine(
        tape=Tape(network, cache, streams=streams, device=next(ports[MARKS_KIND].parameters()).device, shadow=shadow),
        ports=ports,
        given=given or {},
        keys=range(streams) if keys is None else keys,
        room=room,
        levels=levels,
        known=known or {},
        read=read or {},
        watch=watch if streams == 1 else None,
    )
    machine.check(program)
    with often():
        return machine.run(program) if streams else []


class Machine:
    """Runs a program once: holds the tape and the answers so far."""

    def __init__(
        self,
        *,
        tape: Tape,
        ports: Sequence[Port],
        given: Mapping[int, Sequence[Given]],
        keys: Sequence[int],
        room: Sequence[int] | None,
        levels: Levels | None = None,
        known: Mapping[int, Sequence[Encoded | None]] | None = None,
        read: Mapping[int, Sequence[Tensor]] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.tape = tape
        self.ports = ports
        self.given = GivenValues(given, tape.used.device)
        self.keys = keys
        self.levels = levels
        self.known = {slot: known_rows(values, tape.used.device) for slot, values in (known or {}).items()}
        self.watch = watch
        self.told = 0
        self.read = {kind: list(tokens) for kind, tokens in (read or {}).items()}
        self.room = None if room is None else torch.as_tensor(room, device=tape.used.device)
        self.answers: list[Answers] = [{} for _ in keys]
        self.marks = Trie([[CONTINUE], [STOP]])

    def check(self, program: Program) -> None:
        """Whether what the caller gave serves the program."""
        for step in walk_steps(program.steps):
            if isinstance(step, Forced):
                have = len(self.given.values.get(step.key, ()))
                if have != len(self.keys):
                    raise ValueError(
                        f"the forced values under {step.key} must be {len(self.keys)}, one per stream, but are {have}"
                    )
            elif isinstance(step, Loop) and step.most is None and self.room is None:
                raise ValueError("a group without a most must have `room` to end in, but has none")

    def run(self, program: Program) -> list[Answers]:
        """The answers of all streams."""
        active = torch.ones(len(self.keys), dtype=torch.bool, device=self.tape.used.device)
        if program.opens:
            self._push_marks(torch.full_like(active, START, dtype=torch.long), active)
        self._steps(program.steps, active, (), last=True, after=0)
        return self.answers

    def _steps(self, steps: Sequence[Step], active: Tensor, path: tuple[int, ...], *, last: bool, after: int) -> None:
        for number, step in enumerate(steps):
            rest = steps[number + 1 :]
            if isinstance(step, Loop):
                self._loop(step, active, path, after=after + self.given.most(rest))
            elif isinstance(step, Decode):
                self._decode(step, active, path, last=last and not rest)
            else:
                self._force(step, active, path)

    def _force(self, step: Forced, active: Tensor, path: tuple[int, ...]) -> None:
        for kind, rows in self.given.runs(step, self.ports, path=path, active=active.tolist()):
            self.tape.push(rows.x, kind, rows.counts)

    def _decode(self, step: Decode, active: Tensor, path: tuple[int, ...], *, last: bool) -> None:
        found = self._find(step, active, path, last=last)
        counts, predictions = found.counts.tolist(), found.predictions.tolist()
        scores = [None] * len(counts) if found.log_probability is None else found.log_probability.tolist()
        predicted = found.predicted.cpu()
        if self.watch is not None and step.predicts == "tokens" and bool(active[0]):
            self._tell(step, path, predicted[0, self.told : counts[0]].tolist())
        for stream in active.nonzero()[:, 0].tolist():
            if step.kind in self.read and step.slot >= 0:
                self.read[step.kind][stream] = torch.cat(
                    [self.read[step.kind][stream], predicted[stream, : counts[stream]]]
                )
            answer = Answer(
                predicted={PREDICTED_NAME[step.predicts]: predicted[stream, : counts[stream]]},
                log_probability=scores[stream],
                predictions=predictions[stream],
            )
            if path:
                self._list(stream, step.slot, path[:-1]).append(answer)
            else:
                self.answers[stream][step.slot] = answer

    def _find(self, step: Decode, active: Tensor, path: tuple[int, ...], *, last: bool) -> Found:
        frontier = Frontier(
            self.tape,
            self.ports[step.kind],
            step,
            active=active,
            keys=[mix(key, step.slot, *path) for key in self.keys],
            last=last,
            levels=self.levels,
            known=self.known.get(step.slot),
            read=self.read.get(step.kind, ()),
            watch=None if self.watch is None or step.slot < 0 else partial(self._tell, step, path),
        )
        self.told = 0
        found = step.decoder(frontier)
        if not last and self.tape.streams != len(self.keys):
            raise ValueError(
                f"slot `{step.name}`: its decoder must leave {len(self.keys)} streams, but left {self.tape.streams}"
            )
        return found

    def _tell(self, step: Decode, path: tuple[int, ...], tokens: Sequence[int]) -> None:
        if tokens and self.watch is not None:
            self.told += len(tokens)
            self.watch(step.slot, path, tokens)

    def _list(self, stream: int, slot: int, path: tuple[int, ...]) -> list[Any]:
        """The list that collects a slot's values at this place."""
        values: list[Any] = self.answers[stream].setdefault(slot, [])
        for place in path:
            while len(values) <= place:
                values.append([])
            values = values[place]
        return values

    def _loop(self, step: Loop, active: Tensor, path: tuple[int, ...], *, after: int) -> None:
        for stream in active.nonzero()[:, 0].tolist():
            for inner in walk_steps(step.steps):
                if isinstance(inner, Decode):
                    self._list(stream, inner.slot, path)
        told = torch.tensor(
            [self.given.repetitions(step.steps, path, s) for s in range(len(self.keys))], device=active.device
        )
        need = self.given.most(step.steps) + 2 + after
        alive, count = active, 0
        while bool(alive.any()):
            alive = alive & self._goes_on(step, alive, (*path, count), told=told, need=need)
            if bool(alive.any()):
                self._steps(step.steps, alive, (*path, count), last=False, after=after + 1)
            count += 1

    def _goes_on(self, step: Loop, alive: Tensor, path: tuple[int, ...], *, told: Tensor, need: int) -> Tensor:
        """Whether each stream repeats once more; feeds the marks that say so."""
        count = path[-1]
        go = (told > count) | (told < 0)
        open_ = alive & (told < 0)
        if count < step.least:
            open_ = torch.zeros_like(open_)
        elif step.most is not None and count >= step.most:
            go, open_ = torch.zeros_like(go), torch.zeros_like(open_)
        elif self.room is not None:
            fits = self.tape.used + need <= self.room
            go, open_ = go & (fits | (told >= 0)), open_ & fits
        if bool(open_.any()):
            go = torch.where(open_, self._choose(step, open_, path), go)
        decided = alive & ~open_
        if bool(decided.any()):
            self._push_marks(torch.where(go, CONTINUE, STOP), decided)
        return go

    def _choose(self, step: Loop, active: Tensor, path: tuple[int, ...]) -> Tensor:
        if step.decoder is None:
            logits = self.ports[MARKS_KIND].project(self.tape.hidden())
            go = logits[:, CONTINUE] >= logits[:, STOP]
            self._push_marks(torch.where(go, CONTINUE, STOP), active)
            return go
        marks = Decode(
            slot=-1,
            name="marks",
            kind=MARKS_KIND,
            predicts="tokens",
            limit=1,
            decoder=step.decoder,
            trie=self.marks,
        )
        return self._find(marks, active, path, last=False).predicted[:, 0] == CONTINUE

    def _push_marks(self, marks: Tensor, active: Tensor) -> None:
        x = self.ports[MARKS_KIND].embed(tokens=marks)
        self.tape.push(x[:, None], MARKS_KIND, active.long())
