"""Values out of rows: flat keys, paths, lists, absence."""

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.tv_tensors import BoundingBoxes

from omniline.core.rows import MISSING, as_member, entries, entry, is_absent, is_list, missing_column, read_path

ROW = {"a": 1, "a.b": 2, "o": {"p": {"q": 3}}, "anns": [{"box": 1, "k": [{"n": 5}]}, {"box": 2, "k": []}], "n": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", 1),
        ("a.b", 2),  # the flat key wins
        ("o.p.q", 3),
        ("o.p", {"q": 3}),
        ("anns.box", [1, 2]),
        ("anns.k.n", [[5], []]),
        ("n", None),
        ("z", MISSING),
        ("o.z", MISSING),
        ("a.z", MISSING),
        ("anns.z", MISSING),
        ("", MISSING),
    ],
)
def test_paths(path, value):
    assert read_path(ROW, path) is value or read_path(ROW, path) == value


def test_a_path_is_missing_when_one_entry_of_its_list_lacks_it():
    assert read_path({"anns": [{"box": 1}, {}]}, "anns.box") is MISSING


@pytest.mark.parametrize("value", ["ab", b"ab", {"a": 1}, 3, None, np.float32(1), np.array(2), torch.tensor(2)])
def test_no_list(value):
    assert not is_list(value)


@pytest.mark.parametrize("value", [[1], (1, 2), [], np.zeros(2), torch.zeros(2)])
def test_lists(value):
    assert is_list(value)


def test_absence():
    numbers = (float("nan"), np.float64("nan"), np.float32("nan"), np.datetime64("NaT"))
    assert all(is_absent(value) for value in (MISSING, None, *numbers, pd.NA, pd.NaT))
    assert not any(
        is_absent(value) for value in ("", 0, 0.0, False, [], "nan", np.float32(0), np.zeros(2), np.array(1))
    )


@pytest.mark.parametrize(
    ("value", "name"),
    [(3, "3"), (np.int64(3), "3"), (np.float32(0.1), "0.1"), (True, "True"), (np.bool_(0), "False"), ("3", "3")],
)
def test_members(value, name):
    assert as_member(value) == name


def test_entries_of_tensors_and_of_torchvisions_boxes():
    boxes = BoundingBoxes([[1, 2, 3, 4], [5, 6, 7, 8]], format="XYWH", canvas_size=(9, 9))
    assert [one.tolist() for one in entries(torch.ones(2, 1))] == [[1], [1]]
    second = entry(boxes, 1)
    assert (second.tolist(), second.format, second.canvas_size) == ([[5, 6, 7, 8]], boxes.format, (9, 9))


def test_a_missing_column_names_the_nearest_and_all():
    assert missing_column("captoin", ("img", "caption")) == (
        "there is no column `captoin`; did you mean `caption`? (columns: img, caption)"
    )
    assert missing_column("z", ()) == "there is no column `z` (columns: none)"
