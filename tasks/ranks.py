"""Several processes: every rank calls the ports that any rank needs, and weights may be sharded.

What a rank's batch holds is known only when it is drawn: optional slots, empty lists, skipped rows. A rank without a
port that another one uses calls it with zero rows, so that collective operations meet; ports that nobody uses are not
called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from ..core.batch import Inputs
from ..core.errors import ConfigError, DataError
from ..core.example import RowId
from ..core.model import Network
from ..core.packing import pack
from ..core.plan import Repeat, walk
from ..core.port import Port
from .binding import Bound
from .model import Model
from .restoring import print_of

LOOKED_AT = 256
"""Rows of each task that are looked at for a value of every port."""


def zero_rows(model: Model, bounds: Mapping[str, Bound]) -> dict[int, Inputs]:
    """For each port that the first rows use, its inputs of no value at all."""
    found: dict[int, Inputs] = {}
    for name, bound in bounds.items():
        reader, rows = model.reader(bound), bound.rows["train"]
        wanted = {slot.kind for wording in reader.wordings for slot in wording.slots} - found.keys()
        for index in range(min(LOOKED_AT, len(rows)) if rows.finite else LOOKED_AT):
            if not wanted and found:
                break
            try:
                examples = [
                    reader.example(bound.read("train", index), RowId(name, index), wording=wording)
                    for wording in range(len(reader.wordings))
                ]
            except DataError:
                continue
            for item in pack(examples, {name: reader}).inputs:
                none = {key: tensor[:0] for key, tensor in item.tensors.items()}
                found.setdefault(item.kind, Inputs(kind=item.kind, tensors=none))
            wanted -= found.keys()
    return found


def summed_lists(lists: Sequence[Sequence[int]], summed: Callable[[Tensor], Tensor], device: Any) -> list[list[int]]:
    """Lists of counts summed over the ranks in one message; each must be as long on all of them.

    >>> summed_lists([[1, 2], [], [3]], lambda one: one * 2, "cpu")
    [[2, 4], [], [6]]
    """
    flat = torch.tensor([count for part in lists for count in part], dtype=torch.float64, device=device)
    found = [int(count) for count in summed(flat).tolist()]
    ends = list(accumulate(map(len, lists), initial=0))
    return [found[start:end] for start, end in pairwise(ends)]


def check_same_rows(bounds: Mapping[str, Bound], summed: Callable[[Tensor], Tensor], ranks: int, device: Any) -> None:
    """See that all ranks have the same rows; all of them must call it.

    Args:
        bounds: the bound tasks that train.
        summed: sums a tensor over the ranks.
        ranks: how many they are.
        device: where it sums.

    Raises:
        ConfigError: a source gives each rank rows of its own, by task.
    """
    rows = {name: bound.rows["train"] for name, bound in sorted(bounds.items())}
    told = [(len(source) if source.finite else 0, int(print_of(source)[:8] or "0", 16)) for source in rows.values()]
    own = torch.tensor(told, dtype=torch.float64, device=device)
    same = (summed(own.clone()) == own * ranks).all(1).tolist()
    for name, alike in zip(rows, same, strict=True):
        if not alike:
            raise ConfigError(
                f"the train rows of task `{name}` are others on every rank: pass the whole source, which is dealt to "
                "the ranks here, not one that is split by rank (split_dataset_by_node, a DistributedSampler), and the "
                "same files on every machine"
            )


def check_zero_rows(network: Network, inputs: Iterable[Inputs]) -> None:
    """Call each port with zero rows.

    Raises:
        ConfigError: a port cannot, by name.
    """
    for item in inputs:
        name = network.table[item.kind].name
        try:
            with torch.no_grad():
                made = network.port(item.kind).embed(**item.tensors)
        except Exception as cause:  # whatever a stranger's port raises
            raise ConfigError(
                f"the port `{name}` cannot be used on several ranks: called with zero rows it raised "
                f"{type(cause).__name__}: {cause}; a port's `embed` must accept values of zero rows"
            ) from cause
        if tuple(made.shape) != (0, network.backbone.width):
            raise ConfigError(
                f"the port `{name}` cannot be used on several ranks: of zero rows it must make (0, "
                f"{network.backbone.width}), but made {tuple(made.shape)}"
            )


class Ranks:
    """What a rank calls besides its own batch.

    Args:
        model: the model.
        bounds: the bound tasks that train.
        trainer: with its strategy.

    Raises:
        ConfigError: a port refuses zero rows, no row shows what a port takes, or DDP does not look for unused weights.
    """

    def __init__(self, model: Model, bounds: Mapping[str, Bound], trainer: L.Trainer) -> None:
        self.sharded = isinstance(trainer.strategy, ModelParallelStrategy)
        self.empty = zero_rows(model, bounds)
        check_zero_rows(model.network, self.empty.values())
        plans = [bound.plan for bound in bounds.values()]
        used = {slot.kind for bound in bounds.values() for w in model.reader(bound).wordings for slot in w.slots}
        unknown = sorted(model.network.table[kind].name for kind in used - self.empty.keys())
        if self.sharded and unknown:
            raise ConfigError(
                f"the first {LOOKED_AT} rows of no task have a value for the port `{unknown[0]}`, so that ranks "
                "without one cannot call it: put a row that has one first"
            )
        vary = len(plans) > 1 or any(
            slot.optional or any(isinstance(step, Repeat) for step in walk(wording.source + wording.target))
            for plan in plans
            for wording in plan.alternatives
            for slot in wording.slots
        )
        if vary and isinstance(trainer.strategy, DDPStrategy) and not _finds_unused(trainer.strategy):
            raise ConfigError(
                "batches of different ranks may use different ports, so DDP must look for unused weights: "
                'strategy="ddp_find_unused_parameters_true", or DDPStrategy(find_unused_parameters=True)'
            )

    def absent(self, wanted: Iterable[int], inputs: Sequence[Inputs]) -> list[Inputs]:
        """Zero rows for the ports of a step that a batch does not use."""
        have = {item.kind for item in inputs}
        return [self.empty[kind] for kind in sorted(set(wanted) - have) if kind in self.empty]

    def all(self, inputs: Sequence[Inputs]) -> list[Inputs]:
        """Zero rows for every port that a batch does not use: where ranks do not agree on a step."""
        return self.absent(self.empty, inputs)


def _finds_unused(strategy: Any) -> bool:
    return bool(strategy._ddp_kwargs.get("find_unused_parameters", False))


def shard(network: Network, mesh: Any) -> None:
    """Shard a network in place (FSDP2): each layer of the backbone, each port that only reads, the rest together."""
    for stack in network.backbone.modules():
        if isinstance(stack, nn.ModuleList):
            for layer in stack:
                if any(True for _ in layer.parameters()):
                    fully_shard(layer, mesh=mesh)
    for port in network.ports.values():
        if isinstance(port, Port) and type(port).project is Port.project and any(True for _ in port.parameters()):
            fully_shard(port, mesh=mesh)
            register_fsdp_forward_method(port, "embed")
    fully_shard(network, mesh=mesh)
    register_fsdp_forward_method(network, "loss")


def whole(network: Network) -> bool:
    """Gather all weights on every rank, for predicting; True when the network is sharded."""
    parts = [part for part in network.modules() if isinstance(part, FSDPModule)]
    for part in parts:
        part.unshard()
    return bool(parts)


def apart(network: Network) -> None:
    """Let go of what `whole` gathered."""
    for part in network.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


def full_state(network: Network) -> dict[str, Any]:
    """The weights of a sharded network in full, on every rank."""
    return get_model_state_dict(network, options=StateDictOptions(full_state_dict=True))
