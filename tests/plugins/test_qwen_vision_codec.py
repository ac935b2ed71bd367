"""Pictures and clips for Qwen's towers: pixel by pixel what transformers makes, and bad input in a sentence."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor

from omniline.core.codec import Reading
from omniline.core.opening.pictures import STATISTICS
from omniline.core.opening.video_clip import VideoClip
from omniline.core.timespan import TimeSpan
from omniline.core.view import View
from omniline.plugins.qwen.vision_codec import QwenImageCodec, QwenVideoCodec
from omniline.plugins.qwen.vision_plugin import QwenImage, QwenVideo

SMALL = {"min_pixels": 28 * 28 * 4, "max_pixels": 28 * 28 * 30}
READ = Reading(mode="predict")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def scaled(encoded):
    """Patches as a processor of transformers gives them: scaled, by channels, then time, pictures twice."""
    patches, frames = encoded.tensors["patches"], int(encoded.tensors["frames"])
    side = patches.shape[1] // 3
    mean, deviation = (torch.tensor(x).repeat_interleave(side) for x in STATISTICS["clip"])
    rows = ((patches / 255 - mean) / deviation).view(-1, frames, 3, side)
    return rows.expand(-1, 2, -1, -1).transpose(1, 2).reshape(len(rows), -1)


@pytest.mark.parametrize("size", [(300, 200), (57, 800), (520, 310), (20, 20), (112, 84), (5, 900)])
def test_pictures_are_those_of_transformers(size):
    picture = Image.fromarray(noise(size[1], size[0], 3))
    processor = Qwen2VLImageProcessor(min_pixels=SMALL["min_pixels"], max_pixels=SMALL["max_pixels"])
    wanted = processor(images=[picture], return_tensors="pt")
    codec = QwenImageCodec(**SMALL)
    encoded = codec.encode(picture, READ)
    assert torch.equal(encoded.tensors["grid_thw"], wanted["image_grid_thw"])
    assert torch.allclose(scaled(encoded), wanted["pixel_values"], atol=1e-6)
    assert encoded.rows == codec.measure(picture, READ) == len(wanted["pixel_values"]) // 4


@pytest.mark.parametrize(("count", "height", "width"), [(4, 100, 67), (5, 30, 300), (1, 56, 56), (8, 200, 250)])
def test_clips_are_those_of_transformers(count, height, width):
    frames = noise(count, height, width, 3)
    processor = Qwen2VLVideoProcessor(min_pixels=SMALL["min_pixels"], max_pixels=SMALL["max_pixels"])
    clip = torch.from_numpy(frames).permute(0, 3, 1, 2)
    wanted = processor(videos=[clip], return_tensors="pt", cap_pixels_per_frame=False)
    codec = QwenVideoCodec(sampling="all", **SMALL)
    encoded = codec.encode(frames, READ)
    assert torch.equal(encoded.tensors["grid_thw"], wanted["video_grid_thw"])
    assert torch.allclose(scaled(encoded), wanted["pixel_values_videos"], atol=1e-6)
    assert encoded.rows == codec.measure(frames, READ) == len(wanted["pixel_values_videos"]) // 4


def test_a_clip_keeps_to_its_limit_as_in_transformers():
    frames = noise(40, 60, 90, 3)
    limits = {"min_pixels": 784, "max_pixels": 784 * 6}
    processor = Qwen2VLVideoProcessor(max_video_tokens=60, **limits)
    clip = torch.from_numpy(frames).permute(0, 3, 1, 2)
    wanted = processor(videos=[clip], return_tensors="pt", cap_pixels_per_frame=True)
    encoded = QwenVideoCodec(sampling="all", total_pixels=int(60 * 784 * 0.9), **limits).encode(frames, READ)
    assert torch.equal(encoded.tensors["grid_thw"], wanted["video_grid_thw"])
    assert encoded.rows < 40 / 2 * 6
    assert torch.allclose(scaled(encoded), wanted["pixel_values_videos"], atol=1e-6)


def test_places_of_a_picture_are_its_rows_and_columns():
    grid = QwenImageCodec(**SMALL).encode(noise(56, 84, 3), READ).grid
    assert grid.dtype == np.float32
    assert grid.tolist() == [[0, y, x] for y in range(2) for x in range(3)]


@pytest.mark.parametrize(("clock", "step"), [("index", 1.0), ("seconds", 0.5)])
def test_times_of_a_clip_count_patches_or_seconds(clock, step):
    clip = VideoClip(noise(12, 56, 56, 3), 4.0)
    grid = QwenVideoCodec(fps=4.0, clock=clock, **SMALL).encode(clip, READ).grid
    assert grid[:, 0].reshape(6, 4)[:, 0].tolist() == [step * i for i in range(6)]


def test_frames_are_taken_at_the_wanted_rate():
    """Frame i is of one grey, i: the frames that were read say it."""
    frames = np.broadcast_to(np.arange(50, dtype=np.uint8)[:, None, None, None], (50, 56, 56, 3))
    encoded = QwenVideoCodec(fps=2.0, **SMALL).encode(VideoClip(np.ascontiguousarray(frames), 10.0), READ)
    seen = encoded.tensors["patches"].view(5, 16, 2, -1)[:, 0, :, 0].flatten().tolist()
    assert seen == np.round(np.linspace(0, 49, 10)).astype(int).tolist()


def test_many_frames_are_read_a_few_at_a_time():
    """More than are held at once, with none lost or twice where two batches meet."""
    frames = np.broadcast_to(np.arange(44, dtype=np.uint8)[:, None, None, None], (44, 28, 28, 3))
    encoded = QwenVideoCodec(sampling="all", **SMALL).encode(VideoClip(np.ascontiguousarray(frames), 25.0), READ)
    assert encoded.tensors["patches"].view(22, 16, 2, -1)[:, 0, :, 0].flatten().tolist() == list(range(44))


def test_a_rate_is_drawn_in_training_alone():
    codec = QwenVideoCodec(fps=10.0, slowest_fps=1.0, **SMALL)
    clip = VideoClip(noise(60, 56, 56, 3), 10.0)
    train = [Reading(mode="train", seed=seed) for seed in range(12)]
    rows = {codec.encode(clip, how).rows for how in train}
    assert len(rows) > 4
    assert max(rows) <= codec.measure(clip, train[0]) == 30 * 4
    assert codec.encode(clip, Reading(mode="predict")).rows == 30 * 4


def test_a_clip_in_step_with_a_sound_reads_its_seconds():
    frames = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None, None], (40, 56, 56, 3))
    clip = VideoClip(np.ascontiguousarray(frames), 10.0)
    codec = QwenVideoCodec(fps=10.0, **SMALL)
    encoded = codec.encode(clip, Reading(leader=TimeSpan(1.0, 2.0)))
    assert encoded.tensors["patches"].view(5, 16, 2, -1)[:, 0, :, 0].flatten().tolist() == list(range(10, 20))
    assert codec.lead(clip, Reading(leader=TimeSpan(1.0, 9.0))) == TimeSpan(1.0, 4.0)
    with pytest.raises(ValueError, match=r"runs from 0.00 s to 4.00 s, but the slot .* from 5.00 s to 6.00 s"):
        codec.measure(clip, Reading(leader=TimeSpan(5.0, 6.0)))


def test_followers_learn_the_size_that_is_seen():
    assert QwenImageCodec().lead(noise(500, 1000, 3), READ) == View(size=(1000, 500), made=(1008, 504))


def test_headers_are_enough_to_measure():
    """A file whose pixels are cut off still says its size."""
    file = io.BytesIO()
    Image.fromarray(noise(300, 200, 3)).save(file, "PNG")
    cut = file.getvalue()[:2000]
    codec = QwenImageCodec(**SMALL)
    assert codec.measure(cut, READ) == codec.measure(file.getvalue(), READ)
    with pytest.raises(ValueError, match=r"the picture \(bytes\) cannot be decoded: image file is truncated"):
        codec.encode(cut, READ)


@pytest.mark.parametrize(
    ("codec", "raw", "message"),
    [
        (QwenImageCodec(), noise(2, 401, 3), r"longer side must be at most 200 times the shorter, but it is 401 x 2"),
        (QwenVideoCodec(), noise(3, 2, 401, 3), r"longer side must be at most 200 times the shorter, but it is 401 x"),
        (QwenImageCodec(), b"no picture", r"the picture of 10 bytes is of no known format, or broken"),
        (QwenVideoCodec(), [], r"a clip must have at least one frame"),
    ],
)
def test_bad_values_say_so(codec, raw, message):
    for read in (codec.measure, codec.encode):
        with pytest.raises(ValueError, match=message):
            read(raw, READ)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (QwenImageCodec, {"min_pixels": 9000, "max_pixels": 5000}, r"at most `max_pixels` .* are 9,000 and 5,000"),
        (
            QwenImageCodec,
            {"max_pixels": 1 << 40},
            r"this at most 268,435,456, but they are 3,136 and 1,099,511,",
        ),
        (
            QwenVideoCodec,
            {"min_frames": 9, "max_frames": 8},
            r"must be at most `max_frames`, but is 9 of 8",
        ),
        (QwenVideoCodec, {"slowest_fps": 3.0}, r"`slowest_fps` must be at most `fps`, but is 3 of 2"),
    ],
)
def test_settings_that_exclude_each_other(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


@pytest.mark.parametrize("codec", [QwenImageCodec(), QwenVideoCodec()])
def test_nothing_is_made_here(codec):
    with pytest.raises(TypeError, match=r"reads \w+ and makes none: on the target side use adapter="):
        codec.decode({})


def test_both_adapters_share_a_port():
    """Where their settings of weights agree; limits and rates do not part them."""
    image, video = QwenImage(max_pixels=9999, depth=2), QwenVideo(fps=1.0, depth=2)
    assert image.port == video.port
    assert image.port_settings() == video.port_settings()
    assert QwenImage(depth=3).port_settings() != video.port_settings()
