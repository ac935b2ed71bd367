"""transformers itself: imported here alone, asked for decoders, and kept quiet and off the network."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...core.errors import BundleError, ConfigError
from ...core.near import nearest
from .folder import INSTALL


def library() -> Any:
    """transformers.

    Raises:
        ConfigError: it is not installed, or does not import.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as cause:
        raise ConfigError(f"the backbone `hf` needs the library transformers: {INSTALL} ({cause})") from cause


def architectures() -> frozenset[str]:
    """Every `model_type` that transformers knows, decoder or not."""
    library()
    return frozenset(importlib.import_module("transformers.models.auto.configuration_auto").CONFIG_MAPPING_NAMES)


def judge_decoder(content: Mapping[str, Any], place: str) -> None:
    """Refuse an architecture that transformers does not know, or not as a decoder.

    Raises:
        BundleError: naming it.
    """
    kind = str(content["model_type"])
    known = architectures()
    if kind not in known:
        near = nearest(kind, sorted(known))
        hint = f"; did you mean `{near}`?" if near else ""
        version = library().__version__
        raise BundleError(f"{place}: transformers {version} does not know the architecture `{kind}`{hint}")
    named = importlib.import_module("transformers.models.auto.modeling_auto")
    if kind not in named.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise BundleError(f"{place}: `{kind}` is no decoder of text, which the backbone `hf` needs")
    if kind in named.MODEL_FOR_MASKED_LM_MAPPING_NAMES and not content.get("is_decoder"):
        raise BundleError(f"{place}: `{kind}` is an encoder alone, but the backbone `hf` needs a decoder")


def made(content: Mapping[str, Any], attention: str = "auto", place: str = "config.json") -> Any:
    """A decoder with its output layer in float32; its weights are zeros, as they are always loaded afterwards.

    Raises:
        BundleError: it cannot be made.
    """
    judge_decoder(content, place)
    how = {} if attention == "auto" else {"attn_implementation": attention}
    try:
        with quiet(), _undrawn():
            found = library().AutoModelForCausalLM.from_config(
                _config(content), trust_remote_code=False, dtype=torch.float32, **how
            )
    except Exception as cause:
        raise BundleError(f"{place}: transformers cannot make this decoder: {line_of(cause)}") from cause
    found.tie_weights()
    with torch.no_grad():
        for weight in found.parameters():
            weight.zero_()
    return found


def _undrawn() -> AbstractContextManager[None]:
    """Within it transformers and torch draw no weights, which takes minutes for large decoders."""
    library()
    without: AbstractContextManager[None] = importlib.import_module("transformers.initialization").no_init_weights()
    return without


def opened(folder: Path, content: Mapping[str, Any], attention: str = "auto") -> Any:
    """The decoder of a folder with its weights, in the dtype of the files, in eval mode.

    Raises:
        BundleError: no safetensors, tensors that are missing or have no place, or another mistake of the folder.
    """
    place = str(folder / "config.json")
    judge_decoder(content, place)
    if not any(folder.glob("*.safetensors")):
        raise BundleError(f"{folder} has no weights: it needs model.safetensors, or an index and the files it names")
    how = {} if attention == "auto" else {"attn_implementation": attention}
    try:
        with quiet():
            found, told = library().AutoModelForCausalLM.from_pretrained(
                folder,
                config=_config(content),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype="auto",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # judged below, in a sentence
                **how,
            )
    except Exception as cause:
        raise BundleError(f"{folder} cannot be read by transformers: {line_of(cause)}") from cause
    for key, what in (("missing_keys", "lacks"), ("unexpected_keys", "has, without a place for it,")):
        if told[key]:
            raise BundleError(f"{folder} {what} the tensor `{sorted(told[key])[0]}` of `{content['model_type']}`")
    if told["mismatched_keys"]:
        key, given, wanted = min(told["mismatched_keys"], key=lambda one: one[0])
        raise BundleError(f"{folder}: the tensor `{key}` must be {list(wanted)}, but is {list(given)}")
    return found.eval()


def _config(content: Mapping[str, Any]) -> Any:
    """The configuration as transformers has it, with what `config.json` leaves out."""
    library()
    known = importlib.import_module("transformers.models.auto.configuration_auto").CONFIG_MAPPING
    return known[content["model_type"]].from_dict(json.loads(json.dumps(content), object_hook=_number))


def _number(held: dict[str, Any]) -> Any:
    """Numbers that JSON has no word for, as transformers writes them: `{"__float__": "Infinity"}`."""
    return float(held["__float__"]) if set(held) == {"__float__"} else held


def body_of(causal: Any, place: str = "config.json") -> Any:
    """The decoder without its output layer.

    Raises:
        BundleError: its parts are not where transformers has them in other decoders.
    """
    body = causal.base_model
    words, output = causal.get_input_embeddings(), causal.get_output_embeddings()
    if body is causal or not isinstance(words, nn.Embedding) or not isinstance(output, nn.Linear):
        raise BundleError(
            f"{place}: the decoder `{type(causal).__name__}` must have a table of words and a linear output layer "
            "around a network, but has not"
        )
    return body


@contextmanager
def quiet() -> Iterator[None]:
    """Within it transformers says nothing and draws no bars."""
    logging = importlib.import_module("transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def line_of(cause: BaseException) -> str:
    """What an error of transformers says, as one line."""
    text = " ".join(str(cause).split())
    return text[:300] or type(cause).__name__
