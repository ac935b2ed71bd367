"""Contrastive matching and preferences."""

import math

import pytest
import torch

from omniline.plugins.contrastive.contrastive import ContrastiveLoss
from omniline.plugins.preference.bradley_terry import BradleyTerryLoss


def test_contrastive_is_the_mean_of_both_directions():
    torch.manual_seed(0)
    loss = ContrastiveLoss(width=6, temperature=0.5, dimension=3)
    left, right, weights = torch.randn(4, 6), torch.randn(4, 6), torch.tensor([1.0, 2.0, 0.0, 0.5])
    rows = loss(left, right, weights)
    a, b = loss.projection(left).detach(), loss.projection(right).detach()
    expected = []
    for i in range(4):
        forth = [float(torch.cosine_similarity(a[i], b[j], dim=0)) / 0.5 for j in range(4)]
        back = [float(torch.cosine_similarity(a[j], b[i], dim=0)) / 0.5 for j in range(4)]
        forth_loss = math.log(sum(map(math.exp, forth))) - forth[i]
        back_loss = math.log(sum(map(math.exp, back))) - back[i]
        expected.append((forth_loss + back_loss) / 2)
    torch.testing.assert_close(rows.each, torch.tensor(expected))
    torch.testing.assert_close(rows.total, (torch.tensor(expected) * weights).sum())


def test_similarity_is_the_cosine_of_embeddings_and_takes_uneven_sides():
    loss = ContrastiveLoss(width=6, dimension=3)
    left, right = torch.randn(2, 6), torch.randn(5, 6)
    scores = loss.similarity(left, right)
    assert scores.shape == (2, 5)
    assert scores.abs().max() <= 1 + 1e-6
    torch.testing.assert_close(loss.embedding(left).norm(dim=1), torch.ones(2))
    torch.testing.assert_close(loss.similarity(left, left).diagonal(), torch.ones(2))


def test_the_temperature_is_learned_or_fixed_and_bounded():
    learned, fixed = ContrastiveLoss(width=2), ContrastiveLoss(width=2, learned=False)
    assert sorted(name for name, _ in learned.named_parameters()) == ["log_scale", "projection.weight"]
    assert [name for name, _ in fixed.named_parameters()] == ["projection.weight"]
    assert list(fixed.state_dict()) == ["projection.weight"]
    left, right = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [-1.0, 1.0]])
    learned(left, right, torch.ones(2)).total.backward()
    assert learned.log_scale.grad != 0
    with torch.no_grad():
        learned.log_scale.fill_(50.0)
    assert learned(left, right, torch.ones(2)).each.max() <= 200 + math.log(2)


def test_learning_brings_partners_together():
    torch.manual_seed(0)
    loss = ContrastiveLoss(width=8, dimension=4)
    left, right = torch.randn(5, 8), torch.randn(5, 8)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        total = loss(left, right, torch.full((5,), 0.2)).total
        total.backward()
        optimizer.step()
    assert loss.similarity(left, right).argmax(1).tolist() == list(range(5))


def test_contrastive_of_no_rows_and_of_one():
    loss = ContrastiveLoss(width=3)
    rows = loss(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0))
    rows.total.backward()
    assert rows.total.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in loss.parameters())
    assert loss(torch.randn(1, 3), torch.randn(1, 3), torch.ones(1)).total.item() == 0


def test_bradley_terry_sums_over_the_pairs_of_each_example():
    torch.manual_seed(0)
    loss = BradleyTerryLoss(width=4)
    hidden, examples = torch.randn(6, 4), torch.tensor([9, 3, 9, 9, 3, 5])
    weights = torch.tensor([1.0, 0.5, 2.0])
    rows = loss(hidden, examples, weights)
    s = loss.scores(hidden)
    pair = lambda i, j: -torch.nn.functional.logsigmoid(s[i] - s[j])  # noqa: E731
    expected = torch.stack([pair(0, 2) + pair(0, 3) + pair(2, 3), pair(1, 4), torch.zeros(())])
    torch.testing.assert_close(rows.each, expected.detach())
    torch.testing.assert_close(rows.total, (expected * weights).sum())


def test_bradley_terry_learns_the_order():
    torch.manual_seed(0)
    loss = BradleyTerryLoss(width=4)
    hidden, examples = torch.randn(3, 4), torch.zeros(3, dtype=torch.long)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        loss(hidden, examples, torch.ones(1)).total.backward()
        optimizer.step()
    assert loss.scores(hidden).argsort(descending=True).tolist() == [0, 1, 2]


def test_bradley_terry_of_no_streams_and_of_wrong_weights():
    loss = BradleyTerryLoss(width=4)
    rows = loss(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0))
    rows.total.backward()
    assert loss.score.weight.grad is not None
    assert rows.each.shape == (0,)
    with pytest.raises(ValueError, match="one for each of 2 examples, but are 3"):
        loss(torch.randn(4, 4), torch.tensor([0, 0, 1, 1]), torch.ones(3))
