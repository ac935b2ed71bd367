"""What predicting returns: a value per target slot, how sure the model is, and files in natural formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from .errors import OmnilineError
from .near import nearest


class Writer(NamedTuple):
    """How a slot's values are written: `save` writes one beside a stem and says where; they stand in lists `depth`
    deep."""

    save: Callable[[Any, Path], Path]
    depth: int = 0


class Piece(str):
    """A piece of a text that is being found.

    Attributes:
        slot: the slot's name.
        place: which repetition of each of its groups.
    """

    __slots__ = ("place", "slot")
    slot: str
    place: tuple[int, ...]

    def __new__(cls, text: str, *, slot: str, place: tuple[int, ...] = ()) -> Piece:
        made = super().__new__(cls, text)
        made.slot, made.place = slot, place
        return made


class Output:
    """The answer to one row.

    A slot's value is `out.cap` or `out["cap"]`; where a slot bears the name of a method or field, only the second.

    Attributes:
        scores: how sure the model is of each slot's value, in 0..1: the geometric mean of its tokens' probabilities, or
            the probability among the members of a closed set; for `<->` "match" holds the sides' similarity.
        embeddings: for `<->` the vector of each side, "source" and "target"; else empty.
        writers: of the values that have a format of their own, by slot.
        drawers: of the values that lie in a picture, by slot; each draws them on it, beside a `stem=`.

    >>> out = Output({"cap": "a cat"}, {"cap": 0.9})
    >>> out.cap, out["cap"], out.scores["cap"]
    ('a cat', 'a cat', 0.9)
    """

    __slots__ = ("_drawers", "_values", "_writers", "embeddings", "scores")

    def __init__(
        self,
        values: Mapping[str, Any],
        scores: Mapping[str, Any],
        embeddings: Mapping[str, Tensor] | None = None,
        *,
        writers: Mapping[str, Writer] | None = None,
        drawers: Mapping[str, Callable[..., Path]] | None = None,
    ) -> None:
        self._drawers = dict(drawers or {})
        self._writers = dict(writers or {})
        self._values = dict(values)
        self.scores: dict[str, Any] = dict(scores)
        self.embeddings: dict[str, Tensor] = dict(embeddings or {})

    def __getitem__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        raise KeyError(self._unknown(name))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._values:
            return self._values[name]
        raise AttributeError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        near = nearest(name, self._values)
        hint = f"; did you mean `{near}`?" if near else ""
        return f"the output has no slot `{name}`{hint} (slots: {', '.join(self._values) or 'none'})"

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"Output({inner})"

    def to_dict(self) -> dict[str, Any]:
        """The values by slot."""
        return dict(self._values)

    def save(self, folder: str | Path) -> list[Path]:
        """Write each value in its natural format.

        Text as .txt, pictures as .png, sounds as .wav, clips as .mp4, motions as .bvh, tables as .csv, other lists and
        mappings as .json; the values of a group that have a format of their own as NAME_0, NAME_1, ... Boxes are also
        drawn on their picture, NAME_drawn.png.

        Args:
            folder: made when it does not exist; files of the same names are replaced.

        Returns:
            The files, in order of the values.

        Raises:
            OmnilineError: a value has no file format.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        found: list[Path] = []
        for name, value in self._values.items():
            writer = self._writers.get(name)
            found += _write(place / name, value) if writer is None else _written(place / name, value, *writer)
            if value is not None and name in self._drawers:
                found.append(self._drawers[name](value, stem=place / f"{name}_drawn"))
        return found


def _written(stem: Path, value: Any, save: Callable[[Any, Path], Path], depth: int) -> list[Path]:
    """Write a value, or those of a group one by one."""
    if value is None:
        return []
    if not depth:
        return [save(value, stem)]
    parts = [_written(stem.with_name(f"{stem.name}_{n}"), item, save, depth - 1) for n, item in enumerate(value)]
    return [path for part in parts for path in part]


def write_value(value: Any, stem: Path) -> Path:
    """Write one value in the format that its type has."""
    return _write(stem, value)[0]


def _write(stem: Path, value: Any) -> list[Path]:
    """Write a value whose codec has no format; those of a group that JSON has no form for one by one."""
    if isinstance(value, str):
        path = stem.with_name(stem.name + ".txt")
        path.write_text(value, encoding="utf-8")
        return [path]
    if hasattr(value, "save") and hasattr(value, "size"):
        path = stem.with_name(stem.name + ".png")
        value.save(path)
        return [path]
    if hasattr(value, "detach") or hasattr(value, "__array__"):
        import numpy as np

        path = stem.with_name(stem.name + ".npy")
        np.save(path, np.asarray(value.detach().cpu() if hasattr(value, "detach") else value))
        return [path]
    path = stem.with_name(stem.name + ".json")
    try:
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
    except TypeError as cause:
        path.unlink(missing_ok=True)
        if isinstance(value, list):
            parts = [_write(stem.with_name(f"{stem.name}_{n}"), one) for n, one in enumerate(value) if one is not None]
            return [path for part in parts for path in part]
        raise OmnilineError(f"the value of `{stem.name}` has no file format: {cause}") from cause
    return [path]
