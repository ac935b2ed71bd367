"""VIDEO as patches: which frames are read, how they are framed, what the port shares with pictures."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

import omniline as ol
from omniline.core.codec import Reading
from omniline.core.opening.video_clip import VideoClip
from omniline.core.opening.video_held import from_animation
from omniline.core.opening.video_reading import open_clip
from omniline.core.parts import port_table
from omniline.core.timespan import TimeSpan
from omniline.plugins.manager import installed
from omniline.plugins.vision.framing import GREY
from omniline.plugins.vision.plugin import TimmVideo, Video
from omniline.plugins.vision.video import TimmVideoCodec, VideoCodec
from omniline.tasks.presets.placements import SAMPLES

PLAIN = Reading(mode="predict")


def reds(count: int, height=8, width=8) -> np.ndarray:
    """Frames whose redness is their number."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 0] = np.arange(count)[:, None, None]
    return frames


def read(raw, reading=PLAIN, **written) -> tuple[list[int], list[float]]:
    """Numbers and times of the frames that are read."""
    codec = VideoCodec(**{"size": 8, "patch": 8, "max_frames": 4, **written})
    encoded = codec.encode(raw, reading)
    assert encoded.rows == len(encoded.grid) == len(encoded.tensors["patches"]) <= codec.measure(raw, reading)
    return encoded.tensors["patches"][:, 0].tolist(), [round(float(t), 4) for t in encoded.grid[:, 0]]


@pytest.mark.parametrize(
    "raw",
    [
        reds(6),
        reds(6)[None],
        np.moveaxis(reds(6), -1, 1),
        np.moveaxis(reds(6), -1, 0),
        torch.from_numpy(reds(6)),
        torch.from_numpy(reds(6)).permute(0, 3, 1, 2) / 255,
        reds(6).astype(np.int64),
        list(reds(6)),
        tuple(Image.fromarray(frame) for frame in reds(6)),
        reds(6).tolist(),
        {"frames": reds(6), "fps": 25},
        {"frames": list(reds(6))},
        VideoClip(reds(6), 25.0),
    ],
    ids=lambda raw: type(raw).__name__,
)
def test_every_kind_of_clip_reads_alike(raw):
    assert read(raw, max_frames=3) == ([1, 3, 5], [0.04, 0.12, 0.2])


def test_grey_frames_are_a_clip():
    assert read(reds(6)[..., 0]) == ([0, 2, 3, 5], [0.0, 0.08, 0.12, 0.2])


def test_a_list_opens_only_the_frames_that_are_read(tmp_path):
    paths = []
    for number in (0, 1, 2):
        Image.fromarray(reds(40)[10 * number]).save(tmp_path / f"{number}.png")
        paths += ["missing.png", str(tmp_path / f"{number}.png")]
    assert read({"frames": paths, "fps": 2}, max_frames=3) == ([0, 10, 20], [0.5, 1.5, 2.5])
    with pytest.raises(ValueError, match=r"'missing\.png' does not exist"):
        read(paths, max_frames=6)


def test_an_animated_picture_keeps_its_times():
    import io

    file = io.BytesIO()
    frames = [Image.fromarray(np.full((8, 8, 3), 60 * i, np.uint8)) for i in range(4)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=[100, 100, 100, 700])
    picture = Image.open(file)
    assert from_animation(picture, "").header.seconds == pytest.approx(1.0)
    numbers, times = read(picture, max_frames=10)
    assert (numbers, times) == ([0, 60, 120, 180], [0.0, 0.1, 0.2, 0.3])
    assert read(picture, max_frames=2) == ([120, 180], [0.2, 0.3])
    assert read(Image.new("RGB", (9, 9), (7, 0, 0))) == ([7], [0.0])


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ({}, [12, 37, 62, 87]),
        ({"max_frames": 1}, [50]),
        ({"sampling": "fps", "fps": 1.0, "max_frames": 64}, [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]),
        ({"sampling": "fps", "fps": 0.01}, [50]),
        ({"sampling": "fps", "fps": 2.0}, [12, 37, 62, 87]),
        ({"sampling": "clip", "fps": 2.0}, [42, 47, 52, 57]),
        ({"sampling": "clip", "clip_seconds": 4.0}, [35, 45, 55, 65]),
        ({"sampling": "clip", "clip_seconds": 40.0}, [50]),
        ({"max_frames": 200}, list(range(100))),
    ],
    ids=str,
)
def test_which_frames_are_read(written, numbers):
    """Of ten seconds at ten frames a second."""
    assert read({"frames": reds(100), "fps": 10}, **written)[0] == numbers


def test_times_count_from_what_is_read():
    raw = {"frames": reds(100), "fps": 10, "start": 3.0, "stop": 5.0}
    assert read(raw, max_frames=2) == ([35, 45], [0.5, 1.5])
    assert read({**raw, "stop": 100}, max_frames=1)[0] == [65]


