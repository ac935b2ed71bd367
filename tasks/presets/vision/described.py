"""Rows about scenes: captions, entailment, questions, matches."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from .scenes import TRIES, Scene, Scenes, article, relation

UNSEEN = ("is heavy", "is old", "is new", "is cheap", "has a name", "was sold")
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
YES, NO, MAYBE = "yes", "no", "maybe"


class SceneRows(Scenes):
    """Scenes as rows; a subclass says which columns there are besides `img`."""

    columns: tuple[str, ...] = ()

    def __getitem__(self, index: int) -> Any:
        scene = self.scene(index)
        return {"img": scene.picture, **self.told(scene, self.draw(index, "row"))}

    def scene(self, index: int) -> Scene:
        """The scene of a row."""
        return super().__getitem__(index)

    def told(self, scene: Scene, draw: Random) -> dict[str, Any]:
        """What is said of a scene, by column."""
        raise NotImplementedError(f"{type(self).__name__} says nothing of a scene")

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column in order."""
        for index in range(len(self)):
            yield self[index][name]


def caption_of(scene: Scene) -> str:
    """What there is, the first thing's place told by the second.

    >>> caption_of(Scenes("valid")[3])
    'a rose above a whale'
    """
    if not scene.things:
        return "nothing"
    first, *others = scene.things
    if not others:
        return article(first.name)
    told = f"{article(first.name)} {relation(first, others[0])} {article(others[0].name)}"
    return told + "".join(f" and {article(thing.name)}" for thing in others[1:])


class SceneCaptions(SceneRows):
    """Captions: `{"img", "cap"}`, "a rose left of a whale".

    >>> SceneCaptions("valid", least=1, most=1)[0]["cap"]
    'an eggplant'
    """

    def told(self, scene: Scene, draw: Random) -> dict[str, Any]:
        return {"cap": caption_of(scene)}


class SceneEntailment(SceneRows):
    """Visual entailment: `{"img", "cap", "hyp", "label"}`; picture and caption imply the hypothesis: yes, no or maybe.

    The caption names one thing. The hypothesis names another that there is (yes), one that there is not (no), or says
    of one what no picture shows (maybe); each a third of the time.

    >>> row = SceneEntailment("valid")[0]
    >>> row["cap"], row["hyp"], row["label"]
    ('there is an eggplant', 'the rose is heavy', 'maybe')
    """

    def told(self, scene: Scene, draw: Random) -> dict[str, Any]:
        known, other = draw.sample(scene.names, 2)
        label = draw.choice((YES, NO, MAYBE))
        absent = draw.choice([name for name in self.things if name not in scene.names])
        said = {
            YES: f"there is {article(other)}",
            NO: f"there is {article(absent)}",
            MAYBE: f"the {draw.choice((other, absent))} {draw.choice(UNSEEN)}",
        }[label]
        return {"cap": f"there is {article(known)}", "hyp": said, "label": label}


class SceneQuestions(SceneRows):
    """Visual questions: `{"image", "question", "answer"}`, of number, presence, and place.

    >>> row = SceneQuestions("valid", least=1, most=3)[0]
    >>> row["question"], row["answer"]
    ('is there an eggplant?', 'yes')
    """

    def __getitem__(self, index: int) -> Any:
        row = super().__getitem__(index)
        return {"image": row.pop("img"), **row}

    def told(self, scene: Scene, draw: Random) -> dict[str, Any]:
        kind = draw.choice(("number", "presence", "place") if len(scene.things) > 1 else ("number", "presence"))
        if kind == "number":
            return {"question": "how many things are there?", "answer": str(len(scene.things))}
        if kind == "presence":
            there = bool(scene.names) and draw.random() < 0.5
            pool = scene.names if there else [name for name in self.things if name not in scene.names]
            return {"question": f"is there {article(draw.choice(pool))}?", "answer": YES if there else NO}
        first, second = draw.sample(scene.things, 2)
        return {"question": f"what is {relation(first, second)} the {second.name}?", "answer": first.name}


class SceneMatches(SceneRows):
    """Image-text matching: `{"img", "caption", "match"}`; half of the captions are those of another scene.

    >>> row = SceneMatches("valid")[0]
    >>> row["caption"], row["match"]
    ('a carrot below an eggplant', 'yes')
    """

    def told(self, scene: Scene, draw: Random) -> dict[str, Any]:
        caption, fits = caption_of(scene), draw.random() < 0.5
        if fits:
            return {"caption": caption, "match": YES}
        others = (caption_of(self.scene(draw.randrange(len(self)))) for _ in range(TRIES))
        return {"caption": next(other for other in others if other != caption), "match": NO}
