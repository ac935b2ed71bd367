"""What an assistant said as a message: its thought, its content and the tools that it calls told apart."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from .chat_turns import Message, as_json
from .tokenizer import Tokenizer

THINK, UNTHINK = "<think>", "</think>"
CALL, UNCALL = "<tool_call>", "</tool_call>"
CALLS = re.compile(rf"\s*{CALL}\s*(.*?)\s*{UNCALL}", re.DOTALL)
THOUGHT = re.compile(rf"{THINK}.*?{UNTHINK}\s*", re.DOTALL)


def text_of(ids: Sequence[int], tokenizer: Tokenizer) -> str:
    """The text of an answer; the marks of thoughts and calls are spelt, whatever the tokenizer leaves out."""
    hidden = {tokenizer.special(name): name for name in (THINK, UNTHINK, CALL, UNCALL)}
    hidden = {id: name for id, name in hidden.items() if id is not None and not tokenizer.decode([id])}
    text, start = "", 0
    for place, id in enumerate(ids):
        if id in hidden:
            text += tokenizer.decode(ids[start:place]) + hidden[id]
            start = place + 1
    return text + tokenizer.decode(ids[start:])


def split_thought(text: str) -> tuple[str | None, str]:
    r"""The thought that opens a text, and what follows; None where there is none.

    A thought ends with the first `</think>` and may begin without a mark, as answers do whose opening held it; what
    stands behind the last mark is the content. One that does not end takes all.

    >>> split_thought("<think>\nhm\n</think>\n\nYes"), split_thought("Yes")
    (('hm', 'Yes'), (None, 'Yes'))
    """
    if UNTHINK in text:
        thought = text.split(UNTHINK)[0].rstrip("\n").split(THINK)[-1].lstrip("\n")
        return thought, text.split(UNTHINK)[-1].lstrip("\n")
    if text.lstrip().startswith(THINK):
        return text.lstrip().removeprefix(THINK).strip("\n"), ""
    return None, text


def message_of(text: str) -> Message:
    r"""What an assistant said as a message; tool calls that are well written are told apart, and so is its thought.

    >>> message_of('<tool_call>{"name": "now"}</tool_call>')["tool_calls"]
    [{'type': 'function', 'function': {'name': 'now', 'arguments': '{}'}}]
    >>> message_of("<think>\nhm\n</think>\n\nYes")
    {'role': 'assistant', 'content': 'Yes', 'reasoning_content': 'hm'}
    """
    thought, text = split_thought(text)
    message: Message = {"role": "assistant", "content": text}
    if thought:
        message["reasoning_content"] = thought
    calls = [_read_call(found[1]) for found in CALLS.finditer(text)]
    if calls and None not in calls:
        message["content"] = CALLS.sub("", text)
        message["tool_calls"] = [{"type": "function", "function": call} for call in calls]
    return message


def _read_call(text: str) -> dict[str, str] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        return None
    return {"name": found["name"], "arguments": as_json(found.get("arguments", {}))}
