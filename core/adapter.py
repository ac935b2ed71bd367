"""The declaration of an adapter: what the compiler must know of it, without torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from .modality import TensorSpec, Tokens
from .settings import Declaration, Value, settings_of

Predicts = Literal["tokens", "values", "class", "embedding"]
Asset = Literal["tokenizer", "closed_set"]

DEFAULT_LOSS: dict[str, str] = {
    "tokens": "cross_entropy",
    "class": "cross_entropy",
    "values": "mse",
    "embedding": "contrastive",
}
DEFAULT_DECODER: dict[str, str] = {"tokens": "greedy", "class": "greedy", "values": "greedy"}


class Adapter(Declaration):
    """How one modality enters and leaves a model.

    Subclass it, set the class attributes, add `setting` fields and answer `tokens`. The two working halves are named
    as "module:Class" and imported only when a loader or a model is made; both get the settings as keywords, the port
    without the `data_only` ones and with `width`.

    Class attributes:
        modality: the slot type it serves.
        predicts: what its port's `project` gives on the target side; None when it serves the source side only.
        codec: the data half, see `omniline.Codec`.
        port: the weights half, see `omniline.Port`.
        assets: model-wide things that both halves receive as keywords: "tokenizer" (the model's), "closed_set" (the
            slot's members, or None).
        makers: "module:function" that makes an asset, by the asset's name; the default adapter of TEXT makes the
            tokenizer.
        loss: name of the loss when a slot writes none; by default the one usual for what it predicts.
        decoder: name of the decoder when a slot writes none.
        cuttable: a value may be cut to fewer tokens (text); media never are.
        sides: where it may stand.
        follows: modalities whose slot this one's values follow, as boxes follow their picture. The followed slot's
            codec offers `lead`.
        follows_by: the setting that names the slot.
        follows_nearest: without that setting the nearest such slot is followed; else none.
        settle: "module:function" or "": when a task meets its data, `function(settings, raw)` gets a slot's settings
            and the first value of its column (None for none), and returns the settings to change, as plain values.
        settled: the settings, None by default, that `settle` may fill.
        says: "module:function" or "": `function(settings, raw)` gives the texts that a value is written as, for the
            making of a tokenizer; an error of the value's own is one of the types that a codec raises. Without it they
            are the strings that the value holds.
        adopts: "module:function" or "": when a model comes from a checkpoint with a chat template, `function(template)`
            gives the settings to write as it does, and a sentence for the user where none do ("" otherwise).
    """

    modality: ClassVar[str]
    predicts: ClassVar[Predicts | None] = None
    codec: ClassVar[str]
    port: ClassVar[str]
    assets: ClassVar[tuple[Asset, ...]] = ()
    makers: ClassVar[dict[str, str]] = {}
    loss: ClassVar[str | None] = None
    decoder: ClassVar[str | None] = None
    cuttable: ClassVar[bool] = False
    sides: ClassVar[tuple[str, ...]] = ("source", "target")
    follows: ClassVar[tuple[str, ...]] = ()
    follows_by: ClassVar[str] = "image"
    follows_nearest: ClassVar[bool] = True
    settle: ClassVar[str] = ""
    settled: ClassVar[tuple[str, ...]] = ()
    says: ClassVar[str] = ""
    adopts: ClassVar[str] = ""

    def tokens(self) -> Tokens:
        """The least and most tokens that one value takes; any number unless a subclass knows better."""
        return Tokens(1, None)

    def tensors(self) -> tuple[TensorSpec, ...]:
        """What the codec makes of one value, for `explain`."""
        return ()

    def port_settings(self) -> dict[str, Value]:
        """The settings that shape weights: slots whose port and these agree share one port."""
        known = settings_of(type(self))
        return {name: value for name, value in self.settings().items() if not known[name].data_only}

    def bare(self) -> Adapter:
        """The same adapter without weights to start from: what a port is made with when its weights are then loaded."""
        return self

    def default_loss(self) -> str | None:
        """The loss of a target slot that writes none; None when it predicts nothing."""
        return self.loss or (DEFAULT_LOSS[self.predicts] if self.predicts else None)

    def default_decoder(self) -> str | None:
        """The decoder of a target slot that writes none."""
        return self.decoder or (DEFAULT_DECODER.get(self.predicts) if self.predicts else None)
