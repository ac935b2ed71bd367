"""The decoder family: the backbone `decoder`, and the adapters that Qwen's backbones bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal, Self

from ...core.adapter import Adapter
from ...core.backbone import Backbone
from ...core.errors import ConfigError
from ...core.frame import Frame
from ...core.pretrained import Checkpoint
from ...core.settings import setting
from ..hookspecs import hookimpl
from .audio_plugin import QwenAudio
from .sizes import QWEN2, QWEN3, QWEN15, QWEN25, Size
from .vision_plugin import QwenImage, QwenVideo


def _size(width: int, heads: int, shared: int, ffn: int, layers: int) -> Size:
    return {"width": width, "heads": heads, "key_heads": shared, "ffn": ffn, "layers": layers}


SEEN = ("<|vision_start|>", "<|vision_end|>")
SEEN_OMNI, HEARD_OMNI = ("<|vision_bos|>", "<|vision_eos|>"), ("<|audio_bos|>", "<|audio_eos|>")
MEDIA: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "bare": {},
    "vl": {"IMAGE": SEEN, "VIDEO": SEEN},
    "omni": {"IMAGE": SEEN_OMNI, "VIDEO": SEEN_OMNI, "AUDIO": HEARD_OMNI},
}
"""The marks that stand around a picture, a clip or a sound, as the families write them."""
TURNS = {"omni": 2.0}
"""Seconds of the pieces in which a clip and the sound synced to it take turns, where a family does so."""


class DecoderOnly(Backbone):
    """One stack over source and target (RMSNorm, rotary places, SwiGLU); the source sees itself both ways."""

    build = "omniline.plugins.qwen.network:DecoderNetwork"
    mutual = True
    sizes: ClassVar[Mapping[str, Size]] = {
        "tiny": _size(256, 4, 4, 704, 4),
        "small": _size(512, 8, 4, 1408, 8),
        "medium": _size(768, 12, 4, 2048, 12),
        "base": _size(1024, 16, 4, 2816, 24),
        "large": _size(2048, 16, 4, 5632, 24),
    }

    width: int = setting(256, at_least=8, help="size of a token's embedding")
    heads: int = setting(4, at_least=1, help="attention heads")
    key_heads: int = setting(4, at_least=1, help="heads of keys and values; must divide the heads")
    head_size: int | None = setting(None, at_least=2, help="size of a head; by default the width over the heads")
    ffn: int = setting(704, at_least=1, help="inner size of the feed-forward blocks")
    layers: int = setting(4, at_least=1, help="layers")
    positions: int = setting(2048, at_least=2, help="most tokens of source and target together")
    rope_base: float = setting(10_000.0, at_least=1, help="slowest rotation of places, in tokens")
    dropout: float = setting(0.0, at_least=0, at_most=0.99, help="share of activations to drop in training")
    attention_dropout: float = setting(0.0, at_least=0, at_most=0.99, help="share of attention to drop in training")
    qk_norm: bool = setting(False, help="RMSNorm of each head's queries and keys")
    qkv_bias: bool = setting(False, help="biases in the projections to queries, keys and values")
    out_bias: bool = setting(False, help="a bias behind attention")
    ffn_bias: bool = setting(False, help="biases in the feed-forward blocks")
    norm_eps: float = setting(1e-6, at_least=0, help="what keeps RMSNorm from dividing by zero")
    deviation: float = setting(0.02, at_least=0, help="standard deviation of fresh matrices")
    embedding_scale: float = setting(
        1.0, at_least=1e-3, help="factor of what comes in; other than 1, fresh tables of tokens deviate by its inverse"
    )
    rope_scaling: Literal["none", "linear", "dynamic", "ntk", "llama3", "yarn"] = setting(
        "none", help="how rotations are slowed for contexts longer than in training"
    )
    rope_factor: float = setting(1.0, at_least=1, help="how many times longer contexts become")
    rope_original: int | None = setting(None, at_least=1, help="tokens of the contexts in training")
    rope_gain: float | None = setting(None, at_least=0, help="factor of cosines and sines; usual for `yarn` by default")
    rope_fast: float = setting(32.0, at_least=0, help="`yarn`: pairs that turn more often in training stay as they are")
    rope_slow: float = setting(1.0, at_least=0, help="`yarn`: pairs that turn less often are slowed by all of it")
    rope_whole: bool = setting(True, help="`yarn`: round the bounds to whole pairs")
    rope_low: float = setting(1.0, at_least=0, help="`llama3`: wavelengths above a share of training are slowed")
    rope_high: float = setting(4.0, at_least=0, help="`llama3`: wavelengths below a share of training stay")
    rope_sections: tuple[str, ...] = setting((), help="pairs that turn by time, height and width, as 16|24|24 (M-RoPE)")
    rope_rate: float = setting(1.0, at_least=0, help="with sections, places for each unit of a value's time")
    log_n: int | None = setting(None, at_least=2, help="tokens of training beyond which queries are scaled by LogN")
    attention_temperature: int | None = setting(
        None, at_least=1, help="tokens of training beyond which scores are sharpened, as in Qwen2.5-1M"
    )
    dual_chunk: int | None = setting(None, at_least=2, help="tokens of training that no distance exceeds (dual chunks)")
    dual_chunk_local: int = setting(1024, at_least=1, help="distances below this are true across borders of chunks")
    dual_chunk_form: Literal["code", "report"] = setting(
        "code", help="largest distance: `dual_chunk`, as released, or one less, as the report writes"
    )
    prefill_chunk: int | None = setting(
        None, at_least=1, help="rows of a prompt that pass through the layers at a time"
    )
    sparse_prefill: bool = setting(False, help="read long prompts towards the columns and diagonals that matter alone")
    sparse_beyond: int = setting(32_768, at_least=0, help="prompts up to so many tokens stay dense")
    sparse_vertical: int = setting(1000, at_least=1, help="columns that each head keeps")
    sparse_slash: int = setting(6096, at_least=1, help="diagonals that each head keeps")
    rope_after: Literal["largest", "sides"] = setting(
        "largest",
        help="with sections, a text goes on behind the largest place, or as transformers 5 has it behind clips",
    )
    experts: int = setting(0, at_least=0, help="experts in place of each feed-forward block; 0 for none")
    expert_ffn: int = setting(704, at_least=1, help="inner size of each expert")
    expert_top: int = setting(2, at_least=1, help="experts that a row goes through")
    expert_norm: bool = setting(True, help="scale the probabilities of a row's experts to sum to 1")
    expert_every: int = setting(1, at_least=1, help="one in so many layers has experts")
    dense_layers: tuple[str, ...] = setting((), help="layers without experts, counted from 0")
    shared_ffn: int = setting(0, at_least=0, help="inner size of an expert that all rows go through; 0 for none")
    balance: float = setting(0.001, at_least=0, help="weight of the loss that evens out experts, in training")
    balance_over: Literal["step", "batch"] = setting(
        "step", help="what experts are evened out over: all batches of a step on all ranks, or each batch"
    )
    prefix: Literal["both", "causal"] = setting("both", help="how the source sees itself: both ways, or looking back")
    typed: bool = setting(True, help="add to each token what tells the kind of its slot")
    untied: bool = setting(False, help="an output layer over words apart from their embeddings")
    marks: Literal["learned", "plain", "chatml"] = setting(
        "learned", help="what stands around source and target: a mark of the model's own, nothing, or chat turns"
    )
    system: str = setting("", help="with `marks=chatml`, what the system says first; empty for no such turn")
    opening: str = setting("<|endoftext|>", help="the token that a target without a source goes on from")
    media: Literal["bare", "vl", "omni"] = setting(
        "bare", help="with marks not learned, whose marks stand around media"
    )
    brings: tuple[str, ...] = setting(
        (), help="adapters that serve their modalities by default, with settings after `;`"
    )
    checkpoint: bool = setting(False, help="recompute layers in the backward pass instead of keeping them")

    def __post_init__(self) -> None:
        looking = [name for name in ("dual_chunk", "sparse_prefill", "prefill_chunk") if getattr(self, name)]
        if looking and self.prefix == "both":
            raise ConfigError(f"`prefix` must be `causal` with `{looking[0]}`, but is both: the source must look back")
        if self.marks != "learned" and self.prefix == "both":
            raise ConfigError(
                "`prefix` must be `causal` where `marks` are not learned: such a backbone was pretrained looking back"
            )

    def spread(self) -> float | None:
        """One over `embedding_scale`, so that what comes in deviates by 1."""
        return None if self.embedding_scale == 1 else 1 / self.embedding_scale

    def frame(self) -> Frame | None:
        """Nothing for learned marks, else the turns and marks that it was pretrained with."""
        if self.marks == "learned":
            return None
        around, turns = MEDIA[self.media], TURNS.get(self.media, 0.0)
        if self.marks == "plain":
            return Frame(start=self.opening, around=around, interleave=turns)
        system = f"<|im_start|>system\n{self.system}<|im_end|>\n" if self.system else ""
        return Frame(
            before=f"{system}<|im_start|>user\n",
            between="<|im_end|>\n<|im_start|>assistant\n",
            start=self.opening,
            around=around,
            interleave=turns,
        )

    def senses(self) -> tuple[str, ...]:
        """What `brings` lists."""
        return self.brings

    def bringing(self, senses: tuple[str, ...]) -> Self:
        """The same with other `brings`."""
        return replace(self, brings=senses)

    def tied(self) -> bool:
        """Whether `untied` is not set."""
        return not self.untied

    def context(self) -> int:
        """The most tokens of source and target together."""
        return self.positions


class Qwen15(DecoderOnly):
    """The sizes of Qwen1.5 with experts, see `decoder`."""

    sizes = QWEN15


class Qwen2(DecoderOnly):
    """The sizes of Qwen2: of text, with experts, and with a vision tower, see `decoder`."""

    sizes = QWEN2


class Qwen25(DecoderOnly):
    """The sizes of Qwen2.5: of text and code, for a million tokens, with a vision tower, and with ears, see
    `decoder`."""

    sizes = QWEN25


class Qwen3(DecoderOnly):
    """The sizes of Qwen3, dense and with experts, see `decoder`."""

    sizes = QWEN3


class HuggingFaceFolder(Checkpoint):
    """Folders of Hugging Face's transformers: `config.json`, safetensors, `tokenizer.json`."""

    build = "omniline.plugins.qwen.checkpoint.hugging:HuggingFace"
    marker = "config.json"


@hookimpl
def checkpoints() -> dict[str, type[Checkpoint]]:
    """The format of transformers."""
    return {"hf": HuggingFaceFolder}


@hookimpl
def backbones() -> dict[str, type[Backbone]]:
    """The plain decoder, and the families with names of their own for its sizes."""
    return {"decoder": DecoderOnly, "qwen1.5": Qwen15, "qwen2": Qwen2, "qwen2.5": Qwen25, "qwen3": Qwen3}


@hookimpl
def adapters() -> Mapping[str, type[Adapter]]:
    """What the family's backbones see and hear with."""
    return {"qwen_image": QwenImage, "qwen_video": QwenVideo, "qwen_audio": QwenAudio}
