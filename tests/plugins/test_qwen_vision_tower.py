"""Both vision towers against transformers, packed and alone, both ways."""

import numpy as np
import pytest
import torch
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel
from transformers.vision_utils import get_vision_position_ids, get_vision_window_index

from omniline.core.opening.pictures import STATISTICS
from omniline.plugins.qwen.vision_names import NAMES
from omniline.plugins.qwen.vision_port import VisionPort
from omniline.plugins.qwen.vision_rows import rows_of
from omniline.plugins.qwen.vision_tower import PatchEmbedding, TowerShape

SMALL = {"depth": 3, "tower_width": 32, "heads": 2, "ffn": 64, "patch": 4}
DESIGNS = {"full": {}, "window": {"window": 24, "full_layers": ("1",)}}
MIXED = [((1, 4, 6), 1), ((2, 8, 10), 2), ((1, 14, 6), 1), ((1, 2, 2), 2)]


def port_of(design, **changes):
    torch.manual_seed(0)
    port = VisionPort(width=24, design=design, **SMALL, **DESIGNS[design], **changes)
    with torch.no_grad():
        for weight in port.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.15 + (weight.dim() == 1))
    return port.eval()


def reference_of(design, port):
    sizes = {"depth": 3, "num_heads": 2, "patch_size": 4}
    if design == "full":
        config = Qwen2VLVisionConfig(embed_dim=32, hidden_size=24, mlp_ratio=2, **sizes)
        tower = Qwen2VisionTransformerPretrainedModel(config)
    else:
        config = Qwen2_5_VLVisionConfig(
            hidden_size=32, out_hidden_size=24, intermediate_size=64, window_size=24, fullatt_block_indexes=[1], **sizes
        )
        tower = Qwen2_5_VisionTransformerPretrainedModel(config)
    tower.load_state_dict(theirs(design, port.state_dict()), strict=True)
    return tower.eval()


def theirs(design, weights):
    """Our weights under their names, all of them."""
    found = {}
    for own, name in NAMES[design]:
        for n in range(3) if "{n}" in own else [0]:
            found[name.format(n=n)] = weights.pop(own.format(n=n))
    assert weights == {}
    return found


def values(wanted=MIXED, seed=0):
    """Bytes of patches for grids and slices."""
    random = np.random.default_rng(seed)
    slices = sum(t * h * w * frames for (t, h, w), frames in wanted)
    return {
        "patches": torch.from_numpy(random.integers(0, 256, (slices, 48), dtype=np.uint8)),
        "grid_thw": torch.tensor([grid for grid, _ in wanted]).view(-1, 3),
        "frames": torch.tensor([frames for _, frames in wanted], dtype=torch.long),
    }


def pixels_of(tensors):
    """What a processor of transformers makes of the same: scaled, pictures twice, by channels then time."""
    mean, deviation = (torch.tensor(x).repeat_interleave(16) for x in STATISTICS["clip"])
    scaled = (tensors["patches"] / 255 - mean) / deviation
    out, at = [], 0
    for (t, h, w), frames in zip(tensors["grid_thw"].tolist(), tensors["frames"].tolist(), strict=True):
        part = scaled[at : at + t * h * w * frames].view(t * h * w, frames, 3, 16)
        out.append(part.expand(-1, 2, -1, -1).transpose(1, 2).reshape(t * h * w, -1))
        at += t * h * w * frames
    return torch.cat(out)


