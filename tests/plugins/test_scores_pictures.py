"""Metrics of pictures and clips."""

import io

import numpy as np
import pytest
from PIL import Image

from omniline.core.metric import default_metrics
from omniline.plugins.manager import installed
from omniline.plugins.scores.pictures import NearestPicture, PeakSignalNoiseRatio, StructuralSimilarity


def flat(value, size=(16, 16)):
    return Image.new("RGB", size, (value,) * 3)


def noise(seed, size=16):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def value(metric, predicted, truth):
    metric.update(predicted, truth)
    return metric.compute()


def test_psnr_is_that_of_the_formula_and_100_when_equal():
    assert value(PeakSignalNoiseRatio(), [flat(0)], [flat(51)]) == pytest.approx(20 * np.log10(5), abs=1e-4)
    assert value(PeakSignalNoiseRatio(), [noise(1)], [noise(1)]) == 100


def test_rows_count_alike():
    one, two = (value(PeakSignalNoiseRatio(), [flat(0)], [flat(v)]) for v in (20, 90))
    assert value(PeakSignalNoiseRatio(), [flat(0), flat(0)], [flat(20), flat(90)]) == pytest.approx((one + two) / 2)


def test_ssim_falls_with_noise():
    near = Image.blend(noise(1), noise(2), 0.2)
    assert value(StructuralSimilarity(), [noise(1)], [noise(1)]) == pytest.approx(1)
    assert (
        0.97 > value(StructuralSimilarity(), [near], [noise(1)]) > value(StructuralSimilarity(), [noise(2)], [noise(1)])
    )


def test_small_pictures_have_a_similarity_too():
    assert value(StructuralSimilarity(), [noise(1, 8)], [noise(1, 8)]) == pytest.approx(1)


def test_the_nearest_truth_must_be_its_own():
    truths = [flat(0), flat(100), flat(200)]
    assert value(NearestPicture(), [flat(10), flat(90), flat(120)], truths) == pytest.approx(2 / 3)
    assert value(NearestPicture(), [flat(100)] * 3, truths) == pytest.approx(1 / 3), "a constant is right once"
    assert value(NearestPicture(), [flat(10), flat(10)], [flat(0), flat(0)]) == 1, "equal truths are one"


def test_truths_of_other_kinds_and_sizes(tmp_path):
    large = flat(51, (64, 32))
    large.save(tmp_path / "a.png")
    data = io.BytesIO()
    large.save(data, "PNG")
    wanted = pytest.approx(20 * np.log10(5), abs=1e-3)
    for truth in (large, str(tmp_path / "a.png"), data.getvalue(), {"bytes": data.getvalue()}, np.asarray(large)):
        assert value(PeakSignalNoiseRatio(), [flat(0)], [truth]) == wanted
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert value(PeakSignalNoiseRatio(), [flat(255)], [clear]) == 100, "what is transparent is white"


def test_clips_are_judged_frame_by_frame():
    made = {"frames": np.zeros((2, 8, 8, 3), np.uint8), "fps": 4.0}
    true = {"frames": np.full((3, 8, 8, 3), 51, np.uint8), "fps": 4.0}
    assert value(PeakSignalNoiseRatio(), [made], [true]) == pytest.approx(20 * np.log10(5), abs=1e-4)
    with pytest.raises(ValueError, match="must have 3 frames like the predicted one, but has 2"):
        PeakSignalNoiseRatio().update([true], [made])


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "b.png").write_bytes(b"none")
    with pytest.raises(TypeError, match="`psnr` must get pictures or clips, but got str|int"):
        PeakSignalNoiseRatio().update([3], [flat(0)])
    with pytest.raises(ValueError, match=r"cannot read a true picture: .*b\.png"):
        PeakSignalNoiseRatio().update([flat(0)], [tmp_path / "b.png"])
    with pytest.raises(ValueError, match="has seen no rows"):
        NearestPicture().compute()
    with pytest.raises(ValueError, match="pictures of one size"):
        value(NearestPicture(), [flat(0), flat(0, (8, 8))], [flat(0), flat(0)])


def test_pictures_are_judged_by_psnr_when_nothing_is_said():
    import omniline as ol

    slots = ol.compile("[TEXT:a] -> [IMAGE:b] ( [IMAGE:c] )* [VIDEO:d]", catalog=installed()).slots
    assert [default_metrics(slot) for slot in slots if slot.side == "target"] == [("psnr",), (), ()]


def test_a_picture_is_wholly_like_itself_where_it_is_even_too():
    pale = np.full((16, 16, 3), 250, np.uint8)
    pale[4:8, 4:8, 1] = 30
    metric = StructuralSimilarity()
    metric.update([Image.fromarray(pale)], [Image.fromarray(pale)])
    assert metric.compute() == pytest.approx(1, abs=1e-9)
