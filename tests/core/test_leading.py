"""Slots that follow others get what the followed slot's codec says of its own reading."""

import pytest

from omniline.core.leading import followed_slot, leaders_of
from omniline.core.parts import adapter_of
from omniline.plugins.manager import installed
from omniline.tasks.verbs import compile as compile_line


def follows(line):
    """Pairs of names, follower and followed, of a line."""
    plan = compile_line(line)
    wording = plan.alternatives[0]
    found = {}
    for slot in wording.slots:
        at = followed_slot(slot, wording, adapter_of(slot, installed()))
        if at >= 0:
            found[slot.name] = wording.slots[at].name
    return found


def test_sync_names_what_is_followed():
    assert follows("[VIDEO:clip] [AUDIO:sound,column=clip,sync=clip] what? -> [TEXT:a]") == {"sound": "clip"}


def test_a_slot_without_a_leader_follows_none():
    assert follows("[VIDEO:clip] [AUDIO:sound] what? -> [TEXT:a]") == {}


@pytest.mark.parametrize(
    ("answers", "leads", "spread"),
    [
        ("a", [1], 1),
        (["a", "b"], [1], [1, 1]),
        (["a", "b"], [1, 2], [1, 2]),
        ([["a"], ["b", "c"]], [1, 2], [[1], [2, 2]]),
        ("a", [], None),
    ],
)
def test_leads_are_spread_as_answers_are_nested(answers, leads, spread):
    assert leaders_of(answers, leads) == spread
