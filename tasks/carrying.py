"""Weights carried from one network of a model to the next, when tasks add ports or training is over."""

from __future__ import annotations

import torch

from ..core.errors import BundleError
from ..core.model import Network


def copy_frozen(old: Network, new: Network) -> None:
    """What was frozen stays so."""
    frozen = {name for name, parameter in old.named_parameters() if not parameter.requires_grad}
    for name, parameter in new.named_parameters():
        parameter.requires_grad_(name not in frozen)


def copy_weights(old: Network, new: Network) -> None:
    """Weights that are in both; of a table that has grown with the number of ports, its first entries."""
    source = old.state_dict()
    with torch.no_grad():
        for name, value in new.state_dict().items():
            had = source.get(name)
            if had is None:
                continue
            grown = [dim for dim, (a, b) in enumerate(zip(had.shape, value.shape, strict=True)) if a != b]
            if len(grown) > 1 or any(had.shape[dim] > value.shape[dim] for dim in grown):
                raise BundleError(f"the weight `{name}` changes from {tuple(had.shape)} to {tuple(value.shape)}")
            known = value.narrow(grown[0], 0, had.shape[grown[0]]) if grown else value
            known.copy_(had)
