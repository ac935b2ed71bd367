"""Values out of rows: flat keys, paths, lists, absence."""

import numpy as np
import pytest

from omniline.core.rows import MISSING, is_absent, is_list, missing_column, read_path

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


@pytest.mark.parametrize("value", ["ab", b"ab", {"a": 1}, 3, None, np.float32(1), np.array(2)])
def test_no_list(value):
    assert not is_list(value)


@pytest.mark.parametrize("value", [[1], (1, 2), [], np.zeros(2)])
def test_lists(value):
    assert is_list(value)


def test_absence():
    assert all(is_absent(value) for value in (MISSING, None, float("nan"), np.float64("nan")))
    assert not any(is_absent(value) for value in ("", 0, 0.0, False, [], "nan"))


def test_a_missing_column_names_the_nearest_and_all():
    assert missing_column("captoin", ("img", "caption")) == (
        "there is no column `captoin`; did you mean `caption`? (columns: img, caption)"
    )
    assert missing_column("z", ()) == "there is no column `z` (columns: none)"
