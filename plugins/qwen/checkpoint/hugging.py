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
from ....core.errors import BundleError, ConfigError
from ....core.near import nearest
from ....core.pretrained import Pretrained
from ....core.settings import settings_of
from .config import Recipe, read_config, recipe_of
from .names import Rule, decoder_rules, origins
from .shards import Shards, Weights, split
from .tokens import KEPT, frame_of, kept_files, read_sampling, read_tokenizer, template_of
from .towers import chat_senses, port_slots, tower_rules, tower_senses
from .vision import rate_of, rule_after
from .write import write_tensors

BACKBONE = "decoder"
OPTIONAL = ("lm_head.weight",)


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

    def read(self, folder: Path, catalog: Catalog, settings: Mapping[str, Any]) -> Pretrained:
        """What a folder holds.

        Raises:
            BundleError: an architecture that is not known, a file that is missing or broken.
            ConfigError: a setting that the backbone does not have.
        """
        recipe = read_config(folder)
        kept = kept_files(folder)
        tokenizer = read_tokenizer(folder, recipe)
        return Pretrained(
            backbone=_declared(recipe, folder, kept, catalog, settings),
            name=BACKBONE,
            tokenizer=tokenizer,
            ports=port_slots(recipe),
            weights=lambda shapes: _weights(folder, recipe, shapes),
            sampling=read_sampling(folder),
            origin=kept,
            dtype=recipe.dtype,
            template=template_of(kept) or None,
        )

    def write(
        self, folder: Path, backbone: Backbone, weights: Mapping[str, Tensor], origin: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Write a folder that transformers loads.

        Raises:
            BundleError: the model does not come from such a folder.
        """
        if "config.json" not in origin:
            raise BundleError(
                "only a model that was loaded from a folder of this format can be written in it: its configuration "
                "and tokenizer are kept from there"
            )
        recipe = recipe_of(json.loads(origin["config.json"]))
        found = origins(weights, _rules(recipe), experts=_experts(recipe))
        dtype = getattr(torch, recipe.dtype)
        tensors: dict[str, Tensor] = {}
        for name, source in found.items():
            tensors.update((theirs, part.to(dtype)) for theirs, part in split(weights[name], source))
        write_tensors(tensors, folder)
        for name in KEPT:
            if name in origin:
                (folder / name).write_text(origin[name], encoding="utf-8")
        return tuple(name for name in weights if name not in found)


def _rules(recipe: Recipe) -> tuple[Rule, ...]:
    return decoder_rules(recipe.settings, tied=recipe.tied) + tower_rules(recipe)


def _experts(recipe: Recipe) -> int:
    count = recipe.settings.get("experts", 0)
    return count if isinstance(count, int) else 0


def _weights(folder: Path, recipe: Recipe, shapes: Mapping[str, tuple[int, ...]]) -> FolderWeights:
    found = origins(shapes, _rules(recipe), experts=_experts(recipe))
    held = Weights(Shards(folder), found, OPTIONAL if recipe.tied else ())
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
    made = {**recipe.settings, **frame_of(folder, recipe, kept), "untied": not recipe.tied}
    talks = () if template_of(kept) else chat_senses(recipe)
    made |= {
        "brings": (*tower_senses(recipe, folder), *talks),
        "rope_rate": rate_of(recipe),
        "rope_after": rule_after(recipe),
    }
    return declared(**{**made, **settings})
