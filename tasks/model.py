"""The Model: a network with what it needs to read rows and to write answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import torch

from ..core.backbone import Backbone
from ..core.backbone_name import resolve_backbone
from ..core.catalog import Catalog
from ..core.errors import ConfigError, InstructionError, PluginError
from ..core.low_rank import LowRank, add_low_rank
from ..core.model import Network
from ..core.outputs import Output, Piece
from ..core.packing import MARK_LOSS
from ..core.parts import PortSpec, port_table
from ..core.plan import Part, Plan
from ..core.prefixes import PrefixStore
from ..core.reader import Reader, make_reader
from ..core.seeding import mix
from ..core.senses import with_senses
from ..core.settings import Value
from ..core.unfilled import Unfilled
from ..plugins.manager import installed
from .asking import ask, stream
from .binding import Bound, bind, check_first_rows
from .carrying import copy_frozen, grown
from .freezing import apply_low_rank, low_rank_of
from .freezing import freeze as freeze_weights
from .mixture import Mixture, mixture_of
from .predicting import Predictor
from .pretrained import start_from
from .readers import Readers
from .settling import settle_by_others
from .task import Task
from .tokenizing import tokenizer_for
from .verbs import Text, check
from .verbs import compile as compile_instruction


class Model:
    """A network, its ports and tokenizer, and the plans it was trained on. Made by `Model.build`, `fit` or `load`.

    Attributes:
        network: the `nn.Module`.
        backbone: the backbone's declaration.
        backbone_name: as it was asked for, such as "ofa-tiny".
        table: the ports by kind.
        tokenizer: what text slots and prompts are read with.
        catalog: the parts that its instructions may name.
        plans: the plans it knows by task, closed sets bound.
        sampling: settings of decoders that stand for those which the user does not write.
        origin: of a model of another library, what writing it in its format needs.
        lora: the low-rank updates that its layers have, if any.
        prefixes: leading rows of prompts that were read, for the next prompts that begin so.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        backbone_name: str,
        table: Sequence[PortSpec],
        tokenizer: Any,
        catalog: Catalog,
        plans: Mapping[str, Plan],
        loaded: bool = False,
    ) -> None:
        """`loaded`: all weights are loaded afterwards, so that no pretrained ones are fetched."""
        self.backbone, self.backbone_name = backbone, backbone_name
        self.table = tuple(table)
        self.tokenizer = tokenizer
        self.catalog = with_senses(catalog, backbone.senses())
        self.plans = dict(plans)
        self.sampling: dict[str, Value] = {}
        self.origin: dict[str, str] = {}
        self.lora: LowRank | None = None
        self.prefixes = PrefixStore()
        self.network = self._make({spec.name for spec in table}, Unfilled()) if loaded else self._make(set())
        self._bounds: dict[int, Bound] = {}
        self._readers = Readers()

    def _make(self, loaded: Collection[str], unfilled: Unfilled | None = None) -> Network:
        made = Network(
            self.table,
            self.backbone,
            losses_of(self.plans.values()),
            catalog=self.catalog,
            assets={"tokenizer": self.tokenizer},
            loaded=loaded,
            unfilled=unfilled,
        )
        if self.lora is not None:
            add_low_rank(made, self.lora)
        return made

    def train_only(self, *, lora: Any = None, freeze: str | Iterable[str] = ()) -> None:
        """Say what is trained, from all of the weights to low-rank updates alone.

        Args:
            lora: True, "rank=8,alpha=16,targets=backbone.layers.*.attention.q|..." or a mapping: every matching layer
                gets an update (Hu et al., 2021), and nothing else that the model has by now is trained; ports that
                later tasks add are. Layers that have an update keep it.
            freeze: patterns of names whose weights stay as they are, "ports.vision.*|backbone.layers.0.*".

        Raises:
            ConfigError: a pattern matches nothing, or an unknown setting.
        """
        how = low_rank_of(lora)
        if how is not None:
            self.lora = how
            apply_low_rank(self.network, how)
        patterns = freeze.split("|") if isinstance(freeze, str) else list(freeze)
        freeze_weights(self.network, [pattern for pattern in patterns if pattern])

    @classmethod
    def build(
        cls,
        *,
        backbone: str = "ofa-tiny",
        tasks: Mixture | Task | Iterable[Task],
        tokenizer: Any = None,
        seed: int = 0,
        catalog: Catalog | None = None,
    ) -> Model:
        """A new model for these tasks, with random weights, or with those of the folder in `backbone="hf:PATH"`.

        Args:
            backbone: `<name>-<size>` or `<name>:<argument>`, with settings after commas: "ofa-tiny,dropout=0.1".
            tasks: what it must be able to read; their first rows are checked before a weight exists.
            tokenizer: None for bytes, "bpe:8000" to train one on the tasks' own text, a `tokenizer.json`, or a
                tokenizer.
            seed: of the weights.
            catalog: the parts; by default those of the installed packages.

        Raises:
            InstructionError: a task's rows do not suit its line, or cannot fit the backbone's context.
            PluginError: an unknown backbone or a part that is not installed.
        """
        mixture = mixture_of(tasks)
        declaration = resolve_backbone(backbone, catalog or installed())
        parts = with_senses(catalog or installed(), declaration.senses())
        judge_context(mixture, backbone, parts)
        if declaration.stands_for() is not None:
            return start_from(declaration, mixture, parts, tokenizer=tokenizer, seed=seed)
        bounds = {id(task): bind(task, parts) for task in mixture}
        tool = tokenizer_for(tokenizer, list(bounds.values()), parts)
        plans = {task.name: bounds[id(task)].plan for task in mixture}
        table = port_table(plans.values(), parts)
        for task in mixture:
            _check_rows(bounds[id(task)], table, tool, declaration)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(seed, "weights"))
            model = cls(
                backbone=declaration, backbone_name=backbone, table=table, tokenizer=tool, catalog=parts, plans=plans
            )
        model._bounds.update(bounds)
        return model

    def adopt(self, tasks: Mixture | Task | Iterable[Task], *, seed: int = 0) -> None:
        """Make ready for more tasks: new ports and losses are added, what is there keeps its weights."""
        mixture = mixture_of(tasks)
        judge_context(mixture, self.named(), self.catalog)
        plans = self.plans | {task.name: self.bound(task).plan for task in mixture}
        table = port_table(plans.values(), self.catalog, known=self.table)
        for task in mixture:
            _check_rows(self.bound(task), table, self.tokenizer, self.backbone)
        self.plans = plans
        self._readers.clear()
        if table == self.table:
            self.network.add_losses(losses_of(self.plans.values()), self.catalog)
            return
        old, self.table = self.network, table
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(seed, "weights"))
            self.network = grown(old, partial(self._make, {spec.name for spec in old.table}))

    def named(self) -> str | Backbone:
        """The backbone under the name that it was asked for, where that name still makes it."""
        try:
            named = resolve_backbone(self.backbone_name, self.catalog)
        except (ConfigError, PluginError):
            return self.backbone
        return self.backbone_name if named == self.backbone else self.backbone

    def take(self, state: Mapping[str, torch.Tensor]) -> None:
        """Make the network anew with these weights, as after training with sharded ones."""
        old, self.network = self.network, self._make({spec.name for spec in self.table})
        self.network.load_state_dict(state)
        copy_frozen(old, self.network)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def bound(self, task: Task) -> Bound:
        """The task with its data opened, once."""
        if id(task) not in self._bounds:
            self._bounds[id(task)] = bind(task, self.catalog)
        return self._bounds[id(task)]

    def reader(self, bound: Bound) -> Reader:
        """A reader of the task's rows for this model's ports."""
        name, plan = bound.task.name, bound.plan
        return self._readers.of_task(bound, lambda: self._reader(name, self._with_known_sets(plan)))

    def _reader(self, name: str, plan: Plan) -> Reader:
        return make_reader(
            name,
            plan,
            catalog=self.catalog,
            table=self.table,
            tokenizer=self.tokenizer,
            context=self.backbone.context(),
            frame=self.backbone.frame(),
        )

    def plan(self, instruction: Text) -> Plan:
        """The plan of an instruction, with what the known task that has the same line or slot learned of its data."""
        plan = compile_instruction(instruction, catalog=self.catalog)
        for known in self.plans.values():
            if known.text == plan.text:
                return known
        return settle_by_others(self._with_known_sets(plan), self.catalog, self.plans.values())

    def _with_known_sets(self, plan: Plan) -> Plan:
        """The plan, with the members that a known task's slot of the same name has where its own are not known."""
        sets = {s.name: s.closed_set for known in self.plans.values() for s in known.slots if s.closed_set}
        wordings = tuple(
            replace(
                wording,
                slots=tuple(
                    replace(slot, closed_set=sets.get(slot.name, ())) if slot.closed_set == () else slot
                    for slot in wording.slots
                ),
            )
            for wording in plan.alternatives
        )
        return replace(plan, alternatives=wordings)

    @overload
    def predict(self, instruction: Text, data: Mapping[str, Any], **settings: Any) -> Output: ...

    @overload
    def predict(self, instruction: Text, data: Iterable[Mapping[str, Any]], **settings: Any) -> list[Output]: ...

    def predict(self, instruction: Text, data: Any, **settings: Any) -> Output | list[Output]:
        """The target slots of one row, or of several.

        Args:
            instruction: the line; its weights must have been trained on some task with the same ports.
            data: a mapping from column to value, or an iterable of mappings. Target slots with `no_loss` must be given.
            settings: `decoder=` and its settings for all target slots, `seed=`, `most_tokens=`, `batch_rows=`,
                `batch_tokens=`, `prefix_cache=` (megabytes of read prompts that are kept, 256; 0 reads all anew).

        Raises:
            InstructionError: the line is wrong.
            DataError: a value is missing or cannot be read.
            ConfigError: an unknown setting.
            PluginError: the line needs a port that the model does not have.
        """
        return ask(self._predictor(instruction, settings), data)

    def stream(self, instruction: Text, row: Mapping[str, Any], **settings: Any) -> Iterator[Piece | Output]:
        """The texts of one row piece by piece as they are found, then its output; see `predict` and `Piece`.

        Closing the iterator stops the search at its next token.
        """
        return stream(self._predictor(instruction, settings), row)

    def _predictor(self, instruction: Text, settings: Mapping[str, Any]) -> Predictor:
        plan = self.plan(instruction)
        reader = self._readers.of_line(plan, lambda: self._reader("predict", plan))
        return Predictor(self, reader, **settings)

    def save(self, folder: str | Path, *, format: str = "omniline") -> Path:
        """Write the bundle that `load` reads: weights as safetensors, the rest as JSON, a hash of each file.

        Args:
            folder: where.
            format: "omniline", or a format of another library, "hf".

        Raises:
            BundleError: the folder holds something else, or the format cannot hold the model.
            ConfigError: no such format.
        """
        from .bundle import save
        from .pretrained import save_pretrained

        return save(self, folder) if format == "omniline" else save_pretrained(self, folder, format)

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.network.parameters())
        ports = ", ".join(spec.name for spec in self.table[1:])
        tasks = ", ".join(self.plans)
        return f"Model({self.backbone_name}, {count / 1e6:.1f}M parameters, ports: {ports}, tasks: {tasks})"


