"""Balancing the losses of a step by an installed weighting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.catalog import Catalog
from ..core.networks import LossWeights
from ..core.parts import working_half
from ..core.written import written_settings


class Balancing(nn.Module):
    """A weighting over the objectives of a model.

    Args:
        name: the weighting, with settings behind commas: "gradient_norm,alpha=0.5".
        keys: the names of all objectives, in a fixed order.
        catalog: where it is found.

    Raises:
        PluginError: there is no such weighting. ConfigError: a setting does not suit it.
    """

    def __init__(self, name: str, keys: Sequence[str], catalog: Catalog) -> None:
        super().__init__()
        base, *written = name.split(",")
        declared = catalog.weighting(base)
        made = declared(**written_settings(f"the weighting `{base}`", declared, written))
        self.keys = tuple(keys)
        self.inner: nn.Module = working_half(declared.build, f"the weighting `{base}`")(keys=keys, **made.settings())
        self.watches = declared.gradients
        self._squares: Tensor | None = None

    @property
    def weights(self) -> LossWeights:
        """The working half under its protocol."""
        return cast(LossWeights, self.inner)

    def factors(self) -> dict[str, float]:
        """What each objective's loss is multiplied with."""
        return dict(zip(self.keys, self.weights.factors().tolist(), strict=True))

    def extra(self, sums: Mapping[str, Tensor], totals: Mapping[str, float], parts: int) -> Tensor:
        """What the weighting descends beside a batch's losses; the step is cut into so many batches."""
        zero = torch.zeros((), device=next(iter(sums.values())).device if sums else None)
        means = torch.stack([sums.get(key, zero) / max(totals.get(key, 0), 1) for key in self.keys])
        share = means.new_tensor([1.0 / parts if totals.get(key) else 0.0 for key in self.keys])
        return self.weights.loss(means.detach(), share)

    def watch(self, hidden: Tensor, batch: Batch, factors: Mapping[str, float]) -> None:
        """Add up the squared gradients of each objective at the hidden states, once they are known."""
        if self.watches and hidden.requires_grad:
            hidden.register_hook(lambda gradient: self._note(gradient, batch, factors))

    def _note(self, gradient: Tensor, batch: Batch, factors: Mapping[str, float]) -> None:
        if self._squares is None:
            self._squares = gradient.new_zeros(len(self.keys))
        for target in batch.targets:
            rows = gradient.index_select(0, target.rows).square().sum(1)
            scale = [factors[key] * weight for key, weight in zip(target.keys, target.weights, strict=True)]
            each = rows.new_zeros(len(scale)).index_add(0, target.key, rows) / rows.new_tensor(scale).square()
            place = torch.tensor([self.keys.index(key) for key in target.keys], device=rows.device)
            self._squares.index_add_(0, place, each)

    def step(self, over_ranks: Callable[[Tensor], Any]) -> None:
        """Tell the weighting the sizes of a step's gradients, over all ranks."""
        if self.watches and self._squares is not None:
            self.weights.observe(over_ranks(self._squares).sqrt())
            self._squares = None
