"""The ancestor's spellings: attributes and names of OFASys that mean something here under another name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..core.settings import Value


@dataclass(frozen=True, slots=True)
class Spelling:
    """What an old name means: an adapter (the first when several agree with it) with settings."""

    adapters: tuple[str, ...]
    settings: tuple[tuple[str, Value], ...] = ()


KEYS: Mapping[str, str] = MappingProxyType(
    {"adaptor": "adapter", "preprocessor": "preprocess", "is_label": "closed_set"}
)

SPELLINGS: Mapping[tuple[str, str], Spelling] = MappingProxyType(
    {
        ("preprocess", "text"): Spelling(("text",)),
        ("preprocess", "text_phone"): Spelling(("text",)),
        ("preprocess", "phone"): Spelling(("phone",)),
        ("preprocess", "image"): Spelling(("image", "timm")),
        ("preprocess", "imagenet"): Spelling(("image", "timm")),
        ("preprocess", "imagepretrain"): Spelling(("image", "timm")),
        ("preprocess", "image_vqgan"): Spelling(("image_codes",)),
        ("preprocess", "video"): Spelling(("video",)),
        ("preprocess", "audio"): Spelling(("audio",)),
        ("preprocess", "box"): Spelling(("box",)),
        ("preprocess", "table"): Spelling(("struct",)),
        ("preprocess", "database"): Spelling(("struct",)),
        ("preprocess", "category"): Spelling(("category",)),
        ("preprocess", "motion_6d"): Spelling(("motion",)),
        ("adapter", "image_resnet"): Spelling(("timm",), (("model", "resnet50"),)),
        ("adapter", "image_vit"): Spelling(("timm",), (("model", "vit_base_patch16_224"),)),
        ("adapter", "image_patch_embed"): Spelling(("image",)),
        ("adapter", "image_vqgan"): Spelling(("image_codes",)),
        ("adapter", "video_image_sequence"): Spelling(("video",)),
        ("adapter", "audio_fbank"): Spelling(("audio",)),
        ("adapter", "audio_tgt_fbank"): Spelling(("audio",)),
        ("adapter", "motion_6d"): Spelling(("motion",)),
    }
)


def names_for(key: str) -> tuple[str, ...]:
    """The old names that one attribute knows."""
    return tuple(name for attribute, name in SPELLINGS if attribute == key)
