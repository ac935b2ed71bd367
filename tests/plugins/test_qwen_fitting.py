"""Sizes of pictures, numbers of frames and coordinates, against the published rules and transformers."""

import numpy as np
import pytest
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as reference

from omniline.plugins.qwen.fitting import (
    Fit,
    frame_limit,
    from_resized,
    smart_nframes,
    smart_resize,
    to_resized,
)

LARGE = 12_845_056


@pytest.mark.parametrize(
    ("size", "most", "least", "fit", "tokens"),
    [
        ((480, 640), None, None, (476, 644), 391),
        ((1080, 1920), None, None, (728, 1316), 1222),
        ((1080, 1920), LARGE, None, (1092, 1932), 2691),
        ((20, 20), None, None, (56, 56), 4),
        ((30, 300), None, None, (28, 308), 11),
        ((4000, 3000), LARGE, None, (4004, 2996), 15301),
        ((100, 100), None, None, (112, 112), 16),
        ((372, 499), None, 200_704, (392, 532), 266),
        ((56, 10_000), None, None, (56, 9996), 714),
        ((14, 2000), None, None, (28, 672), 24),
        ((42, 70), None, None, (56, 56), 4),  # 1.5 and 2.5 units: ties go to the even one
    ],
)
def test_sizes_of_the_report(size, most, least, fit, tokens):
    limits = {} if most is None else {"most_pixels": most}
    limits |= {} if least is None else {"least_pixels": least}
    found = smart_resize(*size, **limits)
    assert found == fit
    assert found.height * found.width // 784 == tokens


def test_sizes_are_those_of_transformers():
    random = np.random.default_rng(0)
    for _ in range(3000):
        height, width, least = random.integers(1, (4000, 4000, 200_000))
        factor = random.choice([4, 28, 32])
        limits = int(least), int(least * 4)
        try:
            wanted = reference(int(height), int(width), int(factor), *limits)
        except ValueError:
            with pytest.raises(ValueError, match="at most 200 times the shorter"):
                smart_resize(int(height), int(width), unit=int(factor))
            continue
        found = smart_resize(int(height), int(width), unit=int(factor), least_pixels=limits[0], most_pixels=limits[1])
        assert found == tuple(max(side, factor) for side in wanted), (height, width, least, factor)


def test_short_sides_by_the_other_rule():
    assert smart_resize(10, 1000, rule="utils") == (28, 1008)
    assert smart_resize(10, 1000) == (28, 560)
    assert smart_resize(480, 640, rule="utils") == smart_resize(480, 640)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((10, 2001), r"at most 200 times the shorter, but it is 2001 x 10: cut it"),
        ((0, 5), r"must have pixels, but is 5 x 0"),
    ],
)
def test_shapes_that_cannot_be_shown(size, message):
    with pytest.raises(ValueError, match=message):
        smart_resize(*size)


def reference_frames(total, fps, wanted, least, most):
    """The rule of qwen-vl-utils in its own words."""
    low, high = int(np.ceil(least / 2) * 2), int(np.floor(min(most, total) / 2) * 2)
    count = min(min(max(total / fps * wanted, low), high), total)
    count = int(np.floor(count / 2) * 2)
    return np.round(np.linspace(0, total - 1, count)).astype(int).tolist(), count / total * fps


@pytest.mark.parametrize(
    ("total", "fps", "wanted", "least", "most"),
    [(300, 30.0, 2.0, 4, 768), (7, 25.0, 2.0, 4, 768), (5000, 24.0, 2.0, 4, 64), (101, 29.97, 1.0, 5, 9)],
)
def test_numbers_of_frames(total, fps, wanted, least, most):
    indexes, rate = reference_frames(total, fps, wanted, least, most)
    found = smart_nframes(total, fps, wanted=wanted, least=least, most=most)
    assert list(found.indexes) == indexes
    assert found.fps == pytest.approx(rate)


def test_clips_shorter_than_a_step_give_what_they_have():
    assert smart_nframes(1, 25.0).indexes == (0,)
    assert smart_nframes(3, 25.0).indexes == (0, 2)


@pytest.mark.parametrize(
    ("total", "fps", "message"), [(0, 25.0, "at least one frame, but has 0"), (5, 0.0, "above 0, but are 0 of the")]
)
def test_clips_without_frames(total, fps, message):
    with pytest.raises(ValueError, match=message):
        smart_nframes(total, fps)


def test_the_limit_of_a_frame_is_that_of_transformers():
    """Its processor with `cap_pixels_per_frame`."""
    for frames in (1, 4, 100, 300, 768):
        total = int(128_000 * 784 * 0.9)
        wanted = max(min(768 * 784, total * 2 // frames), int(128 * 784 * 1.05))
        assert frame_limit(frames, least_pixels=128 * 784, most_pixels=768 * 784, total_pixels=total) == wanted


def test_coordinates_come_back():
    original = Fit(500, 1000)
    resized = smart_resize(*original)
    assert resized == (504, 1008)
    random = np.random.default_rng(1)
    for _ in range(50):
        box = [*random.uniform(0, (1000, 500)), *random.uniform(0, (1000, 500))]
        whole = [round(value) for value in to_resized(box, original, resized)]
        assert np.abs(np.subtract(from_resized(whole, original, resized), box)).max() <= 1
