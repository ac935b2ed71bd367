"""Budgets: the sums that are judged, the remedy that is offered, and how the room is shared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniline.core.adapter import Adapter
from omniline.core.budget import byte_length, fill, judge, shares, streams, terms, total, whole_repetitions
from omniline.core.catalog import catalog_of
from omniline.core.decoder import Decoder
from omniline.core.loss import Loss
from omniline.core.modality import Modality, Tokens
from omniline.core.settings import setting
from omniline.instructions.compiler import compile


class Words(Adapter):
    modality = "TEXT"
    predicts = "tokens"
    codec = port = "nowhere:None"
    cuttable = True


class Patches(Adapter):
    modality = "IMAGE"
    codec = port = "nowhere:None"
    sides = ("source",)
    size: int = setting(160, at_least=16)

    def tokens(self):
        return Tokens((self.size // 16) ** 2)


class Any(Loss):
    build = "nowhere:None"


class Ranked(Loss):
    build = "nowhere:None"
    kind = "rank"


class Matched(Loss):
    build = "nowhere:None"
    kind = "match"


class Likeliest(Decoder):
    build = "nowhere:None"


@pytest.fixture(scope="module")
def catalog():
    return catalog_of(
        modalities={"TEXT": Modality(source="text", target="text"), "IMAGE": Modality(source="image")},
        adapters={"text": Words, "image": Patches},
        losses={"cross_entropy": Any, "bradley_terry": Ranked, "contrastive": Matched},
        decoders={"greedy": Likeliest},
    )


def needed(line, context, catalog):
    (wording,) = compile(line, catalog=catalog).alternatives
    return [total(terms(stream.steps, wording.slots)) for stream in streams(wording, context)]


@pytest.mark.parametrize(
    ("line", "joined", "apart"),
    [
        ("[IMAGE:i] what? -> [TEXT:t]", [101], [100, 1]),
        ("[IMAGE:i] -> [TEXT:t,max_length=20]", [120], [100, 20]),
        ("[IMAGE:i] -> ( [TEXT:t] )*", [100], [100, 0]),
        ("( [IMAGE:i] ){3,9} -> ( [TEXT:t,max_length=5] ){2}", [310], [300, 10]),
        ("[TEXT:q] -> [TEXT:a,max_length=5] > [TEXT:b,max_length=9]", [10], [1, 9]),
        ("[IMAGE:i] <-> [TEXT:t,max_length=7]", [100, 7], [100, 7]),
    ],
)
def test_what_a_line_takes(line, joined, apart, catalog):
    assert needed(line, 10_000, catalog) == joined
    assert needed(line, (10_000, 10_000), catalog) == apart


@pytest.mark.parametrize(
    ("line", "context", "label", "help"),
    [
        ("[IMAGE:i] -> [TEXT:t]", 100, "100 tokens", "size=80 fits (25 + 1)"),
        ("[IMAGE:i] -> [TEXT:t,max_length=80]", 150, "100 tokens", "size=80 fits (25 + 80)"),
        ("[IMAGE:i] -> [TEXT:t,max_length=800]", 150, "+ 800 tokens > 150", "max_length=50 fits (100 + 50)"),
        ("[IMAGE:i] -> [TEXT:t]", (99, 99), "100 tokens > 99", "size=80 fits (25)"),
        ("( [IMAGE:i] ){3} -> [TEXT:t]", 200, "3 times 100 tokens = 300", "size=80 fits (75 + 1)"),
        ("[IMAGE:i] <-> [TEXT:t]", 10, "100 tokens > 10", "size=40 fits (4)"),
    ],
)
def test_an_overfull_context_shows_the_sum_and_the_remedy(line, context, label, help, catalog):
    plan = compile(line, catalog=catalog)
    (found,) = judge(plan, "toy", context, catalog=catalog)
    assert found.code == "OL301" and label in [mark.text for mark in found.labels]
    assert found.help == help and "`toy`" in found.message
    inside = plan.text[found.span.start : found.span.end]
    assert inside.startswith(("IMAGE:i", "TEXT:t")) and not inside.endswith("]")


def test_what_fits_to_the_last_token_is_not_judged(catalog):
    plan = compile("[IMAGE:i] a long prompt that is not counted -> [TEXT:t,max_length=20]", catalog=catalog)
    assert judge(plan, "toy", 120, catalog=catalog) == []
    assert judge(plan, "toy", (100, 20), catalog=catalog) == []
    assert len(judge(plan, "toy", 119, catalog=catalog)) == 1


def test_both_sides_and_every_alternative_are_judged(catalog):
    plan = compile("[IMAGE:i] -> [TEXT:t,max_length=9] ||| x [IMAGE:i] -> [TEXT:t,max_length=9]", catalog=catalog)
    found = judge(plan, "toy", (50, 5), catalog=catalog)
    assert [d.notes[0] for d in found] == [
        "its source side takes at most 50 tokens",
        "its target side takes at most 5 tokens",
    ] * 2


def test_without_a_catalog_the_sum_is_shown_without_its_factors(catalog):
    plan = compile("[IMAGE:i] -> [TEXT:t]", catalog=catalog)
    (found,) = judge(plan, "toy", 50)
    assert found.labels[0].text == "100 tokens" and "longer context" in found.help


def test_open_slots_share_what_is_left(catalog):
    (wording,) = compile("[IMAGE:i] what? [TEXT:q] -> ( [TEXT:t] )*", catalog=catalog).alternatives
    prompt = byte_length(" what? ")
    assert shares(wording, 210 + prompt + 1) == {2: 56, 1: 55}
    assert shares(wording, (150 + prompt, 40)) == {1: 50, 2: 40}
    assert shares(wording, 50) == {1: 0, 2: 0}


def test_targets_are_served_first_then_sources_equally(catalog):
    (wording,) = compile("[TEXT:a] [TEXT:b] -> [TEXT:t]", catalog=catalog).alternatives
    count = {"prompt_tokens": lambda text: 0}
    assert shares(wording, 100, wanted={0: 90, 1: 10, 2: 60}, **count) == {2: 60, 0: 30, 1: 10}
    assert shares(wording, 100, wanted={0: 90, 1: 90, 2: 60}, **count) == {2: 60, 0: 20, 1: 20}
    assert shares(wording, 100, wanted={0: 9, 1: 9, 2: 200}, **count) == {2: 100, 0: 0, 1: 0}


@given(st.lists(st.integers(0, 50), max_size=6), st.integers(0, 120))
def test_filling_gives_no_more_than_wanted_nor_than_there_is_and_wastes_nothing(wants, room):
    granted = fill(wants, room)
    assert all(0 <= g <= w for g, w in zip(granted, wants, strict=True))
    assert sum(granted) == min(sum(wants), room)
    cut = [g for g, w in zip(granted, wants, strict=True) if g < w]
    assert not cut or max(granted) - min(cut) <= 1


@given(st.lists(st.integers(1, 9), max_size=8), st.integers(0, 40))
def test_whole_repetitions_are_the_most_that_fit(sizes, room):
    count = whole_repetitions(sizes, room)
    assert sum(sizes[:count]) <= room
    assert count == len(sizes) or sum(sizes[: count + 1]) > room
