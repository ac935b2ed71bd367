"""The network: ports around a backbone, with the losses that have weights. Embeds a batch, runs it, sums its losses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from .backbone import Backbone, Readout
from .balance import Balance
from .batch import Alignment, Batch, Inputs, Pairs, Target
from .catalog import Catalog
from .errors import ConfigError, DataError, PluginError
from .layout import Layout
from .levels import LEVEL, Levels
from .loss import Loss
from .networks import BackboneNetwork, LossRows
from .parts import MARKS, PortSpec, bare_spec, declared, make_port, working_half
from .plan import Part
from .port import Port
from .unfilled import Unfilled

AUXILIARY = "auxiliary"
"""Ends the name of a sum that stands beside an objective's own."""


LENGTH_WEIGHT = 0.05
"""Factor of the loss of lengths beside that of the values, of which each row counts once."""


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of one batch.

    Attributes:
        total: [] what to descend: the weighted sum of each objective's mean over the step's supervised units.
        sums: the plain sum of each objective's losses in this batch, detached, by "task/slot"; what a port descends
            besides (see `Port.auxiliary`) comes as "task/slot/auxiliary".
        hidden: the hidden states [rows, width] that they were read from.
        balance: what the routers of a network with experts chose, in training; its loss is not part of `total`.
    """

    total: Tensor
    sums: Mapping[str, Tensor]
    hidden: Tensor
    balance: Balance | None = None


class Network(nn.Module):
    """Ports, backbone and losses.

    Args:
        table: the ports, marks first; the place of a port is the `kind` of its rows.
        backbone: the backbone's declaration.
        losses: every loss that the plans name; those with weights are modules of the network.
        catalog: where declarations are found.
        assets: what ports ask for besides settings, such as the tokenizer.
        loaded: names of ports whose weights are loaded afterwards, so that no pretrained ones are fetched for them.
        unfilled: leaves the large weights of the backbone and of these ports to the caller, who writes them.
    """

    def __init__(
        self,
        table: Sequence[PortSpec],
        backbone: Backbone,
        losses: Sequence[Part],
        *,
        catalog: Catalog,
        assets: Mapping[str, Any],
        loaded: Collection[str] = (),
        unfilled: Unfilled | None = None,
    ) -> None:
        super().__init__()
        self.table = tuple(table)
        self.mutual = backbone.mutual
        made = working_half(backbone.build, f"the backbone `{type(backbone).__qualname__}`")
        with unfilled or nullcontext():
            self.backbone = made(kinds=len(self.table), **backbone.settings())
        width = self.backbone.width
        self.ports = nn.ModuleDict()
        for spec in self.table:
            known = spec.name in loaded
            with unfilled if unfilled and known and spec.name != MARKS else nullcontext():
                self.ports[spec.name] = make_port(bare_spec(spec, catalog) if known else spec, width, assets)
            if not known and (spread := backbone.spread()) is not None:
                self.ports[spec.name].spread(spread)  # type: ignore[operator]
        if not backbone.tied():
            for port in self.ports.values():
                port.untie()  # type: ignore[operator]
        if backbone.readout() != Readout():
            for port in self.ports.values():
                port.read_out(backbone.readout())  # type: ignore[operator]
        self.loss_parts: dict[Part, Any] = {}
        self.losses = nn.ModuleDict()
        self.levels: Levels | None = None
        self.add_losses(losses, catalog)

    def add_losses(self, losses: Sequence[Part], catalog: Catalog) -> None:
        """Make the working halves of losses that are not there yet."""
        for part in losses:
            if part not in self.loss_parts:
                self.loss_parts[part] = made = _make_loss(part, self.backbone.width, catalog)
                if self.levels is None and _declared_loss(part, catalog).prepare:
                    self.levels = self._levels(part)
                if isinstance(made, nn.Module) and any(True for _ in made.parameters()):
                    self.losses[loss_key(part)] = made

    def _levels(self, part: Part) -> Levels:
        if not self.mutual:
            raise ConfigError(
                f"the loss `{part.name}` denoises values, whose rows must see each other both ways, but the backbone "
                f"`{type(self.backbone).__name__}` reads its target one way only; use `ofa` or `decoder`, or another "
                "that declares `mutual`"
            )
        return Levels(self.backbone.width).to(next(self.parameters()).device)

    def port(self, kind: int) -> Port:
        """The port of that kind."""
        return cast(Port, self.ports[self.table[kind].name])

    @property
    def network(self) -> BackboneNetwork:
        """The backbone under its protocol."""
        return cast(BackboneNetwork, self.backbone)

    def embed(self, inputs: Sequence[Inputs], order: Tensor) -> Tensor:
        """Embeddings [rows, width] in the layout's order; each port runs once over all its values."""
        made = [self._embed(item) for item in inputs]
        dtype = next((w.dtype for w in self.backbone.parameters() if w.is_floating_point()), torch.float32)
        made = [x.to(dtype) for x in made]
        if not made:
            return torch.zeros(0, self.backbone.width, device=order.device)
        return (made[0] if len(made) == 1 else torch.cat(made)).index_select(0, order)

    def _embed(self, item: Inputs) -> Tensor:
        """The embeddings of one port's values, each row with its noise level."""
        tensors = {name: tensor for name, tensor in item.tensors.items() if name != LEVEL}
        rows = self.port(item.kind).embed(**tensors)
        if LEVEL not in item.tensors or self.levels is None:
            return rows
        level: Tensor = self.levels(item.tensors[LEVEL])
        return rows + level.to(rows.dtype)

    def forward(self, batch: Batch, also: Sequence[Inputs] = ()) -> Tensor:
        """Hidden states [rows, width] of a batch; `also` are ports that it has no row of, called with zero rows."""
        inputs = sorted((*batch.inputs, *also), key=lambda item: item.kind)  # ranks must call ports in one order
        return self.network(self.embed(inputs, batch.order), batch.layout)

    def loss(
        self,
        batch: Batch,
        totals: Mapping[str, float] | None = None,
        also: Sequence[Inputs] = (),
        ports: Sequence[int] = (),
        factors: Mapping[str, float] | None = None,
    ) -> Losses:
        """The losses of a batch.

        Args:
            batch: on the network's device.
            totals: the count that each objective's sum is divided by; the batch's own counts by default. With the
                counts of a whole optimiser step, gradients do not depend on how its rows were cut into batches.
            also: zero rows of ports that other ranks use in this step.
            ports: the ports that any rank uses in this step; all their weights get a gradient, if only of zeros, as
                ranks must agree on which have one.
            factors: what each objective's loss is multiplied with, beside the weights of its slot.
        """
        hidden = self(batch, also)
        scale = _Scale(batch.counts if totals is None else totals, factors or {})
        sums: dict[str, Tensor] = {}
        supervised = batch.targets or batch.pairs or batch.alignments
        total = hidden.new_zeros(()) if supervised else hidden.sum() * 0  # backward must find a graph
        if self.levels is not None:
            total = total + self.levels.idle(hidden)
        for target in batch.targets:
            total = total + self._predict(hidden, target, scale, sums)
            if self.levels is not None and target.before is not None:
                total = total + self._measure(hidden, self.levels, target, scale)
        for pairs in batch.pairs:
            total = total + self._compare(hidden, batch.layout, pairs, scale, sums)
        for alignment in batch.alignments:
            total = total + self._align(hidden, alignment, scale, sums)
        if ports:
            total = total + self._touched(ports)
        return Losses(total, sums, hidden, getattr(self.backbone, "balance", None))

    def _touched(self, ports: Sequence[int]) -> Tensor:
        """Zero, of which all weights of these ports and of the losses are part."""
        modules = [*(self.port(kind) for kind in ports), *self.losses.values()]
        weights = [w for module in modules for w in module.parameters() if w.requires_grad and type(w) is nn.Parameter]
        return torch.stack([weight.reshape(-1)[:0].sum() for weight in weights]).sum()

    def _predict(self, hidden: Tensor, target: Target, scale: _Scale, sums: dict[str, Tensor]) -> Tensor:
        weights = scale.of(target.keys, target.weights, hidden)[target.key]
        port = self.port(target.kind)
        chosen = hidden.index_select(0, target.rows)
        rows: LossRows = self.loss_parts[target.loss](
            chosen, port, port.relabel(target.labels), weights, target.choices
        )
        _add(sums, target.keys, target.key, rows.each)
        own = port.auxiliary(target.labels)
        if own is None:
            return rows.total
        _add(sums, [f"{key}/{AUXILIARY}" for key in target.keys], target.key, own.detach())
        return rows.total + (own * weights).sum()

    def _measure(self, hidden: Tensor, levels: Levels, target: Target, scale: _Scale) -> Tensor:
        """The loss of the lengths of values that are found all at once, each counted once a row."""
        assert target.before is not None and target.sizes is not None and target.owner is not None
        weights = scale.of(target.keys, target.weights, hidden)[target.owner]
        each = levels.lengths(hidden.index_select(0, target.before), target.sizes)
        total: Tensor = LENGTH_WEIGHT * (each * target.sizes * weights).sum()
        return total

    def _compare(self, hidden: Tensor, layout: Layout, pairs: Pairs, scale: _Scale, sums: dict[str, Tensor]) -> Tensor:
        weights = scale.of(pairs.keys, pairs.weights, hidden)[pairs.key]
        loss = self.loss_parts[pairs.loss]
        if pairs.objective == "match":
            half = len(pairs.streams) // 2
            pooled = pool(hidden, layout).index_select(0, pairs.streams)
            rows: LossRows = loss(pooled[:half], pooled[half:], weights)
        else:
            rows = loss(last_target(hidden, layout).index_select(0, pairs.streams), pairs.examples, weights)
        _add(sums, pairs.keys, pairs.key, rows.each)
        return rows.total

    def _align(self, hidden: Tensor, item: Alignment, scale: _Scale, sums: dict[str, Tensor]) -> Tensor:
        weights = scale.of(item.keys, item.weights, hidden)[item.key]
        port = self.port(item.kind)
        chosen = hidden.index_select(0, item.rows)
        try:
            rows: LossRows = self.loss_parts[item.loss](chosen, item.lengths, port, item.tokens, item.counts, weights)
        except DataError as cause:
            if not 0 <= cause.value < len(item.ids):
                raise
            task, slot = item.keys[int(item.key[cause.value])].split("/", 1)
            raise DataError(f"task `{task}`, row {item.ids[cause.value].row}: slot `{slot}`: {cause}") from cause
        _add(sums, item.keys, item.key, rows.each)
        return rows.total


