"""The backbone `hf:PATH`: transformers' own network of a checkpoint's folder, and the format of such folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from ...core.backbone import Backbone, Readout
from ...core.errors import ConfigError
from ...core.frame import Frame
from ...core.pretrained import Checkpoint
from ...core.settings import setting, settings_of
from ..hookspecs import hookimpl
from .folder import context_of, judge, parsed, place_of, read_content, width_of

FORMAT = "hf_auto"
WRITTEN = ("positions", "attention", "checkpoint", "marks", "untied")
"""Settings that a user may write; the others are found in the folder."""


class AutoDecoder(Backbone):
    """A decoder as transformers has it, with the weights of a folder; it looks back only."""

    build = "omniline.plugins.automodel.network:AutoNetwork"
    argument = "path"

    path: str = setting("", help="folder of the checkpoint that a new model starts from; `~` is the user's own")
    config: str = setting("", help="the text of its `config.json`, kept in a bundle so that the folder is not needed")
    positions: int | None = setting(
        None, at_least=2, help="most tokens of source and target together; by default those of `config.json`"
    )
    attention: Literal["auto", "sdpa", "eager"] = setting("auto", help="transformers' implementation of attention")
    checkpoint: bool = setting(False, help="recompute layers in the backward pass instead of keeping them")
    marks: Literal["auto", "plain"] = setting(
        "auto", help="chat turns where the folder's template has them and they end a text, else nothing"
    )
    untied: bool = setting(False, help="an output layer over words apart from their embeddings")
    before: str = setting("", help="what stands before a source, such as a token that begins a text or a user's turn")
    between: str = setting("", help="what stands between source and target, such as the turns of a chat")
    opening: str = setting("", help="the token that a target without a source goes on from")
    embed_scale: float = setting(1.0, help="factor of all embeddings, as Gemma's")
    logit_scale: float = setting(1.0, help="factor of the logits over words")
    logit_cap: float | None = setting(None, at_least=0, help="bound that the logits over words are bent to (tanh)")
    logit_bias: bool = setting(False, help="a bias of the output layer over words")
    recall: Literal["cache", "replay"] = setting(
        "cache", help="how answers go on: with keys and values kept, or reading all again where there are none"
    )
    brings: tuple[str, ...] = setting((), help="adapters that serve their modalities by default")

    def __post_init__(self) -> None:
        if not self.path and not self.config:
            raise ConfigError("the backbone `hf` needs a folder: write `hf:PATH`")
        odd = [name for name in self._changed() if name not in (*WRITTEN, "path")]
        if odd and not self.config:
            raise ConfigError(
                f"the setting `{odd[0]}` of the backbone `hf` is found in the folder and cannot be written; those that "
                f"can are {', '.join(WRITTEN)}"
            )
        most = context_of(self.content())
        if self.positions is not None and self.positions > most:
            raise ConfigError(f"`positions` must be at most {most}, as config.json says, but is {self.positions}")

    def content(self) -> dict[str, Any]:
        """What `config.json` says.

        Raises:
            BundleError: it is of no decoder that can be read.
            ConfigError: there is none, or transformers is not installed.
        """
        if not self.config:
            return read_content(place_of(self.path))
        found = parsed(self.config)
        judge(found, "config.json")
        return found

    def frame(self) -> Frame:
        """What the folder's tokenizer and template put around texts."""
        return Frame(before=self.before, between=self.between, start=self.opening)

    def senses(self) -> tuple[str, ...]:
        """What `brings` lists."""
        return self.brings

    def bringing(self, senses: tuple[str, ...]) -> Self:
        """The same with other `brings`."""
        return replace(self, brings=senses)

    def tied(self) -> bool:
        """Whether `untied` is not set."""
        return not self.untied

    def readout(self) -> Readout:
        """The bias, the factor and the bound of the logits over words."""
        return Readout(bias=self.logit_bias, scale=self.logit_scale, cap=self.logit_cap)

    def stands_for(self) -> tuple[str, Path] | None:
        """The folder, as long as its weights are not loaded."""
        return None if self.config else (FORMAT, place_of(self.path))

    def written(self) -> dict[str, Any]:
        """The settings that differ from what they are by themselves, of those that a user may write."""
        return {name: value for name, value in self._changed().items() if name in WRITTEN}

    def _changed(self) -> dict[str, Any]:
        """All settings that differ from what they are by themselves."""
        plain = settings_of(type(self))
        return {name: value for name, value in self.settings().items() if value != plain[name].default}

    def width_of(self) -> int:
        """The size of a token's embedding."""
        return width_of(self.content())

    def context(self) -> int:
        """The most tokens of source and target together."""
        return self.positions or context_of(self.content())


class AutoFolder(Checkpoint):
    """Folders of Hugging Face's transformers whose architecture is read with transformers itself."""

    build = "omniline.plugins.automodel.checkpoint:AutoFormat"
    marker = "config.json"
    beside = "hf"
    backbone = "hf"


@hookimpl
def checkpoints() -> dict[str, type[Checkpoint]]:
    """Folders of any other decoder."""
    return {FORMAT: AutoFolder}


@hookimpl
def backbones() -> dict[str, type[Backbone]]:
    """The decoder of a folder."""
    return {"hf": AutoDecoder}
