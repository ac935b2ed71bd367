"""Folders of transformers that are broken: one sentence each."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import omniline as ol
from omniline.core.errors import BundleError, ConfigError


def edited(name, **changes):
    """Entries of a JSON file changed; None takes one away."""

    def edit(folder):
        about = json.loads((folder / name).read_text())
        about = {key: value for key, value in {**about, **changes}.items() if value is not None}
        (folder / name).write_text(json.dumps(about))

    return edit


def weights(change):
    def edit(folder):
        held = load_file(folder / "model.safetensors")
        change(held)
        save_file(held, folder / "model.safetensors")

    return edit


def cut(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def lost_shard(folder):
    index = {"weight_map": {"model.norm.weight": "model-2.safetensors", "lm_head.weight": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def astray(folder):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))


def short_tokenizer(folder):
    about = json.loads((folder / "tokenizer.json").read_text())
    about["added_tokens"][-1]["id"] = 4000
    (folder / "tokenizer.json").write_text(json.dumps(about))


Q, BIAS = "model.layers.1.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.bias"
WORDS = "model.embed_tokens.weight"
CONFIG, GENERATION = "config.json", "generation_config.json"


def written(name, text):
    return lambda folder: (folder / name).write_text(text)


def without(name):
    return lambda folder: (folder / name).unlink()


def rope(**entries):
    return edited(CONFIG, rope_parameters=entries)


BROKEN = {
    "unknown": (
        edited(CONFIG, model_type="qwen9"),
        r"config.json: the architecture `qwen9` cannot be read; did you mean `qwen3`\? there are: qwen2 ",
    ),
    "none": (edited(CONFIG, model_type=None), "config.json must have `model_type`, but has not"),
    "no width": (edited(CONFIG, hidden_size=None), "must have `hidden_size`, but has not"),
    "a word": (edited(CONFIG, hidden_size="big"), "`hidden_size` must be a whole number of at least 1, but is 'big'"),
    "negative": (edited(CONFIG, rms_norm_eps=-1), "`rms_norm_eps` must be a number of at least 0, but is -1"),
    "flag": (edited(CONFIG, use_sliding_window="no", layer_types=None), "must be true or false, but is 'no'"),
    "act": (edited(CONFIG, hidden_act="gelu"), "`hidden_act` must be silu, but is gelu"),
    "rope": (rope(rope_type="longrope"), "the rope type must be one of default, .*, but is longrope"),
    "factor": (rope(rope_type="yarn"), "`rope_parameters` must have `factor`, but has not"),
    "share": (rope(partial_rotary_factor=0.5), "`partial_rotary_factor` must be 1, but is 0.5"),
    "sections": (
        rope(mrope_section=[1, 1]),
        r"must be three numbers that sum to half a head's size, 4, but is \[1, 1\]",
    ),
    "kinds": (rope(full_attention={}, other={}), "must be the same for all layers"),
    "layers": (
        edited(CONFIG, layer_types=["linear_attention"]),
        "`layer_types` .* but one is linear_attention",
    ),
    "json": (written(CONFIG, "{"), "config.json cannot be read"),
    "list": (written(CONFIG, "[]"), "config.json must hold a JSON object, but holds a list"),
    "no weights": (without("model.safetensors"), "has no weights: it needs model.safetensors"),
    "cut": (cut, "model.safetensors cannot be read, it may be cut"),
    "shard": (lost_shard, "lacks the file model-2.safetensors, which must hold 2 of its tensors"),
    "astray": (astray, "names the file '../../etc/passwd', which is not in its own folder"),
    "index": (written("model.safetensors.index.json", "{}"), "must have a `weight_map` from tensors to files"),
    "lacks": (weights(lambda held: held.pop(Q)), f"lacks the tensor `{Q}`, which `config.json` asks for"),
    "bias": (weights(lambda held: held.pop(BIAS)), f"lacks the tensor `{BIAS}`"),
    "extra": (
        weights(lambda held: held.update({"model.extra": torch.ones(1)})),
        "model.safetensors has the tensor `model.extra`, which this architecture has not",
    ),
    "shape": (
        weights(lambda held: held.update({Q: torch.ones(3, 32)})),
        rf"model.safetensors: the tensor `{Q}` must be \[32, 32\], but is \[3, 32\]",
    ),
    "words": (weights(lambda held: held.pop(WORDS)), f"must have a table of words, `{WORDS}`"),
    "no tokenizer": (without("tokenizer.json"), "has no tokenizer.json"),
    "no pieces": (written("tokenizer.json", "{}"), "tokenizer.json must hold a model with a vocabulary"),
    "long": (short_tokenizer, "has the id 4000, but the table of words has 288 rows"),
    "end": (edited(GENERATION, eos_token_id=999), "`eos_token_id` must be below the 288 rows .*, but is 999"),
    "heat": (edited(GENERATION, temperature="hot"), "`temperature` must be a number of at least 0, but is 'hot'"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_folder_is_one_sentence(how, folders, tmp_path):
    folder, _ = folders("qwen2")
    shutil.copytree(folder, tmp_path / "broken")
    edit, message = BROKEN[how]
    edit(tmp_path / "broken")
    with pytest.raises(BundleError, match=message) as caught:
        ol.load(tmp_path / "broken")
    assert "\n" not in str(caught.value)


def test_settings_that_are_none(folders):
    folder, _ = folders("qwen2")
    with pytest.raises(ConfigError, match="the backbone `decoder` has no setting `dropuot`; did you mean `dropout`"):
        ol.load(folder, dropuot=0.1)
    with pytest.raises(ConfigError, match="`untied` cannot be false: .* has an output layer apart"):
        ol.load(folder, untied=False)


def test_experts_of_other_sizes(folders, tmp_path):
    folder, _ = folders("qwen3_moe")
    name = "model.layers.0.mlp.experts.2.up_proj.weight"
    shutil.copytree(folder, tmp_path / "broken")
    weights(lambda held: held.update({name: torch.ones(23, 32)}))(tmp_path / "broken")
    with pytest.raises(BundleError, match=rf"2.gate_proj.weight` with `{name}` must be \[48, 32\], but is \[47, 32\]"):
        ol.load(tmp_path / "broken")
    edited(CONFIG, num_experts_per_tok=9)(tmp_path / "broken")
    with pytest.raises(BundleError, match="must be at most the number of experts, 4, but is 9"):
        ol.load(tmp_path / "broken")