def count_of(counts: Mapping[str, int], key: str) -> int:
    """How many supervised units a sum is over.

    >>> count_of({"task/slot": 3}, "task/slot/auxiliary")
    3
    """
    return counts[key.removesuffix(f"/{AUXILIARY}")]


def loss_key(part: Part) -> str:
    """The name of a loss with weights in the model's state: its name and its settings."""
    values = [f"{name}-{value}" for name, value in part.settings]
    return "_".join([part.name, *values]).replace(".", "p")


def pool(hidden: Tensor, layout: Layout) -> Tensor:
    """The mean hidden state [streams, width] of each stream's source rows; zeros for an empty one."""
    source, _ = layout.split(hidden)
    part = layout.source.part.to(hidden.device)
    if layout.padded:
        source = source * layout.source.real.to(hidden.device)[:, None]
    sums = source.new_zeros(layout.streams, source.shape[1]).index_add(0, part, source)
    lengths = torch.tensor(layout.source.lengths, dtype=source.dtype, device=source.device)
    return sums / lengths.clamp(min=1)[:, None]


def last_target(hidden: Tensor, layout: Layout) -> Tensor:
    """The hidden state [streams, width] of each stream's last target row."""
    ends = [start + length - 1 for start, length in zip(layout.target.starts, layout.target.lengths, strict=True)]
    rows = torch.tensor(ends, device=hidden.device) + layout.source.rows
    return hidden.index_select(0, rows)


