"""Answers that must be something: the plain walk, forks, ends, thoughts, and what a constraint needs."""

import importlib.util
import re
from pathlib import Path

import pytest

from omniline.core.conversing import Thoughts
from omniline.core.errors import ConfigError
from omniline.core.inventory import Inventory
from omniline.plugins.search.beam import Beam
from omniline.plugins.search.grammars import grammar_of
from omniline.plugins.search.greedy import Greedy
from omniline.plugins.search.plugin import Greedy as GreedyDeclared
from omniline.plugins.search.sample import Sample

_path = Path(__file__).parents[1] / "core" / "generation_toy.py"
_spec = importlib.util.spec_from_file_location("generation_toy", _path)
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

SOURCES = list(range(8))
TOKENS = (b"a", b"b", b"ab", b"\n", b"", b"", b"c", b"")
OPENS, CLOSES, END = 4, 5, 7
INVENTORY = Inventory(TOKENS, end=END)
THOUGHTS = Thoughts(OPENS, CLOSES, (0, CLOSES, 3))
LIMIT = 12
PATTERN = "a(b|c){2,5}a?"
DECODERS = {
    "greedy": lambda **more: Greedy(**more),
    "sample": lambda **more: Sample(temperature=2.0, seed=4, **more),
    "few": lambda **more: Sample(top_k=2, top_p=0.8, min_p=0.1, **more),
    "beam": lambda **more: Beam(beams=3, **more),
}


def machine(seed=0):
    return toy.Toy(seed=seed, vocabulary=8, end=END)


def answers(decoder, sources=SOURCES, seed=0, limit=LIMIT, steps=None, **more):
    slot = toy.words_slot(decoder, limit=limit, **{"inventory": INVENTORY, **more})
    return [found[1] for found in machine(seed).generate([*(steps or []), slot], sources)]


def ids(answer):
    return answer.predicted["tokens"].tolist()


def text(answer):
    return INVENTORY.text(ids(answer)).decode()


def walked(source, pattern, seed=0, limit=LIMIT):
    """Greedily, one row at a time: every token is judged by whether some text of the pattern goes on so."""
    whole = [a + b + c for a in "a" for b in spelt("bc", 2, 5) for c in ("", "a")]
    assert all(re.fullmatch(pattern, one) for one in whole)
    tokens, log = [], 0.0
    while len(tokens) < limit:
        found = machine(seed).log_probabilities(source, [(toy.MARKS, 0), *((toy.WORDS, t) for t in tokens)])
        before = INVENTORY.text(tokens).decode()
        may = [
            bool(piece) and any(one.startswith(before + piece.decode()) for one in whole) for piece in TOKENS[:END]
        ] + [before in whole]
        found[[not one for one in may]] = -float("inf")
        found = found.log_softmax(0)
        token = int(found.argmax())
        log += float(found[token])
        if token == END:
            break
        tokens.append(token)
    return tokens, log


def spelt(letters, least, most):
    found = [""]
    for length in range(most + 1):
        if length >= least:
            yield from found
        found = [one + letter for one in found for letter in letters]


def test_greedy_is_the_plain_walk_among_what_may_follow():
    for seed in range(3):
        for source, answer in zip(SOURCES, answers(Greedy(regex=PATTERN), seed=seed), strict=True):
            tokens, log = walked(source, PATTERN, seed)
            assert ids(answer) == tokens
            assert answer.log_probability == pytest.approx(log, abs=1e-4)


@pytest.mark.parametrize("name", DECODERS)
def test_every_answer_matches_and_neighbours_change_nothing(name):
    seen = set()
    for seed in range(3):
        decoder = DECODERS[name](regex=PATTERN)
        together = answers(decoder, seed=seed)
        assert all(re.fullmatch(PATTERN, text(answer)) for answer in together)
        assert all(0 < answer.confidence <= 1 for answer in together)
        slot = toy.words_slot(decoder, limit=LIMIT, inventory=INVENTORY)
        for source, answer in zip(SOURCES, together, strict=True):
            alone = machine(seed).generate([slot], [source], keys=[source])[0][1]
            assert ids(alone) == ids(answer)
        seen |= {text(answer) for answer in together}
    assert len(seen) > 2


