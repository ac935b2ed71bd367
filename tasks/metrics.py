"""The metrics of a task: which of them judge which slot. Names and settings are checked when the task is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.catalog import Catalog
from ..core.errors import ConfigError
from ..core.metric import default_metrics
from ..core.metric_name import resolve_metric
from ..core.near import nearest
from ..core.plan import Plan, SlotPlan

Wanted = Sequence[str] | Mapping[str, Sequence[str]] | None


def chosen_metrics(task: str, plan: Plan, wanted: Wanted) -> list[tuple[SlotPlan, str]]:
    """The metrics of a task: those it names, else what suits each supervised slot.

    Raises:
        ConfigError: `metrics=` is one text, or names a slot that is no target.
    """
    slots = [slot for slot in plan.targets if not slot.given]
    if wanted is None:
        return [(slot, name) for slot in slots for name in default_metrics(slot)]
    if not isinstance(wanted, Mapping):
        return [(slot, name) for slot in slots for name in _listed(task, wanted)]
    known = {slot.name: slot for slot in slots}
    for name in wanted:
        if name not in known:
            near = nearest(name, known)
            hint = f"; did you mean `{near}`?" if near else ""
            raise ConfigError(f"metrics of task `{task}` name `{name}`, which is no target slot{hint}")
    return [(known[slot], name) for slot, names in wanted.items() for name in _listed(task, names)]


def check_metrics(task: str, plan: Plan, wanted: Wanted, catalog: Catalog) -> None:
    """Whether the metrics that a task names can judge its slots.

    Raises:
        PluginError: no such metric.
        ConfigError: settings that it does not have, a slot that it does not suit, or one that it would judge by and
            that is not there.
    """
    if wanted is None:
        return
    for slot, name in chosen_metrics(task, plan, wanted):
        metric = resolve_metric(name, catalog)
        if metric.modalities and slot.modality not in metric.modalities:
            raise ConfigError(
                f"the metric `{name}` suits {', '.join(metric.modalities)}, but `{slot.name}` is {slot.modality}"
            )
        for modality in metric.reads:
            if not any(s.side == "source" and s.modality == modality for s in plan.slots):
                raise ConfigError(
                    f"the metric `{name}` judges by a {modality} slot on the source side, but the instruction of task "
                    f"`{task}` has none"
                )


def _listed(task: str, names: Sequence[str]) -> Sequence[str]:
    if isinstance(names, str):
        raise ConfigError(f"metrics of task `{task}` must be a list of names, but are the text {names!r}; write a list")
    return names
