"""Cross-entropy without logits against the plain formula, squared error, CTC."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from omniline.core.errors import DataError
from omniline.core.layers import products
from omniline.core.linear_cross_entropy import _rows_at_once, linear_cross_entropy
from omniline.core.networks import Choices
from omniline.core.port import Head, Port
from omniline.plugins.likelihood.cross_entropy import CrossEntropyLoss
from omniline.plugins.likelihood.ctc import CtcLoss
from omniline.plugins.likelihood.mse import MeanSquaredErrorLoss

ROWS, WIDTH, VOCABULARY = 7, 5, 11


class Linear(Port):
    """A port with an output layer; `linear=False` hides that it is linear."""

    def __init__(self, *, bias=True, linear=True, dtype=torch.float64):
        super().__init__()
        self.out = nn.Linear(WIDTH, VOCABULARY, bias=bias, dtype=dtype)
        self.linear = linear
        self.vocabulary = VOCABULARY

    def project(self, hidden):
        return self.out(hidden)

    def head(self):
        return Head(self.out.weight, self.out.bias) if self.linear else None


def made(*, closed=False, dtype=torch.float64):
    torch.manual_seed(0)
    hidden = torch.randn(ROWS, WIDTH, dtype=dtype, requires_grad=True)
    weight = torch.randn(VOCABULARY, WIDTH, dtype=dtype, requires_grad=True)
    weights = torch.rand(ROWS, dtype=dtype)
    if not closed:
        return hidden, weight, torch.randint(0, VOCABULARY, (ROWS,)), weights, None
    choices = Choices.of([[1, 3], [1, 3, 4, 8], [4]], [0, 1, 2, 0, 1, 1, 2])
    return hidden, weight, torch.tensor([1, 4, 4, 3, 8, 1, 4]), weights, choices


def by_the_book(logits, labels, smoothing, choices):
    """Each row's loss by a loop: the label keeps 1 - smoothing, its legal rivals share the rest."""
    each = []
    for row, label in enumerate(labels.tolist()):
        legal = list(range(VOCABULARY))
        if choices is not None:
            legal = choices.tokens[choices.allowed[choices.nodes[row]]].tolist()
        logs = torch.log_softmax(logits[row, legal], 0)
        away = smoothing if len(legal) > 1 else 0.0
        shares = [1 - away if token == label else away / (len(legal) - 1) for token in legal]
        each.append(-(logs * logs.new_tensor(shares)).sum())
    return torch.stack(each)


