"""What audio brings: AUDIO and the decoder of mel frames. Declarations alone; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Literal

from ...core.adapter import Adapter
from ...core.decoder import Decoder
from ...core.metric import Metric
from ...core.modality import Modality, TensorSpec, Tokens
from ...core.settings import setting
from ..hookspecs import hookimpl


class Audio(Adapter):
    """Sound as frames of mel energies: read through strided convolutions, written frame after frame."""

    modality = "AUDIO"
    predicts = "values"
    codec = "omniline.plugins.audio.codec:AudioCodec"
    port = "omniline.plugins.audio.port:AudioPort"
    loss = "mel"
    decoder = "mel"

    sample_rate: int = setting(16_000, at_least=1_000, at_most=192_000, data_only=True, help="samples a second")
    max_seconds: float = setting(
        30.0, at_least=0.1, at_most=3600.0, data_only=True, help="longest sound; what is read is cut to it"
    )
    sampling: Literal["start", "clip"] = setting(
        "start", data_only=True, help="which piece of a longer sound: its start, or a random one (the middle one)"
    )
    features: Literal["log_mel", "fbank"] = setting(
        "log_mel", data_only=True, help="what a frame holds; sounds can be made of log_mel alone"
    )
    bands: int = setting(80, at_least=8, at_most=512, help="mel bands of a frame")
    window: float = setting(0.025, at_least=0.001, at_most=1.0, data_only=True, help="length of a frame in seconds")
    hop: float = setting(0.01, at_least=0.001, at_most=1.0, data_only=True, help="seconds from frame to frame")
    n_frames_per_step: int = setting(4, at_least=1, at_most=64, help="frames that one token stands for")
    use_mask: bool = setting(False, data_only=True, sides=("source",), help="hide bands and times in training")
    speeds: tuple[str, ...] = setting(
        ("1.0",), data_only=True, sides=("source",), help="factors of speed, one drawn in training"
    )
    normalise: Literal["none", "fixed", "utterance"] = setting(
        "utterance",
        data_only=True,
        help="how frames are scaled: not, by fixed numbers, or each band of a sound; made ones by fixed numbers",
    )
    silent: Literal["error", "keep"] = setting(
        "error", data_only=True, help="what a sound without any deflection is: a mistake in the data, or a sound"
    )
    prenet_dropout: float = setting(
        0.5, at_least=0, at_most=0.95, help="share of the prenet that is dropped, at predicting too"
    )
    postnet: int = setting(128, at_least=0, at_most=4096, help="channels of the postnet; 0 for none")

    def tokens(self) -> Tokens:
        frames = ceil(round(self.max_seconds * self.sample_rate) / max(1, round(self.hop * self.sample_rate)))
        return Tokens(1, max(1, ceil(frames / self.n_frames_per_step)))

    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("frames", "float16", ("n", self.bands)),)


class Mel(Decoder):
    """Frame after frame until the stop of the sound."""

    build = "omniline.plugins.audio.mel_search:MelSearch"
    needs = ("values",)
    modalities = ("AUDIO",)

    stop: float = setting(0.5, at_least=0.0, at_most=1.0, help="probability of the stop that ends a sound")


class MelCepstralDistortion(Metric):
    """Distance of sounds in decibels, frames aligned in time; 0 is best."""

    build = "omniline.plugins.audio.distortion:MelCepstralDistortion"
    higher_is_better = False
    modalities = ("AUDIO",)


@hookimpl
def modalities() -> Mapping[str, Modality]:
    """The slot types of this room."""
    return {"AUDIO": Modality(source="audio", target="audio", timed=True, help="a sound")}


@hookimpl
def adapters() -> Mapping[str, type[Adapter]]:
    """The adapters of this room."""
    return {"audio": Audio}


@hookimpl
def decoders() -> Mapping[str, type[Decoder]]:
    """The decoders of this room."""
    return {"mel": Mel}


@hookimpl
def metrics() -> Mapping[str, type[Metric]]:
    """The metrics of this room."""
    return {"mcd": MelCepstralDistortion}
