"""Generation over real backbones equals reading everything anew at every step."""

import dataclasses

import pytest
import torch
from torch import nn

from omniline.core.generation import generate
from omniline.core.generation_program import Decode, Loop, Program
from omniline.core.layout import plain_layout
from omniline.core.marks import Marks
from omniline.core.networks import NewRows
from omniline.core.port import Head, Port
from omniline.core.trie import Trie
from omniline.plugins.ofa.network import OfaNetwork
from omniline.plugins.ofa.plugin import Ofa
from omniline.plugins.qwen.network import DecoderNetwork
from omniline.plugins.qwen.plugin import DecoderOnly
from omniline.plugins.search.beam import Beam
from omniline.plugins.search.closed_set import ClosedSet
from omniline.plugins.search.greedy import Greedy

WIDTH, VOCABULARY, END = 16, 9, 8
START, CONTINUE, STOP = 0, 1, 2


class Words(Port):
    vocabulary, end = VOCABULARY, END

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, WIDTH)
        self.register_buffer("bias", torch.arange(VOCABULARY) // END * 2.5)

    def embed(self, **tensors):
        return self.table(tensors["tokens"])

    def project(self, hidden):
        return hidden @ self.table.weight.t() + self.bias

    def head(self):
        return Head(self.table.weight, self.bias)


def ofa(**more):
    settings = Ofa(width=WIDTH, heads=2, ffn=24, encoder_layers=1, decoder_layers=2, positions=64, **more).settings()
    return OfaNetwork(kinds=2, **settings)


def decoder():
    return DecoderNetwork(kinds=2, **DecoderOnly(width=WIDTH, heads=2, key_heads=1, ffn=24, layers=2).settings())


BACKBONES = {
    "ofa": ofa,
    "ofa-experts": lambda: ofa(modality_experts=True, head_scale=True, ffn_norm=True),
    "decoder": decoder,
}


@pytest.fixture(params=sorted(BACKBONES))
def machine(request):
    torch.manual_seed(8)
    return Machine(BACKBONES[request.param]())


class Machine:
    def __init__(self, network):
        self.network = network.eval()
        self.ports = [Marks(width=WIDTH), Words()]
        for module in (network, *self.ports):
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    nn.init.normal_(parameter, std=0.5)

    def read(self, sources):
        layout = plain_layout([len(s) for s in sources], [0] * len(sources))
        layout = dataclasses.replace(layout, kinds=torch.ones_like(layout.kinds))
        with torch.no_grad():
            x = self.ports[1].embed(tokens=torch.tensor([t for s in sources for t in s], dtype=torch.long))
            return self.network.prefill(x, layout)

    def generate(self, steps, sources):
        return generate(
            self.network,
            self.read(sources),
            Program(steps=tuple(steps)),
            ports=self.ports,
            streams=len(sources),
            room=[40] * len(sources),
        )

    def hidden(self, source, rows):
        """The state behind the last of `rows`, (kind, token) each, from one plain forward pass."""
        layout = plain_layout([len(source)], [len(rows)])
        kinds = torch.tensor([1] * len(source) + [kind for kind, _ in rows])
        layout = dataclasses.replace(layout, kinds=kinds)
        with torch.no_grad():
            pieces = [self.ports[1].embed(tokens=torch.tensor(source, dtype=torch.long))]
            pieces += [self.ports[kind].embed(tokens=torch.tensor([token])) for kind, token in rows]
            return self.network(torch.cat(pieces), layout)[-1]

    def logits(self, kind, source, rows):
        with torch.no_grad():
            return self.ports[kind].project(self.hidden(source, rows))

    def words(self, source, rows, limit):
        found, score = [], 0.0
        while len(found) < limit:
            log = self.logits(1, source, rows).log_softmax(0)
            token = END if len(found) == limit - 1 else int(log.argmax())
            score += float(log[token])
            rows.append((1, token))
            if token == END:
                break
            found.append(token)
        return found, score


SOURCES = [[1, 2, 3], [4], [5, 6, 7, 0, 1, 2], [], [2, 2]]


def slot(decoder, number=1, limit=7, trie=None):
    return Decode(slot=number, name="s", kind=1, predicts="tokens", limit=limit, decoder=decoder, trie=trie)


def tokens(answer):
    return answer.predicted["tokens"].tolist()


def test_greedy_with_groups_is_the_plain_reading(machine):
    steps = [slot(Greedy(), 1), Loop(steps=(slot(Greedy(), 2, 4),), least=0, most=3), slot(Greedy(), 3)]
    for source, answer in zip(SOURCES, machine.generate(steps, SOURCES), strict=True):
        rows = [(0, START)]
        found, score = machine.words(source, rows, 7)
        assert tokens(answer[1]) == found
        assert answer[1].log_probability == pytest.approx(score, abs=1e-3)
        group = []
        while True:
            logits = machine.logits(0, source, rows)
            go = len(group) < 3 and bool(logits[CONTINUE] >= logits[STOP])
            rows.append((0, CONTINUE if go else STOP))
            if not go:
                break
            group.append(machine.words(source, rows, 4)[0])
        assert [tokens(a) for a in answer[2]] == group
        assert tokens(answer[3]) == machine.words(source, rows, 7)[0]


@pytest.mark.parametrize("decoder", [Beam(beams=3), Beam(beams=4, early_stop=False), ClosedSet()])
def test_a_search_s_score_is_the_model_s_and_what_follows_reads_its_answer(machine, decoder):
    trie = Trie([[1, 2, END], [1, 3, 3, END], [4, END]]) if isinstance(decoder, ClosedSet) else None
    steps = [slot(decoder, 1, 6, trie), slot(Greedy(), 2)]
    together = machine.generate(steps, SOURCES)
    for source, answer in zip(SOURCES, together, strict=True):
        (alone,) = machine.generate(steps, [source])
        assert tokens(alone[1]) == tokens(answer[1]) and tokens(alone[2]) == tokens(answer[2])
        rows, score = [(0, START)], 0.0
        for token in [*tokens(answer[1]), END]:
            logits = machine.logits(1, source, rows)
            if trie is not None:
                allowed = torch.from_numpy(trie.allowed(trie.walk([*(t for k, t in rows if k), token])[-1]))
                score += float(logits[token] - logits[allowed].logsumexp(0))
            else:
                score += float(logits.log_softmax(0)[token])
            rows.append((1, token))
        assert answer[1].log_probability == pytest.approx(score, abs=1e-3)
        assert tokens(answer[2]) == machine.words(source, rows, 7)[0]


def test_last_slots_may_drop_streams_that_are_done(machine):
    sources = [[i % 9, (i * 5) % 9] for i in range(8)]
    for decoder in (Greedy(), Beam(beams=3)):
        together = machine.generate([slot(decoder, 1, 10)], sources)
        assert len({len(tokens(a[1])) for a in together}) > 1
        for source, answer in zip(sources, together, strict=True):
            (alone,) = machine.generate([slot(decoder, 1, 10)], [source])
            assert tokens(alone[1]) == tokens(answer[1])
            assert alone[1].confidence == pytest.approx(answer[1].confidence, abs=1e-4)


def test_a_short_source_reads_nothing_behind_its_end_when_a_longer_one_was_dropped(machine):
    long, short = [1, 2, 3, 4, 5, 6], [2, 2]
    trie = Trie([[1, END], [2, END], [3, END]])
    scores = []
    for sources in ([short], [long, short]):
        cache = machine.read(sources)
        cache.select(torch.tensor([len(sources) - 1]))
        program = Program(steps=(slot(ClosedSet(), trie=trie),))
        (answer,) = generate(machine.network, cache, program, ports=machine.ports, streams=1)
        scores.append(answer[1].log_probability)
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_streams_part_from_their_sources_again_when_they_are_repeated(machine):
    steps = [slot(Greedy(), 1), slot(Beam(beams=3), 2, 5), slot(Greedy(), 3)]
    for source, answer in zip(SOURCES, machine.generate(steps, SOURCES), strict=True):
        (alone,) = machine.generate(steps, [source])
        rows = [(0, START)]
        assert tokens(answer[1]) == machine.words(source, rows, 7)[0]
        assert tokens(answer[2]) == tokens(alone[2])
        rows += [(1, token) for token in [*tokens(answer[2]), END]]
        assert tokens(answer[3]) == machine.words(source, rows, 7)[0]


def test_sources_come_before_their_streams_rows_and_go_back():
    torch.manual_seed(3)
    machine = Machine(decoder())
    cache = machine.read([[1, 2, 3], [4], [], [5, 6]])
    x = torch.randn(4, 5, WIDTH)
    kinds = torch.ones(4, 1, dtype=torch.long)

    def feed(place, streams=slice(None)):
        count = torch.ones(len(x[streams]), dtype=torch.long)
        return machine.network.extend(NewRows(x[streams, place : place + 1], count, kinds[streams]), cache)

    twin = machine.read([[1, 2, 3], [4], [], [5, 6]])
    twin.repeated = True  # keeps its sources apart
    with torch.no_grad():
        for place in range(3):
            found = feed(place)
            cache, twin = twin, cache
            torch.testing.assert_close(feed(place), found)
            cache, twin = twin, cache
        assert cache.front == 3 and not cache.memory and twin.front == 0
        repeated = [3, 3, 0]
        cache.select(torch.tensor(repeated))
        twin.select(torch.tensor(repeated))
        assert cache.front == 0 and cache.memory
        found = feed(3, repeated)
        cache = twin
        torch.testing.assert_close(feed(3, repeated), found)
