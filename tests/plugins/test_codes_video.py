"""Clips as codes: which frames are read, what is made of them, and how it is saved."""

import numpy as np
import pytest
import torch

import omniline as ol
from omniline.core.codec import Reading
from omniline.core.opening.video_clip import VideoClip
from omniline.plugins.vision.codes_video import VideoCodesCodec

BACKBONE = "ofa-tiny,width=32,heads=2,ffn=48,encoder_layers=1,decoder_layers=1,dropout=0"
TINY = "max_frames=3,fps=2,size=8,codes=64,channels=16"
QUIET = {"metric_rows": 0, "enable_progress_bar": False, "limit_val_batches": 0}


def clip(count=30, fps=10.0, size=(8, 8)):
    """Frame i is of the brightness i."""
    return VideoClip(np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, *size, 3)), fps)


def brightness(encoded):
    return encoded.tensors["patches"].reshape(-1, 4 * 48).mean(1).tolist()


def test_frames_are_read_at_the_rate_they_are_made_at():
    encoded = VideoCodesCodec(max_frames=3, fps=2.0, size=8, factor=4).encode(clip(), Reading(side="target"))
    assert brightness(encoded) == [0, 5, 10]
    assert encoded.rows == 12 and encoded.tensors["index"].tolist() == list(range(12))
    assert np.allclose(encoded.grid[::4, 0], [0.0, 0.5, 1.0])
    assert np.array_equal(encoded.labels["patches"], encoded.tensors["patches"])


def test_the_last_frame_of_a_short_clip_stands_still():
    codec = VideoCodesCodec(max_frames=4, fps=10.0, size=8, factor=4)
    assert brightness(codec.encode(clip(2), Reading())) == [0, 1, 1, 1]


def test_frames_over_all_of_the_clip():
    codec = VideoCodesCodec(max_frames=3, sampling="uniform", size=8, factor=4)
    assert brightness(codec.encode(clip(), Reading())) == [0, 10, 20]
    assert codec.lead(clip(), Reading()).seconds == 3.0
    assert VideoCodesCodec(max_frames=2, fps=4.0, size=8).lead(clip(), Reading()).seconds == 0.5


def test_every_frame_counts():
    codec = VideoCodesCodec(max_frames=5, size=10, factor=4)
    assert codec.measure("unread", Reading()) == codec.encode(clip(7), Reading()).rows == 20


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_films_are_read(tmp_path, suffix):
    path = clip(12, size=(16, 24)).save(tmp_path / f"a{suffix}")
    encoded = VideoCodesCodec(max_frames=3, fps=5.0, size=8, factor=4).encode(str(path), Reading())
    assert np.allclose(brightness(encoded), [0, 2, 4], atol=2)


def test_a_broken_film_is_named(tmp_path):
    (tmp_path / "cut.mp4").write_bytes(b"no film")
    with pytest.raises(ValueError, match=r"cut\.mp4"):
        VideoCodesCodec(size=8).encode(tmp_path / "cut.mp4", Reading())


def test_words_to_a_clip_through_the_port_of_pictures(tmp_path):
    lines = {
        "film": f"[TEXT:name] -> [VIDEO:clip,{TINY}]",
        "still": "[TEXT:name] -> [IMAGE:img,size=8,codes=64,channels=16]",
    }
    rows = [{"name": "a", "clip": clip(), "img": clip().frames[0]}]
    tasks = [ol.Task(name, line, train=rows) for name, line in lines.items()]
    model = ol.fit(tasks, backbone=BACKBONE, max_steps=2, **QUIET)
    assert [spec.name for spec in model.table[1:]] == ["imagecodes", "text"], "they share one port"
    output = model.predict(lines["film"], {"name": "a"})
    assert isinstance(output.clip, VideoClip) and output.clip.frames.shape == (3, 8, 8, 3) and output.clip.fps == 2
    assert [path.name for path in output.save(tmp_path)] == ["clip.mp4"]
    assert model.predict(lines["still"], {"name": "a"}).img.size == (8, 8)


def test_frames_are_told_apart():
    from omniline.plugins.vision.codes import ImageCodesPort

    torch.manual_seed(0)
    port = ImageCodesPort(width=8, size=8, factor=4, codes=64, channels=16)
    tokens = torch.zeros(3, dtype=torch.long)
    with torch.no_grad():
        made = port.embed(tokens=tokens, index=torch.tensor([0, 4, 400]))
    assert len({tuple(row.tolist()) for row in made.round(decimals=4)}) == 3
