"""The towers of a checkpoint: the adapters that read pictures, clips and sounds, and the names of their weights."""

from __future__ import annotations

from pathlib import Path

from .config import Recipe
from .names import Rule


def port_slots(recipe: Recipe) -> tuple[str, ...]:
    """Slots whose ports have weights in the folder."""
    seen = ("[IMAGE]",) if recipe.vision else ()
    return (*seen, "[AUDIO]") if recipe.audio else seen


def tower_senses(recipe: Recipe, folder: Path) -> tuple[str, ...]:
    """The adapters that a checkpoint brings, with its settings."""
    return ()


def tower_rules(recipe: Recipe) -> tuple[Rule, ...]:
    """The names of the towers' weights."""
    return ()