@pytest.mark.parametrize(
    ("smoothing", "biased", "closed", "chunk"), [*product((0.0, 0.1, 0.7), (False, True), (False, True), (1, 3, None))]
)
def test_value_and_gradients_are_those_of_the_plain_formula(smoothing, biased, closed, chunk):
    hidden, weight, labels, weights, choices = made(closed=closed)
    bias = torch.randn(VOCABULARY, dtype=torch.float64, requires_grad=True) if biased else None
    inputs = [x for x in (hidden, weight, bias) if x is not None]
    each = by_the_book(F.linear(hidden, weight, bias), labels, smoothing, choices)
    rows = linear_cross_entropy(
        hidden, weight, labels, bias=bias, weights=weights, label_smoothing=smoothing, choices=choices, chunk=chunk
    )
    torch.testing.assert_close(rows.each, each.detach())
    torch.testing.assert_close(rows.total, (each * weights).sum())
    expected = torch.autograd.grad((each * weights).sum() * 1.7, inputs)
    for found, wanted in zip(torch.autograd.grad(rows.total * 1.7, inputs), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_gradients_are_those_of_small_differences():
    hidden, weight, labels, weights, choices = made(closed=True)

    def total(hidden, weight):
        return linear_cross_entropy(
            hidden, weight, labels, weights=weights, label_smoothing=0.2, choices=choices, chunk=3
        ).total

    assert torch.autograd.gradcheck(total, (hidden, weight))


def test_smoothing_over_the_whole_vocabulary_is_torch_s_with_its_share_rescaled():
    hidden, weight, labels, weights, _ = made()
    rows = linear_cross_entropy(hidden, weight, labels, weights=weights, label_smoothing=0.1)
    logits = F.linear(hidden, weight).detach()
    rescaled = 0.1 * VOCABULARY / (VOCABULARY - 1)
    torch.testing.assert_close(rows.each, F.cross_entropy(logits, labels, reduction="none", label_smoothing=rescaled))


@pytest.mark.parametrize("closed", [False, True])
def test_no_rows_give_zero_and_zero_gradients(closed):
    _, weight, _, _, choices = made(closed=closed)
    hidden = torch.zeros(0, WIDTH, dtype=torch.float64, requires_grad=True)
    if choices is not None:
        choices = Choices(choices.tokens, choices.allowed, torch.zeros(0, dtype=torch.long))
    labels = torch.zeros(0, dtype=torch.long)
    rows = linear_cross_entropy(hidden, weight, labels, weights=torch.zeros(0).double(), choices=choices)
    rows.total.backward()
    assert rows.total.item() == 0
    assert rows.each.shape == (0,)
    assert hidden.grad.shape == hidden.shape
    assert torch.equal(weight.grad, torch.zeros_like(weight))


def test_a_graph_may_be_walked_twice_only_when_it_is_kept():
    hidden, weight, labels, weights, _ = made()
    total = linear_cross_entropy(hidden, weight, labels, weights=weights).total
    first = torch.autograd.grad(total, (hidden, weight), retain_graph=True)
    kept = [x.clone() for x in first]
    second = torch.autograd.grad(2 * total, (hidden, weight))
    for once, twice, copy in zip(first, second, kept, strict=True):
        assert torch.equal(once, copy)
        torch.testing.assert_close(2 * once, twice)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(total, hidden)


def test_only_what_wants_a_gradient_gets_one():
    hidden, weight, labels, weights, _ = made()
    frozen = linear_cross_entropy(hidden, weight.detach(), labels, weights=weights)
    full = linear_cross_entropy(hidden, weight, labels, weights=weights)
    torch.testing.assert_close(*(torch.autograd.grad(rows.total, hidden)[0] for rows in (frozen, full)), rtol=0, atol=0)
    with torch.no_grad():
        rows = linear_cross_entropy(hidden, weight, labels, weights=weights)
    assert not rows.total.requires_grad
    assert torch.equal(rows.each, full.each)
    assert not full.each.requires_grad


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation makes."""

    cells = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.cells = max(self.cells, out.numel())
        return out


def test_all_logits_never_exist():
    rows, vocabulary, chunk = 64, 400, 16
    hidden, weight = torch.randn(rows, 8, requires_grad=True), torch.randn(vocabulary, 8, requires_grad=True)
    labels = torch.randint(0, vocabulary, (rows,))
    with Largest() as seen:
        linear_cross_entropy(
            hidden, weight, labels, weights=torch.ones(rows), label_smoothing=0.1, chunk=chunk
        ).total.backward()
    assert seen.cells == chunk * vocabulary


def test_chunks_are_of_one_size_and_hold_few_logits():
    assert _rows_at_once(950, 50_265, "cpu") == 480
    assert _rows_at_once(200, 151_936, "cpu") == 112
    assert _rows_at_once(300, 10**7, "cpu") == 64
    assert _rows_at_once(0, 50_265, "cpu") == 16


def test_confident_logits_leave_no_denormal_gradients():
    torch.manual_seed(0)
    hidden = torch.full((4, 1), 10.0, requires_grad=True)
    weight = torch.linspace(0, -12, 600)[:, None].requires_grad_()
    labels = torch.zeros(4, dtype=torch.long)
    rows = linear_cross_entropy(hidden, weight, labels, weights=torch.full((4,), 0.01))
    rows.total.backward()
    tiny = torch.finfo(torch.float32).tiny
    assert weight.grad.abs().min() >= tiny
    plain = F.cross_entropy(hidden.detach() @ weight.detach().T, labels, reduction="none")
    torch.testing.assert_close(rows.each, plain)


def test_bfloat16_products_are_near_and_their_gradients_float32():
    torch.manual_seed(0)
    hidden, weight = torch.randn(64, 32, requires_grad=True), (torch.randn(500, 32) * 0.1).requires_grad_()
    labels, weights = torch.randint(0, 500, (64,)), torch.full((64,), 1 / 64)
    exact = linear_cross_entropy(hidden, weight, labels, weights=weights)
    near = linear_cross_entropy(hidden, weight, labels, weights=weights, products=torch.bfloat16, chunk=10)
    torch.testing.assert_close(near.total, exact.total, rtol=1e-3, atol=0)
    for a, b in zip(
        torch.autograd.grad(near.total, (hidden, weight)),
        torch.autograd.grad(exact.total, (hidden, weight)),
        strict=True,
    ):
        assert a.dtype == torch.float32
        assert F.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.9995


def test_autocast_and_the_products_context_choose_the_products():
    hidden, weight, labels, weights, _ = made(dtype=torch.float32)
    asked = linear_cross_entropy(hidden, weight, labels, weights=weights, products=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        automatic = linear_cross_entropy(hidden, weight, labels, weights=weights)
    assert torch.equal(asked.each, automatic.each)
    port, loss = Linear(dtype=torch.float32), CrossEntropyLoss()
    with products(torch.bfloat16):
        low = loss(hidden, port, {"tokens": labels}, weights, None)
    high = loss(hidden, port, {"tokens": labels}, weights, None)
    assert 0 < (low.each - high.each).abs().max() < 0.05


def test_float16_products_do_not_overflow():
    torch.manual_seed(0)
    hidden, weight = torch.zeros(2, 4, requires_grad=True), torch.zeros(100_000, 4, requires_grad=True)
    bias = torch.zeros(100_000, requires_grad=True)
    rows = linear_cross_entropy(
        hidden + 1, weight, torch.tensor([5, 7]), bias=bias, weights=torch.full((2,), 1e-6), products=torch.float16
    )
    rows.total.backward()
    assert weight.grad.isfinite().all()
    torch.testing.assert_close(weight.grad[5], torch.full((4,), -1e-6), rtol=1e-3, atol=0)


def test_a_label_outside_its_closed_set_is_an_error():
    hidden, weight, labels, weights, choices = made(closed=True)
    labels[3] = 8
    with pytest.raises(DataError, match="row 3 is labelled 8"):
        linear_cross_entropy(hidden, weight, labels, weights=weights, choices=choices)
    labels[3] = 10
    with pytest.raises(DataError, match="row 3 is labelled 10"):
        linear_cross_entropy(hidden, weight, labels, weights=weights, choices=choices)


def test_weights_that_want_a_gradient_are_refused():
    hidden, weight, labels, weights, _ = made()
    with pytest.raises(ValueError, match="must be constants"):
        linear_cross_entropy(hidden, weight, labels, weights=weights.requires_grad_())


@pytest.mark.parametrize(("closed", "smoothing"), [*product((False, True), (0.0, 0.1))])
def test_a_head_that_is_not_linear_gives_the_same_loss(closed, smoothing):
    hidden, _, labels, weights, choices = made(closed=closed)
    port, loss = Linear(), CrossEntropyLoss(label_smoothing=smoothing)
    linear = loss(hidden, port, {"label": labels}, weights, choices)
    port.linear = False
    dense = loss(hidden, port, {"label": labels}, weights, choices)
    torch.testing.assert_close(linear, dense)
    inputs = (hidden, *port.parameters())
    for a, b in zip(torch.autograd.grad(linear.total, inputs), torch.autograd.grad(dense.total, inputs), strict=True):
        torch.testing.assert_close(a, b)


class Values(Port):
    def project(self, hidden):
        return hidden[:, :4].view(-1, 2, 2)


def test_squared_error_is_averaged_over_a_row_s_numbers():
    hidden = torch.arange(10.0).view(2, 5).requires_grad_()
    wanted = hidden.detach()[:, :4].view(2, 2, 2) + torch.tensor([1.0, 3.0])[:, None, None]
    rows = MeanSquaredErrorLoss()(hidden, Values(), {"values": wanted}, torch.tensor([1.0, 0.5]), None)
    assert rows.each.tolist() == [1.0, 9.0]
    assert rows.total.item() == 5.5
    rows.total.backward()
    assert hidden.grad[0].tolist() == [-0.5, -0.5, -0.5, -0.5, 0.0]
    with pytest.raises(ValueError, match=r"shape of the labels \[2, 4\], but gives \[2, 2, 2\]"):
        MeanSquaredErrorLoss()(hidden, Values(), {"values": wanted.flatten(1)}, torch.ones(2), None)


def ctc_by_hand(logs, tokens, blank):
    """Sum over all paths that collapse to the tokens."""
    total = torch.zeros((), dtype=logs.dtype)
    for path in product(range(logs.shape[1]), repeat=len(logs)):
        short = [p for i, p in enumerate(path) if i == 0 or p != path[i - 1]]
        if [p for p in short if p != blank] == tokens:
            total = total + logs[range(len(logs)), list(path)].sum().exp()
    return -total.log() / max(len(tokens), 1)


class Small(Port):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(3, 4)

    def project(self, hidden):
        return self.out(hidden)


@pytest.mark.parametrize("tokens", [[2, 0, 1, 1], [0, 1, 2, 3]])
def test_ctc_is_the_sum_over_all_paths(tokens):
    torch.manual_seed(0)
    loss, port = CtcLoss(width=3), Small()
    hidden = torch.randn(7, 3, requires_grad=True)
    rows = loss(hidden, (4, 3), port, torch.tensor(tokens), (2, 2), torch.tensor([1.0, 0.5]))
    logs = torch.cat([port.project(hidden), loss.blank(hidden)], 1).log_softmax(1)
    each = torch.stack([ctc_by_hand(logs[:4], tokens[:2], 4), ctc_by_hand(logs[4:], tokens[2:], 4)])
    torch.testing.assert_close(rows.each, each.detach())
    inputs = (hidden, *port.parameters(), *loss.parameters())
    expected = torch.autograd.grad(each[0] + each[1] / 2, inputs)
    for found, wanted in zip(torch.autograd.grad(rows.total, inputs), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_ctc_of_a_value_too_short_for_its_tokens():
    hidden, port = torch.randn(2, 3), Small()
    with pytest.raises(DataError, match="at least 3 rows for its 2 tokens, but has 2"):
        CtcLoss(width=3)(hidden, (2,), port, torch.tensor([1, 1]), (2,), torch.ones(1))
    rows = CtcLoss(width=3, too_short="ignore")(hidden, (2,), port, torch.tensor([1, 1]), (2,), torch.ones(1))
    assert rows.total.item() == 0


def test_ctc_of_no_values_keeps_its_weights_in_the_graph():
    loss, port = CtcLoss(width=3), Small()
    empty = torch.zeros(0, dtype=torch.long)
    rows = loss(torch.zeros(0, 3), (), port, empty, (), torch.zeros(0))
    rows.total.backward()
    assert rows.each.shape == (0,)
    assert all(p.grad is not None and not p.grad.any() for p in (*loss.parameters(), *port.parameters()))
