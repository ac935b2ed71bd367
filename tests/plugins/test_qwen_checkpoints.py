"""Folders of transformers: read, the same numbers; written, the same bits."""

import json

import pytest
import torch

import omniline as ol
from omniline.core.layout import plain_layout

DENSE = [
    "qwen2",
    "qwen2 tied",
    "qwen2 yarn",
    "qwen3",
    "qwen3 bias",
    "llama",
    "llama bias",
    "mistral",
    "qwen2_moe",
    "qwen3_moe",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, checkpoints, qwen):
    """The folder and the network of an architecture, written once."""
    held = {}

    def folder(name):
        if name not in held:
            network = checkpoints.reference(name)
            place = tmp_path_factory.mktemp("checkpoint") / "tiny"
            held[name] = checkpoints.write(network, place, qwen.QWEN), network
        return held[name]

    return folder


def logits(model, rows):
    """Ours of packed rows of ids, each whole row a source."""
    network = model.network
    port = network.ports["text"]
    layout = plain_layout([len(row) for row in rows], [0] * len(rows))
    x = port.embed(tokens=torch.tensor([id for row in rows for id in row]))
    return port.project(network.backbone(x, layout)).split([len(row) for row in rows])


ROWS = [[5, 9, 250, 260, 3, 77, 120], [8, 1], [*range(40, 100)]]


@pytest.mark.parametrize("name", DENSE)
def test_the_numbers_are_those_of_transformers(name, folders):
    folder, network = folders(name)
    model = ol.load(folder)
    with torch.no_grad():
        for ours, row in zip(logits(model, ROWS), ROWS, strict=True):
            theirs = network(torch.tensor([row])).logits[0]
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", DENSE)
def test_the_weights_come_out_as_they_went_in(name, folders, checkpoints, tmp_path):
    folder, _ = folders(name)
    out = ol.load(folder).save(tmp_path / "out", format="hf")
    before, after = checkpoints.tensors(folder), checkpoints.tensors(out)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)
    assert json.loads((out / "config.json").read_text()) == json.loads((folder / "config.json").read_text())
    assert (out / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
