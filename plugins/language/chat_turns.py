"""Conversations as rows hold them, to turns: lists of messages, their JSON, and the shapes that data sets write."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from ...core.near import nearest
from ...core.rows import is_absent, is_list

ROLES = ("system", "user", "assistant", "tool")
ALSO = {"developer": "system", "human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}
ALSO |= {"function": "tool", "observation": "tool"}
"""Other words for the roles, as data sets and interfaces write them."""
THOUGHTS = ("reasoning_content", "thinking", "reasoning")
"""Where messages keep what an assistant thinks."""
NAME = re.compile(r"[\w.-]{1,64}")
TEXT_TYPES = ("text", "input_text", "output_text")
SPELLINGS = {"input_audio": "audio", "input_image": "image"}

MARK = "MARK"
"""The modality of a mark among a turn's contents: what tools answer stands between two."""

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Content:
    """A stretch of a turn.

    Attributes:
        modality: in upper case.
        value: raw; a string for TEXT.
        place: where it stands, for errors.
        sound: of a clip its sound: True for its own, False for none, None where its part does not say, or a raw sound.
    """

    modality: str
    value: Any
    place: str = ""
    sound: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message.

    Attributes:
        role: "system", "user", "assistant" or "tool".
        contents: what it says, in order.
        name: who says it, "" when the row does not tell.
        calls: the tools that an assistant calls, each {"name", "arguments"}, the arguments as JSON text.
        thought: what an assistant thinks before it speaks, where that stands apart from its content; None where it
            does not.
    """

    role: str
    contents: tuple[Content, ...]
    name: str = ""
    calls: tuple[Mapping[str, str], ...] = ()
    thought: str | None = None

    @property
    def text(self) -> str:
        """All its text."""
        return "".join(content.value for content in self.contents if content.modality == "TEXT")


def messages_of(raw: Any) -> tuple[list[Message], list[Any]]:
    """The messages of a conversation, and the tools that it offers.

    Args:
        raw: a list of messages, a mapping with "messages" and perhaps "tools", or the JSON text of either. A message
            that says {"from", "value"} is read as {"role", "content"}.

    Raises:
        TypeError: another kind of value.
        ValueError: no JSON, or no message at all.

    >>> messages_of('[{"from": "human", "value": "Hi"}]')
    ([{'role': 'user', 'content': 'Hi'}], [])
    """
    found, tools = _parsed(raw), []
    if isinstance(found, Mapping):
        key = next((key for key in ("messages", "conversations", "conversation") if key in found), None)
        if key is None:
            raise ValueError(
                "a conversation must be a list of messages, but is a mapping of "
                + (", ".join(map(str, found)) or "nothing")
                + ("; put the message into a list" if "role" in found else "")
            )
        tools, found = _tools(found.get("tools")), _parsed(found[key])
    if not is_list(found):
        raise TypeError(f"a conversation must be a list of messages, but is {_short(found)}")
    if not len(found):
        raise ValueError("a conversation must have at least one message, but the list is empty")
    return [_message(one, number) for number, one in enumerate(found)], tools


def _parsed(raw: Any) -> Any:
    if not isinstance(raw, str):
        return raw
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as cause:
        raise ValueError(
            f'a conversation must be a list of messages, [{{"role": "user", "content": "..."}}], or its JSON, but the '
            f"text {_short(raw)} is no JSON"
        ) from cause


def _tools(value: Any) -> list[Any]:
    found = [] if is_absent(value) else _parsed(value)
    if not is_list(found):
        raise TypeError(f"`tools` must be a list of what may be called, but is {_short(found)}")
    return list(found)


def _message(one: Any, number: int) -> Message:
    if not isinstance(one, Mapping):
        raise TypeError(
            f'message {number} must be a mapping, {{"role": "user", "content": "..."}}, but is {_short(one)}'
        )
    kept = {str(key): value for key, value in one.items() if not is_absent(value)}
    if "role" not in kept and "from" in kept:
        kept = {"role": kept.pop("from"), "content": kept.pop("value", None), **kept}
    if "role" not in kept:
        raise ValueError(f"message {number} must have a role, but has {', '.join(kept) or 'nothing'}")
    role = kept["role"]
    known = ALSO.get(role, role) if isinstance(role, str) else role
    if known not in ROLES:
        near = nearest(str(role), (*ROLES, *ALSO))
        hint = f"; did you mean {near!r}?" if near else ""
        raise ValueError(f"message {number}: the role must be one of {', '.join(ROLES)}, but is {_short(role)}{hint}")
    return kept | {"role": known}


def read_turns(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """Messages as turns, with every part's modality.

    Raises:
        TypeError, ValueError: a part that cannot be read; the message and the part are named.
    """
    return tuple(_turn(message, number) for number, message in enumerate(messages))


def _turn(message: Message, number: int) -> Turn:
    role, what = message["role"], f"message {number}"
    calls = tuple(_call(call, what) for call in message.get("tool_calls") or ())
    content = message.get("content")
    if content is None and not calls:
        raise ValueError(f"{what} of the {role} must have a content, but has {', '.join(message)}")
    if calls and role != "assistant":
        raise ValueError(f"{what}: only the assistant calls tools, but the role is {role}")
    name = message.get("name", "")
    if name and not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ValueError(f"{what}: a name must be letters, digits, `_`, `.` or `-`, at most 64, but is {_short(name)}")
    thought = next((message[key] for key in THOUGHTS if isinstance(message.get(key), str)), None)
    return Turn(
        role=role,
        contents=_contents(content, role, what),
        name=name,
        calls=calls,
        thought=thought if role == "assistant" else None,
    )


def _call(call: Any, what: str) -> Mapping[str, str]:
    """{"name", "arguments"} of a call, the arguments as JSON text: as it is written, where it is."""
    found = call.get("function", call) if isinstance(call, Mapping) else call
    if not isinstance(found, Mapping) or not isinstance(found.get("name"), str):
        raise ValueError(f'{what}: a tool call must have a "name" and "arguments", but is {_short(call)}')
    arguments = found.get("arguments", {})
    written = isinstance(arguments, str) and _is_json(arguments)
    return {"name": found["name"], "arguments": arguments if written else as_json(arguments)}


def as_json(value: Any) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _contents(content: Any, role: str, what: str) -> tuple[Content, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Content("TEXT", content),)
    if role == "tool" and not _is_parts(content):
        return (Content("TEXT", as_json(content)),)
    if not is_list(content):
        raise TypeError(f"{what}: the content must be a string or a list of parts, but is {_short(content)}")
    return tuple(_part(part, f"{what}, part {number}") for number, part in enumerate(content))


def _is_parts(content: Any) -> bool:
    return is_list(content) and all(isinstance(p, str) or (isinstance(p, Mapping) and "type" in p) for p in content)


def _part(part: Any, what: str) -> Content:
    if isinstance(part, str):
        return Content("TEXT", part)
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        raise TypeError(
            f'{what} must be a string or a mapping with a type, such as {{"type": "image", "image": "cat.png"}}, but '
            f"is {_short(part)}"
        )
    kept = {key: value for key, value in part.items() if value is not None}
    kind = kept["type"]
    if kind in TEXT_TYPES:
        if not isinstance(kept.get("text"), str):
            raise TypeError(f"{what}: the text must be a string, but is {_short(kept.get('text'))}")
        return Content("TEXT", kept["text"])
    plain = SPELLINGS.get(kind, kind).removesuffix("_url").lower()
    keys = (kind, plain, f"{plain}_url", "value", "path", "url", "bytes", "data", "content")
    value = next((kept[key] for key in keys if key in kept), None)
    if value is None:
        raise ValueError(f"{what}: the {plain} itself is missing; write {{'type': '{plain}', '{plain}': ...}}")
    said = kept.get("use_audio_in_video")
    if said is not None and not isinstance(said, bool):
        raise TypeError(f"{what}: `use_audio_in_video` must be true or false, but is {_short(said)}")
    sound = kept.get("audio", said) if plain == "video" else None
    return Content(plain.upper(), _local(value, what), what, sound if sound is None else _local(sound, what))


def _local(value: Any, what: str) -> Any:
    """A value that may be written as an address: data addresses become bytes, file addresses paths.

    Raises:
        ValueError: an address of the web.
    """
    if isinstance(value, Mapping) and "url" in value:
        value = value["url"]
    elif isinstance(value, Mapping) and isinstance(value.get("data"), str) and "format" in value:
        return _decoded(value["data"], what)
    if not isinstance(value, str):
        return value
    if value.startswith("data:"):
        head, comma, body = value.partition(",")
        return _decoded(body, what) if comma and head.endswith(";base64") else unquote(body).encode("utf-8")
    if value.startswith("file://"):
        return unquote(urlsplit(value).path)
    if re.match(r"[a-z][a-z0-9+.]*://", value, re.IGNORECASE):
        raise ValueError(f"{what}: {_short(value)} is a web address, which is not fetched; give a file or its bytes")
    return value


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise ValueError(f"{what}: its data is no base64: {cause}") from cause


def _short(value: Any) -> str:
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"
