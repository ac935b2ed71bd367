"""The contract of an adapter: codec and port agree with each other and with the declaration."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.adapter import Adapter
from ..core.catalog import catalog_of
from ..core.codec import GIVEN, PREDICTED_NAME, SUPERVISED, Encoded, Reading
from ..core.parts import make_codec, make_port, port_of
from ..core.plan import Part, Side
from ..plugins.manager import installed
from .testing_declaration import DeclarationContract, build
from .tokenizing import tokenizer_for

WIDTH = 16
MODES = ("train", "valid", "predict")


class AdapterContract(DeclarationContract):
    """Subclass it, name the subclass `Test...`, and set:

    Attributes:
        adapter: the declaration, with small settings.
        raws: two or more raw values of different size, as rows hold them.
        closed_set: the members, for an adapter that asks for them.
        lossy: decoding need not give the raw value back; override `same` where it does so nearly.
    """

    adapter: ClassVar[Adapter]
    raws: ClassVar[Sequence[Any]]
    closed_set: ClassVar[tuple[str, ...] | None] = None
    lossy: ClassVar[bool] = False

    def declaration(self) -> Adapter:
        return self.adapter

    def same(self, raw: Any, decoded: Any) -> bool:
        """Whether a decoded value is the raw one."""
        return bool(raw == decoded)

    def test_budgets_hold(self) -> None:
        """`measure` stays within `tokens()`."""
        tokens, codec = self.adapter.tokens(), self._codec()
        for side in self._sides():
            for raw in self.raws:
                rows = codec.measure(raw, Reading(side=side))
                assert rows >= tokens.least, f"{raw!r} takes {rows} rows, tokens() says at least {tokens.least}"
                most = None if tokens.most is None else tokens.most + (side == "target")
                assert most is None or rows <= most, f"{raw!r} takes {rows} rows, tokens() says at most {tokens.most}"

    def test_encoding_takes_no_more_than_measured(self) -> None:
        """In every mode; and all that a value brings agrees on its rows."""
        codec = self._codec()
        for raw in self.raws:
            for reading in self._readings():
                measured, encoded = codec.measure(raw, reading), codec.encode(raw, reading)
                assert encoded.rows <= measured, f"{raw!r}: {encoded.rows} rows, but measure says {measured}"
                for name, array in encoded.labels.items():
                    assert len(array) == encoded.rows, f"the label `{name}` must have {encoded.rows} rows"
                assert encoded.grid is None or tuple(encoded.grid.shape) == (encoded.rows, 3)
                assert encoded.roles is None or len(encoded.roles) == encoded.rows
                if encoded.roles is not None:
                    assert all(GIVEN <= int(role) <= SUPERVISED for role in encoded.roles)

    def test_reading_is_a_function_of_value_and_seed(self) -> None:
        """The same reading gives the same arrays, also from a codec that was sent to a worker."""
        codec = self._codec()
        other = pickle.loads(pickle.dumps(codec))  # noqa: S301 - what was just pickled
        for raw in self.raws:
            for reading in self._readings():
                first = _flat(codec.encode(raw, reading))
                for encoded in (codec.encode(raw, reading), other.encode(raw, reading)):
                    again = _flat(encoded)
                    assert again.keys() == first.keys()
                    for name, array in first.items():
                        assert np.array_equal(array, again[name]), f"`{name}` of {raw!r} differs between two readings"

    def test_a_cuttable_value_keeps_to_its_limit(self) -> None:
        """A limit cuts text and leaves media alone."""
        codec = self._codec()
        for side in self._sides() if self.adapter.cuttable else ():
            for raw in self.raws:
                for limit in (1, 2, 3):
                    rows = codec.encode(raw, Reading(side=side, limit=limit)).rows
                    assert rows <= limit, f"{raw!r} takes {rows} rows, but its limit is {limit}"

    def test_the_port_embeds_each_row(self) -> None:
        """[rows, width] for all values together, in order, and none depends on its neighbours."""
        port, values = self._port(), self._encoded()
        both = port.embed(**_joined(values))
        assert tuple(both.shape) == (sum(v.rows for v in values), WIDTH)
        alone = torch.cat([port.embed(**_joined([v])) for v in values])
        assert torch.allclose(both, alone, atol=1e-5), "a value's embedding depends on the values beside it"

    def test_the_port_takes_no_rows(self) -> None:
        """Empty tensors give [0, width] and stay in the graph, so that ranks keep step."""
        port = self._port()
        full = _joined(self._encoded())
        empty = port.embed(**{name: tensor[:0] for name, tensor in full.items()})
        assert tuple(empty.shape) == (0, WIDTH), f"no rows must give [0, {WIDTH}], but give {list(empty.shape)}"
        if port.embed(**full).requires_grad:
            assert empty.requires_grad, "no rows must take part in the graph"

    def test_gradients_reach_the_port(self) -> None:
        """Every weight that can be trained is, by embedding or by projecting."""
        port = self._port()
        total = port.embed(**_joined(self._encoded())).square().sum()
        if self.adapter.predicts is not None:
            total = total + port.project(torch.randn(3, WIDTH)).square().sum()
            own = port.auxiliary(self._labels(self.raws[0]))
            total = total if own is None else total + own.sum()
        total.backward()
        idle = [name for name, p in port.named_parameters() if p.requires_grad and p.grad is None]
        assert not idle, f"no gradient reaches {', '.join(idle)}"

    def test_predictions_fit(self) -> None:
        """`project` gives what the labels compare with, `head` is the same layer, and a prediction embeds."""
        if self.adapter.predicts not in PREDICTED_NAME:
            return
        port, name = self._port(), PREDICTED_NAME[self.adapter.predicts]
        label = port.relabel(self._labels(self.raws[0]))[name]
        hidden = torch.randn(len(label), WIDTH)
        predicted = port.project(hidden)
        wanted = tuple(label.shape) if name == "values" else (len(label), port.vocabulary)
        assert tuple(predicted.shape) == wanted, f"project must give {wanted}, but gives {tuple(predicted.shape)}"
        assert name == "values" or int(label.max()) < (port.vocabulary or 0), "a label lies outside the vocabulary"
        if (head := port.head()) is not None:
            assert torch.allclose(predicted, torch.nn.functional.linear(hidden, *head), atol=1e-5)
        index = {"index": torch.arange(len(label))} if port.indexed else {}
        assert tuple(port.embed(**{name: label}, **index).shape) == (len(label), WIDTH)

    def test_decoding_gives_the_value_back(self) -> None:
        """What the labels say is what the raw value was."""
        if self.adapter.predicts not in PREDICTED_NAME:
            return
        codec, port, name = self._codec(), self._port(), PREDICTED_NAME[self.adapter.predicts]
        for raw in self.raws:
            label = port.relabel(self._labels(raw))[name]
            if name == "tokens" and port.end is not None:
                assert int(label[-1]) == port.end, f"{raw!r}: the last token must be the end mark {port.end}"
                label = label[:-1]
            with torch.no_grad():
                decoded = codec.decode(port.render({name: label}))
            assert self.lossy or self.same(raw, decoded), f"{raw!r} comes back as {decoded!r}"

    def _labels(self, raw: Any) -> dict[str, Tensor]:
        """The labels of the rows that are supervised."""
        encoded = self._codec().encode(raw, Reading(side="target", mode="predict"))
        labels = {name: torch.as_tensor(array) for name, array in encoded.labels.items()}
        if encoded.roles is None:
            return labels
        learnt = torch.as_tensor(np.asarray(encoded.roles) == SUPERVISED)
        return {name: label[learnt] for name, label in labels.items()}

    def _sides(self) -> tuple[Side, ...]:
        target = self.adapter.predicts is not None
        sides: tuple[Side, ...] = ("source", "target")
        return tuple(side for side in sides if side in self.adapter.sides and (side == "source" or target))

    def _readings(self) -> list[Reading]:
        return [Reading(side=side, mode=mode, seed=11) for side in self._sides() for mode in MODES]  # type: ignore[arg-type]

    def _assets(self) -> dict[str, Any]:
        found: dict[str, Any] = {"closed_set": self.closed_set}
        if "tokenizer" in self.adapter.assets:
            found["tokenizer"] = tokenizer_for(None, [], installed())
        return found

    def _codec(self) -> Any:
        return build(lambda: make_codec(self.adapter, type(self.adapter).__name__, self._assets()), "the codec")

    def _port(self) -> Any:
        name = type(self.adapter).__name__
        catalog = catalog_of(adapters={name: type(self.adapter)})
        spec = port_of(Part("adapter", name, tuple(self.adapter.settings().items())), self.closed_set, catalog)
        torch.manual_seed(0)
        return build(lambda: make_port(spec, WIDTH, self._assets()), "the port").eval()

    def _encoded(self) -> list[Encoded]:
        codec, side = self._codec(), self._sides()[0]
        return [codec.encode(raw, Reading(side=side, mode="predict")) for raw in self.raws]


def _joined(values: Sequence[Encoded]) -> dict[str, Tensor]:
    """The values' tensors, as a batch holds them."""
    names = values[0].tensors.keys()
    return {name: torch.cat([torch.as_tensor(value.tensors[name]) for value in values]) for name in names}


def _flat(value: Encoded) -> Mapping[str, Any]:
    arrays: dict[str, Any] = {f"tensors.{name}": array for name, array in value.tensors.items()}
    arrays |= {f"labels.{name}": array for name, array in value.labels.items()}
    arrays |= {"rows": value.rows, "roles": value.roles, "grid": value.grid}
    return {name: np.asarray(array) for name, array in arrays.items() if array is not None}
