"""The audio tower of a checkpoint: the adapter that reads its sounds, and the names of its weights."""

from __future__ import annotations

from pathlib import Path

from ....core.errors import BundleError
from ....core.json_values import Values
from ....core.senses import written_sense
from ....core.settings import Value
from ..audio_features import HOP, RATE, WINDOW
from ..audio_names import NAMES
from .config import Recipe
from .names import Rule, plain
from .tokens import preprocessor

Settings = dict[str, Value]

PLACE = "config.json: `audio_config`"
HEARD = {"sampling_rate": RATE, "n_fft": WINDOW, "hop_length": HOP}
"""What the features of sounds must be like."""


def audio_senses(recipe: Recipe, folder: Path) -> tuple[str, ...]:
    """`qwen_audio` with a folder's settings.

    Raises:
        BundleError: an entry that is missing or not supported, or features of another kind than the tower's.
    """
    tower = tower_settings(recipe)
    prepared = preprocessor(folder, "audio")
    for key, wanted in {**HEARD, "feature_size": tower["bands"]}.items():
        if (found := prepared.whole(key, wanted)) != wanted:
            raise BundleError(f"{prepared.place}: `{key}` must be {wanted}, but is {found}")
    longest = prepared.get("chunk_length")
    made = tower if longest is None else {**tower, "max_seconds": prepared.number("chunk_length")}
    return (written_sense("qwen_audio", made),)


def tower_settings(recipe: Recipe) -> Settings:
    """What shapes the tower's weights.

    Raises:
        BundleError: see `audio_senses`.
    """
    values = Values(recipe.audio, PLACE)
    if (act := values.text("activation_function", "gelu")) != "gelu":
        raise BundleError(f"{PLACE}: `activation_function` must be gelu, but is {act}")
    return {
        "bands": values.whole("num_mel_bins", 128),
        "channels": values.whole("d_model", 1280),
        "heads": values.whole("encoder_attention_heads", 20),
        "ffn": values.whole("encoder_ffn_dim", 5120),
        "layers": values.whole("encoder_layers", 32),
        "block": 2 * values.whole("n_window", 100),
    }


def audio_rules() -> tuple[Rule, ...]:
    """The names of the tower's weights."""
    return plain(*((f"ports.audio.{ours}", f"audio_tower.{theirs}") for ours, theirs in NAMES))
