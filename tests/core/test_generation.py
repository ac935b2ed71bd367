"""Programs, groups, forced values and lock-step, over a toy whose plain reading is known."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch

from omniline.core.generation import Answer
from omniline.core.generation_frontier import join_rows
from omniline.core.generation_program import Decode, Forced, Loop, make_program
from omniline.core.networks import Found, NewRows
from omniline.core.plan import Branch, Prompt, Repeat, Use
from omniline.plugins.search.beam import Beam
from omniline.plugins.search.closed_set import ClosedSet
from omniline.plugins.search.greedy import Greedy
from omniline.plugins.search.sample import Sample

_spec = importlib.util.spec_from_file_location("generation_toy", Path(__file__).parent / "generation_toy.py")
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

START, CONTINUE, STOP = 0, 1, 2
SEARCHES = [Greedy(), Sample(seed=3), Beam(beams=3), Beam(beams=2, early_stop=False, length_penalty=0.5)]


def tokens(answer):
    return answer.predicted["tokens"].tolist()


class Reader:
    """The plainest generation: one stream, one row at a time, everything recomputed."""

    def __init__(self, machine, source):
        self.machine, self.source, self.rows = machine, source, [(toy.MARKS, START)]

    def force(self, kind, *items):
        self.rows += [(kind, item) for item in items]

    def words(self, limit=6):
        found, score = [], 0.0
        while True:
            log = self.machine.log_probabilities(self.source, self.rows)
            token = toy.END if len(found) == limit - 1 else int(log.argmax())
            score += float(log[token])
            self.force(toy.WORDS, token)
            if token == toy.END:
                return found, score
            found.append(token)

    def goes_on(self):
        hidden = self.machine.walk(self.source, self.rows)[-1]
        with torch.no_grad():
            logits = self.machine.ports[toy.MARKS].project(hidden)
        mark = CONTINUE if logits[CONTINUE] >= logits[STOP] else STOP
        self.force(toy.MARKS, mark)
        return mark == CONTINUE


def test_greedy_is_the_plain_reading():
    machine, sources = toy.Toy(), list(range(12))
    answers = machine.generate([toy.words_slot(Greedy())], sources)
    for source, answer in zip(sources, answers, strict=True):
        found, score = Reader(machine, source).words()
        assert tokens(answer[1]) == found
        assert answer[1].log_probability == pytest.approx(score, abs=1e-4)
        assert answer[1].predictions == len(found) + 1
        assert answer[1].confidence == pytest.approx(math.exp(score / (len(found) + 1)), abs=1e-5)
    assert len({len(tokens(a[1])) for a in answers}) > 2


def test_a_row_is_fed_once_and_the_last_is_not():
    machine = toy.Toy()
    (answer,) = machine.generate([toy.words_slot(Greedy())], [4])
    assert machine.network.rows == 1 + len(tokens(answer[1]))


def test_slots_prompts_and_given_values_in_order():
    machine, sources = toy.Toy(seed=1), [0, 1, 2, 3]
    steps = [
        Forced(key=-1, kind=toy.WORDS),
        toy.words_slot(Greedy(), slot=1),
        Forced(key=5, kind=toy.WORDS),
        Decode(slot=2, name="v", kind=toy.VALUES, predicts="values", limit=3, decoder=Greedy()),
        Decode(slot=3, name="c", kind=toy.KINDS, predicts="class", limit=1, decoder=Greedy()),
        toy.words_slot(Greedy(), slot=4),
    ]
    prompt = toy.encoded(3, 2)
    given = {-1: [prompt] * 4, 5: [toy.encoded(1), None, toy.encoded(2, 2, 0), toy.encoded(0, 1)]}
    answers = machine.generate(steps, sources, given=given)
    for source, answer in zip(sources, answers, strict=True):
        reader = Reader(machine, source)
        reader.force(toy.WORDS, 3, 2)
        assert tokens(answer[1]) == reader.words()[0]
        value = given[5][source]
        reader.force(toy.WORDS, *([] if value is None else value.tensors["tokens"].tolist()))
        for row in answer[2].predicted["values"]:
            hidden = machine.walk(source, reader.rows)[-1]
            expected = machine.ports[toy.VALUES].project(hidden).detach()
            torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5)
            reader.force(toy.VALUES, expected)
        assert len(answer[2].predicted["values"]) == 3 and answer[2].confidence is None
        log = machine.log_probabilities(source, reader.rows, toy.KINDS)
        assert answer[3].predicted["label"].tolist() == [int(log.argmax())]
        assert answer[3].confidence == pytest.approx(float(log.max().exp()), abs=1e-5)
        reader.force(toy.KINDS, int(log.argmax()))
        assert tokens(answer[4]) == reader.words()[0]


@pytest.mark.parametrize(("least", "most"), [(0, None), (0, 2), (2, 4), (3, 3), (1, None)])
def test_groups_end_where_the_model_or_the_plan_says(least, most):
    machine, sources = toy.Toy(seed=6), list(range(10))
    loop = Loop(steps=(Forced(key=-1, kind=toy.WORDS), toy.words_slot(Greedy(), limit=4)), least=least, most=most)
    room = [40 + source for source in sources]
    answers = machine.generate(
        [loop, toy.words_slot(Greedy(), slot=2)], sources, given={-1: [toy.encoded(5)] * 10}, room=room
    )
    sizes = set()
    for source, answer in zip(sources, answers, strict=True):
        reader, found = Reader(machine, source), []
        while True:
            if len(found) < least:
                reader.force(toy.MARKS, CONTINUE)
            elif len(found) == most or len(reader.rows) + (1 + 4 + 2) + 6 > room[source]:
                reader.force(toy.MARKS, STOP)
                break
            elif not reader.goes_on():
                break
            reader.force(toy.WORDS, 5)
            found.append(reader.words(4)[0])
        assert [tokens(a) for a in answer[1]] == found
        assert tokens(answer[2]) == reader.words()[0]
        assert len(reader.rows) <= room[source]
        sizes.add(len(found))
    assert len(sizes) > 1 or least == most


def test_groups_within_groups_keep_their_shape():
    machine, sources = toy.Toy(seed=8), list(range(8))
    inner = Loop(steps=(toy.words_slot(Greedy(), slot=2, limit=3),), least=0, most=3)
    outer = Loop(steps=(toy.words_slot(Greedy(), slot=1, limit=3), inner), least=0, most=2)
    answers = machine.generate([outer], sources)
    for source, answer in zip(sources, answers, strict=True):
        reader, first, second = Reader(machine, source), [], []
        while len(first) < 2 and reader.goes_on():
            first.append(reader.words(3)[0])
            inside = []
            while len(inside) < 3 and reader.goes_on():
                inside.append(reader.words(3)[0])
            if len(inside) == 3:
                reader.force(toy.MARKS, STOP)
            second.append(inside)
        assert [tokens(a) for a in answer[1]] == first
        assert [[tokens(a) for a in row] for row in answer[2]] == second
    assert len({len(a[1]) for a in answers}) > 1


def test_given_lists_say_how_often_a_group_repeats():
    machine = toy.Toy(seed=2)
    loop = Loop(steps=(Forced(key=7, kind=toy.WORDS), toy.words_slot(Greedy())), least=0, most=None)
    lists = [[toy.encoded(1), toy.encoded(2, 3)], [], [toy.encoded(4)]]
    answers = machine.generate([loop], [0, 1, 2], given={7: lists}, room=[200] * 3)
    assert [len(answer[1]) for answer in answers] == [2, 0, 1]
    reader = Reader(machine, 0)
    for value, answer in zip(lists[0], answers[0][1], strict=True):
        reader.force(toy.MARKS, CONTINUE)
        reader.force(toy.WORDS, *value.tensors["tokens"].tolist())
        assert tokens(answer) == reader.words()[0]


@pytest.mark.parametrize("decoder", [*SEARCHES, Sample(temperature=2.0, top_p=0.9)])
def test_a_batch_is_its_streams_one_by_one(decoder):
    machine, sources = toy.Toy(seed=4), list(range(9))
    steps = [
        toy.words_slot(decoder, slot=1),
        Forced(key=3, kind=toy.WORDS),
        Loop(steps=(toy.words_slot(decoder, slot=2, limit=4),), least=0, most=3, decoder=decoder),
        toy.words_slot(decoder, slot=4),
    ]
    given = [toy.encoded(*range(source % 4)) if source % 4 else None for source in sources]
    together = machine.generate(steps, sources, given={3: given}, keys=[s + 100 for s in sources])
    for source, answer in zip(sources, together, strict=True):
        (alone,) = machine.generate(steps, [source], given={3: [given[source]]}, keys=[source + 100])
        for slot in (1, 4):
            assert tokens(answer[slot]) == tokens(alone[slot])
            assert answer[slot].log_probability == pytest.approx(alone[slot].log_probability, abs=1e-4)
            assert 0 < answer[slot].confidence <= 1
        assert [tokens(a) for a in answer[2]] == [tokens(a) for a in alone[2]]
    assert len({len(answer[2]) for answer in together}) > 1


@pytest.mark.parametrize("decoder", [*SEARCHES, ClosedSet()])
def test_what_follows_a_slot_reads_its_answer(decoder):
    machine, sources = toy.Toy(seed=5), list(range(6))
    trie = toy.Trie([[0, 1, toy.END], [0, 2, toy.END], [3, toy.END]])
    first = toy.words_slot(decoder, slot=1, trie=trie if isinstance(decoder, ClosedSet) else None)
    answers = machine.generate([first, toy.words_slot(Greedy(), slot=2)], sources)
    for source, answer in zip(sources, answers, strict=True):
        reader = Reader(machine, source)
        reader.force(toy.WORDS, *tokens(answer[1]), toy.END)
        assert tokens(answer[2]) == reader.words()[0]


def test_marks_are_drawn_as_the_groups_own_tokens_are():
    machine = toy.Toy(seed=6)
    counts = set()
    for seed in range(6):
        decoder = Sample(seed=seed, temperature=3.0)
        loop = Loop(steps=(toy.words_slot(decoder, limit=3),), least=0, most=5, decoder=decoder)
        counts.add(tuple(len(a[1]) for a in machine.generate([loop], [0, 1, 2])))
    assert len(counts) > 2


def test_no_streams():
    machine = toy.Toy()
    cache = toy.ToyCache(torch.zeros(0, toy.WIDTH))
    program = toy.Program(steps=(toy.words_slot(Greedy()),))
    assert toy.generate(machine.network, cache, program, ports=machine.ports, streams=0) == []


@pytest.mark.parametrize(
    ("steps", "more", "message"),
    [
        ([Loop(steps=(toy.words_slot(Greedy()),), least=0, most=None)], {}, "without a most must have `room`"),
        ([Forced(key=4, kind=1)], {}, "forced values under 4 must be 2, one per stream, but are 0"),
        ([Forced(key=4, kind=1)], {"given": {4: [None]}}, "must be 2, one per stream, but are 1"),
        ([Forced(key=4, kind=1)], {"given": {4: [[toy.encoded(1)], None]}}, "at 0 groups' depth, but is a list of 1"),
        (
            [Loop(steps=(Forced(key=4, kind=1), Forced(key=5, kind=1)), least=0, most=3)],
            {"given": {4: [[toy.encoded(1)], []], 5: [[toy.encoded(1)] * 2, []]}},
            r"equally many, but are \[1, 2\]",
        ),
    ],
)
def test_what_does_not_fit_is_said(steps, more, message):
    with pytest.raises(ValueError, match=message):
        toy.Toy().generate(steps, [0, 1], **more)


def test_a_decoder_that_loses_streams_is_named():
    class Careless:
        def __call__(self, frontier):
            frontier.select(torch.tensor([0]))
            n = len(frontier.keys)
            return Found(torch.zeros(n, 1), torch.ones(n), None, torch.ones(n))

    with pytest.raises(ValueError, match="slot `slot1`: its decoder must leave 3 streams, but left 1"):
        toy.Toy().generate([toy.words_slot(Careless()), toy.words_slot(Greedy(), slot=2)], [0, 1, 2])


def test_rows_that_wait_are_joined_without_gaps():
    a = NewRows(torch.arange(6.0).view(2, 3, 1), torch.tensor([3, 1]), torch.ones(2, 3, dtype=torch.long))
    b = NewRows(10 + torch.arange(4.0).view(2, 2, 1), torch.tensor([0, 2]), torch.full((2, 2), 2))
    joined = join_rows([a, b])
    assert joined.counts.tolist() == [3, 3]
    assert joined.x[..., 0].tolist() == [[0, 1, 2], [3, 12, 13]]
    assert joined.kinds.tolist() == [[1, 1, 1], [1, 2, 2]]


def test_a_program_is_the_target_side_flattened():
    decode = toy.words_slot(Greedy(), slot=2)
    steps = (
        Prompt("a"),
        Use(1),
        Repeat((Prompt("b"), Repeat((Use(2),), 1, 3)), 0, None),
        Branch(((Prompt("c"), Use(2)), (Use(3),))),
    )
    program = make_program(steps, {1: Forced(key=1, kind=4), 2: decode}, prompt_kind=9)
    assert program.prompts == ("a", "b", "c")
    inner = Loop(steps=(decode,), least=1, most=3, decoder=decode.decoder)
    assert program.steps == (
        Forced(key=-1, kind=9),
        Forced(key=1, kind=4),
        Loop(steps=(Forced(key=-2, kind=9), inner), least=0, most=None, decoder=decode.decoder),
        Forced(key=-3, kind=9),
        decode,
    )


def test_confidence_is_a_mean_probability():
    assert Answer(predicted={}, log_probability=2 * math.log(0.25), predictions=2).confidence == pytest.approx(0.25)
    assert Answer(predicted={}, log_probability=1e-7, predictions=1).confidence == 1
