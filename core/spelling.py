"""Text that comes token by token: what may be shown of it already, and when a character is still incomplete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeGuard

BROKEN = "\ufffd"
"""Stands for bytes that are no character, or not yet one."""


class Spells(Protocol):
    """What a codec offers whose values are written as text, token by token."""

    def spell(self, tokens: Sequence[int]) -> str:
        """The text of tokens, as they stand in the answer."""
        ...


def spells(codec: object) -> TypeGuard[Spells]:
    """Whether a codec's values are written as text."""
    return hasattr(codec, "spell")


class Unfolding:
    """The text of tokens as they come.

    Tokens are spelt together with those of the piece before, since some tokenizers write a token by its neighbours; a
    piece ends only where the text ends with a whole character. All pieces together are the text of all tokens.

    >>> text = Unfolding(lambda ids: bytes(ids).decode("utf-8", errors="replace"))
    >>> [text.add([id]) for id in "naïve".encode()], text.end()
    (['n', 'a', '', 'ï', 'v', 'e'], '')
    """

    def __init__(self, spell: Callable[[Sequence[int]], str]) -> None:
        self.spell = spell
        self.tokens: list[int] = []
        self.before = self.shown = 0

    def add(self, tokens: Sequence[int]) -> str:
        """What the next tokens let be shown."""
        self.tokens += tokens
        return self._piece(whole=True)

    def end(self) -> str:
        """What is left when no token follows."""
        return self._piece(whole=False)

    def _piece(self, *, whole: bool) -> str:
        known = self.spell(self.tokens[self.before : self.shown])
        text = self.spell(self.tokens[self.before :])
        if (whole and text.endswith(BROKEN)) or len(text) <= len(known):
            return ""
        self.before, self.shown = self.shown, len(self.tokens)
        return text[len(known) :]
