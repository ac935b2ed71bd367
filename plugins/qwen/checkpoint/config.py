"""`config.json` to a recipe: which network a checkpoint's weights are of, in our own words.

Both spellings are read: that of transformers 5, where text, vision and audio lie below keys of their own and rotations
in `rope_parameters`, and the flat one of 4 with `rope_theta` and `rope_scaling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ....core.errors import BundleError
from ....core.json_values import Values, read_json
from ....core.near import nearest
from ....core.settings import Value
from .rope import read_rope

Settings = dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What the weights and the defaults of an architecture are.

    Attributes:
        qk_norm: whether heads are normalised.
        bias: always a bias of queries, keys and values; None when `attention_bias` says so, and then of the output too.
        experts: whether feed-forward blocks may be mixtures.
        shared: whether a mixture has an expert that all rows go through.
        eps: of norms, where it is not written.
        theta: base of rotations, where it is not written.
        nested: the key below which the whole of it lies in a larger model's configuration.
        vision: the kind of its vision tower, if it has one.
        audio: whether it has an audio tower.
    """

    qk_norm: bool = False
    bias: bool | None = None
    experts: bool = False
    shared: bool = False
    eps: float = 1e-6
    theta: float = 10_000.0
    nested: str = ""
    vision: str = ""
    audio: bool = False


FAMILIES: Mapping[str, Family] = {
    "qwen2": Family(bias=True),
    "qwen3": Family(qk_norm=True),
    "llama": Family(),
    "mistral": Family(bias=False),
    "qwen2_moe": Family(bias=True, experts=True, shared=True),
    "qwen3_moe": Family(qk_norm=True, experts=True),
    "qwen2_vl": Family(bias=True, eps=1e-5, theta=1e6, vision="qwen2"),
    "qwen2_5_vl": Family(bias=True, eps=1e-5, theta=1e6, vision="qwen2.5"),
    "qwen2_5_omni_thinker": Family(bias=True, theta=1e6, vision="qwen2.5", audio=True),
    "qwen2_5_omni": Family(bias=True, theta=1e6, vision="qwen2.5", audio=True, nested="thinker_config"),
}
"""By `model_type`."""

