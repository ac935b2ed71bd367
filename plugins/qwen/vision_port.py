"""The port of pictures and clips: Qwen's vision tower over all values of a batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...core.attention_groups import Group, Piece, group_pieces
from ...core.layers import Linear, rerun
from ...core.opening.pictures import STATISTICS
from ...core.port import Port
from .rotary import Turn
from .vision_rows import Grid, rows_of
from .vision_tower import Design, FullBlock, Merger, PatchEmbedding, TowerShape, WindowBlock, turn_plane


class VisionPort(Port):
    """Patches of bytes to tokens; see the settings of `plugins.qwen.vision_plugin.QwenImage`.

    >>> port = VisionPort(width=8, tower_width=16, heads=2, ffn=32, depth=1, patch=2)
    >>> found = port.embed(
    ...     patches=torch.zeros(16, 12, dtype=torch.uint8),
    ...     grid_thw=torch.tensor([[1, 4, 4]]),
    ...     frames=torch.tensor([1]),
    ... )
    >>> found.shape
    torch.Size([4, 8])

    Raises:
        ValueError: the window holds no token, a full layer is none of the tower's, or see `TowerShape`.
    """

    def __init__(
        self,
        *,
        width: int,
        design: Design = "full",
        depth: int = 32,
        tower_width: int = 1280,
        heads: int = 16,
        ffn: int = 5120,
        patch: int = 14,
        merge: int = 2,
        temporal_patch: int = 2,
        window: int = 112,
        full_layers: Sequence[str] = (),
        normalise: str = "clip",
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        shape = TowerShape(design=design, width=tower_width, heads=heads, ffn=ffn)
        self.merge, self.temporal_patch, self.shape, self.checkpoint = merge, temporal_patch, shape, checkpoint
        self.window = _window(window, patch, merge) if design == "window" else None
        self.full_layers = _layers(full_layers, depth) if design == "window" else frozenset(range(depth))
        self.mean, self.deviation = STATISTICS[normalise]
        self.patches = PatchEmbedding(width=tower_width, frames=temporal_patch, patch=patch)
        block = FullBlock if design == "full" else WindowBlock
        self.blocks = nn.ModuleList(block(shape) for _ in range(depth))
        self.merger = Merger(shape, group=merge * merge, width=width)
        self.apply(_initialise)

    def embed(self, **tensors: Tensor) -> Tensor:
        """Tokens [n, width] of all values, in order.

        Args:
            **tensors: `patches` uint8 [slices, 3 * patch * patch], as `vision_codec.patches_of` orders them;
                `grid_thw` int64 [values, 3], frames (after patches in time), rows and columns of patches; `frames`
                int64 [values], slices of each patch: 1 for a picture, all of `temporal_patch` for a clip.

        Raises:
            ValueError: the slices are not those of the grids.
        """
        grids: list[Grid] = [(t, h, w) for t, h, w in tensors["grid_thw"].tolist()]
        return self.run(self._patches(self._scaled(tensors["patches"]), grids, tensors["frames"].tolist()), grids)

    def run(self, x: Tensor, grids: Sequence[Grid]) -> Tensor:
        """Tokens [n, width] of embedded patches [rows, tower's width]."""
        rows = rows_of(tuple(grids), self.merge, self.window)
        order = None if rows.order is None else rows.order.to(x.device)
        group = self.merge * self.merge
        if order is not None:
            x = x.unflatten(0, (-1, group) if len(x) else (0, group)).index_select(0, order).flatten(0, 1)
        by = turn_plane(rows.places.to(x.device), self.shape.head_size)
        near, far = self._groups(rows.windows, x), self._groups(rows.frames, x)
        for number, block in enumerate(self.blocks):
            x = self._layer(block, x, far if number in self.full_layers else near, by)
        tokens: Tensor = self.merger(x)
        return tokens if order is None else tokens.index_select(0, torch.argsort(order))

    def _scaled(self, patches: Tensor) -> Tensor:
        """Bytes as float32, whatever the weights are: as buffers the constants would be rounded with them."""
        mean, deviation = (torch.tensor(c, device=patches.device) for c in (self.mean, self.deviation))
        scale, shift = (x.repeat_interleave(patches.shape[1] // 3) for x in (1 / (255 * deviation), -mean / deviation))
        return torch.addcmul(shift, patches, scale)

    def _layer(self, block: nn.Module, x: Tensor, groups: Sequence[Group], by: Turn) -> Any:
        if self.checkpoint and self.training and torch.is_grad_enabled():
            return rerun(block, x, groups, by)
        return block(x, groups, by)

    def _patches(self, pixels: Tensor, grids: Sequence[Grid], frames: Sequence[int]) -> Tensor:
        """Rows [n, tower's width]; pictures and clips go through the same kernel, apart."""
        counts = [t * h * w for t, h, w in grids]
        slices = [count * own for count, own in zip(counts, frames, strict=True)]
        if sum(slices) != len(pixels):
            raise ValueError(f"the grids ask for {sum(slices)} slices of patches, but there are {len(pixels)}")
        if len(set(frames)) < 2:
            return self._projected(pixels, frames[0] if frames else 1)
        parts = pixels.split(slices)
        made = {own: [part for part, f in zip(parts, frames, strict=True) if f == own] for own in set(frames)}
        done = {own: self._projected(torch.cat(held), own) for own, held in made.items()}
        left = {own: [c for c, f in zip(counts, frames, strict=True) if f == own] for own in done}
        ready = {own: iter(rows.split(left[own])) for own, rows in done.items()}
        return torch.cat([next(ready[own]) for own in frames])

    def _projected(self, pixels: Tensor, frames: int) -> Tensor:
        rows: Tensor = self.patches(pixels.view(len(pixels) // frames, frames, pixels.shape[-1]))
        return rows

    def _groups(self, pieces: Sequence[Piece], x: Tensor) -> tuple[Group, ...]:
        return group_pieces(pieces, row_size=self.shape.width, device=x.device.type)


def _window(pixels: int, patch: int, merge: int) -> int:
    """The side of a window in tokens."""
    if pixels < patch * merge:
        raise ValueError(f"a window must hold a token of {patch * merge} pixels, but is {pixels} pixels")
    return pixels // (patch * merge)


def _layers(named: Sequence[str], depth: int) -> frozenset[int]:
    numbers = [int(name) if name.isdecimal() else -1 for name in named]
    if not all(0 <= number < depth for number in numbers):
        raise ValueError(f"full layers must be numbers from 0 to {depth - 1}, but are {', '.join(named)}")
    return frozenset(numbers)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
