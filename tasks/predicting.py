"""Predicting: rows in, source sides read once in batches, target sides found slot by slot, raw values out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..core.batch import Batch
from ..core.codec import Mode
from ..core.conversing import continues
from ..core.encoding import SlotReader
from ..core.errors import ConfigError, DataError
from ..core.example import Example, RowId
from ..core.generation import Answer, Answers, Watch, generate
from ..core.generation_program import Decode, Forced, Given, Program, make_program
from ..core.leading import leaders_of
from ..core.model import pool
from ..core.networks import Cache
from ..core.outputs import Output
from ..core.packing import pack
from ..core.plan import Repeat, SlotPlan, uses, walk
from ..core.port import Port
from ..core.prefixes import KEPT, prefill, sized
from ..core.reader import Reader
from ..core.rows import is_absent, read_path
from .binding import note_place
from .comparing import truth_of
from .constraining import inventory_for
from .following import drawers_of, leads_of
from .forcing import (
    answer_room,
    continued,
    continued_step,
    forced,
    forced_step,
    opened,
    opening,
    rows_of,
)
from .guiding import Negative, is_guided, known_values, negative_of, read_tokens, shadow_examples
from .ledger import Failure
from .limits import first_branches, limits_of
from .nested import both, each, first
from .searching import make_searches
from .writing import writers_of

if TYPE_CHECKING:
    from .model import Model

OPEN_LENGTH = 256
"""Most tokens of an open-ended value when neither `max_length` nor `most_tokens` says."""
WINDOW = 16
"""Batches whose rows are read at a time, to be sorted by length."""


class Predictor:
    """Answers rows of one plan with one model.

    Args:
        model: the model.
        reader: a reader of the plan.
        decoder: a decoder's name for all target slots, instead of those of the plan.
        seed: of sampling; a row's draws depend on the seed and its place alone.
        most_tokens: most tokens of an open-ended value.
        batch_tokens: most tokens of a batch that are read: of sources, and of what is given on target sides.
        batch_rows: most rows of a batch.
        mode: "valid" corrupts sources as validation does (`mask_ratio`), by row.
        on_error: "skip" answers None for a row that cannot be read and lists it in `failures`.
        place: what errors call a row, by its number.
        negative: what guidance leads away from: a text for the first TEXT slot of the source, or columns' values; by
            default no source at all.
        prefix_cache: megabytes of prompts, as they were read, that the model keeps for prompts that begin alike; with 0
            all is read anew.
        settings: of the decoders.
    """

    def __init__(
        self,
        model: Model,
        reader: Reader,
        *,
        decoder: str | None = None,
        seed: int = 0,
        most_tokens: int = OPEN_LENGTH,
        batch_tokens: int = 8192,
        batch_rows: int = 64,
        mode: Mode = "predict",
        on_error: str = "raise",
        place: Callable[[int], str] = "row {}".format,
        negative: Negative = None,
        prefix_cache: float = KEPT,
        **settings: Any,
    ) -> None:
        self.model = model
        self.reader = reader
        self.seed = seed
        self.most_tokens = most_tokens
        self.batch_tokens, self.batch_rows = batch_tokens, batch_rows
        self.decoder, self.settings = decoder, settings
        self.mode, self.on_error, self.place = mode, on_error, place
        self.negative = negative
        self.prefixes = sized(model.prefixes, prefix_cache)
        self.failures: list[Failure] = []
        self.wording = reader.plan.alternatives[0]
        self.slots = reader.wordings[0].slots
        self.rooms: dict[int, int] = {}
        self.given: dict[int, dict[int, Given]] = {}
        self.watch: Watch | None = None
        self.framing = reader.framing(0)
        self.lead: tuple[Forced, ...] = ()
        if self.wording.arrow == "->":
            self.program = self._program()
        if self.wording.arrow == "->" and self.framing is not None:
            self.program, self.lead = self.program.going_on(reader.prompts.kind)

    def answers(self, rows: Sequence[Mapping[str, Any]], watch: Watch | None = None) -> list[Output | None]:
        """One output per row, in order; None for a row that was skipped. `watch` hears the tokens of a single row.

        Raises:
            DataError: a row cannot be read, and rows are not skipped.
        """
        self.watch = watch
        out: list[Output | None] = [None] * len(rows)
        for examples in self._windows(rows):
            with torch.inference_mode():
                for numbers in self._batches(examples):
                    chosen = [examples[n] for n in numbers]
                    made = self._match(chosen) if self.wording.arrow == "<->" else self._generate(chosen, rows, numbers)
                    for number, output in zip(numbers, made, strict=True):
                        out[number] = output
        return out

    def _windows(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[int, Example]]:
        """The rows as examples, as many at a time as fill `WINDOW` batches, so that memory does not grow with rows."""
        examples: dict[int, Example] = {}
        self.given = {}
        tokens = 0
        for number, row in enumerate(rows):
            try:
                given = {} if self.wording.arrow == "<->" else self._given(row)
                example = self._example(row, number)
                if self.framing is not None and self.wording.arrow == "->":
                    example = opened(example, self.lead, given, key=self.program.first, reader=self.reader)
            except DataError as cause:
                if self.on_error != "skip":
                    raise note_place(DataError(f"{self.place(number)}: {cause}"), self.reader.plan) from cause
                self.failures.append(Failure.of(RowId(self.reader.task, number), self.place(number), cause, "predict"))
                continue
            examples[number], self.given[number] = example, given
            tokens += example.rows()
            if tokens >= WINDOW * self.batch_tokens or len(examples) >= WINDOW * self.batch_rows:
                yield examples
                examples, self.given, tokens = {}, {}, 0
        if examples:
            yield examples

    def _example(self, row: Mapping[str, Any], number: int) -> Example:
        id = RowId(self.reader.task, number)
        if self.wording.arrow == "<->":
            return self.reader.example(row, id, seed=self.seed, mode=self.mode)
        sketch, _ = self.reader.sketch(row, 0, mode=self.mode, targets=False)
        return self.reader.encode(sketch, id, wording=0, seed=self.seed, mode=self.mode)

    def _batches(self, examples: Mapping[int, Example]) -> Iterator[list[int]]:
        """Rows of like size together, longest first."""
        sizes = {n: examples[n].rows() + rows_of(self.given[n].values()) for n in examples}
        order = sorted(examples, key=lambda n: -sizes[n])
        held: list[int] = []
        tokens = 0
        for number in order:
            size = sizes[number]
            if held and (tokens + size > self.batch_tokens or len(held) >= self.batch_rows):
                yield held
                held, tokens = [], 0
            held.append(number)
            tokens += size
        if held:
            yield held

    def _match(self, examples: Sequence[Example]) -> list[Output]:
        batch = pack(examples, {self.reader.task: self.reader}).to(self.model.device)
        network = self.model.network
        pooled = pool(network(batch), batch.layout)
        loss = network.loss_parts[self.wording.objectives[0].loss]
        left, right = loss.embedding(pooled[0::2]), loss.embedding(pooled[1::2])
        scores = torch.nn.functional.cosine_similarity(left, right).clamp(0, 1)
        return [
            Output({}, {"match": float(s)}, {"source": a.cpu(), "target": b.cpu()})
            for s, a, b in zip(scores, left, right, strict=True)
        ]

    def _generate(
        self, examples: Sequence[Example], rows: Sequence[Mapping[str, Any]], numbers: Sequence[int]
    ) -> list[Output]:
        network = self.model.network
        batch, cache = self._read(examples)
        context = self.reader.context
        room = None
        if context is not None:
            lengths = batch.layout.source.lengths
            room = [context[1] if isinstance(context, tuple) else context - length for length in lengths]
        found = generate(
            network.network,
            cache,
            self.program,
            ports=[network.port(kind) for kind in range(len(network.table))],
            streams=len(examples),
            given={key: [self.given[n][key] for n in numbers] for key in self.given[numbers[0]]},
            keys=[self.seed * 1_000_003 + n for n in numbers],
            room=room if room is not None else [1 << 20] * len(examples),
            shadow=self._shadow(examples, [rows[n] for n in numbers]),
            levels=network.levels,
            known=known_values(examples, self.wording),
            watch=self.watch,
            read=read_tokens(examples, [self.given[n] for n in numbers], self.program, self.searches.values()),
        )
        return [self._output(answers, rows[n]) for answers, n in zip(found, numbers, strict=True)]

    def _read(self, examples: Sequence[Example]) -> tuple[Batch, Cache]:
        """The examples' source sides as a batch, and what the backbone remembers of them."""
        network = self.model.network
        batch = pack(examples, {self.reader.task: self.reader}).to(self.model.device)
        x = network.embed(batch.inputs, batch.order)
        return batch, prefill(network.network, x, batch.layout, self.prefixes)

    def _shadow(self, examples: Sequence[Example], rows: Sequence[Mapping[str, Any]]) -> Cache | None:
        """The same streams with another source or none, when a decoder has `guidance`."""
        searches = self.searches.values()
        if not is_guided(searches):
            return None
        negative = negative_of(searches, self.negative)
        others = shadow_examples(
            examples, rows, self.wording, negative=negative, encode=lambda row, e: self._example(row, e.id.row)
        )
        return self._read(others)[1]

    def _output(self, answers: Answers, row: Mapping[str, Any]) -> Output:
        values: dict[str, Any] = {}
        scores: dict[str, Any] = {}
        for index, answer in answers.items():
            slot = self.slots[index].slot
            values[slot.name] = self._decoded(answer, self.slots[index], row, answers)
            scores[slot.name] = each(answer, lambda a: a.confidence)
            if slot.depth and self._bare(slot):
                values[slot.name], scores[slot.name] = first(values[slot.name]), first(scores[slot.name])
        for slot in self.wording.slots:
            if slot.given:
                values.setdefault(slot.name, truth_of(row, slot))
        found = {n: v for n, v in values.items() if not is_absent(v) or n in scores}
        drawers = drawers_of(answers, row, self.reader, values)
        return Output(found, scores, writers=writers_of(self.slots, self._depth), drawers=drawers)

    def _decoded(self, answer: Any, reader: SlotReader, row: Mapping[str, Any], answers: Answers) -> Any:
        """The raw values of an answer, nested as it is; `answers` are those of all slots.

        Raises:
            DataError: a prediction cannot be decoded.
        """
        port = self.model.network.port(reader.kind)

        def raw(one: Answer, **more: Any) -> Any:
            try:
                return reader.codec.decode(port.render(one.predicted), **more)
            except (TypeError, ValueError) as cause:
                raise DataError(f"slot `{reader.slot.name}`: the prediction cannot be decoded: {cause}") from cause

        if continues(reader.codec):
            return continued(answer, read_path(row, reader.slot.path), reader, self._depth(reader), raw)
        if not getattr(reader.codec, "follows", False):
            return each(answer, raw)

        def made(index: int) -> Any:
            return self._decoded(answers[index], self.slots[index], row, answers) if index in answers else None

        leads = leaders_of(answer, leads_of(reader, row, self.reader, made=made))
        return both(answer, leads, lambda one, lead: raw(one, leader=lead))

    def _bare(self, slot: SlotPlan) -> bool:
        groups = [s for s in walk(self.wording.target) if isinstance(s, Repeat) and slot.index in uses(s.steps)]
        return bool(groups) and (groups[-1].least, groups[-1].most) == (0, 1)

    def _depth(self, reader: SlotReader) -> int:
        """How many lists wrap the slot's values in a row."""
        return reader.slot.depth - self._bare(reader.slot)

    def _program(self) -> Program:
        steps: dict[int, Forced | Decode | tuple[Forced, Decode]] = {}
        needed = [self.slots[index] for index in uses(first_branches(self.wording.target))]
        found = [reader.slot for reader in needed if not reader.slot.given]
        self.searches = make_searches(
            self.wording,
            found,
            self.model.catalog,
            decoder=self.decoder,
            settings=self.settings,
            sampling=self.model.sampling,
            text=self.reader.plan.text,
        )
        limits = limits_of(
            self.reader, needed, self.wording, most_tokens=self.most_tokens, backbone=self.model.backbone_name
        )
        for reader in needed:
            slot = reader.slot
            if slot.given:
                steps[slot.index] = forced_step(reader)
                continue
            self.rooms[slot.index] = limits[slot.index]
            if continues(reader.codec):
                limits[slot.index] = answer_room(limits[slot.index], self.most_tokens)
            steps[slot.index] = continued_step(self._decode(slot, reader, limits[slot.index]), reader)
        return make_program(self.wording.target, steps, prompt_kind=self.reader.prompts.kind)

    def _decode(self, slot: SlotPlan, reader: SlotReader, limit: int) -> Decode:
        if slot.closed_set == ():
            raise ConfigError(
                f"the closed set of `{slot.name}` has no members here: write them, `closed_set=yes|no`, or predict "
                "with the instruction of a task that the model was trained on"
            )
        open_length = slot.predicts == "values" and slot.budget.most is None
        if open_length and type(self.model.network.port(reader.kind)).stop is Port.stop:
            raise ConfigError(f"slot `{slot.name}`: values of any length need `max_length` to be predicted")
        pattern = getattr(reader.codec, "pattern", None)
        return Decode(
            slot=slot.index,
            name=slot.name,
            kind=reader.kind,
            predicts=slot.predicts or "tokens",
            limit=limit,
            decoder=self.searches[slot.index],
            trie=self.reader.tries[reader.trie] if reader.trie >= 0 else None,
            stops=tuple(getattr(reader.codec, "stops", ())),
            inventory=inventory_for(slot, self.searches[slot.index], self.model, patterned=pattern is not None),
            pattern=pattern,
        )

    def _given(self, row: Mapping[str, Any]) -> dict[int, Given]:
        """A row's value for every forced step: prompts under -1, -2, ..., slots under their index."""
        given: dict[int, Given] = {-1 - n: self.reader.prompts[text] for n, text in enumerate(self.program.prompts)}
        for reader in self.slots:
            if reader.slot.side == "target" and reader.slot.given:
                given[reader.slot.index] = forced(row, reader, depth=self._depth(reader), whole=self.reader)
            elif reader.slot.index in self.rooms and continues(reader.codec):
                total = self.rooms[reader.slot.index]
                limit = total - answer_room(total, self.most_tokens)
                given[reader.slot.index] = opening(row, reader, depth=self._depth(reader), limit=limit)
        return given
