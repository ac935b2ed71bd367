"""The values of one row, measured and encoded: each by a reading of its own, and with what it follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .codec import FORCED, GIVEN, SUPERVISED, UNREADABLE, Codec, Encoded, Mode, Reading
from .conversing import continues, spread
from .errors import DataError
from .example import Piece
from .leading import Candidates, Placed, candidates, leader_of
from .near import nearest
from .plan import Alternative, Side, SlotPlan
from .rows import as_member
from .seeding import mix
from .sketch import Item, Unroller
from .trie import Trie

_MARKS = [Encoded(rows=1, tensors={"tokens": np.array([m])}, labels={"tokens": np.array([m])}) for m in range(3)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReader:
    """One slot's codec with what the layout must know of it.

    `held` are the ports of what its values may hold, by modality; `follows` is the index of the slot that it follows;
    `prepare` the data half of its loss, see `Loss.prepare`; `drop` the share of training rows that its loss reads
    without their source.
    """

    slot: SlotPlan
    codec: Codec
    kind: int
    cuttable: bool
    trie: int = -1
    members: frozenset[str] = frozenset()
    held: Mapping[str, int] = field(default_factory=dict)
    follows: int = -1
    prepare: Callable[[Encoded, Reading], Encoded] | None = None
    drop: float = 0.0

    def meant(self, raw: Any) -> Any:
        """Of several references, as a held-out row may hold them for metrics, the one whose loss is measured.

        It is the first text of a list, or the best of a mapping from answer to score, that the closed set has.
        """
        if self.slot.modality != "TEXT" or self.slot.depth or self.slot.given:
            return raw
        if isinstance(raw, Mapping) and raw and all(isinstance(score, int | float) for score in raw.values()):
            answers = sorted(raw, key=lambda answer: -raw[answer])
        elif isinstance(raw, list | tuple) and raw and all(isinstance(one, str) for one in raw):
            answers = list(raw)
        else:
            return raw
        return next((one for one in answers if not self.members or one in self.members), answers[0])

    def checked(self, raw: Any) -> Any:
        """The value, when a closed set has it; numbers become their names.

        Raises:
            DataError: the closed set lacks it.
        """
        if not self.members:
            return raw
        raw = as_member(raw)
        if isinstance(raw, str) and raw not in self.members:
            near = nearest(raw, self.members)
            hint = f"; did you mean `{near}`?" if near else ""
            raise self.located(DataError(f"slot `{self.slot.name}`: {raw!r} is not in the closed set{hint}"))
        return raw

    def blame(self, cause: Exception) -> DataError:
        """The error with the slot and its column."""
        column = "" if self.slot.path == self.slot.name else f" (column `{self.slot.path}`)"
        return self.located(DataError(f"slot `{self.slot.name}`{column}: {cause}"))

    def located(self, error: DataError) -> DataError:
        """The error, which then knows slot and column."""
        error.slot, error.column = self.slot.name, self.slot.path
        return error


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
class Prompts:
    """The encoded prompts of a task's wordings, each made once.

    `kind` is the port that embeds them; `codec` None when no installed package provides TEXT.
    """

    codec: Codec | None
    kind: int
    made: dict[str, Encoded] = field(default_factory=dict)
    marks: dict[str, Encoded] = field(default_factory=dict)

    def __getitem__(self, text: str) -> Encoded:
        found = self.made.get(text)
        if found is None:
            if self.codec is None:
                raise DataError("the instruction has prompts, but no installed package provides the modality TEXT")
            found = self.made[text] = self.codec.encode(text, Reading(mode="predict"))
        return found

    def marked(self, text: str) -> Encoded:
        """A frame's text, in which special tokens are marks.

        Raises:
            DataError: what reads prompts knows no marks.
        """
        found = self.marks.get(text)
        if found is None:
            write = getattr(self.codec, "marked", None)
            if write is None:
                raise DataError("the backbone puts marks around its values, but what reads prompts knows no marks")
            found = self.marks[text] = write(text)
        return found

    def of(self, item: Item) -> Encoded:
        """The text of an item."""
        assert item.text is not None
        return self.marked(item.text) if item.marked else self[item.text]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowEncoder:
    """Measures and encodes the values of one row.

    Attributes:
        reader: the wording.
        prompts: the encoded prompts.
        tries: the closed sets of token slots.
        mode: how values are read.
        seed: of (seed, task, row, epoch).
        among: the items that others follow.
    """

    reader: WordingReader
    prompts: Prompts
    tries: Sequence[Trie]
    mode: Mode
    seed: int = 0
    among: Candidates = field(default_factory=dict)

    def beside(self, sides: Mapping[Side, Sequence[Item]]) -> RowEncoder:
        """The same for items that stand beside these, which they may follow."""
        followed = {slot.follows for slot in self.reader.slots} - {-1}
        return replace(self, among=candidates(tuple(followed), sides.items())) if followed else self

    def measured(self, items: Sequence[Item], side: Side) -> list[Item]:
        """The items with the rows that they take.

        Raises:
            DataError: a value cannot be measured, or is not in its closed set.
        """
        return [self._measured(item, place, side) for place, item in enumerate(items)]

    def _measured(self, item: Item, place: int, side: Side) -> Item:
        if item.text is not None:
            return item._replace(rows=self.prompts.of(item).rows)
        if item.slot < 0:
            return item
        slot = self.reader.slots[item.slot]
        held_out = self.mode == "valid" and side == "target" and self.reader.wording.arrow == "->"
        raw = slot.checked(slot.meant(item.raw) if held_out else item.raw)
        try:
            rows = slot.codec.measure(raw, self.reading(Placed(item, side, place), limit=None))
        except UNREADABLE as cause:
            raise slot.blame(cause) from cause
        limit = slot.slot.limit
        return item._replace(rows=limit if slot.cuttable and limit is not None and rows > limit else rows, raw=raw)

    def reading(self, placed: Placed, *, limit: int | None) -> Reading:
        """How the value at a place is read."""
        item, side, place = placed
        slot = self.reader.slots[item.slot]
        return Reading(
            side="source" if self.reader.wording.arrow == "<->" else side,
            mode=self.mode,
            seed=mix(self.seed, slot.slot.name, side, place),
            column=mix(self.seed, "column", slot.slot.path),
            limit=limit,
            leader=self.lead(item, slot) if slot.follows >= 0 else None,
        )

    def lead(self, item: Item, slot: SlotReader) -> Any:
        """What a follower's leader says of its own value; None when the leader is absent.

        Raises:
            DataError: the leader's value cannot be read.
        """
        placed = leader_of(item, slot.follows, self.among)
        if placed is None:
            return None
        leader = self.reader.slots[slot.follows]
        try:
            return leader.codec.lead(placed.item.raw, self.reading(placed, limit=None))  # type: ignore[attr-defined]
        except UNREADABLE as cause:
            raise leader.blame(cause) from cause

    def pieces(self, items: Sequence[Item], side: Side) -> list[Piece]:
        """The items as pieces of the layout: one each, or one for each part of a value that holds others.

        Raises:
            DataError: see `piece`.
        """
        return [piece for place, item in enumerate(items) for piece in self._on_clock(item, place, side)]

    def _on_clock(self, item: Item, place: int, side: Side) -> list[Piece]:
        found = self._spread(item, place, side)
        return found if item.clock < 0 else [piece._replace(clock=item.clock) for piece in found]

    def _spread(self, item: Item, place: int, side: Side) -> list[Piece]:
        whole = self.piece(item, place, side)
        if item.slot < 0 or not continues(self.reader.slots[item.slot].codec):
            return [whole]
        slot = self.reader.slots[item.slot]
        try:
            return spread(whole, slot.held)
        except ValueError as cause:
            raise slot.blame(cause) from cause

    def piece(self, item: Item, place: int, side: Side) -> Piece:
        """An item as a piece of the layout.

        Raises:
            DataError: its value cannot be decoded, or takes more rows than it measured.
        """
        given = side == "source" or self.reader.wording.arrow == "<->"
        role = GIVEN if given else FORCED if item.forced else SUPERVISED
        if item.text is not None:
            return Piece(self.prompts.kind, self.prompts.of(item), role)
        if item.slot < 0:
            return Piece(0, _MARKS[item.mark], role)
        slot = self.reader.slots[item.slot]
        encoded = self._encoded(Placed(item, side, place), slot, role)
        nodes = self._nodes(encoded, slot) if role == SUPERVISED and slot.trie >= 0 else None
        return Piece(slot.kind, encoded, role, item.slot, nodes, slot.trie)

    def drops_source(self) -> bool:
        """Whether the row is read without its source side: drawn in training, for losses that want it so."""
        share = max((slot.drop for slot in self.reader.slots), default=0.0)
        return self.mode == "train" and share > 0 and float(Reading(seed=self.seed).random("drop").random()) < share

    def _encoded(self, placed: Placed, slot: SlotReader, role: int) -> Encoded:
        item = placed.item
        reading = self.reading(placed, limit=item.rows if slot.cuttable else slot.slot.limit)
        try:
            encoded = slot.codec.encode(item.raw, reading)
            if slot.prepare is not None and role == SUPERVISED:
                encoded = slot.prepare(encoded, reading)
        except UNREADABLE as cause:
            raise slot.blame(cause) from cause
        if encoded.rows > item.rows:
            raise DataError(
                f"slot `{slot.slot.name}`: the adapter `{slot.slot.adapter.name}` measured {item.rows} tokens and made "
                f"{encoded.rows}; its `measure` must never say fewer than `encode` makes"
            )
        return encoded

    def _nodes(self, encoded: Encoded, slot: SlotReader) -> np.ndarray[Any, Any]:
        return np.asarray(self.tries[slot.trie].walk([int(t) for t in encoded.labels["tokens"]]))