TOKENS: Mapping[str, tuple[str, ...]] = {
    "image": ("image_token_id", "image_token_index"),
    "video": ("video_token_id", "video_token_index"),
    "audio": ("audio_token_id", "audio_token_index"),
    "vision_start": ("vision_start_token_id",),
    "vision_end": ("vision_end_token_id",),
    "audio_start": ("audio_start_token_id",),
    "audio_end": ("audio_end_token_id",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What `config.json` says.

    Attributes:
        architecture: its `model_type`.
        settings: of the backbone `decoder`.
        vocabulary: rows of the table of words, padding included.
        tied: whether the output layer is that table.
        ends: ids that end a text, the first one first; empty when it does not say.
        tokens: ids of the tokens that stand for media, by name.
        vision: the vision tower's entries; empty without one.
        audio: the audio tower's entries; empty without one.
        times: entries on how time becomes places: `tokens_per_second`, `position_id_per_seconds`, `seconds_per_chunk`.
        dtype: of the weights, as it is written.
        content: the whole of `config.json`.
    """

    architecture: str
    settings: Settings
    vocabulary: int
    tied: bool
    ends: tuple[int, ...] = ()
    tokens: Mapping[str, int] = field(default_factory=dict)
    vision: Mapping[str, Any] = field(default_factory=dict)
    audio: Mapping[str, Any] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)
    dtype: str = "float32"
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> Family:
        """What all of this architecture have in common."""
        return FAMILIES[self.architecture]


def read_config(folder: Path) -> Recipe:
    """The recipe of a checkpoint's folder.

    Raises:
        BundleError: no `config.json`, an architecture that is not known, or an entry that is missing or not supported.
    """
    return recipe_of(read_json(folder / "config.json"), str(folder / "config.json"))


def recipe_of(content: Mapping[str, Any], place: str = "config.json") -> Recipe:
    """The recipe of what `config.json` holds.

    Raises:
        BundleError: see `read_config`.
    """
    whole = Values(content, place)
    architecture = whole.text("model_type")
    if architecture not in FAMILIES:
        near = nearest(architecture, FAMILIES)
        hint = f"did you mean `{near}`? " if near else ""
        raise BundleError(
            f"{place}: the architecture `{architecture}` cannot be read; {hint}there are: {' '.join(FAMILIES)}; "
            "other decoders that transformers knows need it: pip install 'omniline[hf]'"
        )
    family = FAMILIES[architecture]
    outer = whole.inner(family.nested, needed=True) if family.nested else whole
    text = outer.inner("text_config") if "text_config" in outer.held else outer
    vision = outer.inner("vision_config", needed=True) if family.vision else Values({}, place)
    audio = outer.inner("audio_config", needed=True) if family.audio else Values({}, place)
    return Recipe(
        architecture=architecture,
        settings=_settings(family, architecture, text),
        vocabulary=text.whole("vocab_size"),
        tied=outer.flag("tie_word_embeddings") or (not family.audio and text.flag("tie_word_embeddings")),
        ends=_ends(text, outer, whole),
        tokens={name: outer.whole(key, least=0) for name, keys in TOKENS.items() for key in keys if key in outer.held},
        vision=dict(vision.held),
        audio=dict(audio.held),
        times=_times(outer, vision),
        dtype=_dtype(whole, outer, text),
        content=dict(content),
    )


def _settings(family: Family, architecture: str, text: Values) -> Settings:
    """The settings of the backbone."""
    if (act := text.text("hidden_act", "silu")) != "silu":
        raise BundleError(f"{text.place}: `hidden_act` must be silu, but is {act}")
    heads, width = text.whole("num_attention_heads"), text.whole("hidden_size")
    key_heads = text.whole("num_key_value_heads", heads)
    size = text.whole("head_dim", 128 if architecture == "qwen3" else width // heads)
    bias = text.flag("attention_bias") if family.bias is None else text.flag("qkv_bias", family.bias)
    rope = read_rope(text, theta=family.theta, size=size)
    made: Settings = {
        "width": width,
        "heads": heads,
        "key_heads": key_heads,
        "head_size": size,
        "ffn": text.whole("intermediate_size"),
        "layers": text.whole("num_hidden_layers"),
        "positions": _positions(text, architecture, rope),
        **rope,
        **_chunks(text),
        "attention_dropout": text.number("attention_dropout", 0.0),
        "qk_norm": family.qk_norm,
        "qkv_bias": bias,
        "norm_eps": text.number("rms_norm_eps", family.eps),
        "prefix": "causal",
        "typed": False,
    }
    if family.bias is None and bias:
        made["out_bias"] = True
    if text.flag("mlp_bias"):
        made["ffn_bias"] = True
    return made | (_experts(family, text) if family.experts else {})


def _chunks(text: Values) -> Settings:
    """Dual chunk attention, of checkpoints for a million tokens."""
    if not text.get("dual_chunk_attention_config"):
        return {}
    own = text.inner("dual_chunk_attention_config")
    made: Settings = {"dual_chunk": own.whole("chunk_size", 8192), "dual_chunk_local": own.whole("local_size", 1024)}
    if own.get("original_max_position_embeddings"):
        made["attention_temperature"] = own.whole("original_max_position_embeddings")
    return made


def _experts(family: Family, text: Values) -> Settings:
    """The settings of mixtures; transformers 5 writes the number of experts of Qwen3 as `num_local_experts`."""
    count = "num_local_experts" if text.get("num_experts") is None else "num_experts"
    made: Settings = {
        "experts": text.whole(count),
        "expert_ffn": text.whole("moe_intermediate_size"),
        "expert_top": text.whole("num_experts_per_tok"),
        "expert_norm": text.flag("norm_topk_prob"),
        "expert_every": text.whole("decoder_sparse_step", 1),
        "dense_layers": tuple(str(number) for number in text.wholes("mlp_only_layers", ())),
        "balance": text.number("router_aux_loss_coef", 0.001),
    }
    if family.shared:
        made["balance_over"] = "batch"  # as that report has it; the one of Qwen3 evens out whole steps
        made["shared_ffn"] = text.whole("shared_expert_intermediate_size")
    if int(str(made["expert_top"])) > int(str(made["experts"])):
        raise BundleError(
            f"{text.place}: `num_experts_per_tok` must be at most the number of experts, {made['experts']}, but is "
            f"{made['expert_top']}"
        )
    return made


def _positions(text: Values, architecture: str, rope: Mapping[str, Value]) -> int:
    """The most tokens: up to the length of a sliding window, within which it does not matter."""
    most = text.whole("max_position_embeddings", 32_768)
    if rope.get("rope_scaling") == "yarn":
        most = max(most, int(float(str(rope["rope_factor"])) * int(str(rope["rope_original"]))))
    window = text.get("sliding_window")
    kinds = text.get("layer_types")
    if kinds is not None and not set(kinds) <= {"full_attention", "sliding_attention"}:
        odd = sorted(set(kinds) - {"full_attention", "sliding_attention"})[0]
        raise BundleError(f"{text.place}: `layer_types` must be full_attention or sliding_attention, but one is {odd}")
    slides = "sliding_attention" in kinds if kinds is not None else _slides(text, architecture)
    return min(most, text.whole("sliding_window")) if window and slides else most


def _slides(text: Values, architecture: str) -> bool:
    """Whether layers have a sliding window, where `layer_types` does not say."""
    if architecture == "mistral":
        return True
    return text.flag("use_sliding_window") and text.whole("max_window_layers", 0, least=0) < text.whole(
        "num_hidden_layers"
    )


def _ends(*places: Values) -> tuple[int, ...]:
    for values in places:
        if values.get("eos_token_id") is not None:
            return values.wholes("eos_token_id")
    return ()


def _times(outer: Values, vision: Values) -> dict[str, float]:
    found = {key: outer.number(key) for key in ("position_id_per_seconds", "seconds_per_chunk") if key in outer.held}
    if "tokens_per_second" in vision.held:
        found["tokens_per_second"] = vision.number("tokens_per_second")
    return found


def _dtype(*places: Values) -> str:
    for values in places:
        for key in ("dtype", "torch_dtype"):
            if values.get(key) is not None:
                return values.text(key)
    return "float32"
