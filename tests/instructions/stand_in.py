"""A catalog of stand-ins: all ten modalities and every shipped name, with plausible settings and no working halves."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from omniline.core.adapter import Adapter
from omniline.core.backbone import Backbone
from omniline.core.catalog import Catalog, Owner, catalog_of
from omniline.core.decoder import Decoder
from omniline.core.loss import Loss
from omniline.core.modality import Modality, TensorSpec, Tokens
from omniline.core.settings import setting


class Text(Adapter):
    modality = "TEXT"
    predicts = "tokens"
    codec = port = "nowhere:None"
    cuttable = True
    mask_ratio: float = setting(0.0, at_least=0, at_most=1, data_only=True, help="share of the words to mask")
    noise_ratio: float = setting(0.0, at_least=0, at_most=1, data_only=True)
    uncased: bool = setting(False, data_only=True)
    corrupt: float = setting(0.0, at_least=0, at_most=1, data_only=True, sides=("source",))
    no_punctuation: bool = setting(False, data_only=True)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("ids", "int64", ("tokens",)),)


class Image(Adapter):
    modality = "IMAGE"
    predicts = "values"
    codec = port = "nowhere:None"
    loss = "mse"
    size: int = setting(224, at_least=8, at_most=4096, help="side in pixels")
    patch: int = setting(16, at_least=1)
    mask_ratio: float = setting(0.0, at_least=0, at_most=1)

    def tokens(self) -> Tokens:
        return Tokens((self.size // self.patch) ** 2)

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("pixels", "uint8", (3, self.size, self.size)),)


class Timm(Adapter):
    modality = "IMAGE"
    codec = port = "nowhere:None"
    sides = ("source",)
    model: str = setting(help="a timm model's name")
    frozen: bool = setting(False)
    size: int = setting(224, at_least=8)

    def tokens(self) -> Tokens:
        return Tokens(49)


class ImageCodes(Adapter):
    modality = "IMAGE"
    predicts = "tokens"
    codec = port = "nowhere:None"
    size: int = setting(256, at_least=8)

    def tokens(self) -> Tokens:
        return Tokens((self.size // 8) ** 2)


class Video(Adapter):
    modality = "VIDEO"
    codec = port = "nowhere:None"
    sides = ("source",)
    max_frames: int = setting(16, at_least=1)

    def tokens(self) -> Tokens:
        return Tokens(196 * self.max_frames)


class Audio(Adapter):
    modality = "AUDIO"
    predicts = "values"
    codec = port = "nowhere:None"
    loss = "mel"
    decoder = "mel"
    max_seconds: float = setting(30.0, at_least=0.1)

    def tokens(self) -> Tokens:
        return Tokens(1, int(self.max_seconds * 25))


class Phone(Adapter):
    modality = "PHONE"
    predicts = "tokens"
    codec = port = "nowhere:None"
    mask_ratio: float = setting(0.0, at_least=0, at_most=1)


class Motion(Adapter):
    modality = "MOTION"
    predicts = "values"
    codec = port = "nowhere:None"
    loss = "diffusion"
    decoder = "diffusion"

    def tokens(self) -> Tokens:
        return Tokens(10, 1000)


class Box(Adapter):
    modality = "BOX"
    predicts = "tokens"
    codec = port = "nowhere:None"
    bins: int = setting(1000, at_least=2)

    def tokens(self) -> Tokens:
        return Tokens(4)


class Struct(Adapter):
    modality = "STRUCT"
    predicts = "tokens"
    codec = port = "nowhere:None"
    cuttable = True
    uncased: bool = setting(False)
    style: Literal["table", "json"] = setting("table")


class Category(Adapter):
    modality = "CATEGORY"
    predicts = "class"
    codec = port = "nowhere:None"

    def tokens(self) -> Tokens:
        return Tokens(1)


class Chat(Adapter):
    modality = "CHAT"
    predicts = "tokens"
    codec = port = "nowhere:None"
    holds: tuple[str, ...] = setting(("text",))


class CrossEntropy(Loss):
    build = "nowhere:None"
    needs = ("tokens", "class")
    label_smoothing: float = setting(0.0, at_least=0, at_most=1)
    temperature: float = setting(1.0, at_least=0)


class Contrastive(Loss):
    build = "nowhere:None"
    kind = "match"
    temperature: float = setting(0.07, at_least=0)


class Ctc(Loss):
    build = "nowhere:None"
    kind = "align"
    needs = ("tokens",)
    modalities = ("AUDIO",)


class Diffusion(Loss):
    build = "nowhere:None"
    needs = ("values",)


class Mel(Loss):
    build = "nowhere:None"
    needs = ("values",)
    modalities = ("AUDIO",)


class Mse(Loss):
    build = "nowhere:None"
    needs = ("values",)


class BradleyTerry(Loss):
    build = "nowhere:None"
    kind = "rank"


class Dpo(Loss):
    build = "nowhere:None"
    kind = "rank"
    needs = ("tokens",)
    beta: float = setting(0.1, at_least=0)


class Policy(Loss):
    build = "nowhere:None"
    kind = "rollout"
    needs = ("tokens",)
    clip: float = setting(0.2, at_least=0)


class Greedy(Decoder):
    build = "nowhere:None"


class Sample(Decoder):
    build = "nowhere:None"
    needs = ("tokens", "class")
    temperature: float = setting(1.0, at_least=0)
    top_k: int | None = setting(None, at_least=1)


class Beam(Decoder):
    build = "nowhere:None"
    needs = ("tokens",)
    width: int = setting(5, at_least=1)


class ClosedSet(Decoder):
    build = "nowhere:None"
    needs = ("tokens", "class")
    method: Literal["trie", "score"] = setting("trie")


class DiffusionDecoder(Decoder):
    build = "nowhere:None"
    needs = ("values",)
    steps: int = setting(50, at_least=1)


class MelDecoder(Decoder):
    build = "nowhere:None"
    needs = ("values",)
    modalities = ("AUDIO",)


class Ofa(Backbone):
    build = "nowhere:None"
    sizes: ClassVar[dict[str, Any]] = {"tiny": {"width": 256}, "base": {"width": 768}}
    encodes = True
    width: int = setting(256)

    def context(self) -> tuple[int, int]:
        return 1024, 1024


class Qwen(Backbone):
    build = "nowhere:None"
    sizes: ClassVar[dict[str, Any]] = {"0.5b": {"width": 896}}
    width: int = setting(896)

    def context(self) -> int:
        return 8192


class Hub(Backbone):
    build = "nowhere:None"
    argument = "path"
    path: str = setting()
    width: int = setting(64)

    def context(self) -> int:
        return 300


def equal(predicted: str, truth: str) -> float:
    """1 when equal."""
    return float(predicted == truth)


def regex(predicted: str, truth: str, *, pattern: str, flags: int = 0) -> float:
    """1 when the pattern is found."""
    return float(pattern in predicted) + flags


OWNER = Owner("stand-ins", "1.0")

MODALITIES = {
    "TEXT": Modality(source="text", target="text"),
    "IMAGE": Modality(source="image", target="image"),
    "VIDEO": Modality(source="video", timed=True),
    "AUDIO": Modality(source="audio", target="audio", timed=True),
    "MOTION": Modality(source="motion", target="motion", timed=True),
    "BOX": Modality(source="box", target="box"),
    "STRUCT": Modality(source="struct", target="struct"),
    "PHONE": Modality(source="phone", target="phone"),
    "CATEGORY": Modality(source="category", target="category"),
    "CHAT": Modality(source="chat", target="chat"),
}
ADAPTERS = {
    "text": Text,
    "image": Image,
    "timm": Timm,
    "image_codes": ImageCodes,
    "video": Video,
    "audio": Audio,
    "phone": Phone,
    "motion": Motion,
    "box": Box,
    "struct": Struct,
    "category": Category,
    "chat": Chat,
}
LOSSES = {
    "cross_entropy": CrossEntropy,
    "contrastive": Contrastive,
    "ctc": Ctc,
    "diffusion": Diffusion,
    "mel": Mel,
    "mse": Mse,
    "bradley_terry": BradleyTerry,
    "dpo": Dpo,
    "grpo": Policy,
    "gspo": Policy,
    "sapo": Policy,
}
DECODERS = {
    "greedy": Greedy,
    "sample": Sample,
    "beam": Beam,
    "closed_set": ClosedSet,
    "diffusion": DiffusionDecoder,
    "mel": MelDecoder,
}
REWARDS = {"equal": equal, "contains": equal, "number": equal, "regex": regex}
BACKBONES = {"ofa": Ofa, "qwen2": Qwen, "hf": Hub}


def stand_in_catalog(**more: dict[str, Any]) -> Catalog:
    """The stand-ins, with parts of the test's own on top, by kind."""
    parts: dict[str, dict[str, Any]] = {
        "modalities": {**MODALITIES},
        "adapters": {**ADAPTERS},
        "losses": {**LOSSES},
        "decoders": {**DECODERS},
        "rewards": {**REWARDS},
        "backbones": {**BACKBONES},
    }
    for kind, extra in more.items():
        parts[kind] = {**parts.get(kind, {}), **extra}
    return catalog_of(OWNER, **parts)


CATALOG = stand_in_catalog()
