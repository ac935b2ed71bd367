"""The Reader: what a loader worker needs to turn rows of one task into examples. Picklable, without parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .catalog import Catalog
from .codec import FORCED, GIVEN, SUPERVISED, Codec, Encoded, Mode, Reading
from .errors import ConfigError, DataError
from .example import Example, Piece, RowId, Stream
from .near import nearest
from .parts import PortSpec, adapter_of, declared, kind_of, make_codec, port_of
from .plan import Alternative, Plan, Prompt, Side, SlotPlan, uses, walk
from .seeding import mix
from .sketch import START, Item, Sketch, Unroller, fit_context
from .trie import Trie

_MARKS = [Encoded(rows=1, tensors={"tokens": np.array([m])}, labels={"tokens": np.array([m])}) for m in range(3)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReader:
    """One slot's codec with what the layout must know of it."""

    slot: SlotPlan
    codec: Codec
    kind: int
    cuttable: bool
    trie: int = -1
    members: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class WordingReader:
    """One wording of the instruction with the readers of its slots."""

    wording: Alternative
    slots: tuple[SlotReader, ...]
    unroller: Unroller

    @property
    def cuttable(self) -> tuple[bool, ...]:
        return tuple(reader.cuttable for reader in self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Rows of one task in, examples out.

    Attributes:
        task: its name, for seeds and errors.
        plan: the plan, closed sets bound.
        wordings: a reader for each alternative.
        prompt: codec and port kind of prompts.
        context: the backbone's most tokens, None for no limit.
        tries: the closed sets of token slots, as tries over their tokens.
    """

    task: str
    plan: Plan
    wordings: tuple[WordingReader, ...]
    prompt: Codec | None
    prompt_kind: int
    context: int | tuple[int, int] | None
    tries: tuple[Trie, ...]
    prompts: dict[str, Encoded] = field(default_factory=dict)

    def draw(self, id: RowId, seed: int, mode: Mode) -> int:
        """The wording for a row: drawn by (seed, row, epoch) in training, else the first."""
        if mode != "train" or len(self.wordings) == 1:
            return 0
        return mix(seed, "wording", self.task, id.row, id.epoch) % len(self.wordings)

    def sketch(
        self, row: Mapping[str, Any], wording: int, *, mode: Mode = "train", targets: bool = True
    ) -> tuple[Sketch, bool]:
        """The row unrolled, measured and cut to the context, and whether anything was cut.

        Without `targets` the target sides stay empty, for predicting; `<->` has both sides always.

        Raises:
            DataError: a column is missing, lists do not fit, a value cannot be measured, or it cannot fit.
        """
        reader = self.wordings[wording]
        unroll = reader.unroller
        source = self._measured(unroll.side(reader.wording.source, row, target=False)[0], reader, "source", mode)
        if reader.wording.arrow == "<->":
            other = unroll.side(reader.wording.target, row, target=False)
            return self._fit_match(Sketch(source, [self._measured(other[0], reader, "target", mode)]), reader)
        if not targets:
            return fit_context(Sketch(source, [[]]), reader.cuttable, self._source_room(reader))
        sides = unroll.side(reader.wording.target, row, target=True)
        laid = [[Item(mark=START), *self._measured(side, reader, "target", mode)] for side in sides]
        return fit_context(Sketch(source, laid), reader.cuttable, self.context)

    def prompt_rows(self, text: str) -> int:
        """The tokens of a prompt."""
        return self._prompt(text).rows

    def _source_room(self, reader: WordingReader) -> int | tuple[int, int] | None:
        """What the source may take at predicting."""
        return self.context - self._kept(reader) if isinstance(self.context, int) else self.context

    def target_room(self, reader: WordingReader) -> int | None:
        """The rows that the target has at predicting, START included; None for no limit."""
        return self._kept(reader) if isinstance(self.context, int) else self.context and self.context[1]

    def _kept(self, reader: WordingReader) -> int:
        """What a joined context keeps for the target: its most, or half."""
        assert isinstance(self.context, int), "two sides with a context each keep nothing for each other"
        slots = [reader.slots[index].slot for index in uses(reader.wording.target)]
        most = [self.context if slot.depth else slot.budget.most or self.context for slot in slots]
        prompts = [self.prompt_rows(step.text) for step in walk(reader.wording.target) if isinstance(step, Prompt)]
        return min(1 + sum(most) + sum(prompts), self.context // 2)

    def _fit_match(self, sketch: Sketch, reader: WordingReader) -> tuple[Sketch, bool]:
        room = self.context if isinstance(self.context, int) else self.context and self.context[0]
        if room is None:
            return sketch, False
        left, a = fit_context(Sketch(sketch.source, [[]]), reader.cuttable, room)
        right, b = fit_context(Sketch(sketch.targets[0], [[]]), reader.cuttable, room)
        return Sketch(left.source, [right.source]), a or b

    def _measured(self, items: list[Item], reader: WordingReader, side: Side, mode: Mode) -> list[Item]:
        reading = Reading(side="source" if reader.wording.arrow == "<->" else side, mode=mode)
        out: list[Item] = []
        for item in items:
            if item.text is not None:
                out.append(item._replace(rows=self._prompt(item.text).rows))
            elif item.slot >= 0:
                slot = reader.slots[item.slot]
                raw = self._checked(item.raw, slot)
                try:
                    rows = slot.codec.measure(raw, reading)
                except (TypeError, ValueError, OSError) as cause:
                    raise self._blame(cause, slot.slot) from cause
                limit = slot.slot.limit
                if limit is not None and rows > limit:
                    rows = limit if slot.cuttable else rows
                out.append(item._replace(rows=rows, raw=raw))
            else:
                out.append(item)
        return out

    def _checked(self, raw: Any, reader: SlotReader) -> Any:
        if not reader.members:
            return raw
        if isinstance(raw, int | float | np.integer | np.floating) and not isinstance(raw, bool):
            raw = str(raw)
        if isinstance(raw, str) and raw not in reader.members:
            near = nearest(raw, reader.members)
            hint = f"; did you mean `{near}`?" if near else ""
            raise DataError(f"slot `{reader.slot.name}`: {raw!r} is not in the closed set{hint}")
        return raw

    def example(
        self, row: Mapping[str, Any], id: RowId, *, seed: int = 0, mode: Mode = "train", wording: int | None = None
    ) -> Example:
        """The row as an example: `sketch`, then every value encoded by seeds of (seed, task, row, epoch, slot)."""
        drawn = self.draw(id, seed, mode) if wording is None else wording
        sketch, _ = self.sketch(row, drawn, mode=mode, targets=mode != "predict")
        return self.encode(sketch, id, wording=drawn, seed=seed, mode=mode)

    def encode(self, sketch: Sketch, id: RowId, *, wording: int, seed: int = 0, mode: Mode = "train") -> Example:
        """Encode the values of a sketch.

        Raises:
            DataError: a value cannot be decoded or takes more rows than it measured.
        """
        reader = self.wordings[wording]
        base = mix(seed, self.task, id.row, id.epoch)
        source = [self._piece(item, n, reader, "source", mode, base) for n, item in enumerate(sketch.source)]
        if reader.wording.arrow == "<->":
            other = [self._piece(i, n, reader, "target", mode, base) for n, i in enumerate(sketch.targets[0])]
            return Example(id, wording, (Stream(source, []), Stream(other, [])))
        streams = tuple(
            Stream(source, [self._piece(item, n, reader, "target", mode, base) for n, item in enumerate(target)])
            for target in sketch.targets
        )
        return Example(id, wording, streams)

    def _piece(self, item: Item, place: int, reader: WordingReader, side: Side, mode: Mode, base: int) -> Piece:
        role = GIVEN if side == "source" or reader.wording.arrow == "<->" else FORCED if item.forced else SUPERVISED
        if item.text is not None:
            return Piece(self.prompt_kind, self._prompt(item.text), role)
        if item.slot < 0:
            return Piece(0, _MARKS[item.mark], role)
        slot = reader.slots[item.slot]
        encoded = self._encode(item, slot, role, mode, mix(base, slot.slot.name, side, place))
        nodes = self._nodes(encoded, slot) if role == SUPERVISED and slot.trie >= 0 else None
        return Piece(slot.kind, encoded, role, item.slot, nodes, slot.trie)

    def _encode(self, item: Item, slot: SlotReader, role: int, mode: Mode, seed: int) -> Encoded:
        side: Side = "source" if role == GIVEN else "target"
        reading = Reading(side=side, mode=mode, seed=seed, limit=item.rows if slot.cuttable else slot.slot.limit)
        try:
            encoded = slot.codec.encode(item.raw, reading)
        except (TypeError, ValueError, OSError) as cause:
            raise self._blame(cause, slot.slot) from cause
        if encoded.rows > item.rows:
            raise DataError(
                f"slot `{slot.slot.name}`: the adapter `{slot.slot.adapter.name}` measured {item.rows} tokens and made "
                f"{encoded.rows}; its `measure` must never say fewer than `encode` makes"
            )
        return encoded

    def _nodes(self, encoded: Encoded, slot: SlotReader) -> np.ndarray[Any, Any]:
        return np.asarray(self.tries[slot.trie].walk([int(t) for t in encoded.labels["tokens"]]))

    def _prompt(self, text: str) -> Encoded:
        found = self.prompts.get(text)
        if found is None:
            if self.prompt is None:
                raise DataError("the instruction has prompts, but no installed package provides the modality TEXT")
            found = self.prompts[text] = self.prompt.encode(text, Reading(mode="predict"))
        return found

    def _blame(self, cause: Exception, slot: SlotPlan) -> DataError:
        column = "" if slot.path == slot.name else f" (column `{slot.path}`)"
        return DataError(f"slot `{slot.name}`{column}: {cause}")


def make_reader(
    task: str,
    plan: Plan,
    *,
    catalog: Catalog,
    table: tuple[PortSpec, ...],
    tokenizer: Any,
    context: int | tuple[int, int] | None = None,
) -> Reader:
    """The reader of a task: codecs made, closed sets turned into tries.

    Raises:
        PluginError: a codec is not part of this version, or the table lacks a port.
    """
    tries: list[Trie] = []
    made: dict[tuple[object, ...], SlotReader] = {}
    wordings = []
    for wording in plan.alternatives:
        readers = []
        for slot in wording.slots:
            key = (slot.adapter, slot.closed_set, slot.name, slot.side, slot.limit, slot.path, slot.optional)
            if key not in made:
                made[key] = _slot_reader(slot, catalog, table, tokenizer, tries)
            readers.append(made[key])
        wordings.append(WordingReader(wording=wording, slots=tuple(readers), unroller=Unroller(wording)))
    prompt, prompt_kind = None, -1
    if plan.prompt.name:
        declaration = declared(plan.prompt, catalog)
        prompt = make_codec(declaration, plan.prompt.name, {"tokenizer": tokenizer, "closed_set": None})  # type: ignore[arg-type]
        prompt_kind = kind_of(table, port_of(plan.prompt, None, catalog))
    return Reader(
        task=task,
        plan=plan,
        wordings=tuple(wordings),
        prompt=prompt,
        prompt_kind=prompt_kind,
        context=context,
        tries=tuple(tries),
    )


def _slot_reader(
    slot: SlotPlan,
    catalog: Catalog,
    table: tuple[PortSpec, ...],
    tokenizer: Any,
    tries: list[Trie],
) -> SlotReader:
    adapter = adapter_of(slot, catalog)
    try:
        codec = make_codec(adapter, slot.adapter.name, {"tokenizer": tokenizer, "closed_set": slot.closed_set})
    except (TypeError, ValueError) as cause:
        raise ConfigError(f"slot `{slot.name}`: {cause}") from cause
    trie, members = -1, frozenset[str]()
    if slot.closed_set:
        members = frozenset(slot.closed_set)
        if slot.predicts == "tokens" and slot.side == "target":
            how = Reading(side="target", mode="predict")
            sequences = [[int(t) for t in codec.encode(m, how).labels["tokens"]] for m in slot.closed_set]
            trie = len(tries)
            tries.append(Trie(sequences))
    return SlotReader(
        slot=slot,
        codec=codec,
        kind=kind_of(table, port_of(slot.adapter, slot.closed_set, catalog)),
        cuttable=adapter.cuttable,
        trie=trie,
        members=members,
    )
