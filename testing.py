"""The contracts that a plugin author's tests subclass, under the name that the documentation uses."""

from __future__ import annotations

from .tasks.testing import AdapterContract, BackboneContract, DecoderContract, LossContract

__all__ = ["AdapterContract", "BackboneContract", "DecoderContract", "LossContract"]
