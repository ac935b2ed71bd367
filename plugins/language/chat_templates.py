"""The templates of CHAT: which marks stand around turns and media, what is said where no system speaks, what thinks.

Those named after a checkpoint's family write what its own template writes, as tokens: Qwen2 (arXiv:2407.10671),
Qwen2.5 (2412.15115), Qwen3 (2505.09388), Qwen2-VL and Qwen2.5-VL (2409.12191, 2502.13923), Qwen2.5-Omni (2503.20215).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

TemplateName = Literal["chatml", "plain", "qwen2", "qwen2.5", "qwen3", "qwen2-vl", "qwen2.5-omni"]
Thinking = Literal["on", "off", "keep", "drop"]

OFFER = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{tools}\n</tools>\n\n"
    "For each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)
"""How the family offers tools; `{tools}` are their schemas, one a line."""
SHORT_OFFER = "# Tools\n\n<tools>\n{tools}\n</tools>"
EYES = MappingProxyType(dict.fromkeys(("IMAGE", "VIDEO"), ("<|vision_start|>", "<|vision_end|>")))
SENSES = MappingProxyType(
    dict.fromkeys(("IMAGE", "VIDEO"), ("<|vision_bos|>", "<|vision_eos|>"))
    | {"AUDIO": ("<|audio_bos|>", "<|audio_eos|>")}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How a conversation is written.

    Attributes:
        before: opens a turn; a mark, or "".
        behind: stands between a role and what is said.
        end: ends a turn; a mark, or "" for the model's end mark. What follows is a new line.
        system: what the system says where no system turn opens a conversation; "" for nothing.
        offer: how tools are offered in the system's turn, `{tools}` their schemas, one a line.
        answers: what tools answer stands in a turn of the user, `<tool_response>` around each; neighbours share one.
        names: who speaks stands behind the role.
        thoughts: "told" writes every thought that a message has; "none" has no place for them; "last" leaves out those
            before the user's last question, and gives the last answer a block in any case.
        around: the marks around a value of another kind, by modality.
    """

    before: str = "<|im_start|>"
    behind: str = "\n"
    end: str = "<|im_end|>"
    system: str = ""
    offer: str = OFFER
    answers: bool = True
    names: bool = False
    thoughts: Literal["told", "none", "last"] = "none"
    around: Mapping[str, tuple[str, str]] = field(default_factory=dict)


QWEN2 = Template(system="You are a helpful assistant.")
TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        "chatml": Template(offer=SHORT_OFFER, answers=False, names=True, thoughts="told"),
        "plain": Template(
            before="", behind=": ", end="", offer=SHORT_OFFER, answers=False, names=True, thoughts="told"
        ),
        "qwen2": QWEN2,
        "qwen2.5": replace(QWEN2, system="You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
        "qwen3": Template(thoughts="last"),
        "qwen2-vl": replace(QWEN2, around=EYES),
        "qwen2.5-omni": replace(QWEN2, around=SENSES),
    }
)


def template_of(name: TemplateName, *, thinking: Thinking = "on", system: str | None = None) -> Template:
    """A template by its name.

    Args:
        name: see `TEMPLATES`.
        thinking: "off" is a mode of templates that know thoughts.
        system: what the system says where no system turn opens a conversation, instead of the template's own words.

    Raises:
        ValueError: no such template, or one without the mode "off".

    >>> template_of("qwen3").thoughts, template_of("qwen3", system="Be brief.").system
    ('last', 'Be brief.')
    """
    found = TEMPLATES.get(name)
    if found is None:
        raise ValueError(f"`template` must be one of {', '.join(TEMPLATES)}, but is {name!r}")
    if thinking == "off" and found.thoughts != "last":
        modes = ", ".join(each for each, template in TEMPLATES.items() if template.thoughts == "last")
        raise ValueError(
            f"`thinking=off` is a mode of {modes}, but the template is {name}, which has none; write thinking=drop to "
            "leave thoughts out"
        )
    return found if system is None else replace(found, system=system)
