"""Networks whose weights come from elsewhere: what is left out, what starts as always, and how a model grows."""

import torch
from torch import nn

import omniline as ol
from omniline.core.unfilled import LARGE, Unfilled
from omniline.tasks.carrying import grown

WIDE = "decoder-tiny,width=256,heads=2,key_heads=1,ffn=256,layers=1,positions=256"
TEXT = ol.Task("t", "say [TEXT:q] -> [TEXT:a]", train=[{"q": "x", "a": "y"}])
LABEL = ol.Task("c", "which? [TEXT:q] -> [CATEGORY:a]", train=[{"q": "x", "a": "y"}, {"q": "z", "a": "w"}])


def test_large_weights_are_left_and_small_ones_start_as_always():
    with Unfilled() as unfilled:
        layers = nn.ModuleDict({"wide": nn.Linear(512, 256), "norm": nn.LayerNorm(512)})
        nn.init.normal_(layers["wide"].weight, std=9.0)
    assert [weight.numel() >= LARGE for weight in unfilled.left] == [True]
    assert torch.equal(layers["norm"].weight, torch.ones(512))
    assert unfilled.untouched(layers, []) == ["wide.weight"]
    assert unfilled.untouched(layers, ["wide.weight"]) == []
    after = nn.Linear(512, 256)
    assert 0 < float(after.weight.detach().std()) < 1


def test_a_model_that_grows_moves_its_weights_and_keeps_their_dtype():
    model = ol.Model.build(backbone=WIDE, tasks=TEXT)
    model.network.to(torch.bfloat16)
    before = dict(model.network.named_parameters())
    words, kinds = before["ports.text.embedding.weight"], before["backbone.kind"].detach().clone()
    before["ports.text.embedding.weight"].requires_grad_(False)
    model.adopt(LABEL)
    after = dict(model.network.named_parameters())
    assert after["ports.text.embedding.weight"] is words and not words.requires_grad
    assert {weight.dtype for weight in after.values()} == {torch.bfloat16}
    assert torch.equal(after["backbone.kind"][: len(kinds)], kinds)
    assert len(after["backbone.kind"]) == len(kinds) + 1
    assert all(bool(one.isfinite().all() and one.abs().max() < 10) for one in map(torch.Tensor.detach, after.values()))


def test_tied_weights_stay_tied_and_filled():
    def tied(unfilled=None):
        network = ol.Model.build(backbone=WIDE, tasks=TEXT)._make({"marks", "text"}, unfilled)
        network.backbone.extra = nn.ModuleList([nn.Linear(256, 256), nn.Linear(256, 256)])
        network.backbone.extra[1].weight = network.backbone.extra[0].weight
        return network

    old = tied()
    new = grown(old, tied)
    first, second = (layer.weight for layer in new.backbone.extra)
    assert first is second is old.backbone.extra[0].weight
