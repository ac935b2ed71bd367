"""IMAGE through a tower of the timm library, cut where its features have the wanted stride."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from math import ceil
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from torch import Tensor, nn

from ...core.codec import Encoded, Reading
from ...core.errors import ConfigError
from ...core.layers import Linear, products_dtype
from ...core.near import nearest
from ...core.opening.pictures import STATISTICS, Statistics
from ...core.port import Port
from ...core.seeding import mix
from ...core.settings import Value
from ...core.view import View
from .framing import Augment, Framing, Mode
from .image import grid_of, refuse_decoding


class TimmCodec:
    """Pictures to square pixels, bytes until the port."""

    def __init__(
        self,
        *,
        size: int = 224,
        stride: int = 16,
        mode: Mode = "square",
        resize: str = "bicubic",
        augment: Augment = "none",
        flip: bool = False,
        mask_ratio: float = 0.0,
        **tower: Value,
    ) -> None:
        """`tower` are the settings of the port alone."""
        self._side = ceil(size / stride)
        self._framing = Framing(size=size, mode=mode, resize=resize, augment=augment, flip=flip, mask_ratio=mask_ratio)

    def measure(self, raw: Any, reading: Reading) -> int:
        """The places of the tower's grid; the picture is not opened."""
        return self._side * self._side

    def lead(self, raw: Any, reading: Reading) -> View:
        """How the picture is seen, for the boxes that follow it; opens its header alone."""
        return self._framing.view(raw, reading)

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a picture: uint8 [1, size, size, 3] and the place of each token.

        Raises:
            TypeError, ValueError: see `open_picture`.
        """
        pixels = self._framing.pixels(raw, reading)
        return Encoded(rows=self._side**2, tensors={"pixels": pixels[None]}, grid=grid_of(self._side, self._side))

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> Any:
        """Always a TypeError: pictures are made by `image_codes`."""
        return refuse_decoding()


class TimmPort(Port):
    """A tower and a linear layer from its channels to the model's width.

    A frozen tower keeps its weights and its batch statistics and stores nothing for a backward pass.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        *,
        width: int,
        model: str,
        pretrained: bool = False,
        weights: str | None = None,
        frozen: bool = False,
        size: int = 224,
        stride: int = 16,
        normalise: str = "model",
    ) -> None:
        """Build the tower.

        Raises:
            ConfigError: timm has no such model or no such stride of it, weights cannot be had, or the tower's grid
                is not the one that `size` and `stride` promise.
        """
        super().__init__()
        self.frozen = frozen
        self.tower, channels, self._last = build_tower(model, size, stride, pretrained, weights)
        self.tower = self.tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in _statistics(model, normalise))
        self.register_buffer("scale", 1 / (255 * deviation), persistent=False)
        self.register_buffer("shift", -mean / deviation, persistent=False)
        self.projection = Linear(channels, width)
        self._verify(model, size, stride)
        if frozen:
            self.tower.requires_grad_(False)
        self.train()

    def embed(self, **tensors: Tensor) -> Tensor:
        """Embeddings [n * places, width] of `pixels` uint8 [n, size, size, 3]."""
        pixels = tensors["pixels"]
        if len(pixels):
            features = self._features(pixels)
            embedded: Tensor = self.projection(features.reshape(-1, features.shape[-1]))
        else:
            empty = self.scale.new_zeros(0, self.projection.in_features)
            embedded = self.projection(empty) + self._anchor()
        return embedded

    def train(self, mode: bool = True) -> TimmPort:
        super().train(mode)
        if self.frozen:
            self.tower.eval()
        return self

    def _features(self, pixels: Tensor) -> Tensor:
        """[n, height, width, channels] of uint8 [n, size, size, 3], whose permuted view is channels_last."""
        scaled = torch.addcmul(self.shift, pixels.permute(0, 3, 1, 2), self.scale)
        with torch.no_grad() if self.frozen else nullcontext(), _products_of(pixels.device):
            features: Tensor = self.tower(scaled)[-1]
        features = features if self._last else features.permute(0, 2, 3, 1)
        return features.to(self.scale.dtype)

    def _anchor(self) -> Tensor:
        """0 that depends on every trainable weight of the tower, so that a rank without pictures stays in step."""
        ends = [weight.flatten()[0] for weight in self.tower.parameters() if weight.requires_grad]
        return torch.stack(ends).sum() * 0 if ends else self.scale.new_zeros(())

    def _verify(self, model: str, size: int, stride: int) -> None:
        """Check the grid on an empty picture, and set weights aside that lie behind the cut."""
        self.eval()
        try:
            features = self._features(torch.zeros(1, size, size, 3, dtype=torch.uint8))
        except (AssertionError, RuntimeError, ValueError) as cause:
            raise ConfigError(f"the tower `{model}` cannot read pictures of {size} pixels: {cause}") from cause
        side = ceil(size / stride)
        tall, wide = features.shape[1:3]
        if (tall, wide) != (side, side):
            raise ConfigError(
                f"the tower `{model}` must make {side} x {side} tokens of {size} pixels with stride {stride}, but "
                f"makes {tall} x {wide}: write a size that is a multiple of {stride}"
            )
        if not self.frozen:
            weights = list(self.tower.parameters())
            gradients = torch.autograd.grad(features.sum(), weights, allow_unused=True)
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.requires_grad_(gradient is not None)


