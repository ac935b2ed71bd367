"""Folders of tiny random checkpoints, written by transformers."""

import json
import warnings
from pathlib import Path

import torch
import transformers

VOCABULARY = 288
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
}
MIXED = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 1e4}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "original_max_position_embeddings": 64,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "rope_theta": 5e5,
}
ARCHITECTURES = {
    "qwen2": ("Qwen2", {}),
    "qwen2 tied": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen2 yarn": ("Qwen2", {"rope_parameters": YARN}),
    "qwen3": ("Qwen3", {"head_dim": 16, "tie_word_embeddings": True}),
    "qwen3 bias": ("Qwen3", {"head_dim": 8, "attention_bias": True}),
    "llama": ("Llama", {}),
    "llama bias": ("Llama", {"attention_bias": True, "mlp_bias": True, "rope_parameters": LLAMA3}),
    "mistral": ("Mistral", {"head_dim": 16, "sliding_window": 64}),
    "qwen2_moe": ("Qwen2Moe", {**MIXED, "shared_expert_intermediate_size": 40, "mlp_only_layers": [1]}),
    "qwen3_moe": ("Qwen3Moe", {**MIXED, "head_dim": 16, "norm_topk_prob": True}),
}


def reference(name, **changes):
    """A network of transformers with random weights, no two norms or biases alike."""
    family, own = ARCHITECTURES[name]
    config = getattr(transformers, f"{family}Config")(**{**TEXT, **own, **changes})
    torch.manual_seed(0)
    with quiet():
        network = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    return scattered(network)


def scattered(network):
    """The network with every weight away from where it starts."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape) * (0.3 if weight.dim() == 1 else 0.1))
    return network


def write(network, folder, tokenizer, *, end="<|endoftext|>", template=None, **options):
    """The folder of a network and a tokenizer of this library."""
    with quiet():
        network.save_pretrained(folder, **options)
    put_tokenizer(Path(folder), tokenizer, end=end, template=template)
    return Path(folder)


def put_tokenizer(folder, tokenizer, *, end="<|endoftext|>", template=None):
    """Write `tokenizer.json` and what stands beside it."""
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_json())["content"]), encoding="utf-8")
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end}
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    (folder / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [tokenizer.special(end)], "do_sample": True, "temperature": 0.7, "top_k": 20})
    )
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def quiet():
    """Whatever transformers warns of."""
    caught = warnings.catch_warnings()
    warnings.simplefilter("ignore")
    return caught


def tensors(folder):
    """All tensors of a folder by name."""
    from safetensors.torch import load_file

    found = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        found.update(load_file(file))
    return found
