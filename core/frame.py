"""A frame: the marks that a pretrained backbone expects around what it reads and before what it writes.

A backbone that omniline trains from nothing has none: its target sides open with a learned mark. One that was
pretrained on tokens alone knows only tokens: the frame says which stand where. Its texts may hold special tokens, which
are read as marks here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stands around the sides of a stream.

    Attributes:
        before: before a source side that is not empty.
        between: between source and target; empty when the target goes on where the source ends.
        start: what a target without a source goes on from.
        around: what stands before and behind a value that is read, by modality.
        interleave: seconds of the pieces in which a value that is read and one synced to it take turns; 0 for one after
            the other.

    >>> Frame(around={"IMAGE": ("<|vision_start|>", "<|vision_end|>")}).texts
    ('<|vision_start|>', '<|vision_end|>')
    """

    before: str = ""
    between: str = ""
    start: str = ""
    around: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    interleave: float = 0.0

    @property
    def texts(self) -> tuple[str, ...]:
        """All its texts that are not empty."""
        marks = [mark for pair in self.around.values() for mark in pair]
        return tuple(text for text in (self.before, self.between, self.start, *marks) if text)
