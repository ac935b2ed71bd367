"""The contract of a decoder: legal answers, honest scores, and streams left as they were found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from ..core.decoder import Decoder
from ..core.generation_frontier import Frontier, Tape
from ..core.generation_program import Decode
from ..core.networks import BackboneNetwork, Found, NewRows
from ..core.parts import working_half
from ..core.port import Port
from ..core.trie import Trie
from .testing_declaration import DeclarationContract, build
from .testing_loss import VALUES, VOCABULARY, WIDTH, TokensPort, ValuesPort

STREAMS = 3
LIMIT = 6
MEMBERS = ((1, 2, VOCABULARY - 1), (1, VOCABULARY - 1), (4, 4, 4, VOCABULARY - 1), (0, VOCABULARY - 1))


class DecoderContract(DeclarationContract):
    """Subclass it, name the subclass `Test...`, and set:

    Attributes:
        decoder: the declaration.
        closed: it serves closed sets alone.

    It is tried on a small recurrent network and a port of 11 tokens, or of rows of 5 values when it needs values alone.
    """

    decoder: ClassVar[Decoder]
    closed: ClassVar[bool] = False

    def declaration(self) -> Decoder:
        return self.decoder

    def test_answers_are_legal(self) -> None:
        """Within the limit, without the end mark, out of the vocabulary."""
        found, _ = self._found()
        assert tuple(found.counts.shape) == (STREAMS,) and found.predicted.shape[0] == STREAMS
        assert found.counts.min() >= 0 and found.counts.max() <= LIMIT
        if self._values():
            assert found.counts.tolist() == [LIMIT] * STREAMS and found.predicted.shape[2:] == (VALUES,)
            return
        for stream in range(STREAMS):
            answer = found.predicted[stream, : found.counts[stream]]
            assert ((answer >= 0) & (answer < VOCABULARY - 1)).all(), f"stream {stream} answers {answer.tolist()}"

    def test_scores_are_those_of_the_model(self) -> None:
        """The log-probability of an answer is what the model gives it, row by row (of a member, what its set does)."""
        found, _ = self._found()
        if self._values() or self.closed or found.log_probability is None:
            return
        for stream in range(STREAMS):
            answer = found.predicted[stream, : found.counts[stream]].tolist()
            scored = self._scored(stream, answer)
            score = float(found.log_probability[stream])
            assert any(abs(score - s) < 1e-3 for s in scored), f"stream {stream}: {score} is none of {scored}"

    def test_streams_do_not_disturb_one_another(self) -> None:
        """Each stream's answer alone is its answer in a batch."""
        whole, _ = self._found()
        for stream in range(STREAMS):
            alone, _ = self._found(sources=[stream])
            count = int(whole.counts[stream])
            assert int(alone.counts[0]) == count
            assert torch.allclose(alone.predicted[0, :count], whole.predicted[stream, :count], atol=1e-5)

    def test_it_is_a_function_of_its_keys(self) -> None:
        """The same streams with the same keys give the same answers."""
        (first, _), (again, _) = self._found(), self._found()
        assert torch.equal(first.counts, again.counts)
        for stream, count in enumerate(first.counts.tolist()):
            assert torch.equal(first.predicted[stream, :count], again.predicted[stream, :count])

    def test_it_leaves_each_stream_behind_its_answer(self) -> None:
        """When more follows, stream i is stream i and was fed its answer; who waits was fed nothing."""
        active = torch.tensor([True, False, True])
        found, frontier = self._found(active=active, last=False)
        assert frontier.streams == STREAMS
        for stream in range(STREAMS):
            answer = found.predicted[stream, : found.counts[stream]] if active[stream] else found.predicted[stream, :0]
            ways = [answer]
            if active[stream] and not self._values():
                ways.append(torch.cat([answer, answer.new_tensor([VOCABULARY - 1])]))
            states = [self._walked(stream, way)[-1] for way in ways]
            assert any(torch.allclose(frontier.hidden[stream], state, atol=1e-4) for state in states), (
                f"stream {stream}"
            )

    def test_it_stays_in_a_closed_set(self) -> None:
        """Every answer is a member, whatever the limit."""
        if self._values():
            return
        found, _ = self._found(trie=Trie(MEMBERS))
        for stream in range(STREAMS):
            answer = tuple(found.predicted[stream, : found.counts[stream]].tolist())
            assert (*answer, VOCABULARY - 1) in MEMBERS, f"stream {stream} answers {answer}, which is no member"

    def _values(self) -> bool:
        return self.decoder.needs == ("values",)

    def _parts(self) -> tuple[Network, Port]:
        torch.manual_seed(5)
        port: Port = ValuesPort() if self._values() else TokensPort()
        return Network().eval(), port.eval()

    def _half(self) -> Any:
        return build(lambda: working_half(self.decoder.build, "the decoder")(**self.decoder.settings()), "the decoder")

    @torch.no_grad()
    def _found(
        self,
        *,
        sources: Sequence[int] = range(STREAMS),
        active: Tensor | None = None,
        last: bool = True,
        trie: Trie | None = None,
    ) -> tuple[Found, Frontier]:
        network, port = self._parts()
        tape = Tape(
            cast(BackboneNetwork, network), network.start(sources), streams=len(sources), device=torch.device("cpu")
        )
        tape.push(torch.zeros(len(sources), 1, WIDTH), 0)
        half, trie = self._half(), Trie(MEMBERS) if self.closed else trie
        predicts = "values" if self._values() else "tokens"
        slot = Decode(slot=0, name="answer", kind=1, predicts=predicts, limit=LIMIT, decoder=half, trie=trie)
        if active is None:
            active = torch.ones(len(sources), dtype=torch.bool)
        frontier = Frontier(tape, port, slot, active=active, keys=[100 + s for s in sources], last=last)
        return half(frontier), frontier

    @torch.no_grad()
    def _walked(self, source: int, answer: Tensor) -> list[Tensor]:
        """The hidden states of one stream that was fed an answer row by row, the one before it first."""
        network, port = self._parts()
        cache = network.start([source])
        name = "values" if self._values() else "tokens"
        inputs = [torch.zeros(1, WIDTH), *(port.embed(**{name: row[None]}) for row in answer)]
        rows = (NewRows(x[None], torch.ones(1, dtype=torch.long), torch.ones(1, 1, dtype=torch.long)) for x in inputs)
        return [network.extend(row, cache)[0, 0] for row in rows]

    @torch.no_grad()
    def _scored(self, source: int, answer: list[int]) -> list[float]:
        """The log-probability of an answer, with its end mark and, as at the limit, without it."""
        _, port = self._parts()
        states = torch.stack(self._walked(source, torch.tensor(answer, dtype=torch.long)))
        logs = port.project(states).log_softmax(-1)
        body = sum(float(logs[place, token]) for place, token in enumerate(answer))
        return [body + float(logs[len(answer), VOCABULARY - 1]), body]


class State:
    """The cache of the small network: one vector a stream."""

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def select(self, streams: Tensor) -> None:
        """New stream i is old stream `streams[i]`."""
        self.held = self.held.index_select(0, streams)


class Network(nn.Module):
    """A recurrent cell, whose state is an exact cache."""

    def __init__(self) -> None:
        super().__init__()
        self.width = WIDTH
        self.cell = nn.GRUCell(WIDTH, WIDTH)
        for parameter in self.cell.parameters():
            nn.init.normal_(parameter, std=0.5)

    def start(self, sources: Sequence[int]) -> State:
        """A state for each source, a number."""
        return State(torch.stack([torch.sin(torch.arange(WIDTH) * (source + 1.0)) for source in sources]))

    def extend(self, rows: NewRows, cache: State) -> Tensor:
        """Hidden states [n, k, width] of new rows; mutual ones are read as others are."""
        out, before = torch.zeros_like(rows.x), cache.held
        for place in range(rows.x.shape[1]):
            new = self.cell(rows.x[:, place], cache.held)
            real = (place < rows.counts)[:, None]
            cache.held = torch.where(real, new, cache.held)
            out[:, place] = cache.held
        if not rows.keep:
            cache.held = before
        return out
