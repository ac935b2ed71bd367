"""How turns are written: roles, marks around them, tools and thoughts, as tokens of the model's tokenizer.

A mark that the tokenizer has as a token of its own is that token; another is spelt. A turn always ends with a token
that no text is cut into, so nothing that stands in a turn can end it: what spells a mark there is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from .chat_turns import Content, Message, Turn
from .masking import Ids
from .tokenizer import Tokenizer

Format = Literal["chatml", "plain"]
Thinking = Literal["keep", "drop"]
THOUGHT = re.compile(r"<think>.*?</think>\s*", re.DOTALL)
CALL = re.compile(r"\s*<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)


class Form(NamedTuple):
    """What stands before a role, behind it, and between turns; `end` ends a turn, "" for the model's end mark."""

    before: str
    behind: str
    between: str
    end: str


FORMS: Mapping[str, Form] = {
    "chatml": Form("<|im_start|>", "\n", "\n", "<|im_end|>"),
    "plain": Form("", ": ", "\n", ""),
}


class Stretch(NamedTuple):
    """A run of a written turn: tokens, or a value of another kind; `learnt` when the assistant said it."""

    tokens: Ids | None
    content: Content | None = None
    learnt: bool = False


class Marks:
    """Writes turns by a tokenizer and a form."""

    def __init__(self, tokenizer: Tokenizer, *, format: Format, thinking: Thinking) -> None:
        self.tokenizer = tokenizer
        self.form = FORMS[format]
        self.thinking = thinking

    @cached_property
    def end(self) -> int:
        """The token that ends a turn: the form's, or the model's end mark."""
        found = self.tokenizer.special(self.form.end) if self.form.end else None
        return self.tokenizer.end if found is None else found

    @cached_property
    def between(self) -> Ids:
        """The tokens between two turns."""
        return self.tokenizer.array(self.form.between)

    def head(self, role: str, name: str = "") -> Ids:
        """What opens a turn: the role, and who speaks."""
        start = self.tokenizer.special(self.form.before) if self.form.before else None
        spelt = (self.form.before if start is None else "") + role + (f" name={name}" if name else "")
        ids = self.tokenizer.array(spelt + self.form.behind)
        return ids if start is None else np.concatenate([[start], ids])

    def write(self, turn: Turn, *, learnt: bool) -> Iterator[Stretch]:
        """A turn's stretches: head, contents in order, end mark; `learnt` says whether it is supervised.

        Raises:
            ValueError: text that is no valid Unicode.
        """
        yield Stretch(self.head(turn.role, turn.name))
        text = self._thought(turn)
        for content in turn.contents:
            if content.modality == "TEXT":
                text += content.value
                continue
            if text := self._kept(text, turn.role):
                yield Stretch(self.tokenizer.array(text), learnt=learnt)
            yield Stretch(None, content)
            text = ""
        text = self._kept(text, turn.role)
        for call in turn.calls:
            text += ("\n" if text else "") + f"<tool_call>\n{_json(call)}\n</tool_call>"
        if text:
            yield Stretch(self.tokenizer.array(text), learnt=learnt)
        yield Stretch(np.array([self.end], dtype=np.int64), learnt=learnt)

    def _thought(self, turn: Turn) -> str:
        return f"<think>\n{turn.thought}\n</think>\n\n" if turn.thought else ""

    def _kept(self, text: str, role: str) -> str:
        return THOUGHT.sub("", text) if self.thinking == "drop" and role == "assistant" else text


def with_tools(turns: Sequence[Turn], tools: Sequence[Any]) -> tuple[Turn, ...]:
    """The turns, with the tools on offer written below the first system turn, or in one of their own.

    >>> print(with_tools([], [{"name": "now"}])[0].contents[0].value.splitlines())
    ['# Tools', '', '<tools>', '{"name": "now"}', '</tools>']
    """
    if not tools:
        return tuple(turns)
    text = "# Tools\n\n<tools>\n" + "\n".join(map(_json, tools)) + "\n</tools>"
    if turns and turns[0].role == "system":
        first = turns[0]
        told = (*first.contents, Content("TEXT", "\n\n" + text))
        return (Turn(role="system", contents=told, name=first.name), *turns[1:])
    return (Turn(role="system", contents=(Content("TEXT", text),)), *turns)


def message_of(text: str) -> Message:
    """What an assistant said as a message; tool calls that are well written are told apart.

    >>> message_of('<tool_call>{"name": "now"}</tool_call>')["tool_calls"]
    [{'type': 'function', 'function': {'name': 'now', 'arguments': '{}'}}]
    """
    calls = [_read_call(found[1]) for found in CALL.finditer(text)]
    if not calls or None in calls:
        return {"role": "assistant", "content": text}
    told = [{"type": "function", "function": call} for call in calls]
    return {"role": "assistant", "content": CALL.sub("", text), "tool_calls": told}


def _read_call(text: str) -> dict[str, str] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        return None
    return {"name": found["name"], "arguments": _json(found.get("arguments", {}))}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
