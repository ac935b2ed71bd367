"""Models of other libraries, read and written by the formats that plugins bring."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from ..core.backbone import Backbone
from ..core.catalog import Catalog
from ..core.errors import BundleError, ConfigError
from ..core.low_rank import merged_state
from ..core.parts import MARKS, port_table, working_half
from ..core.plan import Plan
from ..core.pretrained import Checkpoint, CheckpointFormat, Pretrained
from ..core.senses import with_senses, written_sense
from .tokenizing import read_tokenizer

if TYPE_CHECKING:
    from .mixture import Mixture
    from .model import Model


def format_of(folder: Path, catalog: Catalog) -> str | None:
    """The name of the format that a folder is in; None for none that is known.

    Of several with the same marker it is the first that knows the folder, else the first, which then says what is
    wrong.
    """
    found = [name for name in catalog.names("checkpoints") if (folder / _declared(name, catalog).marker).is_file()]
    if len(found) < 2:
        return found[0] if found else None
    found.sort(key=lambda name: bool(_declared(name, catalog).beside))
    return next((name for name in found if _format(name, catalog).knows(folder)), found[0])


def load_pretrained(
    folder: Path, name: str, catalog: Catalog, *, dtype: torch.dtype | str | None, settings: Mapping[str, Any]
) -> Model:
    """The model of a folder in a format.

    Args:
        folder: where it lies.
        name: of the format.
        catalog: the installed parts.
        dtype: of the weights; "auto" for that of the files; None for float32.
        settings: of the backbone, over those of the folder.

    Raises:
        BundleError: see `CheckpointFormat.read`, or weights that do not fit.
    """
    from .model import Model

    found = _format(name, catalog).read(folder, catalog, settings)
    found, notes = _adopted(found, catalog)
    seen = with_senses(catalog, found.backbone.senses())
    model = Model(
        backbone=found.backbone,
        backbone_name=found.name,
        table=port_table([_plan_of(found, seen)], seen),
        tokenizer=read_tokenizer(found.tokenizer, catalog),
        catalog=catalog,
        plans={},
        loaded=True,
    )
    model.sampling, model.origin = dict(found.sampling), {"format": name, **found.origin}
    wanted = found.dtype if dtype == "auto" else dtype
    if wanted is not None:
        model.network.to(getattr(torch, wanted) if isinstance(wanted, str) else wanted)
    _take(model, found, folder)
    model.network.eval()
    for note in notes:
        warnings.warn(f"{folder}: {note}", UserWarning, stacklevel=3)
    return model


def _adopted(found: Pretrained, catalog: Catalog) -> tuple[Pretrained, list[str]]:
    """The backbone that also brings the adapters that write as the checkpoint's chat template does; what differs."""
    senses, notes = list(found.backbone.senses()), []
    have = {sense.partition(";")[0] for sense in senses}
    for name in catalog.names("adapters") if found.template else ():
        declared = catalog.adapter(name)
        if declared.adopts and name not in have:
            own, note = working_half(declared.adopts, f"the adapter `{name}`")(found.template)
            senses += [written_sense(name, own)] if own else []
            notes += [note] if note else []
    if senses == list(found.backbone.senses()):
        return found, notes
    return replace(found, backbone=found.backbone.bringing(tuple(senses))), notes


def _declared(name: str, catalog: Catalog) -> type[Checkpoint]:
    declared: type[Checkpoint] = catalog.entry("checkpoints", name).part
    return declared


def _format(name: str, catalog: Catalog) -> CheckpointFormat:
    build = _declared(name, catalog).build
    return cast(CheckpointFormat, working_half(build, f"the checkpoint format `{name}`")())


def _written_by(name: str, model: Model) -> str:
    """The format that writes a model when `name` is asked for: one beside it whose own backbone the model has."""
    own = type(model.backbone)
    for other in model.catalog.names("checkpoints"):
        declared = _declared(other, model.catalog)
        if declared.beside == name and model.catalog.backbone(declared.backbone) is own:
            return other
    return name


def start_from(declared: Backbone, tasks: Mixture, catalog: Catalog, *, tokenizer: Any, seed: int) -> Model:
    """A model for tasks with the weights and the tokenizer of the checkpoint that its backbone stands for.

    Raises:
        ConfigError: a tokenizer is asked for, which the checkpoint brings.
        BundleError: see `load_pretrained`.
    """
    found = declared.stands_for()
    assert found is not None
    if tokenizer is not None:
        raise ConfigError(f"the tokenizer must be that of {found[1]}, whose weights are loaded, but one is given")
    name, folder = found
    model = load_pretrained(folder, name, catalog, dtype=None, settings=declared.written())
    model.adopt(tasks, seed=seed)
    return model


def _plan_of(found: Pretrained, catalog: Catalog) -> Plan:
    """A plan that holds nothing but what the ports of a folder are made of."""
    from .verbs import compile as compile_instruction

    if not found.ports:
        return compile_instruction("-> [TEXT:text]", catalog=catalog)
    return compile_instruction(" ".join(found.ports) + " -> [TEXT:text]", catalog=catalog)


def _take(model: Model, found: Pretrained, folder: Path) -> None:
    """The folder's weights, in place."""
    own = dict(model.network.state_dict())
    got = found.weights({key: tuple(value.shape) for key, value in own.items()})
    with torch.no_grad():
        for key, value in got.items():
            if key not in own:
                raise BundleError(f"{folder}: the weight `{key}` has no place in the model")
            own[key].copy_(value)
    needed = [key for key, _ in model.network.named_parameters() if not key.startswith((f"ports.{MARKS}.", "losses."))]
    lost = [key for key in needed if key not in got]
    if lost:
        raise BundleError(f"{folder} has no weights for `{lost[0]}`, which its configuration asks for")


def save_pretrained(model: Model, folder: str | Path, name: str) -> Path:
    """Write a model in a format, whole or not at all.

    Raises:
        ConfigError: no such format.
        BundleError: the format cannot hold the model, or the folder exists and holds something else.
    """
    formats = [one for one in model.catalog.names("checkpoints") if not _declared(one, model.catalog).beside]
    if name not in formats:
        known = ", ".join(f'"{one}"' for one in formats)
        raise ConfigError(f'the format must be "omniline" or one of {known or "none"}, but is {name!r}')
    name, place = _written_by(name, model), Path(folder)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise BundleError(f"{place} exists and is not empty: save to a new folder")
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        homeless = _format(name, model.catalog).write(made, model.backbone, _weights(model), _origin(model))
        if place.exists():
            place.rmdir()
        os.replace(made, place)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    place.chmod(0o755)
    lost = [key for key in homeless if not key.startswith("ports.marks.") or _uses_groups(model)]
    if lost:
        names = ", ".join(lost[:3]) + ", ..." * (len(lost) > 3)
        warnings.warn(
            f"{place}: the format has no place for {len(lost)} weights ({names}), which are not in the folder; a "
            "bundle, `save(folder)`, keeps all",
            UserWarning,
            stacklevel=3,
        )
    return place


def _origin(model: Model) -> dict[str, str]:
    """What the model kept of its folder, with its tokenizer's content and the id that ends a text."""
    if model.tokenizer is None:
        return model.origin
    return {"tokenizer": model.tokenizer.to_json(), "end": str(model.tokenizer.end), **model.origin}


def _weights(model: Model) -> dict[str, torch.Tensor]:
    return merged_state(model.network)


def _uses_groups(model: Model) -> bool:
    from ..core.plan import Repeat, walk

    wordings = [wording for plan in model.plans.values() for wording in plan.alternatives]
    return any(isinstance(step, Repeat) for wording in wordings for step in walk(wording.target))
