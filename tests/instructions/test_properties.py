"""What holds for every text: it reads back equal, and an edit inside a slot never becomes prompt text unnoticed."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omniline.core.errors import InstructionError
from omniline.instructions.nodes import (
    Attribute,
    Group,
    Instruction,
    Ranking,
    Slot,
    Text,
    Value,
    Wording,
    slots_of,
)
from omniline.instructions.parser import parse

CHARACTERS = st.text(st.sampled_from('ab []()<>-=|\\"*+{}0,1\n\té,:>'), min_size=1, max_size=8)
NAMES = st.sampled_from(["a", "b1", "_", "-", "a.b", "ключ", "日本.x-1", "हिन्दी", "9"])
VALUES = st.builds(Value, st.text(st.sampled_from('a5. ,=|"[]\\：，é-é>n\n\t'), max_size=6))
ATTRIBUTES = st.builds(
    Attribute,
    st.sampled_from(["a", "max_length", "loss.temperature", "_x", "k9"]),
    st.none() | st.lists(VALUES, min_size=1, max_size=3).map(tuple),
)
SLOTS = st.builds(
    Slot,
    st.sampled_from(["TEXT", "IMAGE", "A", "X_9"]),
    st.none() | NAMES,
    st.lists(ATTRIBUTES, max_size=2).map(tuple),
)
COUNTS = st.sampled_from([(0, None), (1, None), (2, 2), (0, 1), (3, None), (2, 5)])


def settled(items, encoded):
    """Items as reading would leave them: texts joined, white space settled, never empty."""
    merged = []
    for item in items:
        if isinstance(item, Text) and merged and isinstance(merged[-1], Text):
            merged[-1] = Text(merged[-1].text + item.text)
        else:
            merged.append(item)
    out = []
    for index, item in enumerate(merged):
        if isinstance(item, Text):
            words = item.text
            if not words.strip():
                words = " " if encoded and 0 < index < len(merged) - 1 else ""
            words = words.lstrip() if index == 0 else words
            words = words.rstrip() if index == len(merged) - 1 else words
            if words:
                out.append(Text(words))
        else:
            out.append(item)
    return tuple(out)


def unquantified(items):
    """Drop text after a group that would read as part of its quantifier: no spelling could keep it apart."""
    return [
        Text("x" + item.text)
        if isinstance(item, Text)
        and number
        and isinstance(items[number - 1], Group)
        and item.text.strip()[:1] in ("*", "+", "{")
        else item
        for number, item in enumerate(items)
    ]


@st.composite
def some_items(draw, encoded, depth=0):
    kinds = [CHARACTERS.map(Text), SLOTS] + ([some_groups(encoded, depth + 1)] if depth < 3 else [])
    items = settled(draw(st.lists(st.one_of(kinds), max_size=4)), encoded)
    return settled(unquantified(items), encoded)


@st.composite
def some_groups(draw, encoded, depth):
    inside = draw(some_items(encoded, depth))
    if not list(slots_of(inside)):
        inside = (draw(SLOTS),)
    return Group(inside, *draw(COUNTS))


@st.composite
def some_instructions(draw):
    arrow = draw(st.sampled_from(["->", "->", "<->"]))
    wordings = []
    for _ in range(draw(st.integers(1, 2))):
        source, target = draw(some_items(True)), draw(some_items(arrow == "<->"))
        if arrow == "->" and draw(st.booleans()):
            first = draw(SLOTS)
            second = Slot(first.type, draw(st.none() | NAMES))
            ranking = Ranking((first, second))
            before = tuple(item for item in target if not isinstance(item, Text) or item.text.strip())
            target = (*before, ranking)
        if not [*slots_of(source), *slots_of(target)]:
            source = (Slot("TEXT"),)
        wordings.append(Wording(arrow, source, target))
    return Instruction(tuple(wordings))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some_instructions())
def test_what_is_spelled_reads_back_equal(made):
    assert parse(str(made)) == made
    assert str(parse(str(made))) == str(made)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.sampled_from('AB[]():,|>-<=\\"*+{}0 1\n［：é'), max_size=40))
def test_any_text_reads_or_raises_and_what_reads_reads_back(text):
    try:
        nodes = parse(text)
    except InstructionError as error:
        assert error.diagnostics
    else:
        assert parse(str(nodes)) == nodes


EDITED = [
    "[IMAGE:img,size=64] what is it? -> [TEXT:cap]",
    '[TEXT:a,column="x ] y",optional][BOX:b] is "quoted" -> ( [BOX:box] [TEXT:name,max_length=5] )*',
    r"a \[b\] [TEXT:q] > c -> so [TEXT:x,loss=dpo] > [TEXT:y]",
    "[TEXT:a] <-> [IMAGE:b] ||| x [TEXT:a] <-> [IMAGE:b]",
    '-> [TEXT:a,closed_set=yes|no|"may be"]',
]


def prompts(instruction):
    """All prompt text of an instruction, in order."""

    def texts(items):
        for item in items:
            if isinstance(item, Text):
                yield item.text.strip()
            elif isinstance(item, Group):
                yield from texts(item.items)

    return [text for w in instruction.wordings for side in (w.source, w.target) for text in texts(side) if text]


def edits(text, start, end):
    """Every one-character edit at the places of a slot, its brackets included."""
    for at in range(start, end + 1):
        for char in "[]()<>-=|\\\"'{}*+,.:; aT0\n［］：，【】":
            if start < at < end:
                yield text[:at] + char + text[at:]
            if at < end:
                yield text[:at] + char + text[at + 1 :]
        if at < end:
            yield text[:at] + text[at + 1 :]


@pytest.mark.parametrize("text", EDITED)
def test_a_one_character_edit_inside_a_slot_never_silently_becomes_prompt_text(text):
    before = prompts(parse(text))
    tried = 0
    for wording in parse(text).wordings:
        for slot in [*slots_of(wording.source), *slots_of(wording.target)]:
            for edited in edits(text, slot.span.start, slot.span.end):
                tried += 1
                try:
                    after = prompts(parse(edited))
                except InstructionError:
                    continue
                assert after == before, edited
    assert tried > 500


def test_generated_texts_raise_nothing_else(fuzzer, catalog):
    compiled = fuzzer.run(3_000, random.Random("tests").randrange(1 << 30), catalog)
    assert compiled > 300
