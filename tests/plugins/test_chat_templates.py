# ruff: noqa: E501  (a rendering is one line)
"""The templates of CHAT, token by token: what stands where, and exactly what is learnt of it.

`⟨name⟩` is a mark as one token, `«...»` is learnt, `#` a row of another kind. The renderings are those of the families'
own templates (Qwen2.5, Qwen3, Qwen2.5-VL, Qwen2.5-Omni).
"""

import numpy as np
import pytest
import torch

from omniline.core.codec import Encoded, Reading
from omniline.core.conversing import Held
from omniline.core.settings import settings_of
from omniline.plugins.language.chat import ChatCodec
from omniline.plugins.language.chat_templates import TEMPLATES
from omniline.plugins.language.plugin import Chat
from omniline.plugins.language.tokenizer import ByteTokenizer

TARGET = Reading(side="target")
S, E = "⟨im_start⟩", "⟨im_end⟩"
QWEN25 = f"{S}system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.{E}\n"
HELPFUL = f"{S}system\nYou are a helpful assistant.{E}\n"
OFFERED = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function "
    'signatures within <tools></tools> XML tags:\n<tools>\n{"name": "now"}\n{"name": "é"}\n</tools>\n\nFor each '
    "function call, return a json object with function name and arguments within ⟨tool_call⟩⟨/tool_call⟩ XML tags:\n"
    '⟨tool_call⟩\n{"name": <function-name>, "arguments": <args-json-object>}\n⟨/tool_call⟩'
)
TOOLS = [{"name": "now"}, {"name": "é"}]


class Rows:
    """A kind that takes three rows."""

    def measure(self, raw, reading):
        return 3

    def encode(self, raw, reading):
        return Encoded(rows=3, tensors={"x": np.zeros((3, 1))})


def user(content):
    return {"role": "user", "content": content}


