"""The adapter `qwen_audio`: sounds through the audio tower of Qwen2.5-Omni. Declarations alone, without torch."""

from __future__ import annotations

from math import ceil
from typing import Literal

from ...core.adapter import Adapter
from ...core.modality import TensorSpec, Tokens
from ...core.settings import setting

TOKENS_A_SECOND = 25


class QwenAudio(Adapter):
    """Sounds at 16 kHz as tokens of 40 ms, through Whisper's encoder in blocks of two seconds."""

    modality = "AUDIO"
    codec = "omniline.plugins.qwen.audio_codec:QwenAudioCodec"
    port = "omniline.plugins.qwen.audio_port:AudioPort"
    sides = ("source",)

    bands: int = setting(128, at_least=8, at_most=512, help="mel bands of a frame of 10 ms")
    max_seconds: float = setting(
        300.0, at_least=0.1, at_most=3600.0, data_only=True, help="longest sound; what is read is cut to it"
    )
    sampling: Literal["start", "clip"] = setting(
        "start", data_only=True, help="which piece of a longer sound: its start, or a random one (the middle one)"
    )
    silent: Literal["error", "keep"] = setting(
        "keep", data_only=True, help="what a sound is of which nothing is heard: a sound, or a mistake in the data"
    )
    channels: int = setting(1280, at_least=4, help="size of a row inside the tower")
    heads: int = setting(20, at_least=1, help="attention heads of the tower")
    ffn: int = setting(5120, at_least=1, help="inner size of the tower's feed-forward blocks")
    layers: int = setting(32, at_least=1, help="layers of the tower")
    block: int = setting(200, at_least=2, help="frames of 10 ms that see each other")
    checkpoint: bool = setting(False, help="recompute layers in the backward pass instead of keeping them")

    def tokens(self) -> Tokens:
        """25 a second, up to `max_seconds`."""
        return Tokens(1, max(1, ceil(self.max_seconds * TOKENS_A_SECOND)))

    def tensors(self) -> tuple[TensorSpec, ...]:
        """The features of a sound."""
        return (TensorSpec("frames", "float32", ("n", self.bands)),)
