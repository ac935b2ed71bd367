"""The decoders that search, against enumeration over a small vocabulary."""

import dataclasses
import importlib.util
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omniline.core.errors import ConfigError
from omniline.core.generation_program import Decode
from omniline.core.parts import working_half
from omniline.plugins.search.beam import Beam
from omniline.plugins.search.closed_set import ClosedSet
from omniline.plugins.search.greedy import Greedy
from omniline.plugins.search.lanes import ban_repeats, peak, top
from omniline.plugins.search.plugin import decoders
from omniline.plugins.search.sample import Sample, nucleus, pick, uniform

_path = Path(__file__).parents[1] / "core" / "generation_toy.py"
_spec = importlib.util.spec_from_file_location("generation_toy", _path)
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

ROOT = [(toy.MARKS, 0)]
SOURCES = list(range(5))


def tokens(answer):
    return answer.predicted["tokens"].tolist()


def find(machine, decoder, **more):
    return [a[1] for a in machine.generate([toy.words_slot(decoder, **more)], SOURCES)]


def log_probability(machine, source, sequence, kind=toy.WORDS, allowed=None):
    """Of a sequence after the START mark; `allowed(prefix)` restricts the softmax."""
    total = 0.0
    for place, token in enumerate(sequence):
        log = machine.log_probabilities(source, ROOT + [(kind, t) for t in sequence[:place]], kind)
        if allowed is not None:
            columns = allowed(sequence[:place])
            log = log - log[columns].logsumexp(0)
        total += float(log[token])
    return total


def all_sequences(machine, source, *, vocabulary, end, limit):
    """Every answer within the limit with its log-probability."""
    found = {}
    level = {(): 0.0}
    for place in range(limit):
        following = {}
        for prefix, score in level.items():
            log = machine.log_probabilities(source, ROOT + [(toy.WORDS, t) for t in prefix])
            found[(*prefix, end)] = score + float(log[end])
            if place < limit - 1:
                following |= {(*prefix, t): score + float(log[t]) for t in range(vocabulary) if t != end}
        level = following
    return found


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_a_wide_beam_is_an_exhaustive_search(length_penalty):
    machine = toy.Toy(seed=1, vocabulary=4, end=3)
    answers = find(machine, Beam(beams=64, length_penalty=length_penalty, early_stop=False), limit=4)
    for source, answer in zip(SOURCES, answers, strict=True):
        every = all_sequences(machine, source, vocabulary=4, end=3, limit=4)
        best = max(every, key=lambda s: every[s] / len(s) ** length_penalty)
        assert (*tokens(answer), 3) == best
        assert answer.log_probability == pytest.approx(every[best], abs=1e-4)
        assert answer.predictions == len(best)


