"""BOX: notations, what is no box, following a picture through its framing, and the two ways to predict it."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import tv_tensors

from omniline.core.codec import FORCED, Reading
from omniline.core.networks import LossRows
from omniline.core.opening.boxes import Notation
from omniline.core.port import Port
from omniline.core.view import View
from omniline.plugins.likelihood.boxes import BoxRegressionLoss
from omniline.plugins.vision.box import BoxCodec, BoxPort
from omniline.plugins.vision.box_values import BoxValuesCodec, BoxValuesPort
from omniline.plugins.vision.drawing import draw_boxes
from omniline.plugins.vision.framing import Framing

WIDE = View(size=(640, 480))
HALF = (0.25, 0.5, 0.75, 1.0)
PIXELS = (160, 240, 480, 480)


def bounding(values, format="XYXY", canvas=(480, 640)):
    return tv_tensors.BoundingBoxes(torch.tensor(values), format=format, canvas_size=canvas)


@pytest.mark.parametrize(
    ("raw", "options"),
    [
        (PIXELS, {"unit": "pixels"}),
        (list(PIXELS), {"unit": "pixels"}),
        (np.array(PIXELS), {"unit": "pixels"}),
        (torch.tensor([PIXELS]), {"unit": "pixels"}),
        ("160,240,480,480", {"unit": "pixels"}),
        ("[160 240, 480 480]", {"unit": "pixels"}),
        ((160, 240, 320, 240), {"unit": "pixels", "format": "xywh"}),
        ((320, 360, 320, 240), {"unit": "pixels", "format": "cxcywh"}),
        (bounding(PIXELS), {}),
        (bounding([[320, 360, 320, 240]], "CXCYWH"), {"unit": "pixels"}),
        (bounding((80, 120, 160, 120), "XYWH", (240, 320)), {}),
        ({"bbox": [160, 240, 320, 240], "category_id": 3}, {"unit": "pixels"}),
        ({"bbox": PIXELS}, {"unit": "pixels"}),
        ({"x": 160, "y": 240, "width": 320, "height": 240}, {"unit": "pixels"}),
        ({"xmin": "160", "ymin": "240", "xmax": "480", "ymax": "480", "name": "cat"}, {"unit": "pixels"}),
        (HALF, {}),
        ((0.25, 0.5, 0.5, 0.5), {"format": "xywh"}),
        ((0.5, 0.75, 0.5, 0.5), {"format": "cxcywh"}),
        ((250, 500, 750, 1000), {"size": 1000}),
        ((160, 240, 480.4, 480.4), {"unit": "pixels"}),
    ],
)
def test_every_notation_of_one_box(raw, options):
    assert Notation(**options).shares(raw, WIDE) == pytest.approx(HALF, abs=1e-3)


@pytest.mark.parametrize("format", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("options", [{}, {"unit": "pixels"}, {"size": 1000}])
def test_what_is_written_reads_back(format, options):
    notation = Notation(format=format, **options)
    assert notation.shares(notation.written(HALF, WIDE), WIDE) == pytest.approx(HALF)


@pytest.mark.parametrize(
    ("raw", "options", "error", "message"),
    [
        ((0.1, 0.2), {}, TypeError, "must be four numbers x0, y0, x1, y1, but is tuple"),
        ("cat", {}, TypeError, "must be four numbers x0, y0, x1, y1, but is str 'cat'"),
        (None, {}, TypeError, "but is NoneType None"),
        (("a", 1, 2, 3), {}, TypeError, "must be four numbers"),
        ([HALF, HALF], {}, TypeError, r"for a list of boxes put the slot into a group, \( \[BOX:name\] \)\*"),
        ({"box": 1}, {}, TypeError, "must have the keys bbox, or .*, but has box"),
        ((0, 0, float("nan"), 1), {}, ValueError, "four finite numbers"),
        ((0, 0, float("inf"), 1), {}, ValueError, "four finite numbers"),
        ((0.5, 0.1, 0.2, 0.4), {}, ValueError, r"x0 <= x1 and y0 <= y1, but is \(0.5, 0.1, 0.2, 0.4\); .*format=xywh"),
        ((0.5, 0.1, -0.2, 0.4), {"format": "xywh"}, ValueError, "with sides of 0 or more"),
        (PIXELS, {}, ValueError, "must lie within 0 and 1, but is .*: for pixels of the picture write unit=pixels"),
        ((0.5, 0.5, 0.9, 1.1), {}, ValueError, "within 0 and 1, but is .*; write clip=true to cut it at the rim"),
        ((0, 0, 641, 500), {"unit": "pixels"}, ValueError, "its picture of 640 x 480 pixels, but is .*; write clip="),
        ((700, 0, 800, 100), {"unit": "pixels"}, ValueError, "all of it is outside"),
        ((700, 0, 800, 100), {"unit": "pixels", "clip": True}, ValueError, "all of it is outside"),
        ((600, 0, 100, 100), {"unit": "pixels", "format": "xywh"}, ValueError, r"\(x, y, width, height\); write clip"),
        (HALF, {"unit": "pixels"}, ValueError, "must not lie within one pixel, .* write unit=relative"),
        ((0, 0, 7, 7), {"size": 5}, ValueError, "must lie within 0 and 5"),
        ((0.5, 0.1, 0.5, 0.4), {}, ValueError, r"must have an area, but the width of \(0.5, 0.1, 0.5, 0.4\) is 0"),
        ((9, 9, 5, 0), {"unit": "pixels", "format": "xywh"}, ValueError, "but the height of .* is 0"),
        ((1, 0, 1.5, 1), {"clip": True}, ValueError, "all of it is outside"),
        ((1, 0, 1.001, 1), {}, ValueError, "all of it is outside"),
    ],
)
def test_what_is_no_box_says_so(raw, options, error, message):
    with pytest.raises(error, match=message):
        BoxCodec(**options).encode(raw, Reading(leader=WIDE))


def test_pixels_need_a_picture():
    with pytest.raises(ValueError, match="must follow a picture, but there is none beside it"):
        BoxCodec(unit="pixels").encode(PIXELS, Reading())
    with pytest.raises(ValueError, match="either unit=pixels or size="):
        BoxCodec(unit="pixels", size=5)


def test_clip_cuts_at_the_rim():
    assert Notation(unit="pixels", clip=True).shares((-64, 240, 704, 999), WIDE) == pytest.approx((0, 0.5, 1, 1))


boxes = (
    st.tuples(*[st.floats(0, 1)] * 4)
    .filter(lambda v: abs(v[0] - v[2]) > 1e-9 and abs(v[1] - v[3]) > 1e-9)
    .map(lambda v: (min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1:4:2])))
)
sizes = st.tuples(st.integers(1, 900), st.integers(1, 900))


@given(boxes, sizes, st.sampled_from([10, 100, 1000]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_bins_come_back_within_half_a_bin_of_what_is_seen(box, size, bins, seed):
    """Through squeezing, mirroring and the light crop, where the box is inside of it."""
    picture = Image.new("L", size)
    reading = Reading(side="target", seed=seed)
    view = Framing(size=32, flip=True, augment="light").view(picture, reading)
    codec = BoxCodec(bins=bins)
    encoded = codec.encode(box, Reading(side="target", leader=view))
    back = codec.decode({"tokens": torch.from_numpy(encoded.labels["tokens"])}, leader=view)
    seen = view.seen(box)
    for corner in range(4):
        if 0 <= seen[corner] <= 1:
            assert (
                abs(back[corner] - box[corner]) <= 0.5 / bins + 1e-6
                or encoded.roles is not None
                or view.matrix[0][0] < 0
            )
    exact = BoxValuesCodec().encode(box, Reading(side="target", leader=view))
    back = BoxValuesCodec().decode({"values": torch.from_numpy(exact.labels["values"])}, leader=view)
    if all(0 <= value <= 1 for value in seen):
        assert back == pytest.approx(box, abs=1e-5)


def marked(size=(90, 60), box=(30, 20, 54, 44)):
    """A black picture with a white rectangle."""
    picture = Image.new("RGB", size)
    picture.paste((255, 255, 255), box)
    return picture, (box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1])


@pytest.mark.parametrize("mode", ["square", "crop", "fit"])
@pytest.mark.parametrize("augment", ["none", "light", "strong"])
def test_boxes_go_where_the_pixels_go(mode, augment):
    """The white rectangle of the framed picture lies in the box that `view` says, for every draw."""
    picture, box = marked()
    framing = Framing(size=96, mode=mode, augment=augment, flip=True, unit=8)
    moved = set()
    for seed in range(30):
        reading = Reading(seed=seed)
        pixels = framing.pixels(picture, reading)
        tall, wide = pixels.shape[:2]
        grey = pixels.astype(int).mean(-1)
        ground = np.bincount(grey[grey < 129].astype(int)).argmax() if (grey < 129).any() else 0
        rows, columns = np.where(grey > max(ground + 60, 150))
        seen = framing.view(picture, reading).seen(box)
        moved.add(tuple(round(value, 3) for value in seen))
        if len(rows) < 50:
            continue  # solarised or dimmed beyond telling
        found = columns.min() / wide, rows.min() / tall, (columns.max() + 1) / wide, (rows.max() + 1) / tall
        assert np.abs(np.array(found) - np.clip(seen, 0, 1)).max() < 0.04, (seed, found, seen)
    assert len(moved) > (1 if augment == "none" else 8) - (mode == "crop" and augment == "none")


def test_validation_and_prediction_leave_boxes_alone_but_for_the_crop():
    picture, box = marked()
    for mode in ("valid", "predict"):
        assert Framing(size=32, augment="strong", flip=True).view(picture, Reading(mode=mode)).seen(box) == box
    view = Framing(size=32, mode="crop").view(picture, Reading(mode="predict"))
    assert view.size == (90, 60)
    assert view.seen((15 / 90, 0, 75 / 90, 1)) == pytest.approx((0, 0, 1, 1))


def test_a_box_that_is_cut_away_is_read_and_not_supervised():
    view = Framing(size=32, mode="crop").view(Image.new("L", (200, 100)), Reading())
    for codec in (BoxCodec(bins=10), BoxValuesCodec()):
        lost = codec.encode((0.0, 0.2, 0.2, 0.4), Reading(side="target", leader=view))
        assert (lost.roles == FORCED).all()
        cut = codec.encode((0.0, 0.2, 0.5, 0.4), Reading(side="target", leader=view))
        assert cut.roles is None
        assert codec.encode((0.0, 0.2, 0.2, 0.4), Reading(leader=view)).roles is None
    assert lost.labels["values"][0, [0, 2]].tolist() == [0, 0]


def test_a_predicted_box_is_in_the_pixels_of_the_whole_picture():
    view = Framing(size=32, mode="crop").view(Image.new("L", (200, 100)), Reading(mode="predict"))
    values = {"values": torch.tensor([[0.0, 0.5, 1.0, 2.0]])}
    assert BoxValuesCodec(unit="pixels").decode(values, leader=view) == pytest.approx((50, 50, 150, 100))
    assert BoxValuesCodec(unit="pixels", format="xywh").decode(values, leader=view) == pytest.approx((50, 50, 100, 50))
    assert BoxValuesCodec(format="xywh").compared((0.25, 0.5, 0.5, 0.5)) == (0.25, 0.5, 0.75, 1.0)


def test_codecs_travel_to_workers():
    codec = pickle.loads(pickle.dumps(BoxCodec(unit="pixels")))
    encoded = codec.encode(PIXELS, pickle.loads(pickle.dumps(Reading(leader=WIDE))))
    assert encoded.tensors["tokens"].tolist() == [250, 500, 750, 999]


def test_near_bins_start_alike_and_far_ones_do_not():
    weight = BoxPort(width=64, bins=100).embedding.weight.detach()
    like = torch.nn.functional.normalize(weight, dim=1) @ torch.nn.functional.normalize(weight, dim=1).T
    assert like[50, 51] > like[50, 60] > like[50, 95]
    assert like[50, 51] < 0.999
    assert float(weight.std()) == pytest.approx(0.02, rel=0.2)


def test_regressed_corners_are_ordered():
    port = BoxValuesPort(width=16)
    x0, y0, x1, y1 = port.project(torch.randn(50, 16) * 9).unbind(1)
    assert (x0 <= x1).all() and (y0 <= y1).all()


class Given(Port):
    """Predicts its hidden states."""

    def project(self, hidden):
        return hidden


def test_box_regression_is_distance_and_overlap():
    loss = BoxRegressionLoss(l1=5.0, giou=2.0, smooth=0.0)
    wanted = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.2, 0.2]])
    got = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 1.0], [0.8, 0.8, 1.0, 1.0]])
    rows: LossRows = loss(got, Given(), {"values": wanted}, torch.ones(3), None)
    apart = 1 - (0 - (1 - 0.08) / 1)
    expected = [0, 5 * 0.5 + 2 * (1 - 0.5), 5 * 4 * 0.8 + 2 * apart]
    assert rows.each.tolist() == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ValueError, match="must get four numbers a row"):
        loss(torch.zeros(2, 3), Given(), {"values": torch.zeros(2, 3)}, torch.ones(2), None)


def test_regression_finds_boxes_by_descent():
    torch.manual_seed(0)
    port, hidden = BoxValuesPort(width=16), torch.randn(8, 16)
    corners = torch.rand(8, 4)
    wanted = torch.cat(
        [torch.minimum(corners[:, :2], corners[:, 2:]), torch.maximum(corners[:, :2], corners[:, 2:])], 1
    )
    optimiser = torch.optim.Adam(port.parameters(), lr=1e-2)
    losses = []
    for _ in range(200):
        optimiser.zero_grad()
        total = BoxRegressionLoss()(hidden, port, {"values": wanted}, torch.ones(8), None).total
        total.backward()
        optimiser.step()
        losses.append(float(total.detach()))
    assert losses[-1] < losses[0] / 5
    for a, b in itertools.pairwise(losses[::50]):
        assert b < a


def test_boxes_are_drawn_on_their_picture():
    ground = Image.new("RGB", (60, 40))
    plain = draw_boxes(ground, [])
    assert plain.size == (240, 160) and not np.asarray(plain).any()
    one = np.asarray(draw_boxes(ground, (0.25, 0.25, 0.75, 0.75))).any(-1)
    rows, columns = np.where(one)
    assert abs(rows.min() - 40) <= 2 and abs(columns.max() - 180) <= 3
    assert not one[60:100, 80:160].any(), "only the rim is drawn"
    same = draw_boxes(ground, [(15, 10, 45, 30), None], ["cat", "dog"], unit="pixels")
    assert np.asarray(same).any(-1)[rows, columns].mean() > 0.9
    assert np.asarray(draw_boxes(ground, [(0.5, 0.1, 0.5, 0.9), (0, 0, 0, 0)])).any(), "a model may find flat boxes"
    with pytest.raises(ValueError, match="one name for each box, but there are 1 for 2"):
        draw_boxes(ground, [(0, 0, 1, 1)] * 2, ["cat"])
    with pytest.raises(ValueError, match="all of it is outside"):
        draw_boxes(ground, [(70, 0, 80, 9)], unit="pixels")