@pytest.mark.parametrize("name", DECODERS)
def test_what_follows_the_slot_is_found_as_it_was(name):
    """Streams that ended at different steps go on in order."""
    slots = [
        toy.words_slot(DECODERS[name](regex=PATTERN), limit=LIMIT, inventory=INVENTORY),
        toy.words_slot(Greedy(regex="c+b"), slot=2, limit=LIMIT, inventory=INVENTORY),
    ]
    found = machine(1).generate(slots, SOURCES)
    assert [text(answer[1]) for answer in found] == [text(answer) for answer in answers(slots[0].decoder, seed=1)]
    assert all(re.fullmatch("c+b", text(answer[2])) or answer[2].confidence == 0 for answer in found)
    alone = [machine(1).generate(slots, [source], keys=[source])[0] for source in SOURCES]
    assert [text(answer[2]) for answer in alone] == [text(answer[2]) for answer in found]


def test_the_best_beam_is_the_likeliest_text():
    """Of few texts, enough beams keep all."""
    texts = {"ab": [(2,), (0, 1)], "ac": [(0, 6)], "cb": [(6, 1)]}
    for source, answer in zip(SOURCES, answers(Beam(beams=8, regex="ab|ac|cb", length_penalty=0.0)), strict=True):
        best = max(score(source, path) for paths in texts.values() for path in paths)
        assert answer.log_probability == pytest.approx(best, abs=1e-4)


def score(source, path):
    """The probability of one way to write one of the three texts, among those that may follow at each step."""
    follow = {(): [0, 2, 6], (0,): [1, 6], (6,): [1], (2,): [END], (0, 1): [END], (0, 6): [END], (6, 1): [END]}
    total = 0.0
    for place in range(len(path)):
        rows = [(toy.MARKS, 0), *((toy.WORDS, t) for t in path[:place])]
        log = machine().log_probabilities(source, rows)[follow[path[:place]]].log_softmax(0)
        total += float(log[follow[path[:place]].index(path[place])])
    return total


@pytest.mark.parametrize("name", DECODERS)
def test_a_cut_answer_begins_one_and_has_no_confidence(name):
    for answer in answers(DECODERS[name](regex="(ab|ca|b){9}"), limit=4):
        assert len(ids(answer)) == 3
        assert grows(text(answer))
        assert answer.confidence == 0.0


def grows(found):
    return re.fullmatch("(ab|ca|b)*(a|c)?", found)


@pytest.mark.parametrize("name", DECODERS)
def test_other_rules_hold_where_the_pattern_leaves_a_choice(name):
    rules = {"min_length": 6, "no_repeat_ngram": 1}
    free, bound = answers(DECODERS[name](regex=PATTERN)), answers(DECODERS[name](regex=PATTERN, **rules))
    assert all(re.fullmatch(PATTERN, text(answer)) for answer in bound)
    assert [text(answer) for answer in free] != [text(answer) for answer in bound]
    assert all(text(answer) == "b" for answer in answers(DECODERS[name](regex="b", min_length=9)))


@pytest.mark.parametrize("make", [Greedy, Sample])
def test_penalties_change_the_choice_and_not_the_probability(make):
    found = answers(make(regex="(a|b|c){6}", repetition_penalty=5.0, frequency_penalty=3.0))
    assert all(re.fullmatch("[abc]{6}", text(answer)) and 0 < answer.confidence <= 1 for answer in found)
    assert [text(one) for one in found] != [text(one) for one in answers(make(regex="(a|b|c){6}"))]


@pytest.mark.parametrize(
    ("name", "budget"),
    [*((name, most) for name in ("greedy", "sample") for most in (None, 0, 3)), ("beam", None)],
)
def test_a_thought_is_free_and_what_stands_behind_it_is_not(name, budget):
    thought = 0
    for seed in range(8):
        decoder = DECODERS[name](regex=PATTERN, **({} if budget is None else {"thinking_budget": budget}))
        for answer in answers(decoder, seed=seed, limit=24, thoughts=THOUGHTS):
            found = ids(answer)
            if found[:1] == [OPENS] and CLOSES not in found:
                assert budget is None and answer.confidence == 0.0
                continue
            thought += found[:1] == [OPENS]
            behind = found[found.index(CLOSES) + 1 :] if found[:1] == [OPENS] else found
            gap = re.match("\n*", INVENTORY.text(behind).decode())[0]
            assert len(gap) <= 2 and (not gap or found[:1] == [OPENS])
            assert re.fullmatch(PATTERN, INVENTORY.text(behind).decode()[len(gap) :]), found
            assert not {OPENS, CLOSES} & set(behind)
    assert thought > 1


