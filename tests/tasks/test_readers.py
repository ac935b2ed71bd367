"""Readers of a model: made once for a line, made anew when the plan or the ports are others."""

import omniline as ol
from omniline.core import reader as making
from omniline.tasks import model as home
from omniline.tasks.readers import KEPT

LINE = "say [TEXT:a] -> [TEXT:b,closed_set]"


def built(rows=(("x", "yes"), ("y", "no"))):
    task = ol.Task("t", LINE, train=[{"a": a, "b": b} for a, b in rows])
    return task, ol.Model.build(backbone="ofa-tiny,width=16,heads=2", tasks=task)


def test_a_line_that_is_asked_again_has_its_reader(monkeypatch):
    _, model = built()
    made = []
    monkeypatch.setattr(home, "make_reader", lambda *at, **named: made.append(1) or making.make_reader(*at, **named))
    answers = {model.predict(LINE, {"a": "x"}).b for _ in range(3)}
    assert len(made) == 1 and len(answers) == 1
    for number in range(KEPT):
        model.predict(f"say {number} [TEXT:a] -> [TEXT:b,closed_set=yes|no]", {"a": "x"})
    model.predict(LINE, {"a": "x"})
    assert len(made) == KEPT + 2, "only the latest are kept"


def test_a_model_that_learns_of_more_members_asks_for_them():
    """The same line, but a plan with another closed set."""
    _, model = built()
    assert model.predict(LINE, {"a": "x"}).b in ("yes", "no")
    model.adopt(ol.Task("t", LINE, train=[{"a": "x", "b": "maybe"}]))
    assert model.predict(LINE, {"a": "x"}).b == "maybe"
    assert model.reader(model.bound(ol.Task("t", LINE, train=[{"a": "x", "b": "so"}]))).plan.slots[1].closed_set
