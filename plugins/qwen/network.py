"""The decoder-only network: source and target in one stack; the source is seen both ways or causally."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...core.balance import Balance
from ...core.cache import StreamCache
from ...core.layers import Linear, RMSNorm, dropout, rerun
from ...core.layout import Layout
from ...core.networks import Cache, NewRows, Reading
from .experts import Mixture, Routed, shapes
from .layers import Attention, Blocks, DecoderLayer, Shape
from .long_context import LongContext, RowPlaces, Turns
from .long_prefill import PieceReader
from .places import After, places_of
from .reading import SourceReading
from .rotary import GROWING, Rotary
from .routing import Way, note, watched, ways_of


class DecoderNetwork(nn.Module):
    """See the settings of `plugins.qwen.plugin.DecoderOnly`; `kinds` is how many ports the model has.

    `more` are the settings of rotations, of scales, and those that concern what stands around the network.

    Raises:
        ValueError: the heads do not divide the width, or the key heads the heads, or a head's size is odd.
    """

    sparse_budgets: Tensor | None

    def __init__(
        self,
        *,
        kinds: int,
        width: int = 256,
        heads: int = 4,
        key_heads: int = 4,
        head_size: int | None = None,
        ffn: int = 704,
        layers: int = 4,
        positions: int = 2048,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        qk_norm: bool = False,
        qkv_bias: bool = False,
        out_bias: bool = False,
        ffn_bias: bool = False,
        norm_eps: float = 1e-6,
        prefix: str = "both",
        typed: bool = True,
        checkpoint: bool = False,
        **more: Any,
    ) -> None:
        super().__init__()
        size = head_size if head_size is not None else _head_size(width, heads)
        if heads % key_heads:
            raise ValueError(f"the key heads must divide the heads, but are {key_heads} for {heads}")
        if size % 2:
            raise ValueError(f"a head's size must be even, but is {size}")
        self.width, self.positions, self.head_size, self.key_heads = width, positions, size, key_heads
        self.rotary, self.rate = _rotary(size, more), float(more.get("rope_rate", 1.0))
        self.after: After = more.get("rope_after", "largest")
        self.long = LongContext.of(more, prefix=prefix, sections=self.rotary.sections is not None)
        self.dropout, self.checkpoint, self.prefix = dropout, checkpoint, prefix
        shape = Shape(
            width=width,
            heads=heads,
            key_heads=key_heads,
            head_size=size,
            ffn=ffn,
            dropout=dropout,
            attention_dropout=attention_dropout,
            qk_norm=qk_norm,
            qkv_bias=qkv_bias,
            out_bias=out_bias,
            ffn_bias=ffn_bias,
            norm_eps=norm_eps,
            view="joined" if prefix == "both" else "causal",
        )
        self.kind = nn.Parameter(torch.zeros(kinds, width)) if typed else None
        mixtures = _mixtures(layers, width, more)
        self.layers = nn.ModuleList(DecoderLayer(shape, mixture) for mixture in mixtures)
        self.mixed = sum(mixture is not None for mixture in mixtures)
        self.balance: Balance | None = None
        self._even = (float(more.get("balance", 0.001)), more.get("balance_over", "step"))
        self.norm, self.scale = RMSNorm(width, norm_eps), float(more.get("embedding_scale", 1.0))
        self.piece_reader: Callable[..., PieceReader] = PieceReader
        budgets = None if self.long.sparse is None else self.long.sparse.budgets(layers, heads)
        self.register_buffer("sparse_budgets", budgets)
        self.apply(partial(_initialise, deviation=more.get("deviation", 0.02)))

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Hidden states [rows, width] of embeddings [rows, width], in the order of the layout.

        Raises:
            ValueError: source and target together are longer than `positions`.
        """
        hidden, _ = self.read_once(x, layout)
        return layout.unjoin(hidden) if layout.rows else hidden

    @torch.no_grad()
    def prefill(self, x: Tensor, layout: Layout) -> Cache:
        """Read source rows once; one cached stream per stream of the layout.

        Raises:
            ValueError: the layout has target rows.
        """
        if layout.target.rows:
            raise ValueError(f"prefill reads source rows, but the layout has {layout.target.rows} target rows too")
        reading = SourceReading(self, x, layout)
        reading.read_all()
        return reading.cache()

    @torch.no_grad()
    def reading(self, x: Tensor, layout: Layout) -> Reading | None:
        """See `core.networks.LookingBack`: not where the source is seen both ways, where rotations or what is kept of
        attention depend on a prompt's length, or while routes are recorded or replayed.

        Raises:
            ValueError: a source is longer than `positions`.
        """
        alone = self.prefix == "causal" and self.rotary.scaling not in GROWING and self.long.sparse is None
        if not alone or layout.padded or layout.target.rows or watched():
            return None
        return SourceReading(self, x, layout)

    @torch.no_grad()
    def extend(self, rows: NewRows, cache: Cache) -> Tensor:
        """Hidden states [n, k, width] of new target rows, causal among themselves or mutual; kept rows enter the cache.

        Raises:
            ValueError: a stream grows longer than `positions`.
        """
        assert isinstance(cache, StreamCache)
        step = cache.begin(rows)
        sizes = zip(cache.source_lengths, step.fed, step.counts, strict=True)
        self.check_length(max((sum(size) for size in sizes), default=0))
        index, places = (
            step.places + torch.tensor(first, dtype=torch.long, device=step.x.device)[:, None]
            for first in (cache.source_lengths, cache.source_ends)
        )
        wide = places if self.rotary.sections is None else places.expand(3, *places.shape)
        lengths = index + 1 if self.rotary.scaling in GROWING else None
        by = self.long.turns(RowPlaces(index, wide, lengths), self.rotary).often()
        hidden = self.typed(step.x, step.kinds)
        ways, chosen = iter(ways_of(self.mixed, hidden.shape[:-1].numel())), []
        for number, layer in enumerate(self.decoder_layers()):
            hidden, routed = layer.step(hidden, step, number, by, next(ways) if layer.mixed else None)
            chosen += [routed.chosen] if routed is not None else []
        note(chosen)
        return step.finish(self.norm(hidden))

    def read_once(self, x: Tensor, layout: Layout) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Hidden states in the joined order, and each layer's keys and values."""
        self.check_length(layout.joined.longest)
        rows = self.typed(x, layout.kinds)
        hidden = dropout(layout.join(rows) if layout.rows else rows, self.dropout, self.training)
        places, _ = self.row_places(layout, x.device)
        by = self.long.turns(places, self.rotary)._replace(reader=self.long.reader(layout))
        memory, routes = [], []
        ways = iter(ways_of(self.mixed, len(hidden), layout.joined.real if layout.padded else None))
        for layer in self.decoder_layers():
            hidden, own, routed = self._run(layer, hidden, layout, by, next(ways) if layer.mixed else None)
            memory.append(own)
            routes += [routed] if routed is not None else []
        self._weigh(routes, sum(layout.joined.lengths))
        return self.norm(hidden), memory

    def row_places(self, layout: Layout, device: torch.device) -> tuple[RowPlaces, tuple[int, ...] | None]:
        """Where the joined rows stand, and the places that follow the streams where they do not count rows."""
        index, ends, lengths = layout.joined.index.to(device), None, None
        places = index
        if self.rotary.sections is not None:
            places, ends = places_of(layout, self.rate, self.after)
        if self.rotary.scaling in GROWING:
            lengths = torch.tensor(layout.joined.lengths, device=device)[layout.joined.part.to(device)]
        return RowPlaces(index, places.to(device), lengths), ends

    def _weigh(self, routes: Sequence[Routed], rows: int) -> None:
        """Note where the rows of a pass went, and in training how evenly."""
        note([routed.chosen for routed in routes])
        self.balance = None
        if routes and self.training:
            counts = torch.stack([routed.counts for routed in routes]).sum(0)
            sums = torch.stack([routed.sums for routed in routes]).sum(0)
            self.balance = Balance(counts, sums, rows * len(routes), *self._even)

    def _run(self, layer: DecoderLayer, x: Tensor, layout: Layout, by: Turns, way: Way | None) -> Any:
        if self.checkpoint and self.training and torch.is_grad_enabled():
            return rerun(layer, x, layout, by, way)
        return layer(x, layout, by, way)

    def typed(self, x: Tensor, kinds: Tensor) -> Tensor:
        """Rows [..., width], scaled, with what tells the port that made each."""
        if self.scale != 1:
            x = x * self.scale
        if self.kind is None:
            return x
        return x + self.kind.index_select(0, kinds.to(x.device).flatten()).view(x.shape)

    def decoder_layers(self) -> list[DecoderLayer]:
        """The layers, in order."""
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def compile_blocks(self, backend: str | None) -> None:
        """See `core.networks.Compiling`: the projections to queries, keys and values, and the feed-forward blocks
        without experts; one graph for all layers, whose rows may be any number."""
        blocks = None
        if backend is not None:
            made = (Attention.project, DecoderLayer.dense)
            blocks = Blocks(*(torch.compile(block, dynamic=True, backend=backend) for block in made))
        for layer in self.decoder_layers():
            layer.blocks = layer.attention.blocks = blocks

    def check_length(self, longest: int) -> None:
        if longest > self.positions:
            raise ValueError(
                f"source and target must have at most {self.positions} tokens together, but have {longest}: raise "
                "`positions`"
            )


