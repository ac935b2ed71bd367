"""A conversation as its template has it: who speaks first, where tools stand, which thoughts are written.

Nothing here knows tokens. After `arranged` every turn holds what is written of it, and nothing else.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .chat_answers import THOUGHT, split_thought
from .chat_templates import Template, Thinking
from .chat_turns import MARK, Content, Turn, as_json

ANSWER, UNANSWER = "<tool_response>", "</tool_response>"


def arranged(turns: Sequence[Turn], tools: Sequence[Any], template: Template, thinking: Thinking) -> tuple[Turn, ...]:
    """The turns that are written: with the system's, with tools and what they answered, with the thoughts that stay."""
    told = _thoughts(turns, template, thinking)
    return _answered(_led(told, tools, template), template)


def _led(turns: Sequence[Turn], tools: Sequence[Any], template: Template) -> tuple[Turn, ...]:
    """The turns with the system's in front where it speaks, and the tools on offer below what it says."""
    opens = bool(turns) and turns[0].role == "system"
    if not opens and template.system:
        turns = (Turn(role="system", contents=(Content("TEXT", template.system),)), *turns)
        opens = True
    if not tools:
        return tuple(turns)
    offer = template.offer.replace("{tools}", "\n".join(map(as_json, tools)))
    if not opens:
        return (Turn(role="system", contents=(Content("TEXT", offer),)), *turns)
    first = turns[0]
    return (replace(first, contents=(*first.contents, Content("TEXT", "\n\n" + offer))), *turns[1:])


def _answered(turns: Sequence[Turn], template: Template) -> tuple[Turn, ...]:
    """What tools answer, between its marks; neighbours are one turn."""
    if not template.answers:
        return tuple(turns)
    out: list[Turn] = []
    for number, turn in enumerate(turns):
        if turn.role != "tool":
            out.append(turn)
            continue
        opens, closes = (Content(MARK, ANSWER), Content("TEXT", "\n")), (Content("TEXT", "\n"), Content(MARK, UNANSWER))
        told = (*opens, *turn.contents, *closes)
        if number and turns[number - 1].role == "tool":
            told = (*out.pop().contents, Content("TEXT", "\n"), *told)
        out.append(replace(turn, contents=told, name=""))
    return tuple(out)


def _thoughts(turns: Sequence[Turn], template: Template, thinking: Thinking) -> tuple[Turn, ...]:
    """The turns with the thoughts that are written: None for no block, "" for an empty one."""
    asked, last = last_question(turns), len(turns) - 1
    out = []
    for number, turn in enumerate(turns):
        if turn.role != "assistant":
            out.append(turn)
        elif thinking == "drop":
            out.append(_without(turn))
        elif template.thoughts == "last":
            mute = thinking == "off" and number == last
            out.append(_late(turn, keep=thinking == "keep", late=number > asked, last=number == last, mute=mute))
        else:
            out.append(_told(turn, known=template.thoughts == "told" or thinking == "keep"))
    return tuple(out)


def last_question(turns: Sequence[Turn]) -> int:
    """The last turn in which a user speaks and does not hand on what a tool answered; the last of all if none does."""
    for number in range(len(turns) - 1, -1, -1):
        text = turns[number].text
        if turns[number].role == "user" and not (text.startswith(ANSWER) and text.endswith(UNANSWER)):
            return number
    return len(turns) - 1


def apart(turn: Turn) -> Turn:
    """The turn with its thought apart from its content, where a `</think>` in the content ends one."""
    if turn.thought is not None or "</think>" not in turn.text:
        return turn
    contents = _joined(turn.contents)
    place = next(n for n, one in enumerate(contents) if one.modality == "TEXT" and "</think>" in one.value)
    thought, rest = split_thought(contents[place].value)
    contents[place] = replace(contents[place], value=rest)
    return replace(turn, thought=thought, contents=tuple(contents))


def _late(turn: Turn, *, keep: bool, late: bool, last: bool, mute: bool) -> Turn:
    """A turn of a template that writes thoughts behind the last question alone, or in every turn with `keep`."""
    turn = apart(turn)
    thought = "" if mute else (turn.thought or "").strip("\n")
    if not keep and not (late and (last or turn.thought)):
        return replace(turn, thought=None)
    contents = _joined(turn.contents)
    if contents and contents[0].modality == "TEXT":
        contents[0] = replace(contents[0], value=contents[0].value.lstrip("\n"))
    return replace(turn, thought=thought, contents=tuple(contents))


def _told(turn: Turn, *, known: bool) -> Turn:
    """A turn of a template without a rule: a thought apart from the content is written where it has a place."""
    if turn.thought and not known:
        warnings.warn(
            "a message has a thought of its own (`reasoning_content`), but the template has no place for it, so that "
            "it is left out: write thinking=keep to have it learnt as `<think> ... </think>`, or thinking=drop",
            stacklevel=2,
        )
    return replace(turn, thought=turn.thought if turn.thought and known else None)


def _without(turn: Turn) -> Turn:
    contents = [
        replace(one, value=THOUGHT.sub("", one.value)) if one.modality == "TEXT" else one
        for one in _joined(turn.contents)
    ]
    return replace(turn, thought=None, contents=tuple(contents))


def _joined(contents: Sequence[Content]) -> list[Content]:
    """The contents, neighbouring texts as one."""
    out: list[Content] = []
    for one in contents:
        if out and one.modality == out[-1].modality == "TEXT":
            out[-1] = replace(out[-1], value=out[-1].value + one.value)
        else:
            out.append(one)
    return out
