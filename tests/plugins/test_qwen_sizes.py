"""The named sizes have exactly as many weights as the reports' tables, or as transformers' networks of that shape."""

import pytest
import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers import Qwen2_5OmniThinkerConfig as ThinkerConfig
from transformers import Qwen2_5OmniThinkerForConditionalGeneration as Thinker

from omniline.core.backbone_name import resolve_backbone
from omniline.core.parts import make_port, port_table
from omniline.core.senses import with_senses
from omniline.instructions.compiler import compile
from omniline.plugins.manager import installed
from omniline.plugins.qwen.checkpoint.describe import config_of
from omniline.plugins.qwen.network import DecoderNetwork
from omniline.plugins.qwen.sizes import SIZES, VOCABULARY

TOTALS = {
    "qwen1.5-moe-a2.7b": 14_315_784_192,
    "qwen2-57b-a14b": 57_408_658_944,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-14b": 14_770_033_664,
    "qwen2.5-32b": 32_763_876_352,
    "qwen2.5-72b": 72_706_203_648,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
    "qwen3-32b": 32_762_123_264,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
}
SAME = {"qwen2-0.5b": "0.5b", "qwen2-1.5b": "1.5b", "qwen2-7b": "7b", "qwen2-72b": "72b"}
SAME |= {f"qwen2.5-coder-{size}": size for size in ("0.5b", "1.5b", "3b", "7b", "14b", "32b")}
SAME |= {f"qwen2.5-{size}-1m": size for size in ("7b", "14b")}
TOTALS |= {name: TOTALS[f"qwen2.5-{size}"] for name, size in SAME.items()}
SENSES = {"vl": "[IMAGE]", "omni": "[IMAGE] [AUDIO]"}


def count(module):
    return sum(weight.numel() for weight in module.parameters())


def grown(layers, of):
    """The count of a network of so many layers that are all alike, from `of` one and of two."""
    one = of(1)
    return one + (layers - 1) * (of(2) - one)


def ours(name):
    """The weights of a size, its table of words and its towers."""
    backbone = resolve_backbone(name, installed())
    catalog = with_senses(installed(), backbone.senses())
    settings = backbone.settings()
    with torch.device("meta"):
        total = grown(backbone.layers, lambda some: count(DecoderNetwork(kinds=1, **{**settings, "layers": some})))
        for line in [SENSES[backbone.media]] if backbone.media in SENSES else []:
            table = port_table([compile(f"{line} -> [TEXT]", catalog=catalog)], catalog)
            towers = [spec for spec in table if spec.name in ("vision", "audio")]
            assert len(towers) == 1 + (backbone.media == "omni")
            total += sum(count(make_port(spec, backbone.width, {})) for spec in towers)
    return total + VOCABULARY[name] * backbone.width * (1 if backbone.tied() else 2)


@pytest.mark.parametrize("name", TOTALS)
def test_the_tables_of_the_reports(name):
    assert ours(name) == TOTALS[name]


def test_every_text_size_is_in_a_table():
    names = {f"{family}-{size}" for family, sizes in SIZES.items() for size in sizes}
    assert {name for name in names if "-vl-" not in name and "-omni-" not in name} == set(TOTALS)


def theirs(name):
    """The weights of transformers' network of that shape, its table of words once where it is tied."""
    backbone = resolve_backbone(name, installed())
    plain = {key: value for key, value in backbone.settings().items() if key != "rope_sections"}
    text = config_of(plain, vocabulary=VOCABULARY[name])
    text["rope_parameters"]["mrope_section"] = [16, 24, 24]
    tied = text.pop("tie_word_embeddings")
    tower = {"embed_dim": 1280, "hidden_size": backbone.width} if "qwen2-" in name else {}
    tower = tower or {"hidden_size": 1280, "out_hidden_size": backbone.width}

    def network(layers):
        own = {"text_config": {**text, "num_hidden_layers": layers}, "vision_config": tower}
        if "-omni-" in name:
            return Thinker(ThinkerConfig(**own, audio_config={"output_dim": backbone.width}))
        if "qwen2-" in name:
            return Qwen2VLForConditionalGeneration(Qwen2VLConfig(**own, tie_word_embeddings=tied))
        return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**own, tie_word_embeddings=tied))

    unused = 2 * backbone.width if "-omni-" in name else 0  # embeddings of marks around sounds: of ours a buffer
    with torch.device("meta"):
        return grown(backbone.layers, lambda layers: count(network(layers))) - unused


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in VOCABULARY if "-vl-" in name or "-omni-" in name])
def test_sizes_with_towers_are_those_of_transformers(name):
    assert ours(name) == theirs(name)


def test_what_a_size_says_of_itself():
    long = resolve_backbone("qwen2.5-7b-1m", installed())
    assert (long.context(), long.rope_base, long.dual_chunk, long.norm_eps) == (1_010_000, 1e7, 262_144, 1e-5)
    small = resolve_backbone("qwen3-0.6b,positions=64,layers=1", installed())
    assert (small.context(), small.layers, small.heads * small.head_size, small.width) == (64, 1, 2048, 1024)
