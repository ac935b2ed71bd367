"""The data half of an adapter: raw values to arrays and back. Picklable, without parameters, runs in loader workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from .plan import Side
from .seeding import mix

Array = np.ndarray[Any, Any] | torch.Tensor
Mode = Literal["train", "valid", "predict"]

GIVEN, FORCED, SUPERVISED = 0, 1, 2
"""Roles of a token: read, forced on the target side, predicted and supervised."""

UNREADABLE = (TypeError, ValueError, OSError, OverflowError, RecursionError)
"""What a codec raises at a value that it cannot read; the last two at numbers and nestings without measure."""

PREDICTED_NAME = {"tokens": "tokens", "values": "values", "class": "label"}
"""The name under which a prediction travels: in `labels`, into `Port.embed` and into `Codec.decode`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a value is read: everything that may differ between two readings of one value.

    Attributes:
        side: on the target side a value gets its end mark and labels.
        mode: augmentation acts in "train" only; corruption (`mask_ratio`, `noise_ratio`) in "train" and "valid".
        seed: of (seed, task, row, epoch, slot); draws come from it alone.
        column: seed of (seed, task, row, epoch, column).
        limit: most tokens this value may take, end mark included; None for no limit.
        leader: for a slot that follows another (`sync=`, a box its picture): what the followed slot's codec gave from
            `lead`; None where there is none.
    """

    side: Side = "source"
    mode: Mode = "train"
    seed: int = 0
    column: int = 0
    limit: int | None = None
    leader: Any = None

    @property
    def corrupts(self) -> bool:
        """Whether masking and noise act."""
        return self.mode != "predict"

    def random(self, purpose: str = "") -> np.random.Generator:
        """A fresh generator for one purpose of this reading."""
        return np.random.Generator(np.random.SFC64(mix(self.seed, purpose)))

    def random_of_column(self, purpose: str = "") -> np.random.Generator:
        """The same for all slots of a row that read one column: a piece that source and target must both be."""
        return np.random.Generator(np.random.SFC64(mix(self.column, purpose)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A value as a codec leaves it.

    Attributes:
        rows: tokens it takes in the layout.
        tensors: what `Port.embed` receives, by name. Over all values of a batch that share a port each name is
            concatenated along its first dimension; `embed` returns the rows of all values in order.
        labels: target side only: what a loss compares, each [rows, ...], by name; a token predictor gives "tokens"
            (int64, end mark included), a class predictor "label" (int64), a value predictor "values" (float32).
        roles: uint8 [rows] of GIVEN, FORCED, SUPERVISED; None for all alike (SUPERVISED on the target side).
        grid: float32 [rows, 3]: place in the value's own grid (time in seconds or index, height, width; -1 for height
            and width of what has none); None for text-like values, which are placed by their running index.
        mutual: on the target side its rows see each other both ways, and each is predicted from its own hidden state
            instead of that of the row before it; denoising works so.
        parts: of a value that holds others (a conversation with pictures) its stretches in order, each with its
            modality; `rows` counts them all, and `tensors` is empty.
        clock: of a part: parts of one clock (-1 for none) stand side by side in time, a clip and its sound with the
            marks around them; see `interleaving`.
    """

    rows: int
    tensors: Mapping[str, Array]
    labels: Mapping[str, Array] = field(default_factory=dict)
    roles: Array | None = None
    grid: Array | None = None
    mutual: bool = False
    parts: tuple[tuple[str, Encoded], ...] = ()
    clock: int = -1


class Codec(Protocol):
    """What the "module:Class" named by `Adapter.codec` must offer; made with the adapter's settings as keywords."""

    def measure(self, raw: Any, reading: Reading) -> int:
        """The tokens that `encode` will take, never fewer; cheap (reads headers, not pixels)."""
        ...

    def encode(self, raw: Any, reading: Reading) -> Encoded:
        """Read a raw value.

        Raises:
            ValueError or TypeError: a sentence that says what it must be; task, row, slot and column are added.
        """
        ...

    def decode(self, predicted: Mapping[str, torch.Tensor]) -> Any:
        """A raw value from a prediction: "tokens" int64 [n] without end mark, "values" [n, ...] or "label" [1].

        A codec whose class sets `follows = True` also gets `leader=`, as in `Reading`. One that predicts tokens may
        have `stops`, other ids than its port's end mark that end what is found; they are left out like it.
        """
        ...


class Leads(Protocol):
    """What a codec offers whose values others may follow."""

    def lead(self, raw: Any, reading: Reading) -> Any:
        """What a follower must know: how a picture is framed, the `TimeSpan` of a recording that is read."""
        ...


class Saves(Protocol):
    """What a codec offers whose values have a file format of their own."""

    def save(self, value: Any, stem: Path) -> Path:
        """Write a decoded value beside `stem`, with the suffix of its format; the file."""
        ...
