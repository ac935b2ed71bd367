"""Rows about the places of things in scenes: regions by phrase, and all things with their boxes, in pixels."""

from __future__ import annotations

from random import Random
from typing import Any

from .described import SceneRows
from .scenes import Scene


class SceneRegions(SceneRows):
    """A phrase and its region: `{"img", "cap", "patch_boxes"}`, for grounding and for captions of regions.

    >>> row = SceneRegions("valid")[0]
    >>> row["cap"], row["patch_boxes"]
    ('the eggplant', (9, 6, 22, 19))
    """

    def told(self, scene: Scene, draw: Random) -> dict[str, Any]:
        thing = draw.choice(scene.things)
        return {"cap": f"the {thing.name}", "patch_boxes": thing.box}


class SceneObjects(SceneRows):
    """All things, from left to right: `{"img", "box", "name"}`, lists that may be empty.

    >>> row = SceneObjects("valid", least=0, most=3)[0]
    >>> len(row["box"]) == len(row["name"])
    True
    """

    def told(self, scene: Scene, draw: Random) -> dict[str, Any]:
        return {"box": [thing.box for thing in scene.things], "name": list(scene.names)}
