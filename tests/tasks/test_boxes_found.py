"""Boxes that random models write as text are boxes, and nothing else."""

import itertools
import json
import re

import pytest

from omniline.plugins.language.box_text import BoxTextCodec

HOWS = {
    "greedy": {},
    "sample": {"decoder": "sample", "temperature": 2.0, "seed": 2},
    "beam": {"decoder": "beam", "beams": 3},
}
KINDS = list(itertools.product(("json", "pairs"), ("box", "point"), (False, True)))


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
@pytest.mark.parametrize("kind", KINDS)
def test_random_models_find_boxes(small, kind, how, monkeypatch):
    style, form, several = kind
    extra = f"style={style},shape={form}" + (",several" if several else "")
    line = (
        f"[IMAGE:img,size=16,patch=8] where? -> [BOX:box,adapter=box_text,{extra},clip,max_length=200] so [TEXT:word]"
    )
    rows = small.rows(3)
    place = (0.1, 0.2, 0.5, 0.9) if form == "box" else (0.1, 0.2)
    for row in rows:
        row["box"] = [place] if several else place
    model = small.build([small.ol.Task("box", line, train=rows)])
    texts = []
    read = BoxTextCodec.read
    monkeypatch.setattr(
        BoxTextCodec, "read", lambda self, text, leader=None: (texts.append(text), read(self, text, leader))[1]
    )
    found = model.predict(line, rows, most_tokens=20, **how)
    assert len(texts) == 3 and all(0 < out.scores["box"] <= 1 or several for out in found)
    for words, out in zip(texts, found, strict=True):
        assert not out.scores["box"] or is_boxes(words, kind)
    free = model.predict(line, rows, regex="[a-z]{3}", **how)
    assert all(re.fullmatch("[a-z]{3}", one) for one in texts[3:]) and len(free) == 3


def is_boxes(words, kind):
    style, form, several = kind
    count = 4 if form == "box" else 2
    if style == "json":
        found = json.loads(words)
        keys = {"box": "bbox_2d", "point": "point_2d"}[form]
        good = all(len(one[keys]) == count and set(one) <= {keys, "label"} for one in found)
        return good and (several or len(found) == 1)
    pair = r"\(\d{1,3},\d{1,3}\)"
    one = rf"[^()]*{pair}" + (rf",{pair}" if count == 4 else "")
    return bool(re.fullmatch(f"({one})*" if several else one, words))
