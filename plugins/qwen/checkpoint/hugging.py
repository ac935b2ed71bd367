"""Folders of Hugging Face's transformers: what `omniline.load` reads of them, and how they are written again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ....core.backbone import Backbone
from ....core.catalog import Catalog
from ....core.checkpoint_files import KEPT, kept_files, pretty, read_sampling, template_of
from ....core.errors import BundleError, ConfigError
from ....core.json_values import read_json
from ....core.near import nearest
from ....core.pretrained import Pretrained
from ....core.settings import settings_of
from .config import FAMILIES, Recipe, read_config, recipe_of
from .describe import alone, described, reconfigured
from .names import decoder_rules, origins, plain
from .shards import Shards, Weights, split
from .tokens import frame_of, read_tokenizer
from .towers import chat_senses, port_slots, tower_rules, tower_senses
from .vision import rate_of, rule_after
from .write import write_tensors

BACKBONE = "decoder"
OPTIONAL = ("lm_head.weight",)
WORDS, OUTPUT = "ports.text.embedding.weight", "ports.text.output.weight"
DTYPE = "dtype"
"""Under which a model keeps, beside the files of its folder, what its weights were."""


@dataclass(frozen=True, slots=True)
class FolderWeights(Mapping[str, Tensor]):
    """The weights of a folder under our names, each read when it is asked for."""

    weights: Weights
    shapes: Mapping[str, tuple[int, ...]]
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> Tensor:
        return self.weights.read(name, torch.Size(self.shapes[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class HuggingFace:
    """Reads and writes `config.json`, safetensors, and the files beside them; transformers itself is not needed."""

    def knows(self, folder: Path) -> bool:
        """Whether the architecture is one of ours; a folder that cannot be read says so on reading."""
        try:
            return read_json(folder / "config.json").get("model_type") in (*FAMILIES, None)
        except BundleError:
            return True

    def read(self, folder: Path, catalog: Catalog, settings: Mapping[str, Any]) -> Pretrained:
        """What a folder holds.

        Raises:
            BundleError: an architecture that is not known, a file that is missing or broken.
            ConfigError: a setting that the backbone does not have.
        """
        recipe = read_config(folder)
        kept = kept_files(folder)
        tokenizer = read_tokenizer(folder, recipe)
        backbone = _declared(recipe, folder, kept, catalog, settings)
        shards = Shards(folder)
        return Pretrained(
            backbone=backbone,
            name=BACKBONE,
            tokenizer=tokenizer,
            ports=port_slots(recipe),
            weights=lambda shapes: _weights(shards, recipe, backbone, shapes),
            sampling=read_sampling(folder),
            origin={**kept, DTYPE: shards.dtype},
            dtype=shards.dtype,
            template=template_of(kept) or None,
        )

    def write(
        self, folder: Path, backbone: Backbone, weights: Mapping[str, Tensor], origin: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Write a folder that transformers loads, with the files of the one that the model came from, if from one.

        Of a whole Omni model this is its thinker.

        Raises:
            BundleError: transformers has no network with these settings, or the tokenizer is one of bytes.
        """
        settings = backbone.settings()
        dtype = _dtype(weights, origin)
        if "config.json" in origin:
            content = reconfigured(alone(json.loads(origin["config.json"])), settings, dtype)
            files = {name: origin[name] for name in KEPT if name in origin}
            if content != json.loads(origin["config.json"]):
                files["config.json"] = pretty(content)
        else:
            content, files = described(settings, weights, origin, dtype)
        rules = decoder_rules(settings, tied=backbone.tied()) + tower_rules(recipe_of(content))
        found = origins(weights, rules, experts=_experts(settings))
        tensors: dict[str, Tensor] = {}
        for name, source in found.items():
            own = weights[name].to(getattr(torch, dtype))
            tensors.update(split(own, source))
        write_tensors(tensors, folder)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return tuple(name for name in weights if name not in found)


def _dtype(weights: Mapping[str, Tensor], origin: Mapping[str, str]) -> str:
    """That of the folder which the model came from, else that of the words."""
    return origin.get(DTYPE) or str(weights[WORDS].dtype).removeprefix("torch.")


def _experts(settings: Mapping[str, Any]) -> int:
    count = settings.get("experts", 0)
    return count if isinstance(count, int) else 0


def _weights(
    shards: Shards, recipe: Recipe, backbone: Backbone, shapes: Mapping[str, tuple[int, ...]]
) -> FolderWeights:
    """The folder's weights; an output layer that the user unties from the words starts as they are."""
    rules = decoder_rules(recipe.settings, tied=recipe.tied) + tower_rules(recipe)
    if recipe.tied and not backbone.tied():
        rules += plain((OUTPUT, "model.embed_tokens.weight"))
    found = origins(shapes, rules, experts=_experts(recipe.settings))
    held = Weights(shards, found, OPTIONAL if recipe.tied else ())
    return FolderWeights(held, shapes, tuple(found))


def _declared(
    recipe: Recipe, folder: Path, kept: Mapping[str, str], catalog: Catalog, settings: Mapping[str, Any]
) -> Backbone:
    """The backbone with the folder's settings and those of the user.

    Raises:
        ConfigError: a setting that it does not have.
    """
    declared = catalog.backbone(BACKBONE)
    known = settings_of(declared)
    for name in settings:
        if name not in known:
            near = nearest(name, known)
            hint = f"; did you mean `{near}`?" if near else ""
            raise ConfigError(f"the backbone `{BACKBONE}` has no setting `{name}`{hint}")
    if settings.get("untied") is False and not recipe.tied:
        raise ConfigError(f"`untied` cannot be false: {folder} has an output layer apart from its table of words")
    made = {**recipe.settings, **frame_of(folder, recipe, kept), "untied": not recipe.tied}
    talks = () if template_of(kept) else chat_senses(recipe)
    made |= {
        "brings": (*tower_senses(recipe, folder), *talks),
        "rope_rate": rate_of(recipe),
        "rope_after": rule_after(recipe),
    }
    return declared(**{**made, **settings})
