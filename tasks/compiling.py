"""Training with compiled blocks: what a backbone offers to `torch.compile`, for as long as a run lasts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L
import torch

from ..core.errors import ConfigError
from ..core.near import nearest
from ..core.networks import Compiling
from .model import Model

BACKEND = "inductor"


def backend_of(how: bool | str) -> str | None:
    """The backend of `torch.compile` that `compile=` asks for; None for none.

    Raises:
        ConfigError: there is no such backend.

    >>> backend_of(True), backend_of("aot_eager"), backend_of(False)
    ('inductor', 'aot_eager', None)
    """
    if not how:
        return None
    name = BACKEND if how is True else how
    known = torch.compiler.list_backends(exclude_tags=())
    if name not in known:
        near = nearest(str(name), known)
        hint = f"; did you mean `{near}`?" if near else ""
        raise ConfigError(f"`compile` must be yes or a backend of torch.compile, but is `{name}`{hint}")
    return str(name)


@contextmanager
def compiled(model: Model, trainer: L.Trainer, how: bool | str) -> Iterator[None]:
    """Within it, the blocks of the model's backbone run compiled in training.

    Raises:
        ConfigError: no such backend, the backbone offers no blocks, or products are made smaller than their inputs.
    """
    backend = backend_of(how)
    if backend is None:
        yield
        return
    network = model.network.backbone
    if not isinstance(network, Compiling):
        raise ConfigError(
            f"`compile` needs a backbone that offers blocks to compile, but `{model.backbone_name}` offers none; "
            "leave it out, or use `decoder` or a checkpoint"
        )
    if trainer.strategy.root_device.type == "cpu" and str(trainer.precision) == "bf16-mixed":
        raise ConfigError(
            "`compile` must stand without `precision=bf16-mixed` on a CPU, whose bfloat16 products are made by code "
            "that does not compile"
        )
    network.compile_blocks(backend)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "The .grad attribute of a Tensor that is not a leaf"
            )  # of torch's tracing
            yield
    finally:
        network.compile_blocks(None)
