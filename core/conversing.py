"""Values of several kinds in one slot, and values that are continued: a conversation, with pictures in its turns.

A codec whose values hold others gives `Encoded.parts`, which are laid out as pieces of their own ports. A codec that
`continues` is asked at predicting for the rows that come before the answer, and afterwards for the whole value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np

from .codec import FORCED, SUPERVISED, Codec, Encoded, Reading
from .example import Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The codec of a kind that may be held; `follows` names the modalities that its adapter follows."""

    codec: Codec
    follows: tuple[str, ...] = ()


class Thoughts(NamedTuple):
    """The tokens around a thought that opens what is found.

    Attributes:
        opens: the first of it.
        closes: its last.
        breaks: what is said to one that thinks for too long; `closes` is among it, and what follows is the answer.
    """

    opens: int
    closes: int
    breaks: tuple[int, ...]


class Continues(Protocol):
    """What a codec offers whose values are continued instead of made whole.

    It may also offer `thoughts`, see `Thoughts`.
    """

    @property
    def end(self) -> int:
        """The token that ends what is found."""
        ...

    def opening(self, raw: Any, reading: Reading) -> Encoded:
        """The rows that are forced before the answer is found, cut to `reading.limit`.

        Raises:
            ValueError or TypeError: see `Codec.encode`.
        """
        ...

    def continued(self, raw: Any, found: Any) -> Any:
        """The whole value: what was given, with what `decode` made of the answer."""
        ...


def continues(codec: object) -> TypeGuard[Continues]:
    """Whether a codec's values are continued, see `Continues`; one that may be either says so by `continues`."""
    return bool(getattr(codec, "continues", hasattr(codec, "opening")))


def spread(piece: Piece, kinds: Mapping[str, int]) -> list[Piece]:
    """A value's piece as one piece for each of its parts, of the part's own port.

    Args:
        piece: the whole value.
        kinds: the ports of what it may hold, by modality.

    Raises:
        ValueError: the value is supervised, but no row of it.
    """
    whole = piece.encoded
    supervised = piece.role == SUPERVISED
    if supervised and not has_supervised(whole):
        raise ValueError(
            "nothing of it is supervised: it must have a turn of the assistant to learn from; for a conversation that "
            "is only read, write `no_loss`, or put it on the source side"
        )
    out = []
    for modality, encoded in whole.parts or (("", whole),):
        learnt = supervised and has_supervised(encoded)
        role = piece.role if learnt or not supervised else FORCED
        kept = encoded if learnt else replace(encoded, roles=None)
        clock = encoded.clock if encoded.clock >= 0 else piece.clock
        out.append(piece._replace(kind=kinds.get(modality, piece.kind), encoded=kept, role=role, clock=clock))
    return out


def has_supervised(encoded: Encoded) -> bool:
    """Whether any row is supervised, on the target side of a slot that is not given."""
    if encoded.parts:
        return any(has_supervised(part) for _, part in encoded.parts)
    if not encoded.labels:
        return False
    return encoded.roles is None or bool((np.asarray(encoded.roles) == SUPERVISED).any())
