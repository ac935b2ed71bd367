"""The encoder-decoder network: source rows are encoded both ways, target rows decoded causally over them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...core.cache import StreamCache
from ...core.layers import Linear, dropout, rerun
from ...core.layout import Layout, View
from ...core.networks import Cache, NewRows
from ...core.relative_bias import looking_back_index, plan_source, plan_target
from .blocks import Side, sort_kinds
from .layers import DecoderLayer, EncoderLayer, Shape
from .places import Places


class OfaNetwork(nn.Module):
    """See the settings of `plugins.ofa.plugin.Ofa`; `kinds` is how many ports the model has.

    Raises:
        ValueError: the heads do not divide the width.
    """

    def __init__(
        self,
        *,
        kinds: int,
        width: int = 256,
        heads: int = 4,
        ffn: int = 1024,
        encoder_layers: int = 4,
        decoder_layers: int = 4,
        positions: int = 1024,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
        relative_bias: bool = True,
        head_scale: bool = False,
        attention_norm: bool = False,
        ffn_norm: bool = False,
        modality_experts: bool = False,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"the heads must divide the width, but are {heads} for {width}")
        self.width, self.kinds, self.positions = width, kinds, positions
        self.dropout, self.checkpoint = dropout, checkpoint
        self.shape = Shape(
            width=width,
            heads=heads,
            ffn=ffn,
            kinds=kinds,
            dropout=dropout,
            attention_dropout=attention_dropout,
            relative_bias=relative_bias,
            head_scale=head_scale,
            attention_norm=attention_norm,
            ffn_norm=ffn_norm,
            modality_experts=modality_experts,
        )
        self.source_places = Places(width, kinds, positions, grid=True)
        self.target_places = Places(width, kinds, positions, grid=False)
        self.encoder = nn.ModuleList(EncoderLayer(self.shape, p) for p in _rising(drop_path, encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(self.shape, p) for p in _rising(drop_path, decoder_layers))
        self.encoder_norm = nn.LayerNorm(width)
        self.decoder_norm = nn.LayerNorm(width)
        self.apply(_initialise)
        self.source_places.level()

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Hidden states [rows, width] of embeddings [rows, width], source rows before target rows.

        Raises:
            ValueError: a part is longer than `positions`.
        """
        _, rows = layout.split(x)
        memory = self._encode(x, layout)
        self._fits(layout.target.longest, "target")
        side = self._side("target", layout, x)
        hidden = self.target_places(rows, *self._places("target", layout, x))
        hidden = dropout(hidden, self.dropout, self.training)
        for layer in self.decoder:
            hidden = self._run(layer, hidden, memory, side)
        return torch.cat([memory, self.decoder_norm(hidden)])

    @torch.no_grad()
    def prefill(self, x: Tensor, layout: Layout) -> Cache:
        """Encode source rows once; one cached stream per stream of the layout.

        Raises:
            ValueError: the layout has target rows.
        """
        if layout.target.rows:
            raise ValueError(f"prefill reads source rows, but the layout has {layout.target.rows} target rows too")
        memory = self._encode(x, layout)
        return StreamCache([layer.cross.remember(memory) for layer in self._decoders()], layout.source)

    @torch.no_grad()
    def extend(self, rows: NewRows, cache: Cache) -> Tensor:
        """Hidden states [n, k, width] of new target rows, causal among themselves or mutual; kept rows enter the cache.

        Raises:
            ValueError: a target grows longer than `positions`.
        """
        assert isinstance(cache, StreamCache)
        step = cache.begin(rows)
        self._fits(max((f + c for f, c in zip(step.fed, step.counts, strict=True)), default=0), "target")
        index = looking_back_index(step) if self.shape.relative_bias else None
        kinds = sort_kinds(step.kinds.flatten(), self.kinds) if self.shape.modality_experts else None
        hidden = self.target_places(step.x, step.kinds, step.places.clamp(max=self.positions - 1))
        for number, layer in enumerate(self._decoders()):
            hidden = layer.step(hidden, step, number, index, kinds)
        return step.finish(self.decoder_norm(hidden))

    def _encode(self, x: Tensor, layout: Layout) -> Tensor:
        self._fits(layout.source.longest, "source")
        rows, _ = layout.split(x)
        side = self._side("source", layout, x)
        hidden = dropout(self.source_places.source(rows, layout), self.dropout, self.training)
        for layer in self.encoder:
            hidden = self._run(layer, hidden, side)
        out: Tensor = self.encoder_norm(hidden)
        return out

    def _side(self, view: View, layout: Layout, x: Tensor) -> Side:
        """What the layers of a side share, made once a batch."""
        ragged = layout.source if view == "source" else layout.target
        kinds, _ = self._places(view, layout, x)
        how: dict[str, Any] = {"row_size": self.width, "device": x.device.type}
        plan = None
        if self.shape.relative_bias:
            plan = plan_source(layout, self.kinds, **how) if view == "source" else plan_target(layout, **how)
        return Side(
            view=view,
            layout=layout,
            plan=plan,
            kinds=sort_kinds(kinds, self.kinds) if self.shape.modality_experts else None,
            part=ragged.part.to(x.device),
        )

    def _places(self, view: View, layout: Layout, x: Tensor) -> tuple[Tensor, Tensor]:
        """Kind and running index of the rows of a side."""
        kinds = layout.split(layout.kinds)[0 if view == "source" else 1]
        ragged = layout.source if view == "source" else layout.target
        return kinds.to(x.device), ragged.index.to(x.device)

    def _run(self, layer: nn.Module, *inputs: Any) -> Tensor:
        if not (self.checkpoint and self.training and torch.is_grad_enabled()):
            out: Tensor = layer(*inputs)
            return out
        again: Tensor = rerun(layer, *inputs)
        return again

    def _decoders(self) -> list[DecoderLayer]:
        return [layer for layer in self.decoder if isinstance(layer, DecoderLayer)]

    def _fits(self, longest: int, side: str) -> None:
        if longest > self.positions:
            raise ValueError(
                f"a {side} must have at most {self.positions} tokens, but has {longest}: raise `positions`"
            )


def _rising(most: float, layers: int) -> list[float]:
    """The probability of each layer to be skipped, from 0 up to `most` (Huang et al., 2016)."""
    return [most * i / max(layers - 1, 1) for i in range(layers)]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
