"""The contract of a loss: a weighted sum with a gradient, whatever the number of rows."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..core.loss import Loss
from ..core.networks import LossRows
from ..core.parts import working_half
from ..core.port import Head, Port
from .testing_declaration import DeclarationContract, build

WIDTH = 16
VOCABULARY = 11
VALUES = 5
TOKENS_PER_VALUE = 2
ROWS_PER_VALUE = 6


class LossContract(DeclarationContract):
    """Subclass it, name the subclass `Test...`, and set `loss`, the declaration.

    A loss of predictions is tried on a port of 11 tokens, or of rows of 5 values, as its `needs` say; for anything
    else override `port` and `labels`.
    """

    loss: ClassVar[Loss]

    def declaration(self) -> Loss:
        return self.loss

    def port(self) -> Port:
        """The port whose predictions are judged."""
        torch.manual_seed(1)
        return ValuesPort() if self.loss.needs == ("values",) else TokensPort()

    def labels(self, rows: int) -> dict[str, Tensor]:
        """Labels of that many rows."""
        draw = torch.Generator().manual_seed(2)
        if self.loss.needs == ("values",):
            return {"values": torch.randn(rows, VALUES, generator=draw)}
        name = "label" if self.loss.needs == ("class",) else "tokens"
        return {name: torch.randint(VOCABULARY, (rows,), generator=draw)}

    def test_the_total_is_the_weighted_sum(self) -> None:
        """`each` is detached, has one entry a unit, and `total` is its product with the weights."""
        weights = torch.tensor([1.0, 0.5, 2.0])
        rows, _ = self._call(3, weights)
        assert rows.total.shape == () and tuple(rows.each.shape) == (3,) and not rows.each.requires_grad
        assert torch.isfinite(rows.each).all()
        assert torch.allclose(rows.total.detach(), (rows.each * weights).sum(), rtol=1e-4, atol=1e-5)

    def test_the_total_is_linear_in_the_weights(self) -> None:
        """Twice the weights, twice the loss and twice the gradient; none, none."""
        found = [self._gradient(3, torch.full((3,), factor)) for factor in (0.0, 1.0, 2.0)]
        assert not found[0][0] and not found[0][1].any()
        assert torch.allclose(found[2][0], 2 * found[1][0], rtol=1e-4)
        assert torch.allclose(found[2][1], 2 * found[1][1], rtol=1e-3, atol=1e-6)

    def test_no_rows_cost_nothing_and_stay_in_the_graph(self) -> None:
        """A rank without rows must still take part in the backward pass."""
        rows, hidden = self._call(0, torch.zeros(0))
        assert not rows.total.detach() and tuple(rows.each.shape) == (0,)
        assert rows.total.requires_grad
        rows.total.backward()
        assert all(h.grad is None or not h.grad.any() for h in hidden)

    def test_a_step_down_the_gradient_lowers_it(self) -> None:
        """The gradient is that of the loss."""
        weights = torch.ones(3)
        value, gradient = self._gradient(3, weights)
        assert torch.isfinite(gradient).all() and gradient.any()
        step = 1e-3 / float(gradient.norm())
        lower, _ = self._gradient(3, weights, shift=-step * gradient)
        assert float(lower) < float(value), f"a step against the gradient went from {value} to {lower}"

    def test_it_is_deterministic(self) -> None:
        """Twice the same rows, twice the same losses."""
        first, again = (self._call(3, torch.ones(3))[0] for _ in range(2))
        assert torch.equal(first.each, again.each)

    def _half(self) -> Any:
        settings: dict[str, Any] = {**self.loss.settings()}
        if self.loss.needs_width:
            settings["width"] = WIDTH
        torch.manual_seed(3)
        return build(lambda: working_half(self.loss.build, "the loss")(**settings), "the loss")

    def _gradient(self, units: int, weights: Tensor, shift: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rows, hidden = self._call(units, weights, shift)
        rows.total.backward()
        return rows.total.detach(), torch.stack([torch.zeros_like(h) if h.grad is None else h.grad for h in hidden])

    def _call(self, units: int, weights: Tensor, shift: Tensor | None = None) -> tuple[LossRows, list[Tensor]]:
        """The loss of so many units, and the hidden states that it was given."""
        per_unit = {"match": 1, "rank": 2, "align": ROWS_PER_VALUE}.get(self.loss.kind, 1)
        sides = 2 if self.loss.kind == "match" else 1
        draw = torch.Generator().manual_seed(4)
        hidden = [torch.randn(units * per_unit, WIDTH, generator=draw) for _ in range(sides)]
        if shift is not None:
            hidden = [h + s for h, s in zip(hidden, shift, strict=True)]
        for h in hidden:
            h.requires_grad_()
        return self._judged(units, weights, hidden), hidden

    def _judged(self, units: int, weights: Tensor, hidden: list[Tensor]) -> LossRows:
        half = self._half()
        if self.loss.kind == "match":
            return half(*hidden, weights)  # type: ignore[no-any-return]
        if self.loss.kind == "rank":
            return half(hidden[0], torch.arange(units).repeat_interleave(2), weights)  # type: ignore[no-any-return]
        if self.loss.kind == "align":
            tokens = torch.arange(units * TOKENS_PER_VALUE) % VOCABULARY
            lengths, counts = [ROWS_PER_VALUE] * units, [TOKENS_PER_VALUE] * units
            return half(hidden[0], lengths, self.port(), tokens, counts, weights)  # type: ignore[no-any-return]
        assert self.loss.kind == "predict", f"there is no contract yet for losses of kind `{self.loss.kind}`"
        return half(hidden[0], self.port(), self.labels(units), weights, None)  # type: ignore[no-any-return]


class TokensPort(Port):
    """Eleven tokens, the last of them the end mark; embeddings and output rows are tied."""

    vocabulary = VOCABULARY
    end = VOCABULARY - 1

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, WIDTH)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings of `tokens=` or `label=`."""
        found: Tensor = self.table(next(iter(tensors.values())).long())
        return found

    def project(self, hidden: Tensor) -> Tensor:
        """Logits [n, 11]."""
        return nn.functional.linear(hidden, self.table.weight)

    def head(self) -> Head:
        """The output layer."""
        return Head(self.table.weight, None)


class ValuesPort(Port):
    """Rows of five numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.outside = nn.Linear(VALUES, WIDTH), nn.Linear(WIDTH, VALUES)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings of `values=` [n, 5]."""
        found: Tensor = self.inside(tensors["values"])
        return found

    def project(self, hidden: Tensor) -> Tensor:
        """Values [n, 5]."""
        found: Tensor = self.outside(hidden)
        return found
