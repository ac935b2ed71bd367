"""Thinkers of Omni folders, alone and within a whole model, and configurations as transformers 4 wrote them."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
)

import omniline as ol
from omniline.plugins.qwen.checkpoint.config import recipe_of

TOWER = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 2,
    "out_hidden_size": 32,
    "fullatt_block_indexes": [1],
    "patch_size": 4,
    "window_size": 24,
}
EARS = {
    "num_mel_bins": 16,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 40,
    "d_model": 24,
    "output_dim": 32,
}
ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e6}


def thinker(text):
    config = Qwen2_5OmniThinkerConfig(
        text_config={**text, "rope_parameters": ROPE, "tie_word_embeddings": False},
        vision_config=TOWER,
        audio_config=EARS,
    )
    return Qwen2_5OmniThinkerForConditionalGeneration(config)


@pytest.fixture(scope="module")
def heard(tmp_path_factory, checkpoints, qwen):
    """A thinker's folder."""
    torch.manual_seed(0)
    network = checkpoints.scattered(thinker(checkpoints.TEXT)).eval()
    return checkpoints.write(network, tmp_path_factory.mktemp("omni") / "thinker", qwen.QWEN)


@pytest.fixture(scope="module")
def spoken(heard):
    """The same within a whole model, whose voice has weights of its own."""
    whole = heard.parent / "whole"
    shutil.copytree(heard, whole)
    about = json.loads((heard / "config.json").read_text())
    outer = {"model_type": "qwen2_5_omni", "thinker_config": about, "talker_config": {}, "token2wav_config": {}}
    (whole / "config.json").write_text(json.dumps(outer))
    held = {f"thinker.{name}": tensor for name, tensor in load_file(heard / "model.safetensors").items()}
    voice = {"talker.model.norm.weight": torch.ones(3), "token2wav.code2wav_dit_model.x": torch.ones(2)}
    save_file({**held, **voice}, whole / "model.safetensors")
    return whole


@pytest.mark.parametrize("kind", ["alone", "whole"])
def test_a_thinker_comes_out_as_it_went_in(kind, heard, spoken, checkpoints, tmp_path):
    model = ol.load(heard if kind == "alone" else spoken)
    out = model.save(tmp_path / "out", format="hf")
    before, after = checkpoints.tensors(heard), checkpoints.tensors(out)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with checkpoints.quiet():
        again = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(out)
    assert again.config.text_config.hidden_size == 32
    assert torch.equal(again.lm_head.weight, before["lm_head.weight"])


def test_it_brings_its_senses(spoken):
    backbone = ol.load(spoken).backbone
    assert [s.partition(";")[0] for s in backbone.senses()][:3] == ["qwen_image", "qwen_video", "qwen_audio"]
    assert (backbone.media, backbone.rope_rate, backbone.rope_sections) == ("omni", 25.0, ("1", "1", "2"))


def test_a_flat_configuration_is_the_same_as_a_nested_one(checkpoints):
    """Released folders of Qwen2.5-VL are of transformers 4."""
    with checkpoints.quiet():
        config = Qwen2_5_VLConfig(
            text_config={**checkpoints.TEXT, "rope_parameters": ROPE}, vision_config=TOWER, tie_word_embeddings=True
        )
    nested = json.loads(config.to_json_string(use_diff=False))
    text = {key: value for key, value in nested["text_config"].items() if key not in ("rope_parameters", "layer_types")}
    flat = {
        **text,
        "model_type": "qwen2_5_vl",
        "vision_config": nested["vision_config"],
        "tie_word_embeddings": True,
        "rope_theta": 1e6,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
        "torch_dtype": "bfloat16",
    }
    one, two = recipe_of(nested), recipe_of(flat)
    assert one.settings == two.settings
    assert (one.vocabulary, one.tied, one.vision) == (two.vocabulary, two.tied, two.vision)
    assert two.dtype == "bfloat16"


def test_modules_as_transformers_5_has_them_in_memory(checkpoints, qwen, tmp_path):
    torch.manual_seed(0)
    with checkpoints.quiet():
        config = Qwen2_5_VLConfig(
            text_config={**checkpoints.TEXT, "rope_parameters": ROPE}, vision_config=TOWER, tie_word_embeddings=False
        )
        network = Qwen2_5_VLForConditionalGeneration(config)
    folder = checkpoints.write(network, tmp_path / "disk", qwen.QWEN)
    shutil.copytree(folder, tmp_path / "memory")
    save_file(dict(network.state_dict()), tmp_path / "memory" / "model.safetensors")
    one, two = (ol.load(tmp_path / name).network.state_dict() for name in ("disk", "memory"))
    assert all(torch.equal(one[name], two[name]) for name in one if "marks" not in name)
