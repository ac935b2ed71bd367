"""`config.json` of a decoder's settings: the reverse of `config.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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

UNWRITTEN = ("dropout", "checkpoint", "brings", "marks", "system", "opening", "media", "prefix", "typed", "untied")
"""Settings that shape no weight and that the format does not know, and those that are written by other means."""


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
    recipe = recipe_of(content)
    was = DecoderOnly(**recipe.settings).settings()  # type: ignore[arg-type]
    changed = {name for name, value in was.items() if name not in UNWRITTEN and settings.get(name, value) != value}
    fresh = dict(content)
    if recipe.dtype != dtype:
        fresh = {key: value for key, value in fresh.items() if key != "torch_dtype"} | {"dtype": dtype}
    nested = recipe.family.nested
    outer = dict(fresh[nested]) if nested else fresh
    text = dict(outer["text_config"]) if "text_config" in outer else outer
    for name in sorted(changed):
        if name.startswith("rope_"):
            text["rope_parameters"] = rope_entries(settings)
            text.pop("rope_scaling", None)
            text.pop("rope_theta", None)
        elif name == "positions":
            text["max_position_embeddings"] = settings["positions"]
        elif name in ENTRIES or name in EXPERTS:
            text[ENTRIES.get(name) or EXPERTS[name]] = settings[name]
        else:
            raise BundleError(f"the format `hf` has no place for `{name}` in `{recipe.architecture}`")
    if "text_config" in outer:
        outer["text_config"] = text
    if nested:
        fresh[nested] = outer
    return fresh
