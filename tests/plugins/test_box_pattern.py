"""Boxes written as text: what is found is always one, whatever the weights say; and the automaton behind it."""

import itertools
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omniline.core.codec import Reading
from omniline.core.inventory import Inventory
from omniline.core.pattern import behind, either, mark, may_be_empty, maybe, text, then, times
from omniline.core.view import View
from omniline.plugins.language.box_text import BoxTextCodec
from omniline.plugins.language.tokenizer import ByteTokenizer, train_bpe
from omniline.plugins.search.automaton import Automaton, Walk, walk

VIEW = View(size=(100, 50), made=(112, 56))
KINDS = list(itertools.product(("json", "pairs"), ("box", "point"), (False, True)))
BPE = train_bpe(['[{"bbox_2d": [10, 20, 130, 44], "label": "naïve 東京"}]', "(10,20),(130,44)"] * 9, size=300)


def codec(qwen, kind, tokenizer=None):
    style, form, several = kind
    return BoxTextCodec(tokenizer=tokenizer or qwen.QWEN, style=style, shape=form, several=several)


def follows(pattern, symbols):
    for symbol in symbols:
        pattern = behind(pattern, symbol)
    return pattern


LETTERS = st.recursive(
    st.sampled_from([text("a"), text("b"), text("ab")]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: then(*two)),
        st.tuples(inner, inner).map(lambda two: either(*two)),
        st.tuples(inner, st.integers(0, 2), st.integers(0, 2)).map(lambda p: times(p[0], p[1], p[1] + p[2])),
        inner.map(lambda one: times(one, 1, None)),
        inner.map(maybe),
    ),
    max_leaves=6,
)


def expression(pattern):
    """The same as a regular expression of Python's."""
    name = type(pattern).__name__
    if name == "OneOf":
        return "[" + "".join(map(chr, sorted(pattern.symbols))) + "]"
    if name == "Times":
        return f"(?:{expression(pattern.part)}){{{pattern.least},{'' if pattern.most is None else pattern.most}}}"
    inner = [expression(part) for part in pattern.parts]
    return "".join(inner) if name == "Then" else "(?:" + "|".join(inner) + ")"


@given(LETTERS, st.text("ab", max_size=6))
@settings(max_examples=200, deadline=None)
def test_what_is_left_is_what_python_matches(pattern, word):
    found = may_be_empty(follows(pattern, word.encode()))
    assert found == bool(re.fullmatch(expression(pattern), word))
    automaton = Automaton(pattern, Inventory((b"a", b"b", b"aba", b"", b"bb"), end=3))
    tokens = {"a": 0, "b": 1}
    here = Walk(automaton)
    taken = all(here.take(tokens[letter]) for letter in word)
    assert (taken and here.may_end) == found


def test_tokens_that_may_follow_are_those_that_can_be_taken():
    pattern = then(text("a"), maybe(mark(3)), times(either(text("b"), text("ab")), 1, 3))
    tokens = (b"a", b"b", b"ab", b"", b"abb", b"abbbb", b"bab", b"c")
    here = walk(pattern, Inventory(tokens, end=7), opens=True)
    for said in (0, 3, 2, 6):
        row = np.zeros(1, dtype="int32")
        here.fill(row)
        may = [bool(row[0] >> id & 1) for id in range(8)]
        assert may == [here.copy().take(id) for id in range(8)]
        assert here.take(said)
    assert here.may_end and here.wrong == ""


def test_what_a_text_loses_at_its_start_is_written_first():
    here = walk(text("ab"), Inventory((b" a", b"a", b"b"), end=2, drops=b" "), opens=True)
    assert not here.copy().take(1) and here.take(0) and here.take(2) and here.may_end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tokenizer", [None, ByteTokenizer(), BPE], ids=["marks", "bytes", "bpe"])
def test_what_is_written_of_boxes_is_of_the_pattern(qwen, kind, tokenizer):
    made = codec(qwen, kind, tokenizer)
    place = (0.25, 0.5, 0.5, 1.0) if kind[1] == "box" else (0.25, 0.5)
    for label in (None, "cat", "a 東京 🙂 dog, (2)" if kind[0] == "json" else "a 東京 🙂 dog, 2"):
        one = place if label is None else {kind[1]: place, "label": label}
        for value in [[], [one], [one, place]] if kind[2] else [one]:
            here = walk(made.pattern, made.tokenizer.inventory, opens=True)
            ids = made.encode(value, Reading(side="source", leader=VIEW)).tensors["tokens"]
            assert all(here.take(int(id)) for id in ids) and here.may_end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tokenizer", [None, ByteTokenizer(), BPE], ids=["marks", "bytes", "bpe"])
def test_whatever_follows_the_pattern_is_read_as_boxes(qwen, kind, tokenizer):
    """Walks at random end, and every place of theirs is read."""
    made, random = codec(qwen, kind, tokenizer), torch.Generator().manual_seed(1)
    inventory = made.tokenizer.inventory
    seen = set()
    for _ in range(12):
        here, ids = walk(made.pattern, inventory, opens=True), []
        while not here.may_end or (len(ids) < 60 and torch.rand((), generator=random) < 0.9):
            row = np.zeros((len(inventory.tokens) + 31) // 32, dtype="int32")
            here.fill(row)
            may = [id for id in range(len(inventory.tokens)) if row[id // 32] >> (id % 32) & 1]
            if not may:
                break
            ids.append(may[int(torch.randint(len(may), (), generator=random))])
            assert here.take(ids[-1])
        text_found = made.tokenizer.decode(ids)
        value = made.read(text_found, VIEW)
        places = value if kind[2] else [value]
        count = (
            len(json.loads(text_found))
            if kind[0] == "json"
            else text_found.count("(") // (2 if kind[1] == "box" else 1)
        )
        assert len(places) == count and "\ufffd" not in text_found
        for one in places:
            numbers = one[{"box": "bbox", "point": "point"}[kind[1]]] if isinstance(one, dict) else one
            assert len(numbers) == (4 if kind[1] == "box" else 2)
        seen.add(text_found)
    assert len(seen) > 6
