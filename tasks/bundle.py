"""Bundles: a saved model as a folder of safetensors and JSON, every file with its hash. Loading runs no pickle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..core.backbone import Backbone
from ..core.backbone_name import resolve_backbone
from ..core.catalog import Catalog
from ..core.errors import BundleError, ConfigError, OmnilineError, PlanError, PluginError
from ..core.garbage import uncollected
from ..core.parts import MARKS, MARKS_PORT, PortSpec, owner_of
from ..core.plan import Plan
from ..plugins.manager import installed
from .pretrained import format_of, load_pretrained
from .tokenizing import read_tokenizer

if TYPE_CHECKING:
    from .model import Model

FORMAT = 1
INDEX, WEIGHTS, MODEL, TOKENIZER = "bundle.json", "weights.safetensors", "model.json", "tokenizer.json"


def save(model: Model, folder: str | Path) -> Path:
    """Write a bundle, whole or not at all.

    Raises:
        BundleError: the folder exists and is no bundle, or cannot be written.
    """
    place = Path(folder)
    if place.exists() and not (place.is_dir() and (not any(place.iterdir()) or (place / INDEX).is_file())):
        raise BundleError(f"{place} exists and is no bundle: save to a new folder")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    except OSError as cause:
        raise BundleError(f"{place} cannot be written: {cause}") from cause
    try:
        _write(model, made)
        if place.exists():
            shutil.rmtree(place)
        os.replace(made, place)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return place


def _write(model: Model, folder: Path) -> None:
    tensors, tied = _unshared(model.network.state_dict())
    save_file(tensors, folder / WEIGHTS)
    _json(folder / MODEL, _description(model, tied))
    if model.tokenizer is not None:
        (folder / TOKENIZER).write_text(model.tokenizer.to_json(), encoding="utf-8")
    files = sorted(path.name for path in folder.iterdir())
    _json(folder / INDEX, {"format": FORMAT, "files": {name: _hash(folder / name) for name in files}})
    for path in folder.iterdir():
        path.chmod(0o644)
    folder.chmod(0o755)


def _description(model: Model, tied: dict[str, str]) -> dict[str, Any]:
    packages = {spec.package for spec in model.table if spec.package}
    owners = {p.package: p.version for plan in model.plans.values() for p in plan.parts if p.package}
    for entry in model.catalog.parts["backbones"].values():
        if entry.part is type(model.backbone):
            owners.setdefault(entry.owner.package, entry.owner.version)
    return {
        "backbone": model.backbone_name,
        "settings": _settings(model),
        "sampling": model.sampling,
        "origin": model.origin,
        "lora": None if model.lora is None else asdict(model.lora),
        "ports": [_port_json(spec) for spec in model.table],
        "plans": {name: json.loads(plan.to_json()) for name, plan in model.plans.items()},
        "plugins": {name: owners.get(name, "") for name in sorted(packages | set(owners))},
        "tied": tied,
    }


def _settings(model: Model) -> dict[str, Any] | None:
    """The backbone's settings where its name alone does not say them."""
    if model.named() == model.backbone_name:
        return None
    return {k: list(v) if isinstance(v, tuple) else v for k, v in model.backbone.settings().items()}


def _port_json(spec: PortSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "target": spec.target,
        "settings": [[key, list(v) if isinstance(v, tuple) else v] for key, v in spec.settings],
        "closed_set": None if spec.closed_set is None else list(spec.closed_set),
        "assets": list(spec.assets),
        "package": spec.package,
    }


