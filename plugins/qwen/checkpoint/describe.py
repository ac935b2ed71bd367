"""`config.json` of a decoder's settings, the reverse of `config.py`, and the files of a model that has none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ....core.checkpoint_files import GENERATION, TOKENIZER, TOKENIZER_CONFIG, pretty
from ....core.errors import BundleError
from ....core.settings import Value
from ..plugin import DecoderOnly
from .config import FAMILIES, recipe_of
from .rope import rope_entries

CLASSES: Mapping[str, str] = {
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "llama": "LlamaForCausalLM",
    "qwen2_moe": "Qwen2MoeForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
}

ENTRIES: Mapping[str, str] = {
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "key_heads": "num_key_value_heads",
    "ffn": "intermediate_size",
    "layers": "num_hidden_layers",
    "norm_eps": "rms_norm_eps",
    "attention_dropout": "attention_dropout",
}
"""Our settings and their entries where both are the same value."""

EXPERTS: Mapping[str, str] = {
    "experts": "num_experts",
    "expert_ffn": "moe_intermediate_size",
    "expert_top": "num_experts_per_tok",
    "expert_norm": "norm_topk_prob",
    "expert_every": "decoder_sparse_step",
    "balance": "router_aux_loss_coef",
    "shared_ffn": "shared_expert_intermediate_size",
}

SHAPING = ("qk_norm", "qkv_bias", "out_bias", "ffn_bias", "head_size", "expert_every", "dense_layers", "rope_sections")
"""Settings that shape the weights or their use and have no entry of their own."""

ROTATIONS = tuple(
    f"rope_{name}" for name in ("base", "scaling", "factor", "original", "gain", "fast", "slow", "whole", "low", "high")
)


def config_of(settings: Mapping[str, Value], *, vocabulary: int, dtype: str = "float32") -> dict[str, Any]:
    """The entries of a text decoder, of the architecture that has what the settings say.

    Args:
        settings: of the backbone `decoder`.
        vocabulary: rows of the table of words.
        dtype: of the weights.

    Raises:
        BundleError: no architecture of transformers has these settings together.
    """
    kind = architecture_of(settings)
    made: dict[str, Any] = {"architectures": [CLASSES[kind]], "model_type": kind, "hidden_act": "silu", "dtype": dtype}
    made |= {entry: settings[name] for name, entry in ENTRIES.items() if settings.get(name) is not None}
    size = settings.get("head_size") or int(str(settings["width"])) // int(str(settings["heads"]))
    made |= {"head_dim": size, "vocab_size": vocabulary, "max_position_embeddings": settings["positions"]}
    made |= {"rope_parameters": rope_entries(settings), "tie_word_embeddings": not settings.get("untied")}
    if kind in ("llama", "qwen3", "qwen3_moe"):
        made["attention_bias"] = bool(settings.get("qkv_bias"))
    if kind == "llama":
        made["mlp_bias"] = bool(settings.get("ffn_bias"))
    if FAMILIES[kind].experts:
        made |= {entry: settings[name] for name, entry in EXPERTS.items() if settings.get(name) is not None}
        dense = settings.get("dense_layers")
        made["mlp_only_layers"] = [int(number) for number in dense] if isinstance(dense, tuple) else []
    if made["rope_parameters"].get("mrope_section"):
        raise BundleError("the format `hf` has no place for `rope_sections` in a decoder of text alone")
    return made


def architecture_of(settings: Mapping[str, Value]) -> str:
    """The `model_type` that has what the settings say.

    Raises:
        BundleError: none has.
    """
    norm, bias, out, ffn = (bool(settings.get(name)) for name in ("qk_norm", "qkv_bias", "out_bias", "ffn_bias"))
    mixed, shared = bool(settings.get("experts")), bool(settings.get("shared_ffn"))
    if mixed:
        kind = "qwen3_moe" if norm and not shared else "qwen2_moe" if shared and not norm else None
    else:
        kind = "qwen3" if norm else "qwen2" if bias and not out else "llama"
    fits = kind is not None and (
        (not ffn or kind == "llama")
        and (out == bias if kind in ("llama", "qwen3", "qwen3_moe") else not out)
        and (bias or kind != "qwen2")
    )
    if kind is None or not fits:
        raise BundleError(
            "the format `hf` has no architecture with these settings together: "
            f"qk_norm={norm}, qkv_bias={bias}, out_bias={out}, ffn_bias={ffn}, experts={mixed}, shared={shared}"
        )
    return kind


def reconfigured(content: dict[str, Any], settings: Mapping[str, Value], dtype: str) -> dict[str, Any]:
    """A `config.json` with the entries of settings that were changed after it was read; the same when none was.

    Raises:
        BundleError: a setting was changed that shapes the weights.
    """
    judge(settings)
    recipe = recipe_of(content)
    was = DecoderOnly(**recipe.settings).settings()  # type: ignore[arg-type]
    changed = [name for name, value in was.items() if settings.get(name, value) != value]
    fresh = dict(content)
    if recipe.dtype != dtype:
        fresh = {key: value for key, value in fresh.items() if key != "torch_dtype"} | {"dtype": dtype}
    if recipe.tied == bool(settings.get("untied")):
        fresh["tie_word_embeddings"] = not settings.get("untied")
    outer = fresh
    text = dict(outer["text_config"]) if "text_config" in outer else outer
    for name in changed:
        if name in SHAPING:
            raise BundleError(f"the format `hf` has no place for another `{name}` in `{recipe.architecture}`")
        if name in ROTATIONS:
            sections = {"rope_sections": recipe.settings.get("rope_sections", ())}
            text["rope_parameters"] = rope_entries({**settings, **sections})
            text.pop("rope_scaling", None)
            text.pop("rope_theta", None)
        elif name == "positions":
            text["max_position_embeddings"] = settings["positions"]
        elif name in ENTRIES or name in EXPERTS:
            text[ENTRIES.get(name) or EXPERTS[name]] = settings[name]
    if "text_config" in outer:
        outer["text_config"] = text
    return fresh


def judge(settings: Mapping[str, Value]) -> None:
    """Refuse settings of which transformers has no network.

    Raises:
        BundleError: naming the setting.
    """
    if settings.get("prefix") != "causal":
        raise BundleError("the format `hf` has no place for `prefix=both`: its decoders look back only")
    if settings.get("typed"):
        raise BundleError("the format `hf` has no place for `typed=true`: its tokens do not tell the kind of a slot")
    if settings.get("embedding_scale", 1) != 1:
        raise BundleError("the format `hf` has no place for `embedding_scale`: its tokens come in as they are")
    if settings.get("marks") == "learned":
        raise BundleError("the format `hf` has no place for `marks=learned`: targets start from tokens, marks=plain")


def alone(content: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the part that is read of a larger model; of any other the same.

    >>> alone({"model_type": "qwen2_5_omni", "thinker_config": {"seconds_per_chunk": 2}})["model_type"]
    'qwen2_5_omni_thinker'
    """
    if content.get("model_type") != "qwen2_5_omni":
        return content
    own = {"architectures": ["Qwen2_5OmniThinkerForConditionalGeneration"], "model_type": "qwen2_5_omni_thinker"}
    return {**content["thinker_config"], **own}


