"""Folders of tiny random decoders of many architectures, written by transformers with a tokenizer of bytes."""

import json
from pathlib import Path

import tokenizers
import torch
import transformers

VOCABULARY = 264
BOS, EOS, TURN = "<s>", "</s>", "<end>"
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
WIDE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 160,
}
GEMMA = {**WIDE, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}
OLD = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 160}
ARCHITECTURES = {
    "gpt2": OLD,
    "gemma": {**WIDE, "head_dim": 8},
    "gemma2": {**GEMMA, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 5.0},
    "gemma3_text": {**GEMMA, "sliding_window_pattern": 2},
    "phi3": {**WIDE, "sliding_window": 12, "pad_token_id": 258},
    "gpt_neox": {**WIDE, "rotary_pct": 0.5},
    "olmo2": WIDE,
    "falcon": {**{k: v for k, v in WIDE.items() if k != "intermediate_size"}, "alibi": False},
    "falcon alibi": {**{k: v for k, v in WIDE.items() if k != "intermediate_size"}, "alibi": True},
    "stablelm": WIDE,
    "smollm3": {**WIDE, "pad_token_id": 258},
    "starcoder2": {**WIDE, "sliding_window": 8},
    "mixtral": {**WIDE, "num_local_experts": 4},
    "opt": {**WIDE, "ffn_dim": 48, "word_embed_proj_dim": 16, "pad_token_id": 1},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "gptj": {**OLD, "rotary_dim": 4},
    "phi": WIDE,
    "cohere": {**WIDE, "logit_scale": 0.25, "pad_token_id": 258},
    "granite": {**WIDE, "logits_scaling": 4.0, "embedding_multiplier": 3.0, "residual_multiplier": 0.5},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 160},
    "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4, "max_position_embeddings": 160},
    "deepseek_v3": {
        **WIDE,
        "num_key_value_heads": 4,
        "moe_intermediate_size": 16,
        "n_routed_experts": 4,
        "n_group": 2,
        "num_experts_per_tok": 2,
        "topk_group": 1,
        "first_k_dense_replace": 1,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 4,
    },
    "minimax": {**WIDE, "head_dim": 8, "num_local_experts": 2, "layer_types": ["linear_attention", "full_attention"]},
    "falcon_h1": {**WIDE, "head_dim": 8, "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8},
    "moshi": {**WIDE, "num_codebooks": 2},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}


def made(name, **changes):
    """A decoder with random weights, each away from where it starts; in eval mode."""
    kind, entries = name.split()[0], {**ARCHITECTURES[name], **changes}
    ids = {"bos_token_id": 256, "eos_token_id": 257}
    with quiet():
        config = transformers.AutoConfig.for_model(kind, vocab_size=VOCABULARY, **{**ids, **entries})
        torch.manual_seed(0)
        network = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape) * (0.3 if weight.dim() == 1 else 0.1))
    return network


def tokenizer(*, begins=False):
    """Bytes, and a few special tokens behind them; `begins` puts one in front of every text."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens([BOS, EOS, "<pad>", TURN, "<user>", "<assistant>"])
    if begins:
        inner.post_processor = tokenizers.processors.TemplateProcessing(f"{BOS} $A", special_tokens=[(BOS, 256)])
    return inner


def folder(name, place, *, begins=False, template=None, ends=(257,), **changes):
    """Write one; gives the network and the folder."""
    network, place = made(name, **changes), Path(place)
    with quiet():
        network.save_pretrained(place)
    tokenizer(begins=begins).save(str(place / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": EOS}
    (place / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    (place / "generation_config.json").write_text(json.dumps({"eos_token_id": list(ends)}), encoding="utf-8")
    if template is not None:
        (place / "chat_template.jinja").write_text(template, encoding="utf-8")
    return network, place


def quiet():
    """transformers without a word."""
    from omniline.plugins.automodel.library import quiet as silent

    return silent()
