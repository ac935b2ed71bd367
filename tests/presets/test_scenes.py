"""Scenes: pure functions of their index, exact boxes, and rows that say what is there."""

import itertools

import numpy as np
import pytest
from PIL import ImageChops

from omniline.core.errors import ConfigError
from omniline.tasks.presets.vision.described import (
    OPPOSITE,
    SceneCaptions,
    SceneEntailment,
    SceneMatches,
    SceneQuestions,
    caption_of,
)
from omniline.tasks.presets.vision.regions import SceneObjects, SceneRegions
from omniline.tasks.presets.vision.scenes import Scenes, article, relation


def same(a, b):
    return ImageChops.difference(a, b).getbbox() is None


def test_a_scene_is_a_function_of_its_split_and_index():
    one, two = Scenes("valid", most=3), Scenes("valid", most=3)
    assert all(same(one[i].picture, two[i].picture) and one[i].things == two[i].things for i in range(5))
    assert not same(one[0].picture, Scenes("train", most=3)[0].picture)
    assert not same(one[0].picture, Scenes("valid", most=3, seed=1)[0].picture)
    with pytest.raises(IndexError):
        one[len(one)]


def test_things_lie_inside_apart_and_in_order():
    crowded = 0
    for scene in (Scenes("train", least=1, most=4)[i] for i in range(120)):
        assert len(set(scene.names)) == len(scene.names)
        for thing in scene.things:
            x0, y0, x1, y1 = thing.box
            assert 0 <= x0 < x1 <= 32 and 0 <= y0 < y1 <= 32
            assert 4 <= max(x1 - x0, y1 - y0) <= 14
        for a, b in itertools.combinations(scene.things, 2):
            wide, tall = (min(a.box[i + 2], b.box[i + 2]) - max(a.box[i], b.box[i]) for i in (0, 1))
            crowded += wide > 0 and tall > 0
            assert a.middle[0] <= b.middle[0]
    assert crowded < 24, "things overlap only where there is no room"


def test_a_box_holds_the_ink_of_its_thing():
    """What differs from the same ground without the thing lies in the box and reaches its four sides."""
    for scene in (Scenes("valid", least=1, most=1)[i] for i in range(20)):
        pixels = np.asarray(scene.picture).astype(int)
        edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        if np.ptp(edges, axis=0).max() > 12:
            continue  # the ground has colours of its own
        rows, columns = np.where(np.abs(pixels - np.median(edges, axis=0)).max(-1) > 40)
        x0, y0, x1, y1 = scene.things[0].box
        found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert x0 <= found[0] and y0 <= found[1] and found[2] <= x1 and found[3] <= y1
        assert np.abs(np.array(found) - scene.things[0].box).max() <= 3


def test_counts_are_even_and_none_is_a_count():
    counts = [len(SceneObjects("train", least=0, most=3)[i]["box"]) for i in range(200)]
    assert {counts.count(n) > 25 for n in range(4)} == {True}


def test_what_is_said_is_so():
    entails, matches, questions = (
        kind("train", least=2, most=3) for kind in (SceneEntailment, SceneMatches, SceneQuestions)
    )
    seen = set()
    for i in range(80):
        names = Scenes("train", least=2, most=3)[i].names
        row = entails[i]
        assert any(article(name) in row["cap"] for name in names)
        there = any(row["hyp"] == f"there is {article(name)}" for name in names)
        assert there == (row["label"] == "yes")
        assert ("there is" in row["hyp"]) == (row["label"] != "maybe")
        row = matches[i]
        assert (row["caption"] == caption_of(Scenes("train", least=2, most=3)[i])) == (row["match"] == "yes")
        row = questions[i]
        seen.add(row["question"].split()[0])
        if row["question"].startswith("how many"):
            assert row["answer"] == str(len(names))
        elif row["question"].startswith("is there"):
            assert (row["answer"] == "yes") == any(f"{article(name)}?" in row["question"] for name in names)
        else:
            assert row["answer"] in names
    assert seen == {"how", "is", "what"}


def test_relations_are_of_the_larger_distance():
    for i in range(30):
        first, second = Scenes("train")[i].things
        assert relation(second, first) == OPPOSITE[relation(first, second)]
    assert SceneCaptions("valid", least=0, most=0)[0]["cap"] == "nothing"


def test_regions_are_boxes_of_what_is_named():
    for i in range(10):
        row, scene = SceneRegions("valid")[i], Scenes("valid")[i]
        assert (row["cap"].removeprefix("the "), row["patch_boxes"]) in {(t.name, t.box) for t in scene.things}


def test_wrong_settings_are_told():
    for settings, message in (
        ({"least": 3, "most": 2}, "least before most, but has 3 to 2"),
        ({"most": 9}, "0 to 4 things"),
        ({"size": 8}, "at least 24 pixels"),
        ({"things": ("frog", "dragon")}, "no emoji `dragon`"),
    ):
        with pytest.raises(ConfigError, match=message):
            Scenes("train", **{"least": 1, **settings})
