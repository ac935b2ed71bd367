"""The towers of a checkpoint: the adapters that read pictures, clips and sounds, and the names of their weights."""

from __future__ import annotations

from pathlib import Path

from ....core.senses import written_sense
from .audio import audio_rules, audio_senses
from .config import Recipe
from .names import Rule
from .vision import vision_rules, vision_senses


def port_slots(recipe: Recipe) -> tuple[str, ...]:
    """Slots whose ports have weights in the folder."""
    seen = ("[IMAGE]",) if recipe.vision else ()
    return (*seen, "[AUDIO]") if recipe.audio else seen


def tower_rules(recipe: Recipe) -> tuple[Rule, ...]:
    """The names of the towers' weights."""
    rules = vision_rules(recipe) if recipe.vision else ()
    return rules + audio_rules() if recipe.audio else rules


def tower_senses(recipe: Recipe, folder: Path) -> tuple[str, ...]:
    """The adapters that a checkpoint brings, with its settings.

    Raises:
        BundleError: an entry is missing or of the wrong type, or pictures are scaled in a way that is not known.
    """
    senses = vision_senses(recipe, folder) if recipe.vision else ()
    return senses + audio_senses(recipe, folder) if recipe.audio else senses


def chat_senses(recipe: Recipe) -> tuple[str, ...]:
    """How conversations are written for a checkpoint that sees or hears and brings no chat template of its own."""
    if not recipe.vision:
        return ()
    return (written_sense("chat", {"template": "qwen2.5-omni" if recipe.audio else "qwen2-vl"}),)
