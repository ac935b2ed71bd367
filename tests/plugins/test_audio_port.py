"""AUDIO's port, its loss and its decoder: sounds side by side never meet, and a sound ends where it says."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from omniline.core.codec import Reading
from omniline.plugins.audio.codec import AudioCodec
from omniline.plugins.audio.mel_search import MelSearch
from omniline.plugins.audio.port import AudioPort, content_mask
from omniline.plugins.audio.windows import strides_of, windows
from omniline.plugins.likelihood.mel import MelLoss

WIDTH = 16
LENGTHS = (1, 2, 3, 5, 8, 13, 40)


def tensors(values):
    names = values[0].tensors
    return {name: torch.cat([torch.as_tensor(value.tensors[name]) for value in values]) for name in names}


def encoded(seconds, side="source", step=4, seed=0):
    codec = AudioCodec(bands=8, n_frames_per_step=step, sample_rate=8000)
    sound = np.random.default_rng(seed).normal(0, 0.1, max(1, int(8000 * seconds))).astype(np.float32)
    return codec.encode((sound, 8000), Reading(side=side, mode="predict"))


def port(step=4, **settings):
    torch.manual_seed(0)
    return AudioPort(width=WIDTH, bands=8, n_frames_per_step=step, postnet=12, **settings).eval()


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (3, 3), (5, 5), (5, 1)])
def test_windows_are_the_inputs_of_a_convolution(kernel, stride):
    torch.manual_seed(0)
    x = torch.randn(sum(LENGTHS), 6)
    conv = torch.nn.Conv1d(6, 4, kernel, stride, padding=kernel // 2)
    found, counts = windows(x, torch.tensor(LENGTHS), kernel=kernel, stride=stride)
    flat = F.linear(found, conv.weight.permute(0, 2, 1).flatten(1), conv.bias)
    expected = [conv(part.T[None])[0].T for part in x.split(LENGTHS)]
    assert counts.tolist() == [len(part) for part in expected] == [-(-length // stride) for length in LENGTHS]
    assert torch.allclose(flat, torch.cat(expected), atol=1e-5)


def test_strides_multiply_to_the_step():
    for step in range(1, 65):
        assert np.prod(strides_of(step)) == step


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 8])
def test_sounds_side_by_side_are_as_each_alone(step):
    sounds = [encoded(seconds, side, step, seed) for seed, (seconds, side) in enumerate(
        [(0.3, "source"), (0.2, "target"), (0.001, "source"), (0.5, "target"), (0.11, "source")]
    )]  # fmt: skip
    half = port(step)
    together = half.embed(**tensors(sounds))
    alone = torch.cat([half.embed(**tensors([sound])) for sound in sounds])
    assert together.shape == (sum(sound.rows for sound in sounds), WIDTH)
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_frame_reaches_no_other_sound():
    half, sounds = port(), tensors([encoded(0.3), encoded(0.3, seed=1)])
    frames = sounds["frames"].float().requires_grad_()
    rows = encoded(0.3).rows
    half.embed(**{**sounds, "frames": frames})[:rows].sum().backward()
    touched = frames.grad.abs().sum(1) > 0
    assert touched[: int(sounds["lengths"][0])].all() and not touched[int(sounds["lengths"][0]) :].any()


def test_what_is_written_embeds_as_what_is_predicted():
    half, sound = port(), encoded(0.3, "target")
    given = half.embed(**tensors([sound]))
    fed = half.embed(values=torch.as_tensor(sound.labels["values"]).half().float())
    assert torch.allclose(given, fed, atol=1e-5)


def test_the_prenet_drops_units_at_predicting_too_and_always_the_same():
    torch.manual_seed(0)
    values = torch.randn(6, 4, 8)
    assert torch.equal(port().embed(values=values), port().embed(values=values))
    assert not torch.allclose(port().embed(values=values), port(prenet_dropout=0.0).embed(values=values), atol=1e-3)
    kept = content_mask(values.flatten(1), 4096, drop=0.25, salt=1)
    assert (kept.float().mean(1) - 0.75).abs().max() < 0.05
    assert (kept[0] != kept[1]).float().mean() > 0.2
    training = port().train()
    assert not torch.equal(training.embed(values=values), training.embed(values=values))


def test_the_postnet_starts_as_nothing_and_keeps_sounds_apart():
    half, values = port(), torch.randn(5, 4, 8)
    assert torch.equal(half.refine(values, torch.tensor([2, 3])), values)
    torch.nn.init.normal_(half.postnet[-1].weight)
    both = half.refine(values, torch.tensor([2, 3]))
    assert torch.allclose(both[:2], half.render({"values": values[:2]})["values"], atol=1e-5)
    assert not torch.allclose(both, half.refine(values, torch.tensor([5])), atol=1e-3)
    assert len(half.render({"values": values[:0]})["values"]) == 0


class Fixed(torch.nn.Module):
    """A port that predicts its hidden state, and stops as it is told."""

    def __init__(self, stop=None):
        super().__init__()
        self.logits = stop

    def project(self, hidden):
        return hidden

    def stop(self, hidden):
        return self.logits


def test_the_loss_is_that_of_frames_and_of_the_stop():
    hidden, true = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    frames = MelLoss()(hidden, Fixed(), {"values": true}, torch.ones(2), None)
    assert torch.allclose(frames.each, torch.tensor([1.0 + 2.0, 0.5 + 0.25]))
    logits, stop = torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 1.0])
    loss = MelLoss(stop_weight=2.0, positive=3.0)
    each = loss(hidden, Fixed(logits), {"values": true, "stop": stop}, torch.ones(2), None).each
    ends = torch.tensor([1.0, 3.0]) * F.binary_cross_entropy_with_logits(logits, stop, reduction="none")
    assert torch.allclose(each - frames.each, 2 * ends)
    with pytest.raises(
        ValueError, match=r"Fixed\.project must give the shape of the labels \[2, 3\], but gives \[2, 2\]"
    ):
        loss(hidden, Fixed(), {"values": torch.zeros(2, 3)}, torch.ones(2), None)


def test_the_loss_also_judges_what_the_postnet_made():
    sounds = [encoded(0.3, "target"), encoded(0.1, "target", seed=1)]
    labels = {name: torch.cat([torch.as_tensor(s.labels[name]) for s in sounds]) for name in ("values", "stop")}
    half, hidden = port(), torch.randn(sum(s.rows for s in sounds), WIDTH)
    torch.nn.init.normal_(half.postnet[-1].weight, std=0.1)
    found = MelLoss(stop_weight=0.0)(hidden, half, labels, torch.ones(len(hidden)), None)
    before = half.project(hidden)
    after = half.refine(before, torch.tensor([s.rows for s in sounds]))
    errors = [(x - labels["values"]).flatten(1) for x in (before, after)]
    assert torch.allclose(found.each, sum(e.abs().mean(1) + e.square().mean(1) for e in errors), atol=1e-5)
    found.total.backward()
    assert all(p.grad is not None and p.grad.any() for p in half.postnet[-1].parameters())


class Frontier:
    """Streams whose row n predicts n, and that stop after the given rows."""

    def __init__(self, ends, limit, active):
        self.ends, self.limit, self.active, self.port = ends, limit, torch.tensor(active), self
        self.fed = torch.zeros(len(ends), dtype=torch.long)

    @property
    def hidden(self):
        return self.fed[:, None].float()

    def project(self, hidden):
        return hidden

    def stop(self, hidden):
        return torch.where(hidden[:, 0] + 1 >= torch.tensor(self.ends), 9.0, -9.0)

    def feed(self, values, counts):
        self.fed = self.fed + counts


def test_the_decoder_goes_on_until_each_sound_stops():
    found = MelSearch()(Frontier([3, 1, 99, 2], 5, [True, True, True, False]))
    assert found.counts.tolist() == [3, 1, 5, 0] and found.log_probability is None
    assert found.predicted[0, :3, 0].tolist() == [0.0, 1.0, 2.0]
    assert MelSearch(stop=0.0)(Frontier([3, 3], 5, [True, True])).counts.tolist() == [1, 1]
