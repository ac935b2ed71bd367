"""The slot type DEPTH, the loss `huber` and the backbone `drift`. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping

import omniline as ol

PATCH = 8


class Depth(ol.Adapter):
    """Depth maps as patches of 8 by 8 pixels."""

    modality = "DEPTH"
    predicts = "values"
    loss = "huber"
    codec = "acme_depth.parts:DepthCodec"
    port = "acme_depth.parts:DepthPort"

    size: int = ol.setting(16, at_least=PATCH, data_only=True, help="side in pixels")
    far: float = ol.setting(10.0, at_least=0.1, data_only=True, help="the depth, in metres, that reads as 1")

    def tokens(self) -> ol.Tokens:
        return ol.Tokens((self.size // PATCH) ** 2)

    def tensors(self) -> tuple[ol.TensorSpec, ...]:
        return (ol.TensorSpec("values", "float32", (self.tokens().least, PATCH * PATCH)),)


class Huber(ol.Loss):
    """Squared near the truth, linear far from it."""

    build = "acme_depth.parts:HuberLoss"
    needs = ("values",)

    delta: float = ol.setting(1.0, at_least=1e-6, help="where the square ends")


class Drift(ol.Backbone):
    """Blocks that see the running mean of what came before: no attention, and a cache of constant size."""

    build = "acme_depth.drift:DriftNetwork"
    sizes = {"tiny": {"width": 32, "depth": 2}, "small": {"width": 128, "depth": 4}}

    width: int = ol.setting(32, at_least=8, help="size of a token")
    depth: int = ol.setting(2, at_least=1, help="blocks")

    def context(self) -> int:
        return 4096


@ol.hookimpl
def modalities() -> Mapping[str, ol.Modality]:
    return {"DEPTH": ol.Modality(source="depth", target="depth", help="metres to the nearest surface, pixel by pixel")}


@ol.hookimpl
def adapters() -> Mapping[str, type[ol.Adapter]]:
    return {"depth": Depth}


@ol.hookimpl
def losses() -> Mapping[str, type[ol.Loss]]:
    return {"huber": Huber}


@ol.hookimpl
def backbones() -> Mapping[str, type[ol.Backbone]]:
    return {"drift": Drift}