def test_each_of_several_ends_may_end_it_and_none_before():
    for seed in range(3):
        found = answers(Greedy(regex=PATTERN), seed=seed, stops=(OPENS, CLOSES))
        assert all(re.fullmatch(PATTERN, text(answer)) and answer.confidence > 0 for answer in found)
        assert [one.confidence for one in found] != [
            one.confidence for one in answers(Greedy(regex=PATTERN), seed=seed)
        ]


def test_a_vocabulary_that_cannot_write_it():
    bare = Inventory((b"a", b"x", b"", b"", b"", b"", b"", b""), end=END)
    with pytest.raises(ConfigError, match=r"slot `slot1`: nothing may follow 'a' of what the answer must be: the toke"):
        answers(Greedy(regex="a(b|c)"), inventory=bare)
    with pytest.raises(ConfigError, match="slot `slot1`: nothing may follow '' of what .* tokens cannot write it"):
        answers(Beam(regex="bb?"), inventory=bare)
    with pytest.raises(ConfigError, match="slot `slot1`: only what is written as text can be told what it must be"):
        answers(Greedy(regex="ab"), inventory=None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"regex": "(a"}, "`regex` cannot be used: unclosed group"),
        ({"regex": r"a(?=b)"}, "`regex` cannot be used: look-around, .* is not supported"),
        ({"regex": r"\bfoo"}, "`regex` cannot be used: .*lookarounds not supported"),
        ({"json_schema": "{"}, "`json_schema` must be JSON, but: Expecting property name"),
        ({"json_schema": "[1]"}, "`json_schema` must be a JSON object, but is list"),
        ({"json_schema": '{"type": "objct"}'}, "`json_schema` cannot be used: Invalid type: objct"),
        ({"json_schema": '{"not": {}}'}, r'`json_schema` cannot be used: Unimplemented keys: \["not"\]'),
        ({"json_schema": "no.json"}, "`json_schema` must be a schema's JSON, or the path of a file .* 'no.json'"),
        ({"grammar": "a b"}, "`grammar` must be a grammar with a rule `start`, or the path .* but is 'a b'"),
        ({"grammar": 'start: ("a"'}, r"`grammar` cannot be used: Expected token '\)'"),
        ({"grammar": "start: word"}, "`grammar` cannot be used: .*word"),
    ],
)
def test_mistakes_are_one_sentence(given, message):
    with pytest.raises(ConfigError, match=message) as caught:
        grammar_of(**given)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=message):
        Sample(**given)


def test_schemas_and_grammars_of_files(tmp_path):
    (tmp_path / "s.json").write_text('{"enum": ["a"]}')
    (tmp_path / "g.lark").write_text('start: "a" | "b" start\n')
    assert grammar_of(json_schema=str(tmp_path / "s.json")) == grammar_of(json_schema='{"enum": ["a"]}')
    assert all(re.fullmatch("b*a", text(a)) for a in answers(Greedy(grammar=str(tmp_path / "g.lark"))) if a.confidence)


def test_one_of_the_three_and_values_of_python():
    with pytest.raises(ConfigError, match="`regex` and `grammar` both say what the answer must be: leave one out"):
        GreedyDeclared(regex="a", grammar="start: b")
    with pytest.raises(ConfigError, match="`regex` must be a text, but is int"):
        GreedyDeclared(regex=3)
    assert GreedyDeclared(json_schema={"enum": ["é"]}).json_schema == '{"enum": ["é"]}'

    class Shaped:
        @staticmethod
        def model_json_schema():
            return {"type": "null"}

    assert GreedyDeclared(json_schema=Shaped).json_schema == '{"type": "null"}'


def test_the_library_is_named_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    with pytest.raises(ConfigError, match=r"`regex`, .* need the library `llguidance`: pip install omniline\[constr"):
        Greedy(regex="a")
    assert Greedy().rules.grammar is None
