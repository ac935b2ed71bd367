"""The declaration of a loss: which predictions it needs and which kind of objective it serves."""

from __future__ import annotations

from typing import ClassVar, Literal

from .settings import Declaration

ObjectiveKind = Literal["predict", "match", "rank", "rollout", "align"]


class Loss(Declaration):
    """A loss, chosen by a slot's `loss=`.

    Class attributes:
        build: "module:Class" of the working half; it receives the settings as keywords, see `core/networks.py` for
            the signature that each kind of objective calls.
        kind: the objective it serves.
        needs: what an adapter must predict for it; empty for any.
        modalities: slot types it suits; empty for all.
        needs_width: the working half has weights shaped by the model: it also receives `width`.
        prepare: "module:Class" of a data half, or "" for none: called in loader workers on each supervised value,
            `half(encoded, reading) -> Encoded`, and made with the settings as keywords. A denoising loss makes `values`
            noisy so and adds the tensor `level` (see `core/levels.py`), which the network embeds beside the port.

    A setting named `drop` is the share of training rows that are laid out without their source sides, so that
    predicting can weigh the source against none (`guidance`).
    """

    build: ClassVar[str]
    kind: ClassVar[ObjectiveKind] = "predict"
    needs: ClassVar[tuple[str, ...]] = ()
    modalities: ClassVar[tuple[str, ...]] = ()
    needs_width: ClassVar[bool] = False
    prepare: ClassVar[str] = ""
