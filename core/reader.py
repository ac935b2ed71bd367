"""The Reader: what a loader worker needs to turn rows of one task into examples. Picklable, without parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .adapter import Adapter
from .catalog import Catalog
from .codec import Mode, Reading
from .conversing import Held
from .encoding import Prompts, RowEncoder, SlotReader, WordingReader
from .errors import ConfigError
from .example import Example, RowId, Stream
from .frame import Frame
from .framing import Framing
from .holding import held_of
from .leading import followed_slot
from .loss import Loss
from .parts import PortSpec, adapter_of, declared, kind_of, make_codec, port_of, working_half
from .plan import Alternative, Part, Plan, Prompt, SlotPlan, uses, walk
from .seeding import mix
from .sketch import START, Item, Sketch, Unroller, fit_context
from .trie import Trie


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Rows of one task in, examples out.

    Attributes:
        task: its name, for seeds and errors.
        plan: the plan, closed sets bound.
        wordings: a reader for each alternative.
        prompts: the encoded prompts.
        context: the backbone's most tokens, None for no limit.
        tries: the closed sets of token slots, as tries over their tokens.
        frame: the marks that the backbone expects around what it reads; None for learned ones.
    """

    task: str
    plan: Plan
    wordings: tuple[WordingReader, ...]
    prompts: Prompts
    context: int | tuple[int, int] | None
    tries: tuple[Trie, ...]
    frame: Frame | None = None

    def framing(self, wording: int) -> Framing | None:
        """The frame around a wording, if there is one."""
        return None if self.frame is None else Framing(self.frame, self.wordings[wording])

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
        source = reader.unroller.side(reader.wording.source, row, target=False)[0]
        matched = reader.wording.arrow == "<->"
        sides = reader.unroller.side(reader.wording.target, row, target=not matched) if targets or matched else []
        framing = self.framing(wording)
        if framing is not None:
            source = framing.source(source)
            sides = [framing.source(s) if matched else framing.target(s, source=bool(source)) for s in sides]
        encoder = RowEncoder(reader=reader, prompts=self.prompts, tries=self.tries, mode=mode)
        measured = encoder.beside({"source": source}).measured(source, "source")
        others = [encoder.beside({"source": measured, "target": side}).measured(side, "target") for side in sides]
        if matched:
            return self._fit_match(Sketch(measured, others), reader)
        if not targets:
            return fit_context(Sketch(measured, [[]]), reader.cuttable, self._source_room(reader))
        laid = others if framing is not None else [[Item(mark=START), *side] for side in others]
        return fit_context(Sketch(measured, laid), reader.cuttable, self.context)

    def prompt_rows(self, text: str) -> int:
        """The tokens of a prompt."""
        return self.prompts[text].rows

    def _source_room(self, reader: WordingReader) -> int | tuple[int, int] | None:
        """What the source may take at predicting."""
        return self.context - self._kept(reader) if isinstance(self.context, int) else self.context

    def target_room(self, reader: WordingReader) -> int | None:
        """The rows that the target has at predicting, START included; None for no limit."""
        return self._kept(reader) if isinstance(self.context, int) else self.context and self.context[1]

    def _kept(self, reader: WordingReader) -> int:
        """What a joined context keeps for the target: its most, or half."""
        assert isinstance(self.context, int), "two sides with a context each keep nothing for each other"
        if not reader.wording.source:
            return self.context
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
        encoder = RowEncoder(
            reader=reader,
            prompts=self.prompts,
            tries=self.tries,
            mode=mode,
            seed=mix(seed, self.task, id.row, id.epoch),
        )
        source = [] if encoder.drops_source() else sketch.source
        laid = [encoder.beside({"source": sketch.source}).pieces(source, "source")]
        for target in sketch.targets:
            laid.append(encoder.beside({"source": sketch.source, "target": target}).pieces(target, "target"))
        framing = self.framing(wording)
        if framing is not None:
            laid = [framing.woven(pieces) for pieces in laid]
        if reader.wording.arrow == "<->":
            return Example(id, wording, (Stream(laid[0], []), Stream(laid[1], [])))
        streams = [Stream(laid[0], target) for target in laid[1:]]
        if framing is not None:
            streams = [framing.go_on(stream, self.prompts) for stream in streams]
        return Example(id, wording, tuple(streams))


def make_reader(
    task: str,
    plan: Plan,
    *,
    catalog: Catalog,
    table: tuple[PortSpec, ...],
    tokenizer: Any,
    context: int | tuple[int, int] | None = None,
    frame: Frame | None = None,
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
            followed = followed_slot(slot, wording, adapter_of(slot, catalog))
            reader = replace(made[key], follows=followed) if followed >= 0 else made[key]
            readers.append(_prepared(reader, wording, catalog))
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
        prompts=Prompts(codec=prompt, kind=prompt_kind),
        context=context,
        tries=tuple(tries),
        frame=frame,
    )


def _prepared(reader: SlotReader, wording: Alternative, catalog: Catalog) -> SlotReader:
    """The reader with what the loss of its slot does to data."""
    for objective in wording.objectives:
        if objective.kind == "predict" and reader.slot.index in objective.slots:
            loss, settings = declared(objective.loss, catalog), objective.loss.options()
            assert isinstance(loss, Loss)
            reader = replace(reader, drop=float(settings.get("drop", 0.0)))  # type: ignore[arg-type]
            if not loss.prepare:
                return reader
            half = working_half(loss.prepare, f"the data half of the loss `{objective.loss.name}`")
            return replace(reader, prepare=half(**settings))
    return reader


def _slot_reader(
    slot: SlotPlan,
    catalog: Catalog,
    table: tuple[PortSpec, ...],
    tokenizer: Any,
    tries: list[Trie],
) -> SlotReader:
    adapter = adapter_of(slot, catalog)
    assets = {"tokenizer": tokenizer, "closed_set": slot.closed_set}
    parts = held_of(slot, catalog)
    if parts and slot.closed_set is not None:
        raise ConfigError(f"slot `{slot.name}`: {slot.modality} has no closed set: its answers are open")
    try:
        held = {name: _held(part, catalog, assets) for name, part in parts.items()}
        codec = make_codec(adapter, slot.adapter.name, assets, **({"held": held} if held else {}))
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
        held={name: kind_of(table, port_of(part, None, catalog)) for name, part in parts.items()},
    )


def _held(part: Part, catalog: Catalog, assets: Mapping[str, Any]) -> Held:
    """What reads a kind that a slot's values may hold."""
    adapter = declared(part, catalog)
    assert isinstance(adapter, Adapter), "checked where the part was made"
    return Held(codec=make_codec(adapter, part.name, assets), follows=adapter.follows)