def described(
    settings: Mapping[str, Value], weights: Mapping[str, Tensor], origin: Mapping[str, str], dtype: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """`config.json` and the files of a model that comes from no such folder.

    Args:
        settings: of its backbone.
        weights: the network's, by our names.
        origin: with the content of its tokenizer under "tokenizer".
        dtype: of the weights.

    Raises:
        BundleError: the format has no place for the tokenizer or a setting.
    """
    judge(settings)
    tokenizer = json.loads(origin["tokenizer"]) if origin.get("tokenizer") else {}
    if tokenizer.get("kind") != "pieces":
        raise BundleError(
            'the format `hf` has no place for a tokenizer of bytes: build the model with one of pieces, tokenizer="bpe"'
        )
    rows = weights["ports.text.embedding.weight"].shape[0]
    content = config_of(settings, vocabulary=rows, dtype=dtype)
    end = int(origin["end"]) if "end" in origin else tokenizer.get("end")
    ends = {} if end is None else {"eos_token_id": end}
    return content | ends, {
        "config.json": pretty(content | ends),
        GENERATION: pretty(ends),
        TOKENIZER: json.dumps(tokenizer["content"], ensure_ascii=False),
        TOKENIZER_CONFIG: pretty({"tokenizer_class": "PreTrainedTokenizerFast"}),
    }
