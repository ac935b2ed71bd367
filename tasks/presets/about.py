"""What a preset says of itself: the `about:` of a task file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A task file in words; every field is empty where the file says nothing.

    Attributes:
        title: what the task is, in a few words.
        data: which rows, from where, and how they are split.
        licence: of the data.
        metric: the main one, `SLOT/METRIC` as evaluation names it.
        ofasys: the task of OFASys that it stands for, or "none".
    """

    title: str = ""
    data: str = ""
    licence: str = ""
    metric: str = ""
    ofasys: str = ""

    @property
    def empty(self) -> bool:
        """Whether the file says nothing of itself."""
        return self == About()


KEYS = tuple(field.name for field in fields(About))


def about_of(values: Mapping[str, Any]) -> About:
    """The `about:` of a file whose keys are known to be right.

    >>> about_of({"title": "Captioning", "licence": "OFL-1.1"}).title
    'Captioning'
    """
    return About(**values)
