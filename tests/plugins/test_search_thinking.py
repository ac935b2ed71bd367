"""The budget of a thought against the plain walk: what it changes, what it does not, and what it needs."""

import importlib.util
from pathlib import Path

import pytest

from omniline.core.conversing import Thoughts
from omniline.core.errors import ConfigError
from omniline.plugins.search.greedy import Greedy
from omniline.plugins.search.sample import Sample

_path = Path(__file__).parents[1] / "core" / "generation_toy.py"
_spec = importlib.util.spec_from_file_location("generation_toy", _path)
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

SOURCES = list(range(10))
OPENS, CLOSES, END = 0, 1, 5
BREAKS = (2, CLOSES, 3)
THOUGHTS = Thoughts(OPENS, CLOSES, BREAKS)
LIMIT = 16
SEEDS = (3, 7, 22)


def machine(seed=0):
    return toy.Toy(seed=seed, vocabulary=6, end=END)


def found(toy_machine, decoder, sources=SOURCES, **more):
    slot = toy.words_slot(decoder, limit=LIMIT, **{"thoughts": THOUGHTS, **more})
    return [a[1].predicted["tokens"].tolist() for a in toy_machine.generate([slot], sources)]


def walked(toy_machine, source, budget):
    """Greedily, one row at a time, by the rule in words."""
    tokens, broken = [], None
    while len(tokens) < LIMIT - 1:
        thinking = tokens[:1] == [OPENS] and CLOSES not in tokens
        if broken is None and thinking and len(tokens) == 1 + budget:
            tokens += BREAKS
            broken = len(tokens)
            continue
        log = toy_machine.log_probabilities(source, [(toy.MARKS, 0), *((toy.WORDS, t) for t in tokens)])
        if broken is not None:
            log[[OPENS, CLOSES]] = -float("inf")
        token = int(log.argmax())
        if token == END:
            break
        tokens.append(token)
    return tokens


def test_seeds_that_show_something():
    """Of these machines some streams think for long, some close their thoughts, some do not think."""
    free = [answer for seed in SEEDS for answer in found(machine(seed), Greedy())]
    thinks = [answer for answer in free if answer[:1] == [OPENS]]
    assert len(thinks) > 4 and len(thinks) < len(free)
    assert any(CLOSES in answer for answer in thinks) and any(CLOSES not in answer[:6] for answer in thinks)


@pytest.mark.parametrize("budget", [0, 1, 3, 9])
def test_a_thought_is_broken_off_when_its_budget_is_used_up(budget):
    for seed in SEEDS:
        answers = found(machine(seed), Greedy(thinking_budget=budget))
        assert answers == [walked(machine(seed), source, budget) for source in SOURCES]


@pytest.mark.parametrize("make", [Greedy, Sample])
@pytest.mark.parametrize("budget", [0, 2, 5, 10])
def test_what_holds_of_every_answer(make, budget):
    for seed in SEEDS:
        toy_machine = machine(seed)
        free, bound = found(toy_machine, make()), found(toy_machine, make(thinking_budget=budget))
        for before, after in zip(free, bound, strict=True):
            closed = before.index(CLOSES) if CLOSES in before else len(before)
            if before[:1] != [OPENS] or closed <= budget:
                assert after == before
                continue
            assert after[: 1 + budget] == before[: 1 + budget]
            assert tuple(after[1 + budget : 1 + budget + len(BREAKS)]) == BREAKS
            assert after.count(CLOSES) == 1
            assert after.index(CLOSES) <= budget + len(BREAKS)


def test_an_answer_does_not_depend_on_its_neighbours():
    toy_machine = machine(3)
    for decoder in (Greedy(thinking_budget=2), Greedy(thinking_budget=2, min_length=9, no_repeat_ngram=2)):
        together = found(toy_machine, decoder)
        assert together == [found(toy_machine, decoder, [source])[0] for source in SOURCES]


def test_what_a_budget_needs():
    with pytest.raises(ConfigError, match="`thinking_budget` needs answers that open with a thought: a conv"):
        found(machine(), Greedy(thinking_budget=2), thoughts=None)
    with pytest.raises(ConfigError, match="a thought of 20 tokens, .* at least 25 tokens, but there is room for 16"):
        found(machine(), Sample(thinking_budget=20))


@pytest.mark.parametrize("make", [Greedy, Sample])
def test_other_tokens_may_end_an_answer(make):
    """It is then what it was up to the first of them."""
    for seed in SEEDS:
        free, stopped = found(machine(seed), make()), found(machine(seed), make(), stops=(2, 4))
        for before, after in zip(free, stopped, strict=True):
            place = next((n for n, token in enumerate(before) if token in (2, 4)), len(before))
            assert after == before[:place]
