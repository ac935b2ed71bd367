"""Weightings: what they weigh, that they are part of a run's state, and that slots' own weights still count."""

import lightning as L
import pytest
import torch

import omniline as ol
from omniline.core.errors import ConfigError, PluginError
from omniline.core.example import RowId
from omniline.core.packing import pack
from omniline.plugins.manager import installed
from omniline.plugins.weighting.gradient_norm import GradientNorm
from omniline.plugins.weighting.uncertainty import Uncertainty
from omniline.tasks.balancing import Balancing
from omniline.tasks.model import objective_keys

SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=128,dropout=0"
QUIET = {"enable_progress_bar": False, "batch_tokens": 200, "backbone": SMALL, "metric_rows": 0}


def test_uncertainty_finds_the_weights_that_it_is_known_to():
    """exp(-s) L + s / 2 is least where exp(-s) = 1 / (2 L)."""
    half = Uncertainty(keys=("a", "b"))
    optimiser = torch.optim.SGD(half.parameters(), lr=0.2)
    losses = torch.tensor([0.25, 4.0])
    for _ in range(400):
        optimiser.zero_grad()
        half.loss(losses, torch.ones(2)).backward()
        optimiser.step()
    assert half.factors().tolist() == pytest.approx([2.0, 0.125], rel=1e-3)


def test_an_objective_that_a_step_lacks_learns_nothing():
    half = Uncertainty(keys=("a", "b"))
    half.loss(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])).backward()
    assert half.log_variance.grad[0] != 0 and half.log_variance.grad[1] == 0


def test_gradient_norm_evens_out_sizes():
    half = GradientNorm(keys=("a", "b", "c"), memory=0.5)
    assert half.factors().tolist() == [1, 1, 1]
    half.observe(torch.tensor([1.0, 4.0, 0.0]))
    factors = half.factors()
    assert factors[0] == pytest.approx(4 * float(factors[1])) and factors[:2].mean() == pytest.approx(1)
    half.observe(torch.tensor([3.0, 0.0, 0.0]))
    assert half.sizes.tolist() == [2.0, 4.0, 0.0], "what a step lacks keeps its size"


class Keep(L.Callback):
    """Saves the state after four steps."""

    def __init__(self, path):
        self.path = path

    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == 4 and not self.path.exists():
            trainer.save_checkpoint(self.path)


def tasks(small):
    return [
        ol.Task("loud", "[TEXT:text] -> [TEXT:word,weight=20]", train=small.rows(20)),
        ol.Task("quiet", "say [TEXT:text] -> [CATEGORY:label]", train=small.rows(20)),
    ]


def test_the_sizes_are_those_of_the_unweighted_gradients(small):
    """At the hidden states, by hand: one backward pass for each objective alone."""
    made = tasks(small)
    model = small.build(made)
    readers = {t.name: model.reader(model.bound(t)) for t in made}
    rows = [readers[t.name].example(t.train[n], RowId(t.name, n)) for t in made for n in range(4)]
    batch = pack(rows, readers)
    keys = sorted(objective_keys(model.plans))
    balancing = Balancing("gradient_norm", keys, installed())
    factors = dict.fromkeys(keys, 1.0) | {"loud/word": 0.3}
    losses = model.network.loss(batch, None, factors=factors)
    balancing.watch(losses.hidden, batch, factors)
    losses.total.backward()
    balancing.step(lambda sizes: sizes)
    found = dict(zip(keys, balancing.weights.sizes.tolist(), strict=True))
    for key, weight in (("loud/word", 20), ("quiet/label", 1)):
        only = {other: float(other == key) for other in keys}
        alone = model.network.loss(batch, None, factors=only)
        (gradient,) = torch.autograd.grad(alone.total, alone.hidden)
        assert found[key] == pytest.approx(float(gradient.norm()) / weight, rel=1e-4)
    assert found["quiet/marks"] == 0


@pytest.mark.parametrize("weighting", ["uncertainty", "gradient_norm,alpha=0.5"])
def test_a_run_is_balanced_and_goes_on_where_it_was(tmp_path, small, weighting):
    def run(steps, resume=None):
        model = ol.Model.build(backbone=SMALL, tasks=tasks(small))
        module = ol.Module(model, tasks(small), weighting=weighting, metric_rows=0)
        trainer = L.Trainer(
            max_steps=steps, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            callbacks=[Keep(tmp_path / "four.ckpt")], enable_checkpointing=False, accumulate_grad_batches=2,
            limit_val_batches=0,
        )  # fmt: skip
        data = ol.DataModule(tasks(small), model=model, batch_tokens=100)
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        return module

    whole = run(8)
    again = run(8, tmp_path / "four.ckpt")
    assert whole.balancing.factors() == again.balancing.factors()
    assert len(set(whole.balancing.factors().values())) > 1
    for (name, a), b in zip(whole.network.named_parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_what_is_refused(small):
    with pytest.raises(PluginError, match="no installed package provides the weighting `gradient`; did you mean"):
        Balancing("gradient", ["a"], installed())
    with pytest.raises(ConfigError, match="the setting `alpha` of the weighting `gradient_norm` must be at"):
        Balancing("gradient_norm,alpha=7", ["a"], installed())
