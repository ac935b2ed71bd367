"""A witness of a network: whether it still computes what it did when something of it was kept.

Numbers that a network made may be used again only while it is the same. Versions of tensors do not tell: fused
optimisers and writes through `.data` leave them as they were. So all bits of all weights are summed, which reads the
weights once, as one step of decoding does; beside that stand what the modules are and their plain settings.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from .layers import products_dtype

PLAIN = (bool, int, float, str, bytes, type(None))
WORDS = (torch.int64, torch.int32, torch.int16, torch.uint8)
HOOKS = ("_forward_hooks", "_forward_pre_hooks")


class Witness:
    """What a network is now. Nothing of it is kept alive.

    >>> layer = nn.Linear(2, 2)
    >>> witness = Witness(layer)
    >>> witness.holds(layer)
    True
    >>> layer.weight.data[0, 0] += 1
    >>> witness.holds(layer)
    False
    """

    def __init__(self, network: nn.Module) -> None:
        self.sure = is_plain(network)
        if self.sure:
            self.modules = [weakref.ref(module) for module in network.modules()]
            self.settings = _settings(network)
            self.tensors = [_Held(tensor) for tensor in _tensors(network)]
            self.sums = _sums(network)

    def holds(self, network: nn.Module) -> bool:
        """Whether the network is still that one, and would still make the same of the same rows."""
        if not self.sure or not is_plain(network):
            return False
        modules, tensors = list(network.modules()), _tensors(network)
        if len(modules) != len(self.modules) or len(tensors) != len(self.tensors):
            return False
        if any(held() is not module for held, module in zip(self.modules, modules, strict=True)):
            return False
        if self.settings != _settings(network):
            return False
        if not all(held.same(tensor) for held, tensor in zip(self.tensors, tensors, strict=True)):
            return False
        return all(torch.equal(old, new) for old, new in zip(self.sums, _sums(network), strict=True))


def is_plain(network: nn.Module) -> bool:
    """Whether a witness can see all that decides: no hooks, and tensors that lie in memory as they are."""
    hooked = any(getattr(module, name) for module in network.modules() for name in HOOKS)
    return not hooked and all(
        type(tensor) in (Tensor, nn.Parameter, nn.Buffer) and tensor.layout == torch.strided and not tensor.is_meta
        for tensor in _tensors(network)
    )


class _Held:
    """Which tensor it is: its storage, which is not kept alive but whose identity is, and its place there."""

    def __init__(self, tensor: Tensor) -> None:
        self.storage = StorageWeakRef(tensor.untyped_storage())
        self.place = _place(tensor)

    def same(self, tensor: Tensor) -> bool:
        return self.storage.cdata == tensor.untyped_storage()._cdata and self.place == _place(tensor)


def _place(tensor: Tensor) -> tuple[Any, ...]:
    version = None if tensor.is_inference() else tensor._version
    return version, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _sums(network: nn.Module) -> list[Tensor]:
    """The bits of every row of every tensor, as whole numbers, summed."""
    return [bits(tensor.detach()).sum(-1, dtype=torch.int64) for tensor in _tensors(network)]


def bits(x: Tensor) -> Tensor:
    """The bytes of the last dimension as the widest whole numbers that they fill.

    >>> bits(torch.zeros(2, 3)).dtype, bits(torch.zeros(2, 4)).shape
    (torch.int32, torch.Size([2, 2]))
    """
    if not x.numel():
        return x.new_zeros(x.shape, dtype=torch.uint8)
    x = x.contiguous() if x.dim() else x.reshape(1)
    rows = (x if x.stride(-1) == 1 else torch.empty(x.shape, dtype=x.dtype, device=x.device).copy_(x)).view(torch.uint8)
    dtype = next(word for word in WORDS if not rows.shape[-1] % word.itemsize)
    return rows.view(dtype) if not rows.storage_offset() % dtype.itemsize else rows


def _settings(network: nn.Module) -> list[Any]:
    """What the modules are, their plain settings, and how products are made."""
    own = [
        (type(module), tuple((key, value) for key, value in vars(module).items() if type(value) in PLAIN))
        for module in network.modules()
    ]
    autocast = [(torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")]
    return [own, products_dtype(), autocast, torch.get_float32_matmul_precision()]
