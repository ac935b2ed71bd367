"""Lightning's precision plugins and our batches: in which numbers the products are made, and what is cast."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from lightning.pytorch.plugins.precision import Precision

from ..core.batch import Batch
from ..core.layers import products


def within(precision: str, device: torch.device) -> ExitStack:
    """bf16-mixed on a CPU: bfloat16 products inside float32 layers, which is what is fast there; else nothing."""
    stack = ExitStack()
    if device.type == "cpu" and precision == "bf16-mixed":
        stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.enter_context(products(torch.bfloat16))
    return stack


def keep_batches(plugin: Precision) -> None:
    """Let a plugin that casts what comes in leave batches alone, which Lightning cannot take apart: ports cast to the
    dtype of their weights."""
    if not isinstance(plugin.convert_input, partial):
        plugin.convert_input = partial(_converted, plugin.convert_input)  # type: ignore[method-assign]


def _converted(convert: Callable[[Any], Any], data: Any) -> Any:
    return data if isinstance(data, Batch) else convert(data)
