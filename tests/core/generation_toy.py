"""A backbone that is one gated recurrent cell, ports to go with it, and what they make of a sequence one row at a time.

The cell's state is an exact cache, and the naive walk below never batches, so what generation does in lock-step can be
compared with the plainest possible reading.
"""

import torch
from torch import nn

from omniline.core.codec import Encoded
from omniline.core.generation import generate
from omniline.core.generation_program import Decode, Program
from omniline.core.marks import Marks
from omniline.core.port import Head, Port
from omniline.core.trie import Trie

__all__ = ["Program", "Trie", "generate"]

MARKS, WORDS, VALUES, KINDS, PLAIN = range(5)
VOCABULARY, END, WIDTH = 7, 6, 12


class WordsPort(Port):
    def __init__(self, vocabulary=VOCABULARY, end=END, linear=True):
        super().__init__()
        self.vocabulary, self.end, self.linear = vocabulary, end, linear
        self.table = nn.Embedding(vocabulary, WIDTH)
        self.out = nn.Linear(WIDTH, vocabulary)

    def embed(self, **tensors):
        return self.table(tensors["tokens"].long())

    def project(self, hidden):
        return self.out(hidden) * 4

    def head(self):
        return Head(self.out.weight * 4, self.out.bias * 4) if self.linear else None


class ValuesPort(Port):
    def __init__(self, size=2):
        super().__init__()
        self.inside, self.out = nn.Linear(size, WIDTH), nn.Linear(WIDTH, size)

    def embed(self, **tensors):
        return self.inside(tensors["values"])

    def project(self, hidden):
        return self.out(hidden)


class ClassPort(Port):
    def __init__(self, classes=4):
        super().__init__()
        self.vocabulary = classes
        self.table, self.out = nn.Embedding(classes, WIDTH), nn.Linear(WIDTH, classes)

    def embed(self, **tensors):
        return self.table(tensors["label"].long())

    def project(self, hidden):
        return self.out(hidden) * 4


class ToyCache:
    def __init__(self, state):
        self.state = state

    def select(self, streams):
        self.state = self.state.index_select(0, streams)


class ToyNetwork(nn.Module):
    """`rows` counts the rows that were fed, `steps` the calls."""

    def __init__(self):
        super().__init__()
        self.width = WIDTH
        self.cell = nn.GRUCell(WIDTH, WIDTH)
        self.kind = nn.Embedding(5, WIDTH)
        self.rows = self.steps = 0

    def start(self, sources):
        return ToyCache(torch.stack([torch.sin(torch.arange(WIDTH) * (s + 1.0)) for s in sources]))

    def extend(self, rows, cache):
        self.steps += 1
        self.rows += int(rows.counts.sum())
        out = torch.full_like(rows.x, float("nan"))
        for place in range(rows.x.shape[1]):
            new = self.cell(rows.x[:, place] + self.kind(rows.kinds[:, place]), cache.state)
            real = place < rows.counts
            cache.state = torch.where(real[:, None], new, cache.state)
            out[real, place] = new[real]
        return out


class Toy:
    """A network, its ports, and generation over streams that are named by numbers."""

    def __init__(self, seed=0, **words):
        torch.manual_seed(seed)
        self.network = ToyNetwork()
        self.ports = [Marks(width=WIDTH), WordsPort(**words), ValuesPort(), ClassPort(), WordsPort(end=None)]
        for module in [self.network, *self.ports]:
            for parameter in module.parameters():
                nn.init.normal_(parameter, std=0.7)

    def generate(self, program, sources, **more):
        if not isinstance(program, Program):
            program = Program(steps=tuple(program))
        cache = self.network.start(sources)
        return generate(self.network, cache, program, ports=self.ports, streams=len(sources), **more)

    def walk(self, source, rows):
        """The hidden states [len(rows), width] of one stream; a row is (kind, prediction as the port takes it)."""
        state, out = self.network.start([source]).state, []
        with torch.no_grad():
            for kind, item in rows:
                name = {VALUES: "values", KINDS: "label"}.get(kind, "tokens")
                x = self.ports[kind].embed(**{name: torch.as_tensor(item)[None]})
                state = self.network.cell(x + self.network.kind(torch.tensor([kind])), state)
                out.append(state[0])
        return torch.stack(out)

    def log_probabilities(self, source, rows, kind=WORDS):
        """Of what may follow these rows [vocabulary]."""
        with torch.no_grad():
            return self.ports[kind].project(self.walk(source, rows)[-1:])[0].log_softmax(0)


def words_slot(decoder, *, slot=1, limit=6, **more):
    return Decode(slot=slot, name=f"slot{slot}", kind=WORDS, predicts="tokens", limit=limit, decoder=decoder, **more)


def encoded(*tokens):
    return Encoded(rows=len(tokens), tensors={"tokens": torch.tensor(tokens, dtype=torch.long)})
