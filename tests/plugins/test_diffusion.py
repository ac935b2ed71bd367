"""Denoising of a stranger's values: noise in the loader, a learned distribution, guidance, rows that are given."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import omniline as ol
from omniline.core.backbone_name import resolve_backbone
from omniline.core.catalog import catalog_of
from omniline.core.codec import Encoded, Reading
from omniline.core.errors import ConfigError
from omniline.core.known import known_rows
from omniline.core.levels import LEVEL, NO_LEVEL, Levels
from omniline.core.modality import Modality, Tokens
from omniline.core.model import Network
from omniline.core.parts import MARKS, MARKS_PORT, PortSpec
from omniline.core.plan import Part
from omniline.plugins.diffusion.noise import Noise
from omniline.plugins.diffusion.schedules import share_left
from omniline.plugins.manager import installed

ROWS = 4
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
TINY = "width=32,heads=2,ffn=64,dropout=0"
BACKBONES = {
    "ofa": f"ofa-tiny,{TINY},encoder_layers=1,decoder_layers=2,positions=32",
    "decoder": "decoder-tiny,width=32,heads=2,key_heads=2,ffn=64,layers=2,positions=64",
}


class SignalCodec:
    """Rows of two numbers; NaN rows are unknown."""

    def __init__(self, *, rows):
        self.rows = rows

    def measure(self, raw, reading):
        return len(raw)

    def encode(self, raw, reading):
        values = np.asarray(raw, np.float32).reshape(-1, 2)
        known = ~np.isnan(values).any(1)
        tensors = {"values": np.nan_to_num(values), "known": known.astype(np.uint8)}
        labels = {"values": values} if reading.side == "target" else {}
        return Encoded(rows=len(values), tensors=tensors, labels=labels)

    def decode(self, predicted):
        return predicted["values"].numpy()


class SignalPort(ol.Port):
    def __init__(self, *, width, rows):
        super().__init__()
        self.enter = nn.Linear(2, width)
        self.leave = nn.Linear(width, 2)

    def embed(self, *, values, known=None):
        return self.enter(values.float())

    def project(self, hidden):
        return self.leave(hidden)


class Signal(ol.Adapter):
    """A short signal."""

    modality = "SIGNAL"
    predicts = "values"
    codec = f"{__name__}:SignalCodec"
    port = f"{__name__}:SignalPort"
    loss = "diffusion"
    decoder = "diffusion"

    rows: int = ol.setting(ROWS, at_least=1)

    def tokens(self):
        return Tokens(1, self.rows)


@pytest.fixture(scope="module")
def catalog():
    own = catalog_of(modalities={"SIGNAL": Modality(source="signal", target="signal")}, adapters={"signal": Signal})
    base = installed()
    return replace(base, parts={kind: {**parts, **own.parts.get(kind, {})} for kind, parts in base.parts.items()})


def signal(sign, row, spread=0.05):
    return sign + spread * np.random.default_rng(row).standard_normal((ROWS, 2))


def rows(count):
    signs = [(-1, 1, (-1) ** (i // 3))[i % 3] for i in range(count)]
    return [{"word": ("low", "high", "any")[i % 3], "s": signal(sign, i)} for i, sign in enumerate(signs)]


def trained(catalog, line, backbone, steps, data):
    task = ol.Task("signal", line, train=data, catalog=catalog)
    model = ol.Model.build(backbone=BACKBONES[backbone], tasks=task, seed=1, catalog=catalog)
    return ol.fit(task, model=model, max_steps=steps, batch_rows=24, learning_rate=6e-3, seed=1, **QUIET)


LINE = "[TEXT:word] -> [SIGNAL:s,drop=0.2]"


@pytest.fixture(scope="module")
def model(catalog):
    return trained(catalog, LINE, "ofa", 110, rows(96))


def means(model, words, **settings):
    found = model.predict(LINE, [{"word": word} for word in words], steps=12, **settings)
    return np.array([output.s.mean() for output in found]), np.array([output.s.std() for output in found])


def test_the_learned_distribution_has_the_right_modes(model):
    """A word with one mode gives it, one with two gives both, and all rows of a value agree on one."""
    mean, spread = means(model, ["low"] * 4 + ["high"] * 4 + ["any"] * 16)
    assert (mean[:4] < -0.7).all() and (mean[4:8] > 0.7).all()
    assert np.abs(np.abs(mean[8:]) - 1).max() < 0.35 and spread.max() < 0.3
    assert (mean[8:] > 0).any() and (mean[8:] < 0).any()


def test_guidance_weighs_the_source_against_none(model):
    """Without any the word says nothing; a negative text leads away from what it says."""
    mean, _ = means(model, ["low"] * 12, guidance=0.0)
    assert (mean > 0.5).any() and (mean < -0.5).any()
    mean, _ = means(model, ["any"] * 12, guidance=3.0, negative="low")
    plain, _ = means(model, ["any"] * 12)
    assert (mean > 0).sum() > (plain > 0).sum() and mean.mean() > plain.mean() + 0.3
    same, _ = means(model, ["any"] * 12, guidance=3.0, negative={"word": "low"})
    assert np.allclose(mean, same)


def test_an_answer_does_not_depend_on_its_batch(model):
    alone = model.predict(LINE, [{"word": "any"}], steps=4, eta=0.7, guidance=2.0)
    beside = model.predict(LINE, [{"word": "any"}, {"word": "low"}], steps=4, eta=0.7, guidance=2.0)
    assert np.allclose(alone[0].s, beside[0].s, atol=1e-4)


def test_noise_in_training_and_steps_are_bounded(model):
    with pytest.raises(ConfigError, match="`length=9` must be at most 4"):
        model.predict(LINE, {"word": "low"}, length=9)
    with pytest.raises(ConfigError, match="a negative text needs a TEXT slot|names `wrod`, which is no source slot"):
        model.predict(LINE, {"word": "low"}, guidance=2.0, negative={"wrod": "x"})


@pytest.mark.parametrize("backbone", BACKBONES)
def test_given_rows_stay_and_lengths_are_learned(catalog, backbone):
    """Rows that the source gives are those of the answer; a value is as long as those of training were."""
    line = "[SIGNAL:s] -> [SIGNAL:s]"
    data = [{"s": signal(1 if i % 2 else -1, i)[: 2 + i % 3]} for i in range(24)]
    model = trained(catalog, line, backbone, 6, data)
    asked = np.full((3, 2), np.nan, np.float32)
    asked[1] = (0.25, -0.5)
    found = model.predict(line, {"s": asked}, steps=3).s
    assert found.shape == (3, 2) and np.allclose(found[1], asked[1]) and np.isfinite(found).all()
    told = trained(catalog, "[TEXT:word] -> [SIGNAL:s]", backbone, 12, [{"word": "a", "s": np.zeros((3, 2))}] * 24)
    assert told.predict("[TEXT:word] -> [SIGNAL:s]", {"word": "a"}, steps=2).s.shape == (3, 2)
    assert told.predict("[TEXT:word] -> [SIGNAL:s]", {"word": "a"}, steps=2, length=2).s.shape == (2, 2)


def test_a_bundle_keeps_levels_and_lengths(model, tmp_path):
    model.save(tmp_path / "bundle")
    again = ol.load(tmp_path / "bundle", catalog=model.catalog)
    mean, _ = means(model, ["any"] * 3)
    assert np.allclose(mean, means(again, ["any"] * 3)[0], atol=1e-5)


def test_noise_keeps_labels_clean_and_is_drawn_by_the_reading():
    encoded = SignalCodec(rows=4).encode(signal(1, 0), Reading(side="target"))
    noise = Noise(steps=10, schedule="cosine", drop=0.0)
    first, again, other = (noise(encoded, Reading(side="target", seed=seed)) for seed in (3, 3, 4))
    assert first.mutual and np.array_equal(first.tensors["values"], again.tensors["values"])
    assert not np.array_equal(first.tensors["values"], other.tensors["values"])
    assert np.array_equal(first.labels["values"], encoded.labels["values"])
    level = float(first.tensors[LEVEL][0])
    assert 0 < level <= 1 and (first.tensors[LEVEL] == level).all() and round(level * 10) == pytest.approx(level * 10)


def test_noise_refuses_what_it_cannot_clean():
    with pytest.raises(ValueError, match="codec gives `values` as tensor and as label .* the tensors tokens and"):
        Noise(steps=10, schedule="linear", drop=0.0)(Encoded(rows=1, tensors={"tokens": np.zeros(1)}), Reading())


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_schedules_fall_from_one_to_nothing(schedule):
    left = [share_left(schedule, level) for level in np.linspace(0, 1, 21)]
    assert left[0] == pytest.approx(1) and left[-1] < 1e-4 and all(a > b for a, b in pairwise(left))


def test_the_linear_schedule_is_that_of_ddpm():
    betas = np.linspace(1e-4, 0.02, 1000)
    for step in (1, 250, 1000):
        assert share_left("linear", step / 1000) == pytest.approx(np.prod(1 - betas[:step]), rel=0.06, abs=1e-5)


def test_rows_without_a_level_are_not_changed_by_their_neighbours():
    """Source values beside noisy ones are embedded as alone."""
    levels = Levels(8)
    nn.init.ones_(levels.outer.weight)
    found = levels(torch.tensor([NO_LEVEL, 0.0, 1.0]))
    assert not found[0].any() and found[1].any() and not torch.allclose(found[1], found[2])


def test_known_rows_are_gathered_by_stream():
    one = SignalCodec(rows=4).encode([[1, 2], [np.nan, 0], [3, 4]], Reading())
    known = known_rows([None, one, Encoded(rows=2, tensors={"values": np.ones((2, 2))})], torch.device("cpu"))
    assert known.counts.tolist() == [-1, 3, -1] and known.mask.tolist()[1] == [True, False, True]
    assert known.values[1, 2].tolist() == [3, 4] and known_rows([None], torch.device("cpu")) is None


def test_a_one_way_backbone_is_refused(catalog):

    class OneWay(type(resolve_backbone(BACKBONES["ofa"], installed()))):
        """Reads its target one way."""

        mutual = False

    small = OneWay(width=32, heads=2, ffn=32, encoder_layers=1, decoder_layers=1, positions=16)
    loss = Part("loss", "diffusion", tuple(catalog.loss("diffusion")().settings().items()))
    table = (PortSpec(name=MARKS, target=MARKS_PORT),)
    with pytest.raises(ConfigError, match="must see each other both ways, but the backbone `OfaNetwork`"):
        Network(table, small, [loss], catalog=catalog, assets={})
