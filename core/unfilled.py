"""Making a network whose weights come from elsewhere: filling them with random numbers first takes longer than reading.

Memory that nobody has written to is not held either, so that such a network costs what is loaded into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LARGE = 1 << 16
"""Numbers from which a weight is worth leaving unfilled."""

_METHODS = frozenset(
    getattr(Tensor, name) for name in ("normal_", "uniform_", "fill_", "zero_", "erfinv_", "mul_", "add_", "clamp_")
)


class Unfilled(TorchFunctionMode):
    """Within it large parameters keep whatever their memory held; the small ones start as always.

    What was left out must be written by the caller, see `untouched`.

    >>> from torch import nn
    >>> with Unfilled() as unfilled:
    ...     layers = nn.ModuleList([nn.Linear(512, 512), nn.Linear(4, 4)])
    >>> [tuple(weight.shape) for weight in unfilled.left]
    [(512, 512)]
    """

    def __init__(self) -> None:
        super().__init__()
        self.left: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        fills = func in _METHODS or getattr(func, "__module__", "") == nn.init.__name__
        weight = args[0] if args else given.get("tensor")
        if fills and isinstance(weight, nn.Parameter) and weight.numel() >= LARGE:
            if not any(weight is held for held in self.left):
                self.left.append(weight)
            return weight
        return func(*args, **given)

    def untouched(self, network: nn.Module, written: Sequence[str]) -> list[str]:
        """The names of a network's parameters that were left unfilled and are not among those written since."""
        known = set(written)
        left = {id(weight) for weight in self.left}
        return [name for name, own in network.named_parameters() if id(own) in left and name not in known]
