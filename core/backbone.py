"""The declaration of a backbone: packed embeddings and a Layout in, hidden states out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from .errors import PluginError
from .frame import Frame
from .settings import Declaration, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """How a pretrained backbone's logits over tokens are read beyond the product with the output layer.

    They are `(hidden @ rows.T + bias) * scale`, and where there is a cap `cap * tanh(that / cap)`.

    >>> Readout().plain, Readout(cap=30.0).plain
    (True, False)
    """

    bias: bool = False
    scale: float = 1.0
    cap: float | None = None

    @property
    def plain(self) -> bool:
        """Whether logits are linear in the hidden states, with no factor."""
        return self.scale == 1.0 and self.cap is None


class Backbone(Declaration):
    """A network over tokens that knows no vocabulary and no loss.

    A catalog lists it as `name`; a model names it `<name>-<size>` or `<name>:<argument>`. `build` is "module:Class",
    an `nn.Module` that meets `omniline.core.networks.BackboneNetwork` and receives the settings as keywords.

    Class attributes:
        build: the network.
        sizes: settings of each named size.
        argument: the setting that `<name>:<argument>` fills, when it takes one.
        encodes: True when the source is encoded apart (encoder-decoder), False for one joined sequence.
        mutual: its target rows can see each other both ways where the layout or `NewRows` says so; denoising needs it.
    """

    build: ClassVar[str]
    sizes: ClassVar[Mapping[str, Mapping[str, Value]]] = {}
    argument: ClassVar[str | None] = None
    encodes: ClassVar[bool] = False
    mutual: ClassVar[bool] = False

    def frame(self) -> Frame | None:
        """The marks that stand around what it reads and before what it writes; None for learned ones."""
        return None

    def senses(self) -> tuple[str, ...]:
        """The adapters that it brings: each is then the default of its modality, written as `name;key=value;...`."""
        return ()

    def bringing(self, senses: tuple[str, ...]) -> Self:
        """The same backbone with other senses.

        Raises:
            PluginError: its senses cannot be changed.
        """
        raise PluginError(f"the backbone {type(self).__qualname__} brings no adapters of its own")

    def tied(self) -> bool:
        """Whether the rows of the output layer over tokens are the embeddings of the tokens."""
        return True

    def readout(self) -> Readout:
        """How logits over tokens are read; by default the product alone."""
        return Readout()

    def spread(self) -> float | None:
        """The standard deviation of fresh tables of tokens; None for the one that each port has."""
        return None

    def stands_for(self) -> tuple[str, Path] | None:
        """The checkpoint that a model with this backbone starts from: the name of its format, and its folder."""
        return None

    def written(self) -> dict[str, Value]:
        """Of a backbone that stands for a checkpoint, the settings that the user wrote over those of its folder."""
        return {}

    def width_of(self) -> int:
        """The size of a token's embedding; by default the setting `width`."""
        return int(self.settings()["width"])  # type: ignore[arg-type]

    def context(self) -> tuple[int, int] | int:
        """The most tokens it takes: one number for source and target together, or a pair for each side."""
        raise NotImplementedError(f"{type(self).__qualname__} must say its context")
