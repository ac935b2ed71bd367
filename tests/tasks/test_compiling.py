"""Compiled blocks: the same losses and gradients, and no new graph for batches of other lengths."""

import pytest
import torch
import torch._dynamo
from torch._dynamo.testing import CompileCounterWithBackend

import omniline as ol
from omniline.core.errors import ConfigError
from omniline.core.layout import plain_layout
from omniline.plugins.qwen.network import DecoderNetwork
from omniline.tasks.compiling import backend_of

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
"""What torch says of its own tracing."""

SMALL = {"width": 32, "heads": 4, "key_heads": 2, "ffn": 48, "layers": 3, "positions": 512}
NETWORKS = {
    "causal": {"prefix": "causal", "qkv_bias": True, "qk_norm": True},
    "sections": {"prefix": "causal", "rope_sections": ("2", "1", "1")},
    "some experts": {"experts": 3, "expert_ffn": 16, "expert_top": 2, "expert_every": 2, "checkpoint": True},
    "dropout": {"dropout": 0.25},
}


@pytest.fixture(autouse=True)
def anew():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("name", NETWORKS)
def test_ten_batches_of_other_lengths_need_no_new_graph(name):
    torch.manual_seed(0)
    network = DecoderNetwork(kinds=2, **SMALL, **NETWORKS[name]).train()
    counter = CompileCounterWithBackend("aot_eager")
    network.compile_blocks(counter)
    graphs = []
    for i in range(10):
        layout = plain_layout([3 + i, 7 + 2 * i, 1], [4, 2 + i, 9])
        network(torch.randn(layout.rows, 32), layout).square().sum().backward()
        graphs.append(counter.frame_count)
    assert graphs[1] > 0 and graphs == [graphs[0], *[graphs[1]] * 9]
    assert graphs[1] <= 4, "one of each block for all layers"


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "dropout"])
def test_compiled_is_plain(name):
    found = []
    for backend in (None, "aot_eager"):
        torch.manual_seed(0)
        network = DecoderNetwork(kinds=2, **SMALL, **NETWORKS[name]).train()
        network.compile_blocks(backend)
        layout = plain_layout([5, 3], [4, 6])
        loss = network(torch.randn(layout.rows, 32), layout).square().sum()
        loss.backward()
        found.append((loss, [p.grad for p in network.parameters() if p.grad is not None]))
    (plain, own), (made, other) = found
    assert torch.allclose(plain, made, rtol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(own, other, strict=True))


BACKBONE = "decoder-tiny,width=32,heads=2,key_heads=1,ffn=48,layers=2,positions=256"


def trained(small, **how):
    task = small.task("text", count=12)
    return ol.fit(
        task, backbone=BACKBONE, max_steps=4, batch_tokens=160, seed=1, metric_rows=0, enable_progress_bar=False, **how
    )


def test_fit_compiled_learns_the_same(small):
    plain, made = trained(small), trained(small, compile="aot_eager", lora=None)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    for own, other in zip(plain.network.parameters(), made.network.parameters(), strict=True):
        assert torch.allclose(own, other, atol=1e-4)
    assert made.network.backbone.layers[0].blocks is None, "the model that comes out is plain"
    assert made.predict(small.LINES["text"], small.rows(1)[0]).word is not None


def test_what_cannot_be_compiled(small):
    with pytest.raises(
        ConfigError, match="`compile` must be yes or a backend of torch.compile, but is `inducter`; did"
    ):
        backend_of("inducter")
    with pytest.raises(ConfigError, match="offers blocks to compile, but `ofa-tiny.*` offers none; leave it out"):
        ol.fit(small.task("text"), backbone=small.BACKBONES["ofa"], max_steps=1, compile=True)
    with pytest.raises(ConfigError, match="`compile` must stand without `precision=bf16-mixed` on a CPU"):
        trained(small, compile=True, precision="bf16-mixed", accelerator="cpu")
