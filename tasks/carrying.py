"""Weights carried from one network of a model to the next, when tasks add ports or training is over."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..core.errors import BundleError
from ..core.model import Network
from ..core.unfilled import Unfilled


def copy_frozen(old: Network, new: Network) -> None:
    """What was frozen stays so."""
    frozen = {name for name, parameter in old.named_parameters() if not parameter.requires_grad}
    for name, parameter in new.named_parameters():
        parameter.requires_grad_(name not in frozen)


def grown(old: Network, make: Callable[[Unfilled | None], Network]) -> Network:
    """A network with more ports, made by `make`, with all that the old one has learned, in its dtype and place.

    Weights of one shape move over and are not copied, so that a large network is not held twice. Of a table that has
    grown with the number of ports the first entries are the old ones.

    Raises:
        BundleError: a weight of another shape.
    """
    unfilled = Unfilled()
    new = make(unfilled)
    lost = unfilled.untouched(new, _alike(old, new))
    new = make(None) if lost else new
    like = next(old.parameters())
    alike = {weight.dtype for weight in old.parameters()} == {like.dtype}
    new = new.to(device=like.device, dtype=like.dtype) if alike else new.to(like.device)
    source, kept = old.state_dict(), dict(old.named_parameters(remove_duplicate=False))
    moved = _alike(old, new)
    with torch.no_grad():
        for name, value in new.state_dict().items():
            if name in source and name not in moved:
                _take_first(name, source[name], value)
    for name in moved:
        path, _, leaf = name.rpartition(".")
        setattr(new.get_submodule(path), leaf, kept[name])
    copy_frozen(old, new)
    return new


def _alike(old: Network, new: Network) -> list[str]:
    """The names of the parameters that both have, of one shape; of a tied one all of its names."""
    had = dict(old.named_parameters(remove_duplicate=False))
    names = new.named_parameters(remove_duplicate=False)
    return [name for name, own in names if name in had and had[name].shape == own.shape]


def _take_first(name: str, had: torch.Tensor, value: torch.Tensor) -> None:
    """Write, in place, what there was into the first entries of what there is."""
    longer = [dim for dim, (a, b) in enumerate(zip(had.shape, value.shape, strict=True)) if a != b]
    if len(longer) > 1 or any(had.shape[dim] > value.shape[dim] for dim in longer):
        raise BundleError(f"the weight `{name}` changes from {tuple(had.shape)} to {tuple(value.shape)}")
    known = value.narrow(longer[0], 0, had.shape[longer[0]]) if longer else value
    known.copy_(had)
