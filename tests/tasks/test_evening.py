"""The loss that evens out experts: over a step's batches and ranks, in the log, and that it does."""

import lightning as L
import pytest
import torch

import omniline as ol
from omniline.core.balance import Balance
from omniline.tasks.evening import Evening

SPARSE = (
    "decoder-tiny,width=16,heads=2,key_heads=1,ffn=16,layers=2,positions=64,"
    "experts=4,expert_ffn=8,expert_top=1,balance={weight}"
)


def balance(counts, over="step"):
    counts = torch.tensor(counts)
    sums = counts.float().requires_grad_()
    return Balance(counts, sums, int(counts.sum()), 0.5, over)


def same(told):
    return told


def test_a_step_is_judged_by_all_its_batches():
    evening = Evening()
    evening.begin()
    first, second = balance([4, 0]), balance([0, 4])
    assert evening.extra(first, 2, same).item() == pytest.approx(2.0 * 0.5 / 2)
    assert evening.extra(second, 2, same).item() == pytest.approx(1.0 * 0.5 / 2)
    evening.begin()
    assert evening.extra(second, 2, same).item() == pytest.approx(2.0 * 0.5 / 2)
    assert evening.take() == {"balance": pytest.approx((2.0 + 1.0 + 2.0) / 3)}
    assert evening.take() == {}


def test_batches_alone_where_the_setting_says_so():
    evening = Evening()
    evening.begin()
    for counts in ([4, 0], [0, 4]):
        assert evening.extra(balance(counts, "batch"), 1, same).item() == pytest.approx(2.0 * 0.5)


def test_ranks_are_judged_together():
    def other(told):
        """What another rank chose besides: 0 and 4 of 4 rows."""
        return told + torch.tensor([0.0, 4.0, 4.0], dtype=torch.float64)

    evening = Evening()
    evening.begin()
    own = balance([4, 0])
    loss = evening.extra(own, 2, other)
    assert loss.item() == pytest.approx(1.0 * 0.5 / 2)
    loss.backward()
    assert own.sums.grad.tolist() == pytest.approx([0.5 * 2 / 4 * 0.5 / 2] * 2)


def spread(weight):
    """How evenly the experts are used at the end of a short run, 1 for all alike."""
    rows = [{"a": word, "b": word} for word in ("red", "green", "blue", "grey")]
    task = ol.Task("copy", "[TEXT:a] -> [TEXT:b]", train=rows)
    seen = {}
    ol.fit(
        [task],
        backbone=SPARSE.format(weight=weight),
        max_steps=30,
        batch_tokens=64,
        learning_rate=1e-2,
        log_every_n_steps=10,
        callbacks=[Watch(seen)],
    )
    return seen["balance"]


class Watch(L.Callback):
    """The last value of the log."""

    def __init__(self, seen):
        self.seen = seen

    def on_train_batch_end(self, trainer, module, *_):
        if module.history:
            self.seen.update(module.history[-1])


def test_experts_are_evened_out_and_the_log_says_so():
    assert spread(1.0) < 1.02 < spread(0.0)
