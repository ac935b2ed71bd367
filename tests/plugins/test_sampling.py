"""Sampling settings mean what they mean elsewhere: distributions against those of transformers' processors."""

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers.generation import logits_process as theirs

from omniline.core.generation_program import Decode
from omniline.plugins.search.greedy import Greedy
from omniline.plugins.search.lanes import NEVER
from omniline.plugins.search.rules import Penalties, Rules
from omniline.plugins.search.sample import Sample

_path = Path(__file__).parents[1] / "core" / "generation_toy.py"
_spec = importlib.util.spec_from_file_location("generation_toy", _path)
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

ROWS = 6
SETTINGS = [
    {"temperature": 0.7},
    {"temperature": 1.9, "top_k": 5},
    {"top_k": 3, "top_p": 0.6},
    {"temperature": 0.4, "top_p": 0.8},
    {"min_p": 0.2},
    {"temperature": 1.3, "top_k": 40, "top_p": 0.95, "min_p": 0.05},
    {"top_p": 0.3, "min_p": 0.9},
]


def warped(logits, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0):
    """What transformers makes of logits under a generation config of these settings."""
    scores = theirs.TemperatureLogitsWarper(temperature)(None, logits)
    scores = theirs.TopKLogitsWarper(top_k)(None, scores) if top_k else scores
    scores = theirs.TopPLogitsWarper(top_p)(None, scores) if top_p < 1 else scores
    return theirs.MinPLogitsWarper(min_p)(None, scores) if min_p else scores


@pytest.mark.parametrize("width", [11, 3000])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_distributions_are_those_of_transformers(settings, width):
    logits = torch.randn(ROWS, width, generator=torch.Generator().manual_seed(width)) * 3
    kept, columns = Sample(**settings).kept(logits)
    found = torch.full_like(logits, NEVER)
    found = kept if columns is None else found.scatter(1, columns, kept)
    torch.testing.assert_close(found.softmax(1), warped(logits, **settings).softmax(1))


class Stands:
    """A frontier of streams that have read something."""

    device = torch.device("cpu")

    def __init__(self, read):
        self.read, self.streams = read, len(read)


@pytest.mark.parametrize("factor", [1.3, 0.8])
def test_the_penalty_of_repetition_is_that_of_transformers(factor):
    generator = torch.Generator().manual_seed(1)
    read = torch.randint(0, 20, (ROWS, 7), generator=generator)
    written = torch.randint(0, 20, (ROWS, 4), generator=generator)
    logits = torch.randn(ROWS, 20, generator=generator) * 3
    penalties = Penalties(Stands(list(read)), Rules(repetition_penalty=factor), 20)
    for tokens in written.t():
        penalties.saw(tokens)
    expected = theirs.RepetitionPenaltyLogitsProcessor(factor)(torch.cat([read, written], 1), logits)
    torch.testing.assert_close(penalties.apply(logits), expected)
    penalties.keep(torch.tensor([4, 1]))
    torch.testing.assert_close(penalties.apply(logits[[4, 1]]), expected[[4, 1]])


def test_presence_and_frequency_are_taken_from_what_was_written():
    penalties = Penalties(Stands([torch.tensor([3])]), Rules(presence_penalty=0.5, frequency_penalty=0.25), 5)
    for token in (1, 1, 2):
        penalties.saw(torch.tensor([token]))
    assert penalties.apply(torch.zeros(1, 5))[0].tolist() == [0, -1.0, -0.75, 0, 0]


def tokens(answer):
    return answer.predicted["tokens"].tolist()


@pytest.mark.parametrize("decoder", [Greedy, Sample])
def test_penalised_answers_repeat_less_and_are_scored_by_the_model_alone(decoder):
    machine = toy.Toy(seed=3)
    sources = list(range(8))

    def find(**settings):
        slot = toy.words_slot(decoder(**settings), limit=10)
        return [answer[1] for answer in machine.generate([slot], sources)]

    def repeats(answers):
        return sum(len(tokens(a)) - len(set(tokens(a))) for a in answers)

    plain, penalised = find(min_length=8), find(min_length=8, frequency_penalty=50.0)
    assert repeats(penalised) < repeats(plain)
    assert all(sorted(set(tokens(a)[:6])) == list(range(6)) for a in penalised)
    for source, answer in zip(sources, penalised, strict=True):
        rows, score = [(toy.MARKS, 0)], 0.0
        for token in [*tokens(answer), toy.END]:
            score += float(machine.log_probabilities(source, rows)[token])
            rows.append((toy.WORDS, token))
        assert answer.log_probability == pytest.approx(score, abs=1e-3)


def test_what_was_read_counts_and_so_do_earlier_answers():
    machine = toy.Toy(seed=3)
    read = {toy.WORDS: [torch.arange(3)] * 4}
    slots = [
        Decode(
            slot=number,
            name="s",
            kind=toy.WORDS,
            predicts="tokens",
            limit=2,
            decoder=Greedy(repetition_penalty=100.0, min_length=1),
        )
        for number in (1, 2, 3)
    ]
    for answer in machine.generate(slots, list(range(4)), read=read):
        found = [tokens(answer[number])[0] for number in (1, 2, 3)]
        assert sorted(found) == [3, 4, 5]
