"""The tensors of a folder: one safetensors file or several with an index, mapped into memory, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ....core.errors import BundleError
from ....core.json_values import read_json
from .names import ASIDE, Origin, respelled, spelling_of

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class Shards:
    """The tensors of a checkpoint's folder by name; files are opened when they are first needed.

    Raises:
        BundleError: no weights, a missing or cut file, or an index that does not fit its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Any] = {}
        self._place = self._places()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors."""
        return tuple(self._place)

    @property
    def dtype(self) -> str:
        """That of the first weight that is no whole number, such as "bfloat16"; float32 when there is none."""
        for name in self.names:
            found = self.tensor(name).dtype
            if found.is_floating_point:
                return str(found).removeprefix("torch.")
        return "float32"

    def file_of(self, name: str) -> Path:
        """The file that holds a tensor."""
        return self.folder / self._place[name]

    def tensor(self, name: str) -> Tensor:
        """A tensor in its own dtype, mapped and not to be written to.

        Raises:
            BundleError: the file that should hold it does not.
        """
        try:
            found: Tensor = self._open(self._place[name]).get_tensor(name)
        except SafetensorError as cause:
            raise BundleError(f"{self.file_of(name)} must hold the tensor `{name}`, but does not: {cause}") from cause
        return found

    def _places(self) -> dict[str, str]:
        """The file of each tensor."""
        if (self.folder / INDEX).is_file():
            table = read_json(self.folder / INDEX).get("weight_map")
            if not isinstance(table, dict) or not all(isinstance(file, str) for file in table.values()):
                raise BundleError(f"{self.folder / INDEX} must have a `weight_map` from tensors to files, but has not")
            for file in sorted(set(table.values())):
                if Path(file).name != file:
                    raise BundleError(f"{self.folder / INDEX} names the file {file!r}, which is not in its own folder")
                if not (self.folder / file).is_file():
                    count = sum(other == file for other in table.values())
                    raise BundleError(f"{self.folder} lacks the file {file}, which must hold {count} of its tensors")
            return dict(table)
        if not (self.folder / SINGLE).is_file():
            raise BundleError(f"{self.folder} has no weights: it needs {SINGLE}, or {INDEX} and the files it names")
        return dict.fromkeys(self._open(SINGLE).keys(), SINGLE)

    def _open(self, file: str) -> Any:
        if file not in self._files:
            try:
                self._files[file] = safe_open(self.folder / file, framework="pt")
            except (SafetensorError, OSError) as cause:
                raise BundleError(f"{self.folder / file} cannot be read, it may be cut: {cause}") from cause
        return self._files[file]


class Weights:
    """Our weights, put together from the tensors of a folder.

    Args:
        shards: the tensors.
        origins: what each weight is made of.
        optional: names of theirs that may be there or not and are not used, as an output layer that is tied.

    Raises:
        BundleError: a tensor that is missing, or one that has no place.
    """

    def __init__(self, shards: Shards, origins: Mapping[str, Origin], optional: tuple[str, ...] = ()) -> None:
        self.shards = shards
        self._have = set(shards.names)
        self.spelling = spelling_of(self._have)
        self._parts = {name: self._found(origin) for name, origin in origins.items()}
        used = {part for groups, _ in self._parts.values() for group in groups for part in group}
        allowed = used | {respelled(name, self.spelling) for name in optional}
        for name in sorted(self._have - allowed):
            if ASIDE.match(name) is None:
                raise BundleError(f"{shards.file_of(name)} has the tensor `{name}`, which this architecture has not")

    def _found(self, origin: Origin) -> tuple[tuple[tuple[str, ...], ...], bool]:
        """The names in the files that a weight is made of, and whether the groups are stacked."""
        whole = respelled(origin.whole, self.spelling)
        if origin.whole and whole in self._have:
            return ((whole,),), False
        groups = tuple(tuple(respelled(name, self.spelling) for name in group) for group in origin.groups)
        for name in (name for group in groups for name in group):
            if name not in self._have:
                raise BundleError(f"{self.shards.folder} lacks the tensor `{name}`, which `config.json` asks for")
        return groups, origin.stacked

    def read(self, ours: str, shape: torch.Size) -> Tensor:
        """One weight in the dtype of the folder, not to be written to.

        Raises:
            BundleError: its shape is another.
        """
        groups, stacked = self._parts[ours]
        made = [self._one(group) for group in groups]
        wanted = shape[1:] if stacked else shape
        for group, part in zip(groups, made, strict=True):
            if part.shape != wanted:
                fellows = f" with {', '.join(f'`{name}`' for name in group[1:])}" if len(group) > 1 else ""
                raise BundleError(
                    f"{self.shards.file_of(group[0])}: the tensor `{group[0]}`{fellows} must be {list(wanted)}, but is "
                    f"{list(part.shape)}"
                )
        if stacked and len(made) != shape[0]:
            raise BundleError(f"{self.shards.folder} must have {shape[0]} experts, but has {len(made)}")
        return torch.stack(made) if stacked else made[0]

    def _one(self, group: tuple[str, ...]) -> Tensor:
        parts = [self.shards.tensor(name) for name in group]
        if len(parts) == 1:
            return parts[0]
        if any(part.dim() != parts[0].dim() or part.shape[1:] != parts[0].shape[1:] for part in parts):
            shapes = ", ".join(str(list(part.shape)) for part in parts)
            raise BundleError(
                f"{self.shards.file_of(group[0])}: the tensor `{group[0]}` must fit {', '.join(group[1:])}, but they "
                f"are {shapes}"
            )
        return torch.cat(parts)


def split(value: Tensor, origin: Origin) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a weight is written as, with their names: the reverse of `Weights.read`.

    >>> found = split(torch.arange(4.0), Origin((("q", "k"),)))
    >>> {name: part.tolist() for name, part in found}
    {'q': [0.0, 1.0], 'k': [2.0, 3.0]}
    """
    rows = value.unbind(0) if origin.stacked else (value,)
    for group, row in zip(origin.groups, rows, strict=True):
        yield from zip(group, row.chunk(len(group)), strict=True)
