"""Tensors to safetensors files that transformers loads: one, or several with an index above a size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from .shards import INDEX, SINGLE

LARGEST = 5_000_000_000
"""Bytes of a file."""


def write_tensors(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write tensors, in files of at most `LARGEST` bytes where there is more than one to a file."""
    parts = _parted(tensors, LARGEST)
    if len(parts) == 1:
        _save(tensors, parts[0], folder / SINGLE)
        return
    table: dict[str, str] = {}
    for number, names in enumerate(parts, 1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        _save(tensors, names, folder / file)
        table.update(dict.fromkeys(names, file))
    total = sum(_bytes(tensor) for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(table.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _parted(tensors: Mapping[str, Tensor], largest: int) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    held = 0
    for name, tensor in tensors.items():
        size = _bytes(tensor)
        if parts[-1] and held + size > largest:
            parts.append([])
            held = 0
        parts[-1].append(name)
        held += size
    return parts


def _save(tensors: Mapping[str, Tensor], names: Iterable[str], file: Path) -> None:
    own = {name: tensors[name].detach().cpu().contiguous() for name in names}
    # tensors that are views of one storage must be apart in a file
    seen: set[int] = set()
    for name, tensor in own.items():
        if tensor.untyped_storage().nbytes() != _bytes(tensor) or tensor.untyped_storage().data_ptr() in seen:
            own[name] = tensor.clone()
        seen.add(own[name].untyped_storage().data_ptr())
    save_file(own, file, metadata={"format": "pt"})


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
