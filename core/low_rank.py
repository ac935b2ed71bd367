"""Low-rank updates of linear layers (LoRA, Hu et al., 2021): the layer stays as it is, two thin matrices learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import ConfigError
from .layers import Linear, dropout
from .near import nearest

DOWN, UP = "low_down", "low_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """Which layers get a low-rank update, and what kind.

    Attributes:
        rank: columns of the thin matrices.
        alpha: the update is scaled by `alpha / rank`.
        dropout: share of the layer's inputs that the update does not see in training.
        targets: patterns of layers' names, as `backbone.layers.*.attention.q`.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("backbone.*",)

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"the rank of a low-rank update must be at least 1, but is {self.rank}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"the dropout of a low-rank update must be in [0, 1), but is {self.dropout}")


class LowRankLinear(Linear):
    """A `Linear` with `x @ (down.T @ up.T) * scale` on top; made of one that exists by `add_low_rank`."""

    low_down: nn.Parameter
    low_up: nn.Parameter
    scale: float
    low_dropout: float

    def forward(self, input: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""
        thin = F.linear(dropout(input, self.low_dropout, self.training), self.low_down.to(input.dtype))
        return super().forward(input) + F.linear(thin, self.low_up.to(input.dtype)) * self.scale

    def merged(self) -> Tensor:
        """The weights of the plain layer that does the same."""
        update = self.low_up.float() @ self.low_down.float()
        return (self.weight.float() + update * self.scale).to(self.weight.dtype)


def add_low_rank(network: nn.Module, how: LowRank) -> tuple[str, ...]:
    """Give every matching `Linear` an update, which starts at zero; the names of the layers.

    Raises:
        ConfigError: a pattern matches no such layer.
    """
    layers = {name: layer for name, layer in network.named_modules() if type(layer) in (Linear, LowRankLinear)}
    found = matching(how.targets, tuple(layers), "low-rank target")
    for name in found:
        layer = layers[name]
        assert isinstance(layer, Linear)
        if not isinstance(layer, LowRankLinear):
            _widen(layer, how)
    return found


def _widen(layer: Linear, how: LowRank) -> None:
    down = layer.weight.new_empty(how.rank, layer.in_features, dtype=torch.float32)
    nn.init.kaiming_uniform_(down, a=math.sqrt(5))
    layer.__class__ = LowRankLinear
    assert isinstance(layer, LowRankLinear)
    layer.low_down = nn.Parameter(down)
    layer.low_up = nn.Parameter(layer.weight.new_zeros(layer.out_features, how.rank, dtype=torch.float32))
    layer.scale, layer.low_dropout = how.alpha / how.rank, how.dropout


def is_low_rank(name: str) -> bool:
    """Whether a parameter belongs to an update.

    >>> is_low_rank("backbone.layers.0.up.low_up")
    True
    """
    return name.rpartition(".")[2] in (DOWN, UP)


def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """The state of the network without updates that computes the same."""
    state: Mapping[str, Tensor] = network.state_dict()
    out = {name: value.detach() for name, value in state.items() if not is_low_rank(name)}
    for name, layer in network.named_modules():
        if isinstance(layer, LowRankLinear):
            out[f"{name}.weight"] = layer.merged().detach()
    return out


def matching(patterns: Sequence[str], names: Sequence[str], what: str) -> tuple[str, ...]:
    """The names that match any pattern (`*` for any run of characters), each pattern at least one.

    Raises:
        ConfigError: a pattern matches none.

    >>> matching(["a.*.q"], ["a.0.q", "a.0.k", "b"], "target")
    ('a.0.q',)
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = nearest(pattern, names) or (names[0] if names else "none")
            raise ConfigError(f"the {what} `{pattern}` matches nothing in the model; a name is `{near}`")
    return tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
