"""The codec of CHAT: conversations to tokens with roles, and what an assistant says back to a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ...core.codec import FORCED, SUPERVISED, UNREADABLE, Encoded, Reading
from ...core.conversing import Held, Thoughts
from ...core.near import nearest
from ...core.seeding import mix
from .chat_answers import message_of, text_of
from .chat_files import write_conversation
from .chat_marks import Marks, Stretch
from .chat_order import apart, arranged
from .chat_templates import TemplateName, Thinking, template_of
from .chat_turns import Content, Message, Turn, messages_of, read_turns
from .chat_writing import Writing
from .masking import Ids
from .tokenizer import Tokenizer

Written = list[Stretch]
NOTHING: Ids = np.zeros(0, dtype=np.int64)


class ChatCodec:
    """Conversations to tokens, each with its role.

    Supervised are what the assistant says and the end marks of its turns, and nothing else. A conversation that exceeds
    a limit loses its oldest exchanges whole: a user's turns with all that answers them. System turns and the last
    exchange stay.

    Args:
        tokenizer: the model's.
        held: what reads the kinds that may stand in turns, by modality; text needs none.
        holds: the setting behind `held`.
        train_on: "all" turns of the assistant are supervised, or its "last".
        train_marks: supervised are also the marks that open and end every turn, and the new line behind it.
        template: how turns are written.
        system: what the system says where no system turn opens a conversation, instead of the template's words.
        thinking: "on" is the template's own way with thoughts; "off" has the answer come without one; "keep" writes
            those of all turns, "drop" none.
        use_audio_in_video: clips in turns bring their own sound, where their part does not say otherwise.

    Raises:
        ValueError: `thinking="off"` of a template that has no such mode.
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        held: Mapping[str, Held] | None = None,
        holds: Sequence[str] = ("text",),
        train_on: Literal["all", "last"] = "all",
        train_marks: bool = False,
        template: TemplateName = "chatml",
        system: str | None = None,
        thinking: Thinking = "on",
        use_audio_in_video: bool = False,
    ) -> None:
        self.held = dict(held or {})
        self.train_on = train_on
        self.template = template_of(template, thinking=thinking, system=system)
        self.thinking = thinking
        self.use_audio_in_video = use_audio_in_video
        self.marks = Marks(tokenizer, Writing(self.template, muted=thinking == "off"), edges=train_marks)

    @property
    def end(self) -> int:
        """The token that ends a turn."""
        return self.marks.end

    @property
    def stops(self) -> tuple[int, ...]:
        """Other tokens that end what is found: those that end a text, where turns have an end of their own."""
        return self.marks.stops

    @property
    def thoughts(self) -> Thoughts | None:
        """The tokens around a thought that opens an answer; None where none does."""
        return self.marks.thoughts()

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens of all turns; pictures and the like are measured, not read."""
        rows = sum(self._size(one, reading) for one in self._turns(self._arranged(*messages_of(raw))))
        return rows if reading.limit is None else min(rows, reading.limit)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a conversation.

        Raises:
            TypeError, ValueError: no conversation, a kind that the slot does not hold, a part that cannot be read, or
                a last exchange that exceeds the limit.
        """
        turns = self._arranged(*messages_of(raw))
        written = self._fitting(turns, self._turns(turns), reading)
        first, *rest = [one for turn in written for one in turn]
        return self._encoded([first._replace(learnt=False), *rest], reading)

    def opening(self, raw: Any, reading: Reading) -> Encoded:
        """All that comes before the answer: the turns up to the assistant's last, or all, and what opens its own.

        Raises:
            TypeError, ValueError: see `encode`.
        """
        messages, tools = messages_of(raw)
        turns = self._arranged(_asked(messages), tools)
        head = self.marks.opening()
        written = self._fitting(turns, self._turns(turns), reading, spare=self._size(head, reading))
        return self._encoded([*(one for turn in written for one in turn), *head], replace(reading, side="source"))

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> Message:
        """What the assistant says, as a message: its content, and apart from it its thought and the tools it calls."""
        return message_of(self.spell(predicted["tokens"].tolist()))

    def spell(self, tokens: Sequence[int]) -> str:
        """The text of an answer's tokens."""
        return text_of(tokens, self.marks.tokenizer)

    def continued(self, raw: Any, found: Message) -> list[Message]:
        """The conversation with the message that was found in place of the assistant's last, or behind the rest."""
        return [*_asked(messages_of(raw)[0]), found]

    def save(self, value: Sequence[Message], stem: Path) -> Path:
        """Write a conversation as JSON, pictures in it as files beside."""
        return write_conversation(value, stem)

    def compared(self, value: Any) -> str:
        """What metrics compare of a conversation, found or true: the text of the assistant's last turn."""
        for message in reversed(messages_of(value)[0]):
            if message["role"] == "assistant":
                return apart(read_turns([message])[0]).text
        return ""

    def _arranged(self, messages: Sequence[Message], tools: Sequence[Any]) -> tuple[Turn, ...]:
        """The turns as they are written, kinds checked."""
        turns = [
            replace(turn, contents=tuple(map(self._sounding, map(self._checked, turn.contents))))
            for turn in read_turns(messages)
        ]
        return arranged(turns, tools, self.template, self.thinking)

    def _turns(self, turns: Sequence[Turn]) -> list[Written]:
        """Every turn's stretches."""
        last = max((number for number, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
        out: list[Written] = []
        for number, turn in enumerate(turns):
            learnt = turn.role == "assistant" and (self.train_on == "all" or number == last)
            out.append(self.marks.write(turn, learnt=learnt))
        return out

    def _sounding(self, content: Content) -> Content:
        """A clip with the sound that is to be heard, or with none."""
        sound = self.use_audio_in_video if content.sound is None else content.sound
        if content.modality != "VIDEO" or sound is False:
            return content if content.sound is None else replace(content, sound=None)
        if "AUDIO" not in self.held:
            names = "|".join(name.lower() for name in self.held if name != "TEXT")
            raise ValueError(
                f"{content.place} is a clip with its sound, but the slot holds no audio; write holds={names}|audio, or "
                "use_audio_in_video=false"
            )
        return replace(content, sound=content.value if sound is True else sound)

    def _checked(self, content: Content) -> Content:
        if content.modality == "TEXT" or content.modality in self.held:
            return content
        kind, names = content.modality.lower(), ["text", *(name.lower() for name in self.held if name != "TEXT")]
        near = nearest(kind, ("text", "image", "video", "audio", *names))
        fix = f"did you mean {near!r}?" if near and near != kind else f"write holds={'|'.join([*names[1:], kind])}"
        raise ValueError(
            f"{content.place} is of the type {kind!r}, but the slot holds {' and '.join(names)} alone; {fix}"
        )

    def _size(self, written: Written, reading: Reading) -> int:
        return sum(self._measured(one, reading) for one in written)

    def _measured(self, stretch: Stretch, reading: Reading) -> int:
        if stretch.tokens is not None:
            return len(stretch.tokens)
        content = stretch.content
        assert content is not None, "a stretch is tokens or a value"
        how, codec = Reading(mode=reading.mode, leader=None), self.held[content.modality].codec
        with _blaming(content):
            rows = codec.measure(content.value, how)
            if content.sound is not None:
                heard = replace(how, leader=_lead(codec, content.value, how))
                rows += self.held["AUDIO"].codec.measure(content.sound, heard)
        return rows

    def _fitting(
        self, turns: Sequence[Turn], written: list[Written], reading: Reading, *, spare: int = 0
    ) -> list[Written]:
        """The turns that fit the limit beside `spare` tokens that open an answer.

        Raises:
            ValueError: what must stay does not fit.
        """
        if reading.limit is None:
            return written
        sizes = [self._size(one, reading) for one in written]
        number, exchanges = 0, exchanges_of(turns, learning=not spare and reading.side == "target")
        kept = set(range(len(turns)))
        while sum(sizes[i] for i in kept) + spare > reading.limit and number < len(exchanges) - 1:
            kept -= set(exchanges[number])
            number += 1
        least = sum(sizes[i] for i in kept) + spare
        if least > reading.limit:
            raise ValueError(
                f"the last exchange of the conversation takes {least:,} tokens with what the system says, but there is "
                f"room for {reading.limit:,}; shorten it, or use a backbone with more `positions`"
            )
        return [written[i] for i in sorted(kept)]

    def _encoded(self, stretches: Sequence[Stretch], reading: Reading) -> Encoded:
        parts: list[tuple[str, Encoded]] = []
        waiting: list[Stretch] = []
        leads: list[tuple[str, Any]] = []
        clips: list[Content] = []
        for stretch in stretches:
            alone = stretch.tokens is None or stretch.beside is not None
            if waiting and (alone or waiting[-1].beside is not None):
                parts.append(("TEXT", _text(waiting, reading, _clock(waiting[-1].beside, clips))))
                waiting = []
            if stretch.tokens is not None:
                waiting.append(stretch)
                continue
            content = stretch.content
            assert content is not None, "a stretch is tokens or a value"
            clock = -1 if content.sound is None else _clock(content, clips)
            parts += self._values(content, reading, clock, number=len(parts), leads=leads)
        parts += [("TEXT", _text(waiting, reading, _clock(waiting[-1].beside, clips)))] if waiting else []
        if len(parts) == 1 and parts[0][0] == "TEXT":
            return parts[0][1]
        return Encoded(rows=sum(part.rows for _, part in parts), tensors={}, parts=tuple(parts))

    def _values(
        self, content: Content, reading: Reading, clock: int, *, number: int, leads: list[tuple[str, Any]]
    ) -> list[tuple[str, Encoded]]:
        """A value of another kind, read as the source side reads it; what it says of itself leads those behind it.

        A clip with its sound is two, of which the second reads the seconds that the first does.
        """
        held = self.held[content.modality]
        leader = next((lead for kind, lead in reversed(leads) if kind in held.follows), None)
        seed = mix(reading.seed, "part", number)
        how = Reading(mode=reading.mode, seed=seed, leader=leader)
        with _blaming(content):
            lead = _lead(held.codec, content.value, how)
            leads += [] if lead is None else [(content.modality, lead)]
            found = [(content.modality, held.codec.encode(content.value, how))]
            if content.sound is not None:
                heard = replace(how, seed=mix(seed, "sound"), leader=lead)
                found.append(("AUDIO", self.held["AUDIO"].codec.encode(content.sound, heard)))
        return [(kind, replace(encoded, clock=clock)) for kind, encoded in found]


@contextmanager
def _blaming(content: Content) -> Iterator[None]:
    """Names the part of what cannot be read."""
    try:
        yield
    except UNREADABLE as cause:
        raise ValueError(f"{content.place}: {cause}") from cause


def _lead(codec: Any, value: Any, reading: Reading) -> Any:
    return codec.lead(value, reading) if hasattr(codec, "lead") else None


def _clock(content: Content | None, clips: list[Content]) -> int:
    """The number of a clip among those with their sound; -1 for none."""
    if content is None:
        return -1
    if not any(content is one for one in clips):
        clips.append(content)
    return next(number for number, one in enumerate(clips) if one is content)


def exchanges_of(turns: Sequence[Turn], *, learning: bool = False) -> list[list[int]]:
    """The turns in exchanges, by their numbers: a user's turns and all that answers them. System turns are in none.

    For `learning`, what follows the assistant's last turn belongs to the exchange of that turn.

    >>> exchanges_of([Turn(role=r, contents=()) for r in ("system", "user", "assistant", "user", "assistant")])
    [[1, 2], [3, 4]]
    """
    found: list[list[int]] = []
    spoken = [number for number, turn in enumerate(turns) if turn.role == "assistant"]
    last = spoken[-1] if learning and spoken else len(turns)
    before = ""
    for number, turn in enumerate(turns):
        if turn.role == "system":
            continue
        opens = turn.role == "user" and before != "user" and number < last
        if opens or not found:
            found.append([])
        found[-1].append(number)
        before = turn.role
    return found


def _asked(messages: list[Message]) -> list[Message]:
    """The messages before the assistant's last turn, or all when it does not speak last."""
    return messages[:-1] if messages[-1]["role"] == "assistant" else messages


def _text(stretches: Sequence[Stretch], reading: Reading, clock: int = -1) -> Encoded:
    tokens = np.concatenate([NOTHING, *(one.tokens for one in stretches if one.tokens is not None)])
    if reading.side != "target":
        return Encoded(rows=len(tokens), tensors={"tokens": tokens}, clock=clock)
    roles = np.concatenate(
        [
            np.full(len(one.tokens), SUPERVISED if one.learnt else FORCED, np.uint8)
            for one in stretches
            if one.tokens is not None
        ]
    )
    labels = {"tokens": tokens.copy()}
    return Encoded(rows=len(tokens), tensors={"tokens": tokens}, labels=labels, roles=roles, clock=clock)
