"""Pretrained models of other libraries: the declaration of a format, and what is read of a folder in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from .backbone import Backbone
from .catalog import Catalog
from .settings import Declaration, Value

if TYPE_CHECKING:
    from torch import Tensor


class Checkpoint(Declaration):
    """A format that `omniline.load` reads and `Model.save(format=NAME)` writes.

    Class attributes:
        build: "module:Class" of the working half, see `CheckpointFormat`; made without settings.
        marker: a file by which a folder of this format is known.
        beside: the format whose folders look the same: this one reads those which that one does not know, and writes
            the models of its own backbone when that one is asked for.
        backbone: the name of the backbone that its models have.
    """

    build: ClassVar[str]
    marker: ClassVar[str]
    beside: ClassVar[str] = ""
    backbone: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """What a folder holds, before a network is made.

    Attributes:
        backbone: the declaration, with the settings of its weights.
        name: what the model is called by, such as "decoder".
        tokenizer: the content of a tokenizer, as its maker takes it; None for a model without words.
        ports: slots whose ports have weights here, as an instruction writes them: "[IMAGE]".
        weights: given the names and shapes of the network's own weights, those that the folder has.
        sampling: settings of decoders that stand for those which the user does not write.
        origin: files and facts that writing it again needs, as text.
        dtype: of the weights, as torch calls it.
        template: the chat template that it brings, if any.
    """

    backbone: Backbone
    name: str
    tokenizer: str | None
    ports: tuple[str, ...]
    weights: Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, Tensor]]
    sampling: Mapping[str, Value] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)
    dtype: str = "float32"
    template: str | None = None


class CheckpointFormat(Protocol):
    """The working half of a format."""

    def knows(self, folder: Path) -> bool:
        """Whether it is this format that a folder with its marker is for; asked where formats share a marker."""
        ...

    def read(self, folder: Path, catalog: Catalog, settings: Mapping[str, Any]) -> Pretrained:
        """What a folder holds; `settings` are of the backbone, written by the user.

        Raises:
            BundleError: the folder cannot be read, in one sentence.
        """
        ...

    def write(
        self, folder: Path, backbone: Backbone, weights: Mapping[str, Tensor], origin: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Write a folder; `weights` are the network's, by name. Gives the names that have no place in the format.

        Raises:
            BundleError: the format cannot hold such a model.
        """
        ...
