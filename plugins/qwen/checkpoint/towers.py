"""The towers of a checkpoint: the adapters that read pictures, clips and sounds, and the names of their weights."""

from __future__ import annotations

from pathlib import Path

from ....core.senses import written_sense
from ....core.settings import Value
from .. import audio_names
from .config import Recipe
from .names import Rule, plain
from .values import Values
from .vision import vision_rules, vision_senses


def port_slots(recipe: Recipe) -> tuple[str, ...]:
    """Slots whose ports have weights in the folder."""
    seen = ("[IMAGE]",) if recipe.vision else ()
    return (*seen, "[AUDIO]") if recipe.audio else seen


def tower_rules(recipe: Recipe) -> tuple[Rule, ...]:
    """The names of the towers' weights."""
    rules = vision_rules(recipe) if recipe.vision else ()
    if recipe.audio:
        rules += plain(*((f"ports.audio.{ours}", f"audio_tower.{theirs}") for ours, theirs in audio_names.NAMES))
    return rules


def tower_senses(recipe: Recipe, folder: Path) -> tuple[str, ...]:
    """The adapters that a checkpoint brings, with its settings.

    Raises:
        BundleError: an entry is missing or of the wrong type, or pictures are scaled in a way that is not known.
    """
    senses = vision_senses(recipe, folder) if recipe.vision else ()
    return (*senses, written_sense("qwen_audio", _audio(recipe, folder))) if recipe.audio else senses


def _audio(recipe: Recipe, folder: Path) -> dict[str, Value]:
    held = Values(recipe.audio, f"{folder / 'config.json'}: audio_config")
    return {
        "bands": held.whole("num_mel_bins", 128),
        "channels": held.whole("d_model"),
        "heads": held.whole("encoder_attention_heads"),
        "ffn": held.whole("encoder_ffn_dim"),
        "layers": held.whole("encoder_layers"),
        "block": 2 * held.whole("n_window", 100),
    }
