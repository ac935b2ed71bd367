"""IMAGE through timm towers: made from names alone, without weights and without a network."""

import pickle

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from omniline.core.codec import Reading
from omniline.core.errors import ConfigError
from omniline.core.layers import products
from omniline.plugins.vision import timm_tower
from omniline.plugins.vision.plugin import Timm
from omniline.plugins.vision.timm_tower import TimmCodec, TimmPort

NET = "test_resnet"


def settings(**written):
    declaration = Timm(**{"model": NET, "size": 64, **written})
    return declaration.settings(), declaration.port_settings(), declaration.tokens().least


def port(**written) -> TimmPort:
    torch.manual_seed(0)
    return TimmPort(width=8, **settings(**written)[1])


def pixels(count, size=64):
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8)


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"stride": 8, "size": 72},
        {"stride": 32},
        {"model": "test_vit", "size": 48},
        {"model": "test_convnext", "stride": 8},
        {"model": "test_efficientnet"},
    ],
    ids=str,
)
def test_rows_are_those_that_the_declaration_promises(written):
    every, shaping, tokens = settings(**written)
    codec = pickle.loads(pickle.dumps(TimmCodec(**every)))
    encoded = codec.encode(Image.new("RGB", (30, 50)), Reading())
    assert encoded.rows == codec.measure(None, Reading()) == len(encoded.grid) == tokens
    tower = TimmPort(width=8, **shaping)
    both = np.concatenate([encoded.tensors["pixels"]] * 2)
    rows = tower.embed(pixels=torch.from_numpy(both))
    assert rows.shape == (2 * tokens, 8)
    rows.sum().backward()
    assert not [n for n, w in tower.named_parameters() if w.requires_grad and w.grad is None]
    tower.zero_grad(set_to_none=True)
    empty = tower.embed(pixels=torch.from_numpy(both[:0]))
    assert empty.shape == (0, 8)
    empty.sum().backward()
    assert not [n for n, w in tower.named_parameters() if w.requires_grad and w.grad is None]


def test_rows_run_over_the_grid_row_by_row():
    tower = port().eval()
    picture = pixels(1)
    changed = picture.clone()
    changed[:, 48:, 48:] = 255 - changed[:, 48:, 48:]
    moved = (tower.embed(pixels=picture) - tower.embed(pixels=changed)).abs().sum(-1)
    assert moved.argmax() == 15
    alone = tower.embed(pixels=picture)
    assert torch.allclose(tower.embed(pixels=torch.cat([changed, picture]))[16:], alone, atol=1e-5)


def test_convolutions_stay_channels_last():
    tower = port()
    kernels = [w for w in tower.tower.parameters() if w.dim() == 4 and w.shape[-1] > 1 and w.shape[1] > 1]
    assert kernels
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in kernels)


def test_a_frozen_tower_keeps_weights_and_statistics():
    tower = port(frozen=True).train()
    before = {name: value.clone() for name, value in tower.tower.state_dict().items()}
    tower.embed(pixels=pixels(2)).sum().backward()
    assert {n for n, w in tower.named_parameters() if w.grad is not None} == {"projection.weight", "projection.bias"}
    assert all(torch.equal(value, before[name]) for name, value in tower.tower.state_dict().items())
    assert not any(module.training for module in tower.tower.modules())
    moving = port().train()
    moving.embed(pixels=pixels(2))
    changed = moving.tower.state_dict()
    assert any(not torch.equal(changed[name], value) for name, value in before.items() if "running_mean" in name)


def test_weights_come_from_a_file(tmp_path):
    source = timm.create_model(NET)
    torch.save(source.state_dict(), tmp_path / "net.pth")
    tower = port(weights=str(tmp_path / "net.pth"))
    wanted = source.state_dict()
    loaded = tower.tower.state_dict()
    assert loaded
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.items())


def test_products_make_convolutions_bfloat16_and_leave_rows_float32():
    tower = port().eval()
    picture = pixels(1)
    full = tower.embed(pixels=picture)
    with products(torch.bfloat16):
        rounded = tower.embed(pixels=picture)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, full)
    assert (rounded - full).abs().max() < 0.1 * full.abs().max()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"model": "resnet5"}, "timm has no model `resnet5`; did you mean `resnet50`"),
        ({"stride": 14}, f"`{NET}` has features of stride 2, 4, 8, 16, 32, but the slot says 14: write stride=16"),
        ({"model": "test_vit", "size": 40}, "cannot read pictures of 40 pixels: Input height"),
        ({"weights": "none.pth"}, "must be a file, but 'none.pth' does not exist"),
    ],
)
def test_a_tower_that_cannot_be_made_says_why(written, message):
    with pytest.raises(ConfigError, match=message):
        port(**written)


def test_a_broken_file_of_weights_is_named(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"net\.pth' do not load into the tower"):
        port(weights=str(path))


def test_weights_of_another_model_are_named(tmp_path):
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"other\.pth' do not load into the tower.*lack \d+ of its tensors \(conv1"):
        port(weights=str(tmp_path / "other.pth"))


def test_without_a_network_the_remedy_is_a_file(monkeypatch, tmp_path):
    def refuse(host, port):
        raise OSError("no name service")

    monkeypatch.setattr(timm_tower.socket, "getaddrinfo", refuse)
    monkeypatch.setattr(timm_tower, "getproxies", dict)
    monkeypatch.setattr(timm_tower, "try_to_load_from_cache", lambda repository, name: None)
    with pytest.raises(ConfigError, match=r"cannot be had from the hub .*give a file, weights=PATH"):
        port(pretrained=True)
    torch.save(timm.create_model(NET).state_dict(), tmp_path / "net.pth")
    cached = str(tmp_path / "net.pth")
    monkeypatch.setattr(timm_tower, "try_to_load_from_cache", lambda repository, name: cached)
    assert torch.equal(
        next(iter(port(pretrained=True).tower.state_dict().values())), next(iter(torch.load(cached).values()))
    )


def test_a_bare_declaration_starts_from_nothing():
    wild = Timm(model=NET, pretrained=True, weights="a.pth", size=96)
    assert wild.bare() == Timm(model=NET, size=96)