def _declared_loss(part: Part, catalog: Catalog) -> Loss:
    declaration = declared(part, catalog)
    if not isinstance(declaration, Loss):
        raise PluginError(f"the loss `{part.name}` must be a Loss, but is {declaration!r}")
    return declaration


def _make_loss(part: Part, width: int, catalog: Catalog) -> Any:
    declaration = _declared_loss(part, catalog)
    made = working_half(declaration.build, f"the loss `{part.name}`")
    extra = {"width": width} if declaration.needs_width else {}
    return made(**declaration.settings(), **extra)


class _Scale(NamedTuple):
    """What each objective's losses are divided by and multiplied with."""

    counts: Mapping[str, float]
    factors: Mapping[str, float]

    def of(self, keys: Sequence[str], weights: Sequence[float], like: Tensor) -> Tensor:
        """The weight of one unit of each objective [keys]."""
        found = [(w * self.factors.get(k, 1.0), max(self.counts[k], 1)) for k, w in zip(keys, weights, strict=True)]
        return like.new_tensor([weight / count for weight, count in found])


def _add(sums: dict[str, Tensor], keys: Sequence[str], key: Tensor, each: Tensor) -> None:
    found = each.new_zeros(len(keys)).index_add(0, key, each)
    for number, name in enumerate(keys):
        sums[name] = sums[name] + found[number] if name in sums else found[number]
