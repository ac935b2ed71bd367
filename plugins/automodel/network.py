"""A decoder of transformers behind the contract of backbones: packed rows in, each stream by itself, a cache.

A stream's rows become one row of a rectangle that is filled up at the end. A decoder looks back only, so that what
fills it up is seen by no row that counts: no mask is needed, whatever the architecture does with places.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...core.layers import Linear, same_products
from ...core.layout import Layout
from ...core.networks import Cache, NewRows
from .folder import context_of, grows, parsed
from .library import body_of, library, made
from .reading import RectangleReading
from .streams import Block, BlockCache, Pair, ReplayCache, to_the_end


class AutoNetwork(nn.Module):
    """See the settings of `plugins.automodel.plugin.AutoDecoder`; `more` are those that concern what stands around.

    Args:
        kinds: how many ports the model has, which the network does not tell apart.
        causal: a decoder with its output layer that is used up; by default one is made of `config`.

    Raises:
        BundleError: transformers cannot make the decoder.
        ConfigError: it cannot recompute its layers.
    """

    def __init__(
        self,
        *,
        kinds: int,
        config: str = "",
        positions: int | None = None,
        attention: str = "auto",
        checkpoint: bool = False,
        embed_scale: float = 1.0,
        recall: str = "cache",
        causal: Any = None,
        **more: Any,
    ) -> None:
        super().__init__()
        content = parsed(config)
        whole = made(content, attention) if causal is None else causal
        self.width = int(whole.get_input_embeddings().embedding_dim)
        self.positions = positions or context_of(content)
        self.grows = grows(content)
        self.embed_scale, self.recall = embed_scale, recall
        self.body: Any = body_of(whole)
        words = whole.get_input_embeddings()
        self.body.set_input_embeddings(_NoWords(words))
        ours(self.body)
        asked = inspect.signature(self.body.forward).parameters
        self._cache = "cache" if "cache" in asked else "past_key_values"
        self._placed = "position_ids" in asked
        if checkpoint:
            self._recompute()

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Hidden states [rows, width] of embeddings [rows, width], in the order of the layout.

        Raises:
            ValueError: source and target together are longer than `positions`.
        """
        self._fits(layout.joined.longest)
        if not layout.rows:
            return x + self._run(x.new_zeros(1, 1, self.width)).sum() * 0  # its weights take part
        place = self._place(layout)
        rows = self._wide(layout.join(x), place, layout)
        hidden = self._run(rows).flatten(0, 1)
        return layout.unjoin(hidden.index_select(0, place.to(x.device)))

    @torch.no_grad()
    def prefill(self, x: Tensor, layout: Layout) -> Cache:
        """Read source rows once; one cached stream per stream of the layout.

        Raises:
            ValueError: the layout has target rows.
        """
        if layout.target.rows:
            raise ValueError(f"prefill reads source rows, but the layout has {layout.target.rows} target rows too")
        self._fits(layout.source.longest)
        starts = zip(layout.source.starts, layout.source.lengths, strict=True)
        streams = [x[at : at + length] for at, length in starts]
        if self.recall == "replay":
            return ReplayCache(streams)
        cache = BlockCache(layout.streams)
        full = [stream for stream, rows in enumerate(streams) if len(rows)]
        if full:
            lengths = [len(streams[stream]) for stream in full]
            rows = nn.utils.rnn.pad_sequence([streams[stream] for stream in full], batch_first=True)
            _, pairs = self.step(rows, Block((), (0,) * len(full)))
            cache.put(full, Block(tuple(to_the_end(pair, lengths) for pair in pairs), tuple(lengths)))
        return cache

    @torch.no_grad()
    def reading(self, x: Tensor, layout: Layout) -> RectangleReading | None:
        """Source rows that may be read span by span; None where what a row leaves depends on more than what is ahead.

        Raises:
            ValueError: a source is longer than `positions`.
        """
        self._fits(layout.source.longest)
        if self.recall == "replay" or self.grows or layout.target.rows:
            return None
        _, pairs = self.step(x.new_zeros(1, 1, self.width), Block((), (0,)))
        like = [pair for pair in pairs if pair is not None]
        return RectangleReading(self, x, layout, like) if len(like) == len(pairs) else None

    @torch.no_grad()
    def extend(self, rows: NewRows, cache: Cache) -> Tensor:
        """Hidden states [n, k, width] of new target rows, causal among themselves; kept rows enter the cache.

        Raises:
            ValueError: rows that should see each other both ways, or a stream that grows longer than `positions`.
        """
        if rows.mutual:
            raise ValueError("a decoder of transformers looks back only, but rows that see each other both ways came")
        hidden = torch.zeros_like(rows.x)
        counts = rows.counts.tolist()
        for count in sorted(set(counts) - {0}):
            streams = [stream for stream, own in enumerate(counts) if own == count]
            at = torch.tensor(streams, device=rows.x.device)
            hidden[at, :count] = self._feed(rows.x[at, :count], cache, streams, rows.keep)
        return hidden

    def _feed(self, x: Tensor, cache: Cache, streams: Sequence[int], keep: bool) -> Tensor:
        """Hidden states [streams, count, width] of rows that follow these streams."""
        count = x.shape[1]
        if isinstance(cache, ReplayCache):
            whole = [torch.cat([cache.rows[stream], own]) for stream, own in zip(streams, x, strict=True)]
            self._fits(max(map(len, whole)))
            found = self._run(nn.utils.rnn.pad_sequence(whole, batch_first=True))
            for stream, own in zip(streams, whole, strict=True):
                cache.rows[stream] = own if keep else cache.rows[stream]
            return torch.stack([found[row, len(own) - count : len(own)] for row, own in enumerate(whole)])
        assert isinstance(cache, BlockCache)
        block = cache.take(streams)
        self._fits(block.longest + count)
        hidden, pairs = self.step(x, block)
        if keep:
            cache.put(streams, Block(pairs, tuple(length + count for length in block.lengths)))
        return hidden

    def step(self, x: Tensor, block: Block) -> tuple[Tensor, tuple[Pair, ...]]:
        """Hidden states of rows [streams, count, width] behind a block, and the keys and values of both."""
        memory = library().DynamicCache()
        for layer, pair in enumerate(block.layers):
            if pair is not None:
                memory.update(*pair, layer)
        how: dict[str, Any] = {self._cache: memory, "use_cache": True}
        if block.layers:
            how["attention_mask"] = block.mask(x.shape[1], x.device)
            how |= {"position_ids": block.places(x.shape[1], x.device)} if self._placed else {}
        hidden = self.body(inputs_embeds=self._scaled(x), **how).last_hidden_state
        return hidden, tuple(_pair(layer) for layer in memory.layers)

    def _run(self, x: Tensor) -> Tensor:
        """Hidden states of streams [streams, longest, width] that begin at the first column."""
        found: Tensor = self.body(inputs_embeds=self._scaled(x), use_cache=False).last_hidden_state
        return found

    def _scaled(self, x: Tensor) -> Tensor:
        if self.embed_scale == 1.0:
            return x
        return x * torch.tensor(self.embed_scale).to(x)  # rounded first, as transformers does

    def _place(self, layout: Layout) -> Tensor:
        """int64 [joined rows]: where each row of the joined view stands in the rectangle."""
        joined = layout.joined
        wide = max(joined.longest, 1)
        return joined.part * wide + joined.index.clamp(max=wide - 1)

    def _wide(self, rows: Tensor, place: Tensor, layout: Layout) -> Tensor:
        """Rows of the joined view as [streams, longest, width], zeros behind each."""
        joined = layout.joined
        real = joined.real
        chosen = rows if bool(real.all()) else rows[real.to(rows.device)]
        wide = rows.new_zeros(layout.streams * max(joined.longest, 1), self.width)
        wide = wide.index_copy(0, place[real].to(rows.device), chosen)
        return wide.view(layout.streams, -1, self.width)

    def _recompute(self) -> None:
        if not getattr(self.body, "supports_gradient_checkpointing", False):
            raise ConfigError(f"`checkpoint` cannot be true: {type(self.body).__name__} cannot recompute its layers")
        enable = getattr(self.body, "activation_checkpointing_enable", None) or self.body.gradient_checkpointing_enable
        enable({"use_reentrant": False, "context_fn": same_products})  # the second name is that of before 5.24

    def _fits(self, longest: int) -> None:
        if longest > self.positions:
            raise ValueError(
                f"source and target must have at most {self.positions} tokens together, but have {longest}"
            )

    def _apply(self, fn: Any, recurse: bool = True) -> AutoNetwork:
        """Constants, such as the speeds of rotations, keep their precision when weights are cast."""
        held = dict(_constants(self.body))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, now in _constants(self.body):
            if now.dtype != held[name].dtype:
                owner, _, own = name.rpartition(".")
                setattr(self.body.get_submodule(owner), own, held[name].to(now.device))
        return self


