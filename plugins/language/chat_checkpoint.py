"""The chat template that a checkpoint brings, against those of this house: which writes the same, where one differs.

A checkpoint's template is a program (Jinja). It is run in a sandbox, on conversations of our own, to be compared; what
trains and predicts are the templates of this house, which know what is learnt and where a value of another kind stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os.path import commonprefix
from pathlib import Path
from typing import Any, NamedTuple

from ...core.chat_program import chat_program
from ...core.errors import ConfigError
from .chat_order import arranged
from .chat_templates import TEMPLATES, TemplateName, Thinking, template_of
from .chat_turns import Message, messages_of, read_turns
from .chat_writing import Atom, Writing

SHOWN = 60
"""Characters of a rendering that a sentence shows."""
VALUE = {"image": "<|image_pad|>", "video": "<|video_pad|>", "audio": "<|AUDIO|>"}
OMNI = {"image": "<|IMAGE|>", "video": "<|VIDEO|>", "audio": "<|AUDIO|>"}
CALL: Message = {"type": "function", "function": {"name": "now", "arguments": {"zone": "é"}}}
TOOLS = [{"type": "function", "function": {"name": "now", "description": "the time", "parameters": {}}}]
MEDIA: Mapping[str, TemplateName] = {"<|vision_bos|>": "qwen2.5-omni", "<|vision_start|>": "qwen2-vl"}
"""The template of ours that writes a mark around media."""
CANDIDATES: tuple[tuple[TemplateName, Thinking], ...] = (
    ("qwen2.5-omni", "on"),
    ("qwen2-vl", "on"),
    ("qwen2.5", "on"),
    ("qwen3", "on"),
    ("qwen3", "drop"),
    ("qwen3", "keep"),
    ("qwen2", "on"),
    ("chatml", "on"),
)
"""What a checkpoint's template is held against, those that are asked most first."""


class Probe(NamedTuple):
    """A conversation to compare on: its messages, the tools on offer, and whether an answer is asked for."""

    name: str
    messages: Sequence[Message]
    tools: Sequence[Any] = ()
    asks: bool = False


class Fitting(NamedTuple):
    """Settings of CHAT that write what a checkpoint's template writes; `system` is None for our own words."""

    template: TemplateName
    thinking: Thinking
    system: str | None


def said(role: str, content: Any, **more: Any) -> Message:
    """A message."""
    return {"role": role, "content": content, **more}


TALK = (said("user", "a"), said("assistant", "b"), said("user", "c /think"))
PROBES = (
    Probe("a question", TALK[:1], asks=True),
    Probe("an answer", TALK[:2]),
    Probe("a second question", (said("system", "s"), *TALK), asks=True),
)
TOOLED = Probe(
    "calls of tools",
    (*TALK[:1], said("assistant", "", tool_calls=[CALL, CALL]), said("tool", "1"), said("tool", "2")),
    tools=TOOLS,
    asks=True,
)
THOUGHT = Probe(
    "thoughts",
    (
        *TALK[:1],
        said("assistant", "b", reasoning_content="r"),
        *TALK[2:],
        said("assistant", "", reasoning_content="s", tool_calls=[CALL]),
        said("tool", "1"),
        said("assistant", "<think>\nt\n</think>\n\nd"),
    ),
)


def seen(kinds: Sequence[str]) -> Probe:
    """A question about values of other kinds."""
    parts: list[Any] = [{"type": kind, kind: "file"} for kind in kinds]
    return Probe("media", (said("user", [*parts, {"type": "text", "text": "q"}]),), asks=True)


def read_template(folder: str | Path) -> str | None:
    """The chat template in the folder of a checkpoint; None when it brings none.

    Raises:
        ConfigError: a file that should hold it is no JSON.
    """
    root = Path(folder)
    alone = root / "chat_template.jinja"
    if alone.is_file():
        return alone.read_text(encoding="utf-8")
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        path = root / name
        if not path.is_file():
            continue
        try:
            found = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
        except (ValueError, AttributeError) as cause:
            raise ConfigError(f"the file {str(path)!r} must be a JSON object, but is not: {cause}") from cause
        if isinstance(found, list):
            found = next((one.get("template") for one in found if one.get("name") == "default"), None)
        if isinstance(found, str):
            return found
    return None