@pytest.mark.parametrize("seed", range(4))
def test_one_beam_is_greedy(seed):
    machine = toy.Toy(seed=seed)
    greedy, beam = find(machine, Greedy()), find(machine, Beam(beams=1))
    assert [tokens(a) for a in greedy] == [tokens(a) for a in beam]
    for one, other in zip(greedy, beam, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_more_beams_never_score_worse_than_greedy(seed):
    machine = toy.Toy(seed=seed)
    for one, other in zip(
        find(machine, Greedy()), find(machine, Beam(beams=40, early_stop=False, length_penalty=0.0)), strict=True
    ):
        assert other.log_probability >= one.log_probability - 1e-5


@pytest.mark.parametrize("decoder", [Greedy, Sample, Beam])
def test_the_shortest_length_is_kept(decoder):
    machine = toy.Toy(seed=6)
    assert min(len(tokens(a)) for a in find(machine, decoder())) < 3
    assert min(len(tokens(a)) for a in find(machine, decoder(min_length=3))) >= 3
    assert all(len(tokens(a)) <= 2 for a in find(machine, decoder(min_length=3), limit=3))


@pytest.mark.parametrize("decoder", [Greedy, Sample, Beam])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_run_of_tokens_comes_twice(decoder, size):
    machine = toy.Toy(seed=7)
    free = find(machine, decoder(min_length=11), limit=12)
    bound = find(machine, decoder(min_length=6, no_repeat_ngram=size), limit=12)

    def repeats(sequence):
        runs = list(zip(*(sequence[i:] for i in range(size)), strict=False))
        return len(runs) != len(set(runs))

    assert any(repeats(tokens(a)) for a in free)
    assert not any(repeats(tokens(a)) for a in bound)


def test_bans_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    for size, length in itertools.product((1, 2, 3), (3, 6, 9)):
        rows = rng.integers(0, 4, (20, length))
        logits = torch.zeros(20, 5)
        ban_repeats(logits, torch.from_numpy(rows), size, keep=2)
        for row, banned in zip(rows.tolist(), logits, strict=True):
            tail = row[len(row) - size + 1 :]
            expected = {row[i + size - 1] for i in range(length - size + 1) if row[i : i + size - 1] == tail} - {2}
            assert {i for i, v in enumerate(banned.tolist()) if v == -math.inf} == expected


@given(st.integers(0, 10_000), st.sampled_from([3, 5000, 5121, 9000]), st.sampled_from([1, 4, 10]))
@settings(max_examples=30, deadline=None)
def test_top_is_topk(seed, width, count):
    logits = torch.randn(3, width, generator=torch.Generator().manual_seed(seed))
    values, columns = top(logits, count)
    expected = logits.topk(min(count, width), dim=1)
    torch.testing.assert_close(values, expected.values)
    torch.testing.assert_close(columns, expected.indices)


def test_sampling_the_likeliest_is_greedy():
    machine = toy.Toy(seed=2)
    for decoder in (Sample(top_k=1), Sample(top_p=0.001), Sample(temperature=0.01, seed=5)):
        assert [tokens(a) for a in find(machine, decoder)] == [tokens(a) for a in find(machine, Greedy())]


def test_the_same_seed_draws_the_same():
    machine = toy.Toy(seed=2)
    draws = [[tokens(a) for a in find(machine, Sample(temperature=3.0, seed=seed))] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_streams_draw_apart_and_by_their_keys():
    machine = toy.Toy(seed=2)
    slot = toy.words_slot(Sample(temperature=3.0))
    alike = machine.generate([slot], [1] * 8, keys=list(range(8)))
    assert len({tuple(tokens(a[1])) for a in alike}) > 3
    assert len({tuple(tokens(a[1])) for a in machine.generate([slot], [1] * 8, keys=[5] * 8)}) == 1


def test_draws_have_the_model_s_frequencies():
    machine = toy.Toy(seed=2)
    slot = Decode(slot=1, name="c", kind=toy.KINDS, predicts="class", limit=1, decoder=Sample(temperature=2.0))
    answers = machine.generate([slot], [3] * 4000)
    labels = torch.stack([a[1].predicted["label"][0] for a in answers])
    log = machine.log_probabilities(3, ROOT, toy.KINDS)
    expected = (log / 2).softmax(0)
    share = labels.bincount(minlength=4) / 4000
    assert (share - expected).abs().max() < 0.03
    assert answers[0][1].log_probability == pytest.approx(float(log[labels[0]]), abs=1e-4)


@given(st.floats(0.05, 0.99), st.integers(0, 1000), st.sampled_from([9, 2000]))
@settings(max_examples=40, deadline=None)
def test_the_nucleus_is_the_fewest_tokens_of_its_probability(top_p, seed, width):
    logits = torch.randn(4, width, generator=torch.Generator().manual_seed(seed)) * 0.5
    kept, columns = nucleus(logits, top_k=0, top_p=top_p)
    probabilities = logits.softmax(1)
    for row in range(4):
        chosen = columns[row][kept[row] > -math.inf]
        mass = probabilities[row][chosen]
        assert float(mass.sum()) >= top_p - 1e-4
        assert float(mass.sum() - mass.min()) < top_p + 1e-4
        assert float(mass.min()) >= float(probabilities[row].topk(len(chosen)).values[-1]) - 1e-9


def test_top_k_comes_before_top_p():
    logits = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    kept, columns = nucleus(logits, top_k=2, top_p=0.99)
    assert columns[0][kept[0] > -math.inf].tolist() == [0, 1]
    assert nucleus(logits, top_k=0, top_p=1.0)[1] is None


def test_draws_never_pick_what_is_banned():
    logits = torch.tensor([[-math.inf, 0.0, -math.inf, 0.0, -math.inf]]).repeat(5, 1)
    chance = torch.tensor([0.0, 0.4999, 0.5001, 0.999999, 1 - 2.0**-52], dtype=torch.float64)
    assert pick(logits, chance).tolist() == [1, 1, 3, 3, 3]


def test_uniform_numbers_are_even_and_unlike():
    seeds = np.arange(2000, dtype=np.uint64)
    draws = np.stack([uniform(seeds, step) for step in range(5)])
    assert draws.min() >= 0 and draws.max() < 1
    assert np.histogram(draws, bins=10, range=(0, 1))[0].min() > 850
    assert abs(np.corrcoef(draws[0], draws[1])[0, 1]) < 0.08
    assert (uniform(seeds, 3) == draws[3]).all()


members = st.sets(st.lists(st.integers(0, 5), max_size=4).map(tuple), min_size=1, max_size=9)
EVERY = [Greedy(), Sample(temperature=4.0), Beam(beams=3), ClosedSet(), ClosedSet(most_scored=1, beams=2)]


@given(members, st.integers(0, 50))
@settings(max_examples=12, deadline=None)
def test_a_closed_set_is_never_left(found, seed):
    machine = toy.Toy(seed=seed)
    trie = toy.Trie([[*m, toy.END] for m in sorted(found)])
    for decoder in EVERY:
        for answer in find(machine, decoder, trie=trie, limit=2):
            assert tuple(tokens(answer)) in found
            assert 0 < answer.confidence <= 1 and answer.predictions == 1


@pytest.mark.parametrize("linear", [True, False])
@given(members, st.integers(0, 50))
@settings(max_examples=8, deadline=None)
def test_scores_are_the_members_probabilities(linear, found, seed):
    machine = toy.Toy(seed=seed, linear=linear)
    sequences = [[*m, toy.END] for m in sorted(found)]
    trie = toy.Trie(sequences)

    def allowed(prefix):
        return sorted({s[len(prefix)] for s in sequences if s[: len(prefix)] == prefix and len(s) > len(prefix)})

    scored = find(machine, ClosedSet(), trie=trie)
    searched = find(machine, ClosedSet(most_scored=1, beams=64), trie=trie)
    for source, one, other in zip(SOURCES, scored, searched, strict=True):
        every = [log_probability(machine, source, s, allowed=allowed) for s in sequences]
        assert sum(map(math.exp, every)) == pytest.approx(1, abs=1e-4)
        best = max(every)
        assert every[sequences.index([*tokens(one), toy.END])] == pytest.approx(best, abs=1e-4)
        assert one.confidence == pytest.approx(math.exp(best), abs=1e-4)
        assert tokens(one) == tokens(other)
        assert other.confidence == pytest.approx(one.confidence, abs=1e-4)


def test_only_branchings_are_asked():
    machine = toy.Toy()
    trie = toy.Trie([[0, 1, 2, 3, toy.END], [1, toy.END], [2, 2, toy.END]])
    find(machine, ClosedSet(), trie=trie)
    assert machine.network.steps == 1 and machine.network.rows == len(SOURCES)


@pytest.mark.parametrize("decoder", EVERY)
def test_tokens_without_an_end_mark_have_their_number(decoder):
    machine = toy.Toy(seed=1)
    plain = Decode(slot=1, name="box", kind=toy.PLAIN, predicts="tokens", limit=4, decoder=decoder)
    closed = isinstance(decoder, ClosedSet)
    sequences = [[0, 1, 2, 3], [0, 2, 2, 3], [5, 1, 4, 4], [5, 1, 4, 6]]
    if closed:
        plain = Decode(
            slot=1, name="box", kind=toy.PLAIN, predicts="tokens", limit=4, decoder=decoder, trie=toy.Trie(sequences)
        )
    answers = [a[1] for a in machine.generate([plain, toy.words_slot(Greedy(), slot=2)], SOURCES)]
    for source, answer in zip(SOURCES, answers, strict=True):
        found = tokens(answer)
        assert len(found) == 4 and (not closed or found in sequences)
        if isinstance(decoder, Greedy):
            expected = log_probability(machine, source, found, toy.PLAIN)
            assert answer.log_probability == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("decoder", [Beam(), ClosedSet(), Sample(top_k=1), Greedy()])
def test_a_class_is_the_likeliest_whatever_the_search(decoder):
    machine = toy.Toy(seed=3)
    slot = Decode(slot=1, name="c", kind=toy.KINDS, predicts="class", limit=1, decoder=decoder)
    for source, answer in zip(SOURCES, machine.generate([slot], SOURCES), strict=True):
        log = machine.log_probabilities(source, ROOT, toy.KINDS)
        assert answer[1].predicted["label"].tolist() == [int(log.argmax())]


def test_a_decoder_says_what_it_lacks():
    machine = toy.Toy()
    with pytest.raises(ConfigError, match="slot `slot1`: decoder=closed_set needs a closed set.*decoder=greedy"):
        find(machine, ClosedSet())
    values = Decode(slot=1, name="v", kind=toy.VALUES, predicts="values", limit=2, decoder=Beam())
    with pytest.raises(ConfigError, match="slot `v`: .* predicts tokens, but its adapter predicts values"):
        machine.generate([values], SOURCES)


@pytest.mark.parametrize("name", sorted(decoders()))
def test_declarations_make_their_working_halves(name):
    declaration = decoders()[name]()
    made = working_half(declaration.build, name)(**declaration.settings())
    held = {**(dataclasses.asdict(made.rules) if hasattr(made, "rules") else {}), **vars(made)}
    plain = {k: v for k, v in declaration.settings().items() if k not in ("regex", "json_schema")}
    assert {k: held[k] for k in plain} == plain
    assert callable(made)


@given(st.integers(0, 10_000), st.sampled_from([3, 1024, 1025, 5000]))
@settings(max_examples=30, deadline=None)
def test_the_peak_is_the_first_of_the_largest(seed, width):
    logits = torch.randint(0, 40, (4, width), generator=torch.Generator().manual_seed(seed)).float()
    assert torch.equal(peak(logits), logits.argmax(1))
    assert torch.equal(peak(torch.full((2, width), -math.inf)), torch.zeros(2, dtype=torch.long))