def test_a_random_piece_in_training_alone():
    codec = VideoCodec(size=8, patch=8, max_frames=4, sampling="clip", fps=2.0)
    raw = {"frames": reds(100), "fps": 10}
    starts = set()
    for seed in range(12):
        reading = Reading(seed=seed)
        span = codec.lead(raw, reading)
        assert span.seconds == pytest.approx(2.0) and 0 <= span.start <= 8
        numbers = codec.encode(raw, reading).tensors["patches"][:, 0].tolist()
        assert all(span.start - 0.1 <= number / 10 <= span.stop for number in numbers)
        starts.add(round(span.start, 3))
        assert codec.lead(raw, Reading(mode="valid", seed=seed)) == TimeSpan(4.0, 6.0)
    assert len(starts) > 8


def test_a_follower_reads_what_its_leader_reads():
    raw = {"frames": reds(100), "fps": 10}
    leader = Reading(mode="predict", leader=TimeSpan(2.0, 4.0))
    assert read(raw, leader, max_frames=2) == ([25, 35], [0.5, 1.5])
    assert read(raw, leader, max_frames=2, sampling="clip", fps=30.0) == ([25, 35], [0.5, 1.5])
    assert VideoCodec().lead(raw, leader) == TimeSpan(2.0, 4.0)
    with pytest.raises(ValueError, match=r"runs from 0\.00 s to 10\.00 s, but the slot .* from 12\.00 s to 14\.00 s"):
        read(raw, Reading(leader=TimeSpan(12.0, 14.0)))


@given(
    st.integers(1, 60),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 9),
    st.sampled_from(["uniform", "fps", "clip"]),
    st.sampled_from(["square", "crop", "fit"]),
    st.sampled_from(["none", "light"]),
    st.floats(0.02, 30),
)
@settings(deadline=None, max_examples=60)
def test_measure_is_never_too_small(count, height, width, most, sampling, mode, augment, fps):
    declared = Video(max_frames=most, sampling=sampling, mode=mode, augment=augment, fps=fps, size=20, patch=8)
    codec = VideoCodec(**declared.settings())
    raw = reds(count, height, width)
    encoded = codec.encode(raw, Reading(seed=3))
    assert declared.tokens().least <= encoded.rows <= codec.measure(raw, Reading()) <= declared.tokens().most
    assert (np.diff(encoded.grid[:, 0]) >= 0).all()
    assert len(set(encoded.grid[:, 0].tolist())) <= min(count, most)


def test_patches_and_their_places():
    raw = {"frames": reds(2, 16, 16), "fps": 1}
    encoded = VideoCodec(max_frames=2, size=16, patch=8).encode(raw, PLAIN)
    assert encoded.tensors["patches"].shape == (8, 192)
    assert encoded.grid.dtype == np.float32
    assert encoded.grid.tolist() == [[t, y, x] for t in (0, 1) for y in (0, 1) for x in (0, 1)]
    noise = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    patches = VideoCodec(size=16, patch=8).encode(noise, PLAIN).tensors["patches"]
    assert np.array_equal(patches[1].reshape(8, 8, 3), noise[0, :8, 8:])


@pytest.mark.parametrize("mode", ["square", "crop", "fit"])
def test_all_frames_change_alike(mode):
    """One draw a clip: a still stays a still under every change."""
    still = np.repeat(np.random.default_rng(1).integers(0, 256, (1, 24, 32, 3), dtype=np.uint8), 3, axis=0)
    codec = pickle.loads(
        pickle.dumps(VideoCodec(max_frames=3, size=16, patch=8, mode=mode, augment="light", flip=True, mask_ratio=0.4))
    )
    seen = set()
    for seed in range(8):
        encoded = codec.encode(still, Reading(seed=seed))
        frames = encoded.tensors["patches"].reshape(3, -1)
        assert (frames == frames[0]).all()
        seen.add(frames[0].tobytes())
        assert np.array_equal(codec.encode(still, Reading(seed=seed)).tensors["patches"], encoded.tensors["patches"])
    assert len(seen) == 8
    plain = VideoCodec(max_frames=3, size=16, patch=8, mode=mode).encode(still, PLAIN).tensors["patches"]
    assert np.array_equal(codec.encode(still, PLAIN).tensors["patches"], plain)


def test_flip_mirrors_in_training_alone():
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[:, :, 4:] = 255
    codec = VideoCodec(max_frames=2, size=8, patch=8, flip=True)

    def left(reading):
        return codec.encode(frames, reading).tensors["patches"].reshape(2, 8, 8, 3)[:, 0, 0, 0].tolist()

    assert {tuple(left(Reading(seed=seed))) for seed in range(16)} == {(0, 0), (255, 255)}
    assert all(left(Reading(seed=seed, mode=mode)) == [0, 0] for seed in range(8) for mode in ("valid", "predict"))