def objective_keys(plans: Mapping[str, Plan]) -> set[str]:
    """Every name under which a loss of these tasks may be counted, the same on all ranks."""
    keys: set[str] = set()
    for task, plan in plans.items():
        for wording in plan.alternatives:
            for objective in wording.objectives:
                several = objective.kind in ("predict", "align")
                names = [wording.slots[s].name for s in objective.slots] if several else [objective.kind]
                keys.update(f"{task}/{name}" for name in (*names, "marks"))
    return keys


def losses_of(plans: Iterable[Plan]) -> list[Part]:
    """Every loss that the plans name, and that of the marks."""
    parts = [MARK_LOSS]
    for plan in plans:
        for wording in plan.alternatives:
            parts.extend(objective.loss for objective in wording.objectives)
    return list(dict.fromkeys(parts))


def judge_context(mixture: Mixture, backbone: str | Backbone, catalog: Catalog) -> None:
    """Refuse tasks that cannot fit the backbone's context.

    Raises:
        InstructionError: with the arithmetic.
    """
    found = [d for task in mixture for d in check(task.instruction, catalog=catalog, backbone=backbone)]
    errors = [d for d in found if d.severity == "error"]
    if errors:
        raise InstructionError(errors)


def _check_rows(bound: Bound, table: tuple[PortSpec, ...], tokenizer: Any, backbone: Backbone) -> None:
    reader = make_reader(
        bound.task.name,
        bound.plan,
        catalog=bound.task.catalog,
        table=table,
        tokenizer=tokenizer,
        context=backbone.context(),
        frame=backbone.frame(),
    )
    check_first_rows(bound, reader)
