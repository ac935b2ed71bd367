"""Folders of transformers whose architecture is transformers' own business: read, judged by trying, written again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...core.backbone import Backbone
from ...core.catalog import Catalog
from ...core.checkpoint_files import (
    GENERATION,
    KEPT,
    kept_files,
    pieces,
    pretty,
    read_sampling,
    template_of,
    tokens_in,
)
from ...core.errors import BundleError, ConfigError
from ...core.json_values import Values, read_json, read_json_if_any
from ...core.near import nearest
from ...core.pretrained import Pretrained
from .folder import context_of, has_library, parsed, read_content
from .library import architectures, body_of, made, opened, quiet
from .network import theirs
from .plugin import WRITTEN, AutoDecoder
from .trial import tried
from .turns import turns_of

BODY, WORDS, OUTPUT, BIAS = (
    "backbone.body.",
    "ports.text.embedding.weight",
    "ports.text.output.weight",
    "ports.text.bias",
)
DTYPE = "dtype"
"""Under which a model keeps, beside the files of its folder, what its weights were."""


class AutoFormat:
    """Reads and writes folders with transformers; no code of a folder is run, and nothing is fetched."""

    def knows(self, folder: Path) -> bool:
        """Whether transformers is installed and knows the architecture."""
        try:
            kind = read_json(folder / "config.json").get("model_type")
        except BundleError:
            return False
        return has_library() and kind in architectures()

    def read(self, folder: Path, catalog: Catalog, settings: Mapping[str, Any]) -> Pretrained:
        """What a folder holds.

        Raises:
            BundleError: no decoder of text, one whose logits are not found again, or a file that is missing or broken.
            ConfigError: a setting that is not known, or transformers is not installed.
        """
        _judge_settings(settings)
        content = read_content(folder)
        kept = kept_files(folder)
        causal = opened(folder, content, settings.get("attention", "auto"))
        words, output = causal.get_input_embeddings().weight.detach(), causal.get_output_embeddings().weight.detach()
        if output.shape != words.shape:
            raise BundleError(
                f"{folder}: the output layer must have the {len(words)} rows of the table of words, but is "
                f"{list(output.shape)} for {list(words.shape)}"
            )
        bias = causal.get_output_embeddings().bias
        tied = output.data_ptr() == words.data_ptr()
        if settings.get("untied") is False and not tied:
            raise ConfigError(f"`untied` cannot be false: {folder} has an output layer apart from its table of words")
        ends = _ends(folder, content, len(words))
        turns = turns_of(folder, kept, content, ends)
        chats = settings.get("marks", "auto") == "auto"
        end = turns.end if chats else turns.plain_end
        tokenizer = pieces(tokens_in(folder, len(words))[0], len(words), end=end, stops=ends)
        declared = AutoDecoder(
            **{
                "untied": not tied,
                **settings,
                "config": kept["config.json"],
                "before": turns.before if chats else turns.plain_before,
                "between": turns.between if chats else "",
                "opening": turns.opening,
            }
        )
        declared = _placed(declared, causal.config)
        network, found = tried(causal, declared, str(folder))
        held = {f"backbone.{name}": value for name, value in network.state_dict().items()}
        held |= {WORDS: words, OUTPUT: output} if found.untied else {WORDS: words}
        held |= {BIAS: bias.detach()} if bias is not None else {}
        dtype = str(words.dtype).removeprefix("torch.")
        return Pretrained(
            backbone=found,
            name="hf",
            tokenizer=tokenizer,
            ports=(),
            weights=lambda shapes: held,
            sampling=read_sampling(folder),
            origin={**kept, DTYPE: dtype},
            dtype=dtype,
            template=template_of(kept) or None,
        )

    def write(
        self, folder: Path, backbone: Backbone, weights: Mapping[str, Tensor], origin: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Write a folder as transformers does, with the files of the one that the model came from.

        Raises:
            BundleError: the backbone is no decoder of a folder.
        """
        if not isinstance(backbone, AutoDecoder):
            raise BundleError(f"this format holds models of the backbone `hf`, but this is {type(backbone).__name__}")
        content, files = parsed(backbone.config), {name: origin[name] for name in KEPT if name in origin}
        if backbone.untied and content.get("tie_word_embeddings", True):
            content["tie_word_embeddings"] = False
            files["config.json"] = pretty(content)
        causal = made(content)
        own = {name.removeprefix(BODY): value for name, value in weights.items() if name.startswith(BODY)}
        names = {WORDS: causal.get_input_embeddings().weight, OUTPUT: causal.get_output_embeddings().weight}
        names |= {BIAS: causal.get_output_embeddings().bias} if backbone.logit_bias else {}
        causal.to(getattr(torch, origin.get(DTYPE) or str(weights[WORDS].dtype).removeprefix("torch.")))
        body = body_of(causal)
        places = dict(body.state_dict())
        with torch.no_grad():
            for name, value in theirs(body, own).items():
                places[name].copy_(value)
            for name, place in names.items():
                if name in weights:
                    place.copy_(weights[name])
            with quiet():
                causal.save_pretrained(folder)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        return tuple(name for name in weights if not name.startswith(BODY) and name not in names)


def _placed(declared: AutoDecoder, config: Any) -> AutoDecoder:
    """With the most tokens that the decoder has where `config.json` leaves them to transformers."""
    most = context_of(vars(config))
    return replace(declared, positions=most) if most < declared.context() else declared


def _judge_settings(settings: Mapping[str, Any]) -> None:
    for name in settings:
        if name not in WRITTEN:
            near = nearest(name, WRITTEN)
            hint = f"; did you mean `{near}`?" if near else f" (settings: {', '.join(WRITTEN)})"
            raise ConfigError(f"the backbone `hf` has no setting `{name}` to be written on loading{hint}")


def _ends(folder: Path, content: Mapping[str, Any], vocabulary: int) -> tuple[int, ...]:
    """The ids that end a text, the first one first; empty when the folder does not say.

    Raises:
        BundleError: one is beyond the table of words.
    """
    for values in (
        Values(read_json_if_any(folder / GENERATION), str(folder / GENERATION)),
        Values(content, str(folder / "config.json")),
    ):
        if values.get("eos_token_id") is not None:
            found = values.wholes("eos_token_id")
            if any(token >= vocabulary for token in found):
                raise BundleError(
                    f"{values.place}: `eos_token_id` must be below the {vocabulary} rows of the table of words, but is "
                    f"{json.dumps(found)}"
                )
            return found
    return ()