def _unshared(state: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Each stored tensor once, and which names are other names of it."""
    seen: dict[tuple[int, tuple[int, ...], tuple[int, ...]], str] = {}
    tensors, tied = {}, {}
    for name, value in state.items():
        key = (value.data_ptr(), tuple(value.shape), tuple(value.stride()))
        if value.numel() and key in seen:
            tied[name] = seen[key]
            continue
        seen[key] = name
        tensors[name] = value.detach().cpu().contiguous()
    return tensors, tied


@uncollected()
def load(
    folder: str | Path, *, catalog: Catalog | None = None, dtype: torch.dtype | str | None = None, **settings: Any
) -> Model:
    """Read a bundle that `Model.save` wrote, or a checkpoint's folder in a format that a plugin brings.

    Args:
        folder: the bundle or checkpoint.
        catalog: where its parts are looked up; by default the installed packages.
        dtype: of a checkpoint's weights: "auto" keeps that of the files, None is float32.
        settings: of a checkpoint's backbone, over those of the folder, such as `checkpoint=True`.

    Raises:
        BundleError: no bundle, another format, a file that is missing, cut or changed, or weights that do not fit.
        ConfigError: `dtype` or settings for a bundle, which has its own.
        PluginError: a plugin that it needs is not installed.
    """
    place = Path(folder)
    name = None if (place / INDEX).is_file() else format_of(place, catalog or installed())
    if name is not None:
        return load_pretrained(place, name, catalog or installed(), dtype=dtype, settings=settings)
    if dtype is not None or settings:
        raise ConfigError(f"{place} is no checkpoint, so `{next(iter(settings), 'dtype')}` cannot be set on loading")
    index = _read_json(place, INDEX, "is no bundle")
    if index.get("format") != FORMAT:
        raise BundleError(f"{place}: the bundle's format must be {FORMAT}, but is {index.get('format')!r}")
    files = index.get("files")
    if not isinstance(files, dict) or not {WEIGHTS, MODEL} <= set(files):
        raise BundleError(f"{place / INDEX} does not list the files of a bundle")
    for name, wanted in files.items():
        _verify(place, name, wanted)
    return _rebuilt(place, _read_json(place, MODEL, "is damaged"), catalog or installed(), TOKENIZER in files)


def _verify(place: Path, name: str, wanted: Any) -> None:
    if "/" in name or "\\" in name or name in ("", ".", ".."):
        raise BundleError(f"{place / INDEX} names the file {name!r}, which is not in the bundle's own folder")
    if not (place / name).is_file():
        raise BundleError(f"{place}: the file {name} is missing")
    if _hash(place / name) != wanted:
        raise BundleError(
            f"{place}: the file {name} is not what was saved: it was changed or cut; copy the bundle again"
        )


def _rebuilt(place: Path, about: dict[str, Any], catalog: Catalog, has_tokenizer: bool) -> Model:
    from .model import Model

    try:
        plugins, tied, name = dict(about["plugins"]), dict(about["tied"]), str(about["backbone"])
        sampling, origin = dict(about.get("sampling", {})), dict(about.get("origin", {}))
        table = [_port_of(item) for item in about["ports"]]
        plans = {task: Plan.from_json(json.dumps(plan)) for task, plan in about["plans"].items()}
    except (KeyError, TypeError, ValueError, PlanError) as cause:
        raise BundleError(f"{place / MODEL} cannot be read: {cause}") from cause
    _check_plugins(place, plugins, plans, catalog)
    _check_ports(place, table, catalog)
    text = _tokenizer(place / TOKENIZER) if has_tokenizer else None
    try:
        model = Model(
            backbone=_backbone_of(name, about.get("settings"), place, catalog),
            backbone_name=name,
            table=table,
            tokenizer=read_tokenizer(text, catalog),
            catalog=catalog,
            plans=plans,
            loaded=True,
        )
    except OmnilineError:
        raise
    except (KeyError, TypeError, ValueError) as cause:
        raise BundleError(f"{place / MODEL} does not describe a model: {type(cause).__name__}: {cause}") from cause
    model.sampling, model.origin = sampling, origin
    if about.get("lora"):
        model.train_only(lora=about["lora"])
    model.network.load_state_dict(_weights(place, model, tied))
    model.network.eval()
    return model


def _tokenizer(path: Path) -> str:
    """The content of a tokenizer's file, which is JSON: any other text would be taken for the name of a file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as cause:
        raise BundleError(f"{path} cannot be read: {cause}") from cause
    if not text.lstrip().startswith("{"):
        raise BundleError(f"{path} must hold a tokenizer as JSON, but begins with {text[:20]!r}")
    return text


def _backbone_of(name: str, settings: Any, place: Path, catalog: Catalog) -> Backbone:
    """The declaration that was saved: its settings are written apart, as a checkpoint's are no size that has a name."""
    if not isinstance(settings, dict):
        return resolve_backbone(name, catalog)
    base = name.partition(",")[0].partition(":")[0]
    while catalog.find("backbones", base) is None and "-" in base:
        base = base.rpartition("-")[0]
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    try:
        return catalog.backbone(base)(**plain)
    except TypeError as cause:
        raise BundleError(f"{place / MODEL}: the backbone `{base}` does not have these settings: {cause}") from cause


def _check_plugins(place: Path, plugins: dict[str, str], plans: dict[str, Plan], catalog: Catalog) -> None:
    have = {entry.owner.package for table in catalog.parts.values() for entry in table.values()}
    for package, version in plugins.items():
        if package not in have:
            parts = sorted({f"`{p.name}`" for plan in plans.values() for p in plan.parts if p.package == package})
            what = f" (for {', '.join(parts)})" if parts else ""
            raise PluginError(
                f"{place}: the bundle needs the package `{package}` {version}{what}, which is not installed: install it"
            )


def _check_ports(place: Path, table: list[PortSpec], catalog: Catalog) -> None:
    """Only what the catalog's adapters declare may be made; nothing that a bundle alone names is imported."""
    if not table or table[0] != PortSpec(name=MARKS, target=MARKS_PORT):
        raise BundleError(f"{place / MODEL}: the first port must be `{MARKS}`")
    for spec in table[1:]:
        if owner_of(spec, catalog) is None:
            raise BundleError(
                f"{place / MODEL}: the port `{spec.name}` is {spec.target} with these settings, which no installed "
                "adapter declares: it was saved with other parts, or changed"
            )


def _port_of(item: dict[str, Any]) -> PortSpec:
    closed = item["closed_set"]
    return PortSpec(
        name=str(item["name"]),
        target=str(item["target"]),
        settings=tuple((str(key), tuple(v) if isinstance(v, list) else v) for key, v in item["settings"]),
        closed_set=None if closed is None else tuple(closed),
        assets=tuple(item["assets"]),
        package=str(item["package"]),
    )


def _weights(place: Path, model: Model, tied: dict[str, str]) -> dict[str, torch.Tensor]:
    try:
        with safe_open(place / WEIGHTS, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as cause:
        raise BundleError(f"{place / WEIGHTS} cannot be read: {cause}") from cause
    found.update({name: found[other] for name, other in tied.items() if other in found})
    wanted = model.network.state_dict()
    lost = sorted(set(wanted) - set(found))
    extra = sorted(set(found) - set(wanted))
    if lost or extra:
        what = f"lacks `{lost[0]}`" if lost else f"has `{extra[0]}`, which this model does not"
        raise BundleError(f"{place / WEIGHTS} {what}: the installed parts are not those that it was saved with")
    for name, value in wanted.items():
        if found[name].shape != value.shape:
            raise BundleError(
                f"{place / WEIGHTS}: `{name}` must be {tuple(value.shape)}, but is {tuple(found[name].shape)}"
            )
    return found


def _read_json(place: Path, name: str, otherwise: str) -> dict[str, Any]:
    path = place / name
    if not path.is_file():
        raise BundleError(f"{place} {otherwise}: it has no {name}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise BundleError(f"{path} cannot be read: {cause}") from cause
    if not isinstance(found, dict):
        raise BundleError(f"{path} must hold a JSON object, but holds a {type(found).__name__}")
    return found


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
