"""Requests of one line share what their prompts begin with; no answer changes, and no old keys are ever served."""

import pytest
import torch

import omniline as ol
from omniline.core.errors import ConfigError
from omniline.tasks.evaluation import evaluate

LINE = "[TEXT:rules] [IMAGE:img,size=16,patch=8] [TEXT:text] say: -> [TEXT:word,max_length=6] [TEXT:other,max_length=5]"
BACKBONE = "decoder-tiny,prefix=causal,width=32,heads=2,key_heads=1,ffn=48,layers=2,positions=640"


def rows(small):
    made = small.rows(5)
    return [{**row, "rules": "be brief, be true. " * 6, "img": made[0]["img"]} for row in made]


@pytest.fixture
def model(small):
    torch.manual_seed(0)
    task = ol.Task("ask", LINE, train=rows(small), valid=rows(small))
    made = ol.Model.build(backbone=BACKBONE, tasks=task)
    with torch.no_grad():
        for parameter in made.network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    made.task = task
    return made


def same(found, wanted):
    found, wanted = (x if isinstance(x, list) else [x] for x in (found, wanted))
    assert [one.to_dict() for one in found] == [one.to_dict() for one in wanted]
    for own, other in zip(found, wanted, strict=True):
        assert own.scores == pytest.approx(other.scores, abs=1e-5)


HOW = [
    {},
    {"decoder": "beam", "beams": 3},
    {"decoder": "sample", "seed": 3},
    {"guidance": 1.5},
    {"guidance": 1.5, "negative": "no"},
    {"batch_rows": 2},
]


@pytest.mark.parametrize("how", HOW, ids=str)
def test_answers_are_those_of_reading_anew(small, model, how):
    asked = rows(small)
    wanted = model.predict(LINE, asked, prefix_cache=0, **how)
    assert not model.prefixes.size and not model.prefixes.reused
    same(model.predict(LINE, asked, **how), wanted)
    spared = model.prefixes.reused
    assert spared > 0, "rows of a batch share"
    same(model.predict(LINE, asked, **how), wanted)
    assert model.prefixes.reused > spared
    same(model.predict(LINE, asked[0], **how), model.predict(LINE, asked[0], prefix_cache=0, **how))
    same(list(model.stream(LINE, asked[0], **how))[-1], wanted[0])


def trained(model):
    batch = model.network
    loss = sum(p.square().sum() for p in batch.parameters())
    loss.backward()
    torch.optim.AdamW(batch.parameters(), lr=1e-2, fused=True).step()
    batch.zero_grad()


def written(model):
    """One element, where no version is counted."""
    model.network.backbone.layers[0].attention.k.weight.data[0] += 2.0


def taken(model):
    model.take({name: value * 1.5 for name, value in model.network.state_dict().items()})


def widened(model):
    model.train_only(lora="rank=2,targets=backbone.layers.*.attention.v")
    with torch.no_grad():
        for name, value in model.network.named_parameters():
            if name.endswith("low_up"):
                value.add_(1.0)


def more(model):
    model.adopt(ol.Task("more", "[BOX:box] -> [TEXT:word]", train=[{"box": (0.1, 0.1, 0.5, 0.5), "word": "x"}]))


CHANGES = {
    "a step": trained,
    "one element": written,
    "weights": taken,
    "an update": widened,
    "a dtype": lambda model: model.network.to(torch.float64).to(torch.float32),
    "a loaded state": lambda model: model.network.load_state_dict(
        {name: value * 0.5 for name, value in model.network.state_dict().items()}
    ),
    "a port more": more,
    "fit": lambda model: ol.fit(model.task, model=model, max_steps=2, batch_rows=2, enable_progress_bar=False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_old_keys_are_never_served(small, model, change):
    asked = rows(small)
    before = [one.scores for one in model.predict(LINE, asked)]
    assert model.prefixes.size
    CHANGES[change](model)
    found = model.predict(LINE, asked)
    same(found, model.predict(LINE, asked, prefix_cache=0))
    if change not in ("a dtype", "a port more"):
        assert [one.scores for one in found] != before


def test_an_update_that_is_turned_off_and_on(small, model):
    asked = rows(small)[0]
    plain = model.predict(LINE, asked)
    widened(model)
    layers = [layer for layer in model.network.modules() if hasattr(layer, "low_up")]
    with_update = model.predict(LINE, asked)
    assert with_update.scores != plain.scores
    scale = layers[0].scale
    for value, wanted in ((0.0, plain), (scale, with_update)):
        for layer in layers:
            layer.scale = value
        same(model.predict(LINE, asked), wanted)


def test_another_picture_is_another_prompt(small, model):
    asked = rows(small)[:2]
    asked[1]["img"] = small.picture(8)
    wanted = model.predict(LINE, asked, prefix_cache=0)
    assert wanted[0].scores != wanted[1].scores
    for row, one in zip(asked, wanted, strict=True):
        same(model.predict(LINE, row), one)


def test_judging_in_training_keeps_nothing_behind(model):
    model.network.train()
    evaluate(model, model.task, split="valid")
    assert model.prefixes.reused and not model.prefixes.size
    model.network.eval()
    evaluate(model, model.task, split="valid", prefix_cache=1)
    assert 0 < model.prefixes.size <= 1 << 20


@pytest.mark.parametrize("wrong", [-1, "much", True, float("nan"), float("inf")])
def test_a_size_that_is_none(small, model, wrong):
    with pytest.raises(ConfigError, match="`prefix_cache` must be megabytes, a number from 0 on, but is"):
        model.predict(LINE, rows(small)[0], prefix_cache=wrong)
