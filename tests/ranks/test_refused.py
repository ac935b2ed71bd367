"""Ports that cannot be used on several ranks are refused by name, before training."""

import pytest
import torch

import omniline as ol
from omniline.core.errors import ConfigError
from omniline.core.port import Port
from omniline.tasks.ranks import check_zero_rows, zero_rows

SMALL = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=64"


@pytest.mark.parametrize(
    ("embed", "said"),
    [
        (lambda values: values.new_zeros(1, 16), "of zero rows it must make"),
        (lambda values: values.reshape(len(values), -1), "called with zero rows it raised RuntimeError"),
    ],
)
def test_a_port_that_cannot_take_zero_rows(monkeypatch, embed, said):
    rows = [{"img": [[[200, 0, 0]] * 8] * 8, "cap": "red"}]
    task = ol.Task("look", "[IMAGE:img,size=16,patch=8] what? -> [TEXT:cap]", train=rows)
    model = ol.Model.build(backbone=SMALL, tasks=task)
    inputs = zero_rows(model, {"look": model.bound(task)})
    check_zero_rows(model.network, inputs.values())
    (kind,) = [kind for kind, item in inputs.items() if "tokens" not in item.tensors]
    port = model.network.port(kind)
    assert isinstance(port, Port) and all(len(tensor) == 0 for tensor in inputs[kind].tensors.values())
    name = model.network.table[kind].name

    def broken(**tensors):
        return embed(next(iter(tensors.values())).float())

    monkeypatch.setattr(port, "embed", broken)
    with torch.no_grad(), pytest.raises(ConfigError, match=f"`{name}` cannot be used on several ranks: {said}"):
        check_zero_rows(model.network, inputs.values())
