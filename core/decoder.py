"""The declaration of a decoder: how a target slot's value is found at predicting."""

from __future__ import annotations

from typing import ClassVar

from .settings import Declaration


class Decoder(Declaration):
    """A decoder, chosen by a slot's `decoder=`.

    Class attributes:
        build: "module:Class" of the working half, see `core/networks.py`.
        needs: what an adapter must predict for it; empty for any.
        modalities: slot types it suits; empty for all.
    """

    build: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    modalities: ClassVar[tuple[str, ...]] = ()
