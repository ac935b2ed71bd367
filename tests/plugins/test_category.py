"""CATEGORY and BOX: fixed numbers of tokens over ports of their own."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from omniline.core.codec import Reading
from omniline.plugins.language.category import CategoryCodec, CategoryPort
from omniline.plugins.vision.box import BoxCodec, BoxPort

TARGET = Reading(side="target")


def test_a_label_travels_as_its_place_and_back():
    codec = pickle.loads(pickle.dumps(CategoryCodec(closed_set=("cat", "dog", "owl"))))
    encoded = codec.encode("owl", TARGET)
    assert encoded.tensors["label"].tolist() == encoded.labels["label"].tolist() == [2]
    assert encoded.rows == codec.measure("owl", TARGET) == 1
    assert codec.encode("owl", Reading()).labels == {}
    assert codec.decode({"label": torch.tensor([2])}) == "owl"


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        ("dgo", ValueError, r"must be one of 2 \('cat', 'dog'\), but is 'dgo'; did you mean 'dog'\?"),
        (1, TypeError, "must be a string of the closed set, but is int 1"),
    ],
)
def test_a_label_outside_the_set(raw, error, message):
    with pytest.raises(error, match=message):
        CategoryCodec(closed_set=("cat", "dog")).encode(raw, TARGET)


@pytest.mark.parametrize("half", [CategoryCodec, lambda closed_set: CategoryPort(width=4, closed_set=closed_set)])
@pytest.mark.parametrize("members", [None, ()])
def test_without_a_closed_set_the_remedy_is_named(half, members):
    with pytest.raises(ValueError, match=r"must have a closed set.*closed_set=yes\|no"):
        half(closed_set=members)


def test_category_port():
    port = CategoryPort(width=8, closed_set=("a", "b", "c"))
    assert (port.vocabulary, port.end) == (3, None)
    hidden = torch.randn(5, 8)
    head = port.head()
    assert torch.allclose(port.project(hidden), hidden @ head.weight.T + head.bias, atol=1e-6)
    empty = port.embed(label=torch.zeros(0, dtype=torch.long))
    assert empty.shape == (0, 8)
    empty.sum().backward()
    assert port.embedding.weight.grad is not None


@given(
    st.integers(2, 5000),
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
    st.sampled_from([None, 1, 640]),
)
def test_a_box_survives_within_half_a_bin(bins, corners, size):
    x0, x1 = sorted(corners[:2])
    y0, y1 = sorted(corners[2:])
    assume(x1 - x0 > 1e-6 and y1 - y0 > 1e-6)
    side = size or 1
    box = tuple(value * side for value in (x0, y0, x1, y1))
    codec = BoxCodec(bins=bins, size=size)
    tokens = codec.encode(box, TARGET).labels["tokens"]
    assert tokens.min() >= 0
    assert tokens.max() < bins
    back = codec.decode({"tokens": torch.from_numpy(tokens)})
    assert np.abs(np.array(back) - box).max() <= 0.5 / bins * side * (1 + 1e-9)


@pytest.mark.parametrize("raw", ["0.1,0.2, 0.3,0.4", [0.1, 0.2, 0.3, 0.4], np.array([0.1, 0.2, 0.3, 0.4])])
def test_boxes_are_read_from_text_lists_and_arrays(raw):
    codec = pickle.loads(pickle.dumps(BoxCodec(bins=10)))
    encoded = codec.encode(raw, Reading())
    assert encoded.rows == codec.measure(raw, Reading()) == 4
    assert encoded.tensors["tokens"].tolist() == [1, 2, 3, 4]
    assert not encoded.labels


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        ([1, 2, 3], TypeError, "must be four numbers"),
        ("a,b,c,d", TypeError, "must be four numbers"),
        (None, TypeError, "must be four numbers x0, y0, x1, y1, but is NoneType"),
        ([0, 0, 10, 10], ValueError, "must lie within 0 and 1.*for pixels of the picture write unit=pixels"),
        ([0.5, 0, 0.2, 1], ValueError, "x0 <= x1"),
        ([0, 0, float("nan"), 1], ValueError, "four finite numbers"),
    ],
)
def test_boxes_that_are_none(raw, error, message):
    with pytest.raises(error, match=message):
        BoxCodec().encode(raw, Reading())


def test_corners_that_a_model_swaps_are_ordered():
    assert BoxCodec(bins=10).decode({"tokens": torch.tensor([9, 1, 0, 5])}) == pytest.approx((0.05, 0.15, 0.95, 0.55))


def test_box_port_has_no_end_mark_and_accepts_zero_rows():
    port = BoxPort(width=8, bins=12)
    assert (port.vocabulary, port.end, port.head().weight.shape) == (12, None, (12, 8))
    assert port.project(torch.randn(3, 8)).shape == (3, 12)
    port.embed(tokens=torch.zeros(0, dtype=torch.long)).sum().backward()
    assert port.embedding.weight.grad is not None