def fitting(text: str) -> Fitting | None:
    r"""The settings of CHAT that write what a checkpoint's template writes, on every probe; None when none do.

    Args:
        text: the template's Jinja.

    >>> chatml = (
    ...     "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    ...     "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ... )
    >>> fitting(chatml)
    Fitting(template='chatml', thinking='on', system=None)
    """
    found = _told(text)
    for system in (None, found):
        for name, thinking in CANDIDATES:
            own = TEMPLATES[name].system
            if (own == found) == (system is None) and difference(text, name, thinking=thinking, system=system) is None:
                return Fitting(name, thinking, system)
    return None


def difference(text: str, name: TemplateName, *, thinking: Thinking = "on", system: str | None = None) -> str | None:
    """One sentence on where a checkpoint's template and one of ours part; None when they write the same.

    Args:
        text: the checkpoint's Jinja.
        name: a template of ours, with the settings of the slot.
        thinking: see `Chat`.
        system: see `Chat`.
    """
    for probe in _probes(name, thinking):
        ours = _ours(probe, name, thinking, system)
        try:
            theirs = _theirs(text, probe)
        except Exception as cause:
            return (
                f"the checkpoint's own chat template cannot be run on {probe.name} ({cause}), so template={name} "
                "writes instead of it"
            )
        if ours != theirs:
            place = len(commonprefix([ours, theirs]))
            return (
                f"the checkpoint's own chat template differs from template={name} on {probe.name}: it writes "
                f"{_short(theirs, place)} where ours writes {_short(ours, place)}; answers may be worse than the "
                "checkpoint's"
            )
    return None


def _probes(name: TemplateName, thinking: Thinking) -> list[Probe]:
    """What a template can be asked: those of vision and sound know no tools in their own checkpoints."""
    template = TEMPLATES[name]
    kinds = [kind.lower() for kind in template.around]
    more = [seen(kinds)] if kinds else []
    if name in ("qwen2.5", "qwen3"):
        more.append(TOOLED)
    if name == "qwen3" and thinking != "drop":
        more.append(THOUGHT)
    return [*PROBES, *more]


def _ours(probe: Probe, name: TemplateName, thinking: Thinking, system: str | None) -> str:
    template = template_of(name, thinking=thinking, system=system)
    messages, _ = messages_of(list(probe.messages))
    writing = Writing(template, muted=thinking == "off")
    pads = OMNI if "AUDIO" in template.around else VALUE
    text = "".join(
        _spelt(writing.turn(turn), pads) + template.end + "\n"
        for turn in arranged(read_turns(messages), probe.tools, template, thinking)
    )
    return text + (_spelt(writing.opening(), pads) if probe.asks else "")


def _spelt(atoms: Sequence[Atom], pads: Mapping[str, str]) -> str:
    return "".join(pads[atom.content.modality.lower()] if atom.content else atom.text for atom in atoms)


def _theirs(text: str, probe: Probe) -> str:
    told = {"tools": list(probe.tools)} if probe.tools else {}
    return str(chat_program(text).render(messages=list(probe.messages), add_generation_prompt=probe.asks, **told))


def _told(text: str) -> str | None:
    """What a checkpoint's template has the system say by itself; None when that cannot be told."""
    try:
        written = _theirs(text, PROBES[0])
    except Exception:
        return None
    opens, closes = "<|im_start|>system\n", "<|im_end|>\n"
    if not written.startswith(opens):
        return ""
    return written.removeprefix(opens).split(closes)[0]


def _short(text: str, place: int) -> str:
    begin = max(place - SHOWN // 3, 0)
    return repr(text[begin : begin + SHOWN])


def adopted(text: str) -> tuple[dict[str, Any], str]:
    """The settings of CHAT for a checkpoint's template, and a sentence for the user where none of ours writes so."""
    found, note = fitting(text), ""
    media = next((name for mark, name in MEDIA.items() if mark in text), None)
    if media is not None and (found is None or not TEMPLATES[found.template].around):
        # one of ours that writes no media may fit what was asked, and still not serve a checkpoint that sees
        told = _told(text)
        found = Fitting(media, "on", None if told == TEMPLATES[media].system else told)
        note = difference(text, media, system=found.system) or ""
    if found is None:
        return {}, difference(text, "chatml") or ""
    own: dict[str, Any] = {"template": found.template, "thinking": found.thinking}
    return (own if found.system is None else {**own, "system": found.system}), note
