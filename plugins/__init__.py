"""Senses and skills: one room each. A room imports `core` and `plugins.hookspecs`, never another room."""