def build_tower(
    model: str, size: int, stride: int, pretrained: bool, weights: str | None
) -> tuple[nn.Module, int, bool]:
    """The tower with its features of that stride last, their channels, and whether channels are the last dimension.

    Raises:
        ConfigError: see `TimmPort`.
    """
    index, channels = _cut_of(model, stride)
    options: dict[str, Any] = {"features_only": True, "out_indices": (index,)}
    known = timm.get_pretrained_cfg(model, allow_unregistered=True)
    if known is not None and known.fixed_input_size and known.input_size[-1] != size:
        options["img_size"] = size
    if weights is not None:
        if not os.path.isfile(weights):
            raise ConfigError(f"the weights of the tower `{model}` must be a file, but {weights!r} does not exist")
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": weights}}
    elif pretrained:
        options |= {"pretrained": True} | _from_hub(model, known.hf_hub_id if known is not None else None)
    try:
        tower = _made(model, options) if "pretrained" in options else timm.create_model(model, **options)
    except Exception as cause:
        reason = str(cause).strip().split("\n")[0].split(". ")[0] or type(cause).__name__
        if weights is not None:
            raise ConfigError(f"the weights {weights!r} do not load into the tower `{model}`: {reason}") from cause
        if pretrained:
            raise ConfigError(_no_hub(model, reason)) from cause
        raise ConfigError(f"the tower `{model}` cannot be made for pictures of {size} pixels: {reason}") from cause
    if "pretrained" in options:
        _refuse_unloaded(tower, model, options)
    return tower, channels, str(getattr(tower, "output_fmt", "NCHW")).endswith("NHWC")


def _made(model: str, options: dict[str, Any]) -> nn.Module:
    """The model, its fresh weights drawn from a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix("fresh", model))
        made: nn.Module = timm.create_model(model, **options)
    return made


def _refuse_unloaded(tower: nn.Module, model: str, options: dict[str, Any]) -> None:
    """Raise when a tower still has weights of its fresh draw: timm loads towers without asking for every weight."""
    fresh = _made(model, {k: v for k, v in options.items() if not k.startswith("pretrained")}).state_dict()
    lost = [
        name
        for name, value in tower.state_dict().items()
        if value.dim() > 1 and value.any() and torch.equal(value, fresh[name])
    ]
    if lost:
        few = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
        raise ConfigError(
            f"the weights {options.get('pretrained_cfg_overlay', {}).get('file', 'of the hub')!r} do not load into "
            f"the tower `{model}`: they lack {len(lost)} of its tensors ({few}); give those of the same model"
        )


def _cut_of(model: str, stride: int) -> tuple[int, int]:
    """Index and channels of the deepest features of a stride, found without making weights."""
    if not timm.is_model(model):
        near = nearest(model, timm.list_models())
        hint = f"; did you mean `{near}`?" if near else ""
        raise ConfigError(f"timm has no model `{model}`{hint}")
    try:
        with torch.device("meta"):
            info: Any = timm.create_model(model, features_only=True).feature_info
    except Exception as cause:
        raise ConfigError(f"the timm model `{model}` cannot serve as a tower: {cause}") from cause
    strides = [int(s) for s in info.reduction()]
    if stride not in strides:
        raise ConfigError(
            f"the tower `{model}` has features of stride {', '.join(map(str, sorted(set(strides))))}, but the slot "
            f"says {stride}: write stride={min(strides, key=lambda s: abs(s - stride))}"
        )
    place = len(strides) - 1 - strides[::-1].index(stride)
    return int(info.out_indices[place]), int(info.channels()[place])


def _from_hub(model: str, repository: str | None) -> dict[str, Any]:
    """Options that take the weights from the hub's local cache; none when they must be fetched.

    Raises:
        ConfigError: not in the cache, and the hub's name does not resolve (asking it would retry for a minute).
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        path = try_to_load_from_cache(repository, name) if repository else None
        if isinstance(path, str):
            return {"pretrained_cfg_overlay": {"file": path}}
    host = urlparse(constants.ENDPOINT).hostname or ""
    if not getproxies():
        try:
            socket.getaddrinfo(host, None)
        except OSError as cause:
            raise ConfigError(_no_hub(model, f"no route to {host}")) from cause
    return {}


def _no_hub(model: str, reason: str) -> str:
    return (
        f"the pretrained weights of `{model}` cannot be had from the hub ({reason}): give a file, weights=PATH, or "
        "write pretrained=false"
    )


def _statistics(model: str, normalise: str) -> Statistics:
    if normalise != "model":
        return STATISTICS[normalise]
    known = timm.get_pretrained_cfg(model, allow_unregistered=True)
    return (tuple(known.mean), tuple(known.std)) if known is not None else STATISTICS["imagenet"]


def _products_of(device: torch.device) -> AbstractContextManager[Any]:
    """Convolutions in the dtype that `products` asks for, by autocast, which pays off for them."""
    dtype = products_dtype()
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)