def system(content):
    return {"role": "system", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def tool(content):
    return {"role": "tool", "content": content}


def call(name, arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def codec(qwen, tokenizer=None, holds=(), **settings):
    held = {kind: Held(codec=Rows()) for kind in holds}
    return ChatCodec(tokenizer=tokenizer or qwen.QWEN, held=held, **settings)


LOOP = [
    user("a"),
    assistant("", reasoning_content="r1", tool_calls=[call("f", {"x": "ü"}), call("g", '{"y":1}')]),
    tool("u1"),
    tool({"t": 2}),
    assistant("b", reasoning_content="r2"),
]
CALLS = '⟨tool_call⟩\n{"name": "f", "arguments": {"x": "ü"}}\n⟨/tool_call⟩\n⟨tool_call⟩\n{"name": "g", "arguments": {"y":1}}\n⟨/tool_call⟩'
ANSWERS = f'{S}user\n⟨tool_response⟩\nu1\n⟨/tool_response⟩\n⟨tool_response⟩\n{{"t": 2}}\n⟨/tool_response⟩{E}\n'
OLD = [user("a"), assistant("b", reasoning_content="r1"), user("c"), assistant("d")]


@pytest.mark.parametrize(
    ("settings", "talk", "written"),
    [
        ({"template": "qwen2.5"}, [user("hi"), assistant("yo")], f"{QWEN25}{S}user\nhi{E}\n{S}assistant\n«yo{E}»\n"),
        ({"template": "qwen2.5"}, [system("Be."), user("hi"), assistant("yo")], f"{S}system\nBe.{E}\n{S}user\nhi{E}\n{S}assistant\n«yo{E}»\n"),
        ({"template": "qwen2.5"}, [user("hi"), system("now"), assistant("")], f"{QWEN25}{S}user\nhi{E}\n{S}system\nnow{E}\n{S}assistant\n«{E}»\n"),
        ({"template": "qwen2.5", "system": ""}, [user("hi"), assistant("yo")], f"{S}user\nhi{E}\n{S}assistant\n«yo{E}»\n"),
        ({"template": "qwen2"}, [user("ü🙂"), assistant("é")], f"{HELPFUL}{S}user\nü🙂{E}\n{S}assistant\n«é{E}»\n"),
        ({"template": "qwen2.5"}, LOOP[:1] + [assistant("w", tool_calls=LOOP[1]["tool_calls"]), *LOOP[2:4], assistant("b")], f"{QWEN25}{S}user\na{E}\n{S}assistant\n«w\n{CALLS}{E}»\n{ANSWERS}{S}assistant\n«b{E}»\n"),
        ({"template": "qwen3"}, LOOP, f"{S}user\na{E}\n{S}assistant\n«⟨think⟩\nr1\n⟨/think⟩\n\n{CALLS}{E}»\n{ANSWERS}{S}assistant\n«⟨think⟩\nr2\n⟨/think⟩\n\nb{E}»\n"),
        ({"template": "qwen3"}, [*LOOP, user("<tool_response>x</tool_response>"), assistant("c")], f"{S}user\na{E}\n{S}assistant\n«⟨think⟩\nr1\n⟨/think⟩\n\n{CALLS}{E}»\n{ANSWERS}{S}assistant\n«⟨think⟩\nr2\n⟨/think⟩\n\nb{E}»\n{S}user\n<tool_response>x</tool_response>{E}\n{S}assistant\n«⟨think⟩\n\n⟨/think⟩\n\nc{E}»\n"),
        ({"template": "qwen3"}, OLD, f"{S}user\na{E}\n{S}assistant\n«b{E}»\n{S}user\nc{E}\n{S}assistant\n«⟨think⟩\n\n⟨/think⟩\n\nd{E}»\n"),
        ({"template": "qwen3", "train_on": "last"}, OLD, f"{S}user\na{E}\n{S}assistant\nb{E}\n{S}user\nc{E}\n{S}assistant\n«⟨think⟩\n\n⟨/think⟩\n\nd{E}»\n"),
        ({"template": "qwen3", "thinking": "keep"}, OLD, f"{S}user\na{E}\n{S}assistant\n«⟨think⟩\nr1\n⟨/think⟩\n\nb{E}»\n{S}user\nc{E}\n{S}assistant\n«⟨think⟩\n\n⟨/think⟩\n\nd{E}»\n"),
        ({"template": "qwen3", "thinking": "drop"}, OLD, f"{S}user\na{E}\n{S}assistant\n«b{E}»\n{S}user\nc{E}\n{S}assistant\n«d{E}»\n"),
        ({"template": "qwen3", "thinking": "off"}, OLD, f"{S}user\na{E}\n{S}assistant\n«b{E}»\n{S}user\nc{E}\n{S}assistant\n⟨think⟩\n\n⟨/think⟩\n\n«d{E}»\n"),
        ({"template": "qwen3", "thinking": "off"}, LOOP[:1] + LOOP[4:], f"{S}user\na{E}\n{S}assistant\n⟨think⟩\n\n⟨/think⟩\n\n«b{E}»\n"),
        ({"template": "qwen3"}, [user("x /no_think"), assistant("<think>\n\nhm\n</think>\n\n\nb")], f"{S}user\nx /no_think{E}\n{S}assistant\n«⟨think⟩\nhm\n⟨/think⟩\n\nb{E}»\n"),
        ({"template": "qwen3", "system": "Be."}, [user("x"), assistant("b", reasoning_content="")], f"{S}system\nBe.{E}\n{S}user\nx{E}\n{S}assistant\n«⟨think⟩\n\n⟨/think⟩\n\nb{E}»\n"),
        ({"template": "qwen2-vl", "holds": ("IMAGE", "VIDEO")}, [user([{"type": "image", "image": 1}, "q?", {"type": "video", "video": 1}]), assistant("b")], f"{HELPFUL}{S}user\n⟨vision_start⟩###⟨vision_end⟩q?⟨vision_start⟩###⟨vision_end⟩{E}\n{S}assistant\n«b{E}»\n"),
        ({"template": "qwen2.5-omni", "holds": ("IMAGE", "AUDIO")}, [user([{"type": "audio", "audio": 1}, {"type": "image", "image": 1}, "q?"]), assistant("b")], f"{HELPFUL}{S}user\n⟨audio_bos⟩###⟨audio_eos⟩⟨vision_bos⟩###⟨vision_eos⟩q?{E}\n{S}assistant\n«b{E}»\n"),
        ({"template": "qwen2.5", "holds": ("IMAGE",)}, [user(["q?", {"type": "image", "image": 1}]), assistant("b")], f"{QWEN25}{S}user\nq?###{E}\n{S}assistant\n«b{E}»\n"),
        ({"template": "qwen3", "train_marks": True}, OLD[:2], f"{S}user\na«{E}\n{S}»assistant\n«⟨think⟩\nr1\n⟨/think⟩\n\nb{E}\n»"),
        ({"template": "qwen2", "train_marks": True, "train_on": "last", "system": ""}, [user("a"), assistant("b"), *OLD[2:]], f"{S}user\na«{E}\n{S}»assistant\nb«{E}\n{S}»user\nc«{E}\n{S}»assistant\n«d{E}\n»"),
        ({"template": "chatml"}, [{**user("hi"), "name": "Ann"}, tool("3"), assistant("yo", reasoning_content="r")], f"{S}user name=Ann\nhi{E}\n{S}tool\n3{E}\n{S}assistant\n«⟨think⟩\nr\n⟨/think⟩\n\nyo{E}»\n"),
    ],
)  # fmt: skip
def test_what_is_written_and_what_is_learnt(qwen, settings, talk, written):
    made = codec(qwen, **settings)
    encoded = made.encode(talk, TARGET)
    assert qwen.shown(encoded) == written
    assert made.measure(talk, TARGET) == encoded.rows
    assert qwen.shown(made.encode(talk, Reading())) == written.replace("«", "").replace("»", "")


@pytest.mark.parametrize(
    ("template", "talk", "head"),
    [
        ("qwen2.5", [user("a"), assistant("b")], QWEN25.removesuffix(f"{E}\n") + f"\n\n{OFFERED}{E}\n"),
        ("qwen2-vl", [user("a"), assistant("b")], HELPFUL.removesuffix(f"{E}\n") + f"\n\n{OFFERED}{E}\n"),
        ("qwen2.5", [system("Be."), assistant("b")], f"{S}system\nBe.\n\n{OFFERED}{E}\n"),
        ("qwen3", [user("a"), assistant("b")], f"{S}system\n{OFFERED}{E}\n"),
        ("qwen3", [system("Be."), user("a"), assistant("b")], f"{S}system\nBe.\n\n{OFFERED}{E}\n"),
    ],
)
def test_how_tools_are_offered(qwen, template, talk, head):
    assert qwen.shown(codec(qwen, template=template).encode({"messages": talk, "tools": TOOLS}, TARGET)).startswith(
        head
    )


@pytest.mark.parametrize(
    ("settings", "talk", "opening"),
    [
        ({"template": "qwen3"}, [user("hi")], f"{S}user\nhi{E}\n{S}assistant\n"),
        ({"template": "qwen3", "thinking": "off"}, [user("hi")], f"{S}user\nhi{E}\n{S}assistant\n⟨think⟩\n\n⟨/think⟩\n\n"),
        ({"template": "qwen3"}, [*OLD[:3]], f"{S}user\na{E}\n{S}assistant\nb{E}\n{S}user\nc{E}\n{S}assistant\n"),
        ({"template": "qwen3"}, OLD, f"{S}user\na{E}\n{S}assistant\nb{E}\n{S}user\nc{E}\n{S}assistant\n"),
        ({"template": "qwen3", "thinking": "keep"}, OLD, f"{S}user\na{E}\n{S}assistant\n⟨think⟩\nr1\n⟨/think⟩\n\nb{E}\n{S}user\nc{E}\n{S}assistant\n"),
        ({"template": "qwen3"}, LOOP[:4], f"{S}user\na{E}\n{S}assistant\n⟨think⟩\nr1\n⟨/think⟩\n\n{CALLS}{E}\n{ANSWERS}{S}assistant\n"),
        ({"template": "qwen2.5"}, [user("hi"), assistant("no")], f"{QWEN25}{S}user\nhi{E}\n{S}assistant\n"),
    ],
)  # fmt: skip
def test_what_opens_an_answer(qwen, settings, talk, opening):
    assert qwen.shown(codec(qwen, **settings).opening(talk, TARGET)) == opening


@pytest.mark.parametrize("thinking", ["on", "off", "keep", "drop"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_training_sees_what_predicting_opens_with(qwen, template, thinking):
    """Of every conversation that ends with an answer, whatever became of the thoughts before."""
    if thinking == "off" and template != "qwen3":
        with pytest.raises(ValueError, match=f"`thinking=off` is a mode of qwen3, but the template is {template}"):
            codec(qwen, template=template, thinking=thinking)
        return
    made = codec(qwen, template=template, thinking=thinking)
    plain = [{key: one[key] for key in one if key != "reasoning_content"} for one in LOOP]
    end = "⟨endoftext⟩" if template == "plain" else E
    for talk in (plain, plain[:1] + plain[4:], *((LOOP, OLD) if template in ("qwen3", "chatml") else ())):
        whole = qwen.shown(made.encode(talk, TARGET)).replace("«", "").replace("»", "")
        opening = qwen.shown(made.opening(talk, TARGET))
        assert whole.startswith(opening) and whole.removeprefix(opening).endswith(f"{talk[-1]['content']}{end}\n")


def test_with_keep_a_conversation_goes_on_where_it_stood(qwen):
    made = codec(qwen, template="qwen3", thinking="keep")
    tokens = [made.encode(talk, TARGET).tensors["tokens"].tolist() for talk in (OLD[:2], OLD)]
    assert tokens[1][: len(tokens[0])] == tokens[0]


@pytest.mark.parametrize("name", [*("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|vision_start|>")])
@pytest.mark.parametrize("role", ["user", "tool", "system", "assistant"])
def test_a_special_mark_in_a_turn_is_text(qwen, role, name):
    talk = [user("q"), {"role": role, "content": f"no{name}\n{name}x"}, assistant("b")]
    for template in ("qwen2.5", "qwen3"):
        encoded = codec(qwen, template=template).encode(talk, TARGET)
        text, clean = qwen.shown(encoded), [talk[0], {"role": role, "content": "no\nx"}, talk[2]]
        assert f"no{name}\n{name}x" in text
        assert text.replace(name, "") == qwen.shown(codec(qwen, template=template).encode(clean, TARGET))


@pytest.mark.parametrize("name", ["</think>", "<tool_call>", "</tool_response>", "<|fim_middle|>"])
def test_who_may_write_marks_that_are_not_special(qwen, name):
    """What users and tools say never becomes a mark; the system and the assistant may write those of calls."""
    made = codec(qwen, template="qwen2.5")
    for message in (user(f"a{name}b"), tool(f"a{name}b")):
        assert f"a{name}b" in qwen.shown(made.encode([message, assistant("c")], TARGET))
    mark = f"a⟨{name.strip('<|>')}⟩b"
    assert mark in qwen.shown(made.encode([system(f"a{name}b"), assistant("c")], TARGET))
    assert f"«{mark}{E}»" in qwen.shown(made.encode([assistant(f"a{name}b")], TARGET))


def test_the_spelling_of_a_mark_comes_back(qwen):
    text = "say <think> or <|im_end|>, naïve\r\n</tool_call>"
    ids = qwen.QWEN.literal(text)
    assert qwen.QWEN.decode(ids.tolist()) == text and not set(ids.tolist()) - set(range(256))
    assert qwen.spelt(qwen.QWEN.array(text).tolist()) == text.replace("<think>", "⟨think⟩").replace(
        "</tool_call>", "⟨/tool_call⟩"
    )
    assert (
        ByteTokenizer().literal(text) is not None
        and ByteTokenizer().decode(ByteTokenizer().literal("<think>")) == "<think>"
    )


def test_text_around_an_opening_is_cut_as_one(qwen):
    """As a template's own text is: the new line behind a role joins those that open what a user says, and no answer's."""
    tokenizer = qwen.make(merges=[("Ċ", "Ċ")])
    two = tokenizer.encode("\n\n")
    assert len(two) == 1
    tokens = codec(qwen, tokenizer, template="qwen3").encode([user("\nq"), assistant("\nb")], TARGET).tensors["tokens"]
    assert tokens.tolist().count(two[0]) == 3  # the user's, and two around an empty thought


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("Hello", {"content": "Hello"}),
        ("⟨think⟩\nhm\n⟨/think⟩\n\nHo", {"content": "Ho", "reasoning_content": "hm"}),
        ("⟨think⟩\n\n⟨/think⟩\n\nHo", {"content": "Ho"}),
        ("hm\n⟨/think⟩\n\nHo", {"content": "Ho", "reasoning_content": "hm"}),
        ("⟨think⟩\nhm, and", {"content": "", "reasoning_content": "hm, and"}),
        ('⟨think⟩\nhm\n⟨/think⟩\n\nW\n⟨tool_call⟩\n{"name": "f", "arguments": {"x": "é"}}\n⟨/tool_call⟩', {"content": "W", "reasoning_content": "hm", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": '{"x": "é"}'}}]}),
        ("⟨tool_call⟩\n{broken\n⟨/tool_call⟩", {"content": "<tool_call>\n{broken\n</tool_call>"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("all_special", [False, True])
def test_an_answer_is_told_apart(qwen, said, message, all_special):
    tokenizer = qwen.make(all_special=all_special)
    ids = []
    for place, run in enumerate(said.replace("⟩", "⟨").split("⟨")):
        ids += [tokenizer.special(f"<{run}>")] if place % 2 else tokenizer.encode(run)
    made = codec(qwen, tokenizer, template="qwen3")
    found = made.decode({"tokens": torch.tensor(ids)})
    assert found == {"role": "assistant", **message}
    if "broken" not in said and found["content"]:
        again = qwen.shown(made.encode([user("q"), found], TARGET), tokenizer)
        assert again.endswith(f"{said.removeprefix('⟨think⟩').lstrip()}{E}»\n")


def test_metrics_compare_what_is_said_without_its_thought(qwen):
    made = codec(qwen, template="qwen3")
    assert made.compared([user("q"), assistant("<think>\nhm\n</think>\n\nHo")]) == "Ho"
    assert made.compared([user("q"), assistant("Ho", reasoning_content="hm")]) == "Ho"


def test_a_thought_that_has_no_place_is_said(qwen):
    with pytest.warns(UserWarning, match="the template has no place for it, .* write thinking=keep"):
        encoded = codec(qwen, template="qwen2.5").encode([user("q"), assistant("b", reasoning_content="r")], TARGET)
    assert qwen.shown(encoded).endswith(f"«b{E}»\n")
    kept = codec(qwen, template="qwen2.5", thinking="keep").encode([assistant("b", reasoning_content="r")], TARGET)
    assert qwen.shown(kept).endswith(f"«⟨think⟩\nr\n⟨/think⟩\n\nb{E}»\n")


def test_marks_that_the_tokenizer_lacks_are_spelt(qwen):
    tokenizer = qwen.make(without=("<think>", "</think>", "<|im_end|>"))
    encoded = codec(qwen, tokenizer, template="qwen3").encode(OLD[:2], TARGET)
    assert (
        qwen.shown(encoded, tokenizer)
        == f"{S}user\na⟨endoftext⟩\n{S}assistant\n«<think>\nr1\n</think>\n\nb⟨endoftext⟩»\n"
    )


def test_old_exchanges_go_and_what_the_system_says_by_itself_stays(qwen):
    made = codec(qwen, template="qwen2.5")
    talk = [one for i in range(4) for one in (user(f"q{i}"), tool(f"t{i}"), assistant(f"a{i}"))]
    limit = made.measure(talk[-6:], TARGET)
    assert qwen.shown(made.encode(talk, Reading(side="target", limit=limit))) == qwen.shown(
        made.encode(talk[-6:], TARGET)
    )
    opening = made.opening([*talk, user("q")], Reading(side="target", limit=limit - 8))
    assert qwen.shown(opening).startswith(QWEN25) and opening.rows <= limit - 8


def test_the_declaration_offers_what_there_is():
    offered = settings_of(Chat)
    assert offered["template"].choices == tuple(TEMPLATES) and offered["thinking"].choices == (
        "on",
        "off",
        "keep",
        "drop",
    )
    with pytest.raises(ValueError, match="`template` must be one of chatml, plain, qwen2, .* but is 'qwen4'"):
        ChatCodec(tokenizer=ByteTokenizer(), template="qwen4")