class _NoWords(nn.Module):
    """Stands where the table of words was, which is a port's."""

    def __init__(self, words: nn.Embedding) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = words.num_embeddings, words.embedding_dim
        self.padding_idx = words.padding_idx

    def forward(self, tokens: Tensor) -> Tensor:
        """Never asked: rows come as embeddings."""
        raise ValueError(f"rows come as embeddings, but tokens {tuple(tokens.shape)} came")


def ours(body: nn.Module) -> None:
    """Make every plain linear layer one of ours, which can have a low-rank update; GPT-2's are turned round for it."""
    turned = library().pytorch_utils.Conv1D
    for name, layer in list(body.named_modules()):
        if type(layer) is nn.Linear:
            layer.__class__ = Linear
        elif type(layer) is turned:
            owner, _, own = name.rpartition(".")
            setattr(body.get_submodule(owner), own, _turned(layer))


def _turned(layer: Any) -> Linear:
    rows, columns = layer.weight.shape
    linear = Linear(rows, columns, device="meta")
    linear.weight = nn.Parameter(layer.weight.detach().t().contiguous())
    linear.bias = nn.Parameter(layer.bias.detach())
    return linear.train(layer.training)


def theirs(body: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `ours(body)` as the body has them that `ours` was not called on."""
    turned = library().pytorch_utils.Conv1D
    names = {f"{name}.weight" for name, layer in body.named_modules() if type(layer) is turned}
    return {name: value.t().contiguous() if name in names else value for name, value in weights.items()}


def _constants(body: nn.Module) -> list[tuple[str, Tensor]]:
    """Buffers of floating point that are no weights."""
    kept = set(body.state_dict())
    return [(name, held) for name, held in body.named_buffers() if name not in kept and held.is_floating_point()]


def _pair(layer: Any) -> Pair:
    keys = getattr(layer, "keys", None)
    return None if keys is None else (keys, layer.values)