def _rotary(size: int, settings: Mapping[str, Any]) -> Rotary:
    """The rotations that the settings `rope_...` say."""
    names = {field.name for field in fields(Rotary)} - {"size", "sections"}
    own = {key.removeprefix("rope_"): value for key, value in settings.items() if key.startswith("rope_")}
    sections = tuple(map(int, own.get("sections", ()))) or None
    return Rotary(size=size, sections=sections, **{key: value for key, value in own.items() if key in names})


def _mixtures(layers: int, width: int, settings: Mapping[str, Any]) -> list[Mixture | None]:
    """The mixture of each layer, from the settings of experts; none where there are no experts."""
    if not settings.get("experts"):
        return [None] * layers
    mixture = Mixture(
        width=width,
        experts=settings["experts"],
        ffn=settings["expert_ffn"],
        top=settings["expert_top"],
        norm=settings.get("expert_norm", True),
        shared=settings.get("shared_ffn", 0),
    )
    dense = [int(number) for number in settings.get("dense_layers", ())]
    return shapes(layers, mixture, settings.get("expert_every", 1), dense)


def _head_size(width: int, heads: int) -> int:
    if width % heads:
        raise ValueError(f"the heads must divide the width, or `head_size` be given, but they are {heads} for {width}")
    return width // heads


def _initialise(module: nn.Module, deviation: float) -> None:
    if isinstance(module, Linear):
        nn.init.normal_(module.weight, std=deviation)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