def test_a_hidden_square_stands_in_all_frames():
    white = np.full((3, 32, 32, 3), 255, np.uint8)
    codec = VideoCodec(max_frames=3, size=32, patch=32, mask_ratio=0.5)
    hidden = codec.encode(white, Reading(mode="valid", seed=5)).tensors["patches"].reshape(3, 32, 32, 3) == GREY
    assert hidden.all(-1).sum((1, 2)).tolist() == [256] * 3
    assert (hidden == hidden[0]).all()
    assert not (codec.encode(white, PLAIN).tensors["patches"] == GREY).any()


def test_crop_takes_the_middle_and_fit_keeps_the_ratio():
    wide = np.zeros((1, 20, 60, 3), np.uint8)
    wide[:, :, 20:40] = 255
    assert (VideoCodec(size=16, patch=8, mode="crop").encode(wide, PLAIN).tensors["patches"] > 250).mean() > 0.8
    encoded = VideoCodec(size=24, patch=8, mode="fit").encode(wide, PLAIN)
    assert encoded.grid[:, 1:].max(0).tolist() == [0, 2]


def test_a_tower_reads_each_frame_as_a_picture():
    declared = TimmVideo(model="test_resnet", size=32, stride=16, max_frames=3)
    codec = TimmVideoCodec(**declared.settings())
    encoded = codec.encode({"frames": reds(9, 40, 30), "fps": 3}, PLAIN)
    assert encoded.tensors["pixels"].shape == (3, 32, 32, 3)
    assert encoded.rows == codec.measure(reds(9), PLAIN) == declared.tokens().most == 12
    assert encoded.grid[::4].tolist() == pytest.approx(np.array([[1 / 3, 0, 0], [4 / 3, 0, 0], [7 / 3, 0, 0]]))
    assert codec.lead({"frames": reds(9), "fps": 3}, PLAIN) == TimeSpan(0.0, 3.0)


def test_nothing_is_decoded_to_a_clip_here():
    with pytest.raises(TypeError, match="adapter=video_codes"):
        VideoCodec().decode({})


@pytest.mark.parametrize(
    ("line", "ports"),
    [
        ("[IMAGE:a,size=16,patch=8] [VIDEO:b,size=32,patch=8,max_frames=2] -> [TEXT:c]", ["image"]),
        ("[IMAGE:a,size=16,patch=8] [VIDEO:b,size=32,patch=4] -> [TEXT:c]", ["image", "image_2"]),
        ("[IMAGE:a,adapter=timm,model=x] [VIDEO:b,adapter=timm_video,model=x,fps=9] -> [TEXT:c]", ["timm"]),
    ],
)
def test_pictures_and_clips_share_a_port(line, ports):
    table = port_table([ol.compile(line)], installed())
    assert [spec.name for spec in table if spec.name.startswith(("image", "timm"))] == ports


def test_a_clip_trains_and_answers():
    """Which of two colours comes first: a single frame cannot tell."""
    colours = {"red": (255, 0, 0), "blue": (0, 0, 255)}

    def clip(first, second):
        frames = np.zeros((4, 8, 8, 3), np.uint8)
        frames[:2], frames[2:] = colours[first], colours[second]
        return {"frames": frames, "fps": 1}

    rows = [{"clip": clip(a, b), "name": a} for a, b in (("red", "blue"), ("blue", "red"))]
    task = ol.Task("first", "[VIDEO:clip,size=8,patch=8] which is first? -> [TEXT:name,closed_set]", train=rows)
    backbone = "ofa-tiny,width=32,ffn=32,heads=2,encoder_layers=1,decoder_layers=1,dropout=0"
    quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
    model = ol.fit(task, backbone=backbone, max_steps=40, learning_rate=1e-2, batch_tokens=256, **quiet)
    assert [model.predict(task.instruction, {"clip": row["clip"]}).name for row in rows] == ["red", "blue"]


def test_a_row_that_cannot_be_read_is_placed(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no film")
    rows = [{"clip": str(tmp_path / "a.mp4"), "name": "x"}]
    task = ol.Task("t", "[VIDEO:clip] what? -> [TEXT:name]", train=rows)
    with pytest.raises(
        ol.InstructionError, match=r"rows\[0\]: slot `clip`: the video '.*a\.mp4' is no video, or broken"
    ):
        ol.Model.build(tasks=task)


def test_an_open_clip_says_what_it_is():
    with open_clip(reds(10), rate=5.0) as (footage, part):
        assert footage.size() == (8, 8)
        assert (footage.header.seconds, footage.header.frames, part) == (2.0, 10, TimeSpan(0.0, 2.0))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_films_are_read_in_workers_after_the_parent_has_read_one(start):
    """As in training: the first rows are checked before the loader starts its workers."""
    path = str(SAMPLES / "clips" / "a-snail-grows.mp4")
    encode = partial(VideoCodec(max_frames=4, size=16, patch=8).encode, reading=PLAIN)
    wanted = encode(path).tensors["patches"]
    loader = DataLoader([path] * 4, batch_size=None, collate_fn=encode, num_workers=2, multiprocessing_context=start)
    found = [encoded.tensors["patches"] for encoded in loader]
    assert len(found) == 4 and all(np.array_equal(patches, wanted) for patches in found)