@pytest.mark.parametrize("design", DESIGNS)
def test_towers_are_those_of_transformers(design):
    port = port_of(design)
    tensors = values()
    with torch.no_grad():
        found = port.embed(**tensors)
        wanted = reference_of(design, port)(pixels_of(tensors), grid_thw=tensors["grid_thw"]).pooler_output
    assert found.shape == (6 + 40 + 21 + 1, 24)
    assert wanted.abs().mean() > 0.1
    assert torch.allclose(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
def test_gradients_are_those_of_transformers(design):
    port = port_of(design)
    tower, tensors = reference_of(design, port), values()
    port.embed(**tensors).square().sum().backward()
    tower(pixels_of(tensors), grid_thw=tensors["grid_thw"]).pooler_output.square().sum().backward()
    wanted = dict(tower.named_parameters())
    for name, own in theirs(design, {name: p.grad for name, p in port.named_parameters()}).items():
        other = wanted[name].grad
        assert torch.allclose(own, other, atol=1e-4 * float(other.abs().max()), rtol=1e-3), name


@pytest.mark.parametrize("design", DESIGNS)
def test_packed_values_are_each_alone(design):
    port = port_of(design)
    tensors = values()
    alone, at = [], 0
    for number, ((t, h, w), frames) in enumerate(MIXED):
        end = at + t * h * w * frames
        own = slice(number, number + 1)
        alone.append(
            port.embed(
                patches=tensors["patches"][at:end], grid_thw=tensors["grid_thw"][own], frames=tensors["frames"][own]
            )
        )
        at = end
    assert torch.allclose(port.embed(**tensors), torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
def test_no_values_stay_in_the_graph(design):
    port = port_of(design)
    found = port.embed(**values([]))
    assert found.shape == (0, 24)
    found.sum().backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in port.parameters())


@pytest.mark.parametrize("design", DESIGNS)
def test_checkpointed_layers_change_nothing(design):
    grads = []
    for checkpoint in (False, True):
        port = port_of(design, checkpoint=checkpoint).train()
        port.embed(**values()).square().sum().backward()
        grads.append([weight.grad for weight in port.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("design", DESIGNS)
def test_bfloat16_stays_near(design):
    port = port_of(design)
    tensors = values()
    with torch.no_grad():
        full = port.embed(**tensors)
        small = port.bfloat16().embed(**tensors)
    assert small.dtype == torch.bfloat16
    assert torch.cosine_similarity(full, small.float(), -1).min() > 0.99


def test_a_window_as_large_as_the_picture_is_full_attention():
    near, far = port_of("window"), port_of("window")
    far.full_layers = frozenset(range(3))
    small, large = values([((2, 6, 6), 2)]), values([((1, 8, 6), 1)])
    assert torch.allclose(near.embed(**small), far.embed(**small), atol=1e-5)
    assert not torch.allclose(near.embed(**large), far.embed(**large), atol=1e-3)


def test_a_picture_is_a_clip_of_two_equal_frames():
    """Shipped once, or twice: the same tokens."""
    port = port_of("full")
    once = values([((1, 4, 4), 1)])
    twice = {**once, "patches": once["patches"].repeat_interleave(2, 0), "frames": torch.tensor([2])}
    assert torch.allclose(port.embed(**once), port.embed(**twice), atol=1e-5)


def test_patches_are_embedded_as_by_a_convolution():
    layer = PatchEmbedding(width=8, frames=2, patch=4)
    pixels = torch.randn(5, 2, 48)
    volume = pixels.view(5, 2, 3, 4, 4).transpose(1, 2)
    wanted = torch.nn.functional.conv3d(volume, layer.weight, stride=(2, 4, 4)).flatten(1)
    assert torch.allclose(layer(pixels), wanted, atol=1e-5)


@pytest.mark.parametrize("window", [1, 2, 4])
def test_windows_and_places_are_those_of_transformers(window):
    random = np.random.default_rng(window)
    grids = [(int(t), 2 * int(h), 2 * int(w)) for t, h, w in random.integers(1, 12, (30, 3))]
    tensor = torch.tensor(grids)
    order, bounds = get_vision_window_index(tensor, spatial_merge_size=2, window_size=window * 28, patch_size=14)
    bounds = torch.unique_consecutive(bounds).tolist()
    rows = rows_of(tuple(grids), 2, window)
    assert torch.equal(rows.order, order)
    assert [piece.q for piece in rows.windows] == bounds[:-1]
    assert sum(piece.queries for piece in rows.frames) == bounds[-1]
    plain = rows_of(tuple(grids), 2)
    places = get_vision_position_ids(tensor, 2)
    assert torch.equal(plain.places, places)
    assert torch.equal(rows.places, places.view(-1, 4, 2)[order].flatten(0, 1))


def test_windows_of_the_report():
    """112 pixels are 8 patches, 4 tokens."""

    def bounds(grid):
        return [piece.q for piece in rows_of((grid,), 2, 4).windows] + [grid[0] * grid[1] * grid[2]]

    assert bounds((1, 12, 20)) == [0, 64, 128, 160, 192, 224, 240]
    assert bounds((1, 16, 16)) == [0, 64, 128, 192, 256]
    assert bounds((2, 4, 6)) == [0, 24, 48]
    assert rows_of(((1, 12, 20),), 2, 4).order[:9].tolist() == [0, 1, 2, 3, 10, 11, 12, 13, 20]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"design": "window", "window": 4}, r"a window must hold a token of 8 pixels, but is 4 pixels"),
        ({"design": "window", "full_layers": ("3",)}, r"full layers must be numbers from 0 to 2, but are 3"),
        ({"design": "window", "full_layers": ("x",)}, r"full layers must be numbers from 0 to 2, but are x"),
        ({"heads": 3}, r"a multiple of four times its heads, but is 32 for 3"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        VisionPort(width=24, **{**SMALL, **settings})


def test_the_size_of_a_head():
    assert TowerShape(design="full", width=1280, heads=16, ffn=5120).head_size == 80


def test_patches_that_are_not_those_of_the_grids():
    tensors = values()
    tensors["patches"] = tensors["patches"][:-1]
    with pytest.raises(ValueError, match=r"ask for 436 slices of patches, but there are 435"):
        port_of("full").embed(**tensors)
