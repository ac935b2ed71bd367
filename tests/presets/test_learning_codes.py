"""The presets that make pictures and clips learn within seconds, in small."""

import numpy as np
import pytest
import torch

from omniline.core.errors import ConfigError
from omniline.tasks.presets.vision.codes import MovingNamedEmoji

SMALL = "ofa-tiny,width=64,heads=2,ffn=128,encoder_layers=1,decoder_layers=2,dropout=0"
FAST = {"fit__batch_tokens": 768, "fit__learning_rate": 4e-3, "backbone": SMALL}


def few(name, **settings):
    """The preset's rows with other settings, in both splits."""
    return {f"tasks__{name}__{s}__{key}": value for s in ("train", "valid") for key, value in settings.items()}


def used(learned, slot):
    """How many codes the tokenizer uses over the held-out rows' pictures."""
    port = learned.model.network.ports["imagecodes"]
    (result,) = learned.results.values()
    pictures = [np.asarray(row[slot].resize((16, 16))) for row in result.truths]
    with torch.no_grad():
        return len(port.tokenizer.encode(torch.from_numpy(np.stack(pictures)))[0].codes.unique())


def test_text_to_image(learn):
    line = "what is the complete image? caption: [TEXT:name] -> [IMAGE:img,size=16,codes=64,channels=32]"
    rows = few("text_to_image", emoji=4, size=16)
    learned = learn("text_to_image", steps=200, tasks__text_to_image__instruction=line, **rows, **FAST)
    assert learned.last < 0.5 * learned.first
    assert learned.values["img/psnr"] > learned.trivial["img/psnr"] + 1
    assert learned.values["img/nearest_picture"] > learned.trivial["img/nearest_picture"] + 0.2
    assert used(learned, "img") > 16


def test_image_infilling(learn):
    """What is hidden is made, and what is not comes back as it was."""
    shape = "size=16,codes=64,channels=32"
    fill = f'fill "[IMAGE:img,adapter=image_codes,{shape},mask_ratio=0.5]" -> [IMAGE:img,{shape}]'
    copy = f"[IMAGE:img,adapter=image_codes,{shape}] -> [IMAGE:img,{shape}]"
    lines = {"tasks__image_infilling__instruction": fill, "tasks__copies__instruction": copy}
    rows = few("image_infilling", emoji=4, size=16) | few("copies", size=16)
    learned = learn("image_infilling", steps=250, rows=32, **lines, **rows, **FAST)
    assert learned.last < 0.5 * learned.first
    assert learned.values["img/psnr"] > learned.trivial["img/psnr"] + 3
    assert learned.values["img/nearest_picture"] > learned.trivial["img/nearest_picture"] + 0.3


def test_image_tokenizer(learn):
    line = "[IMAGE:img,adapter=image_codes,size=16,codes=64,channels=32] -> [IMAGE:img,size=16,codes=64,channels=32]"
    rows = few("image_tokenizer", emoji=4, size=16)
    learned = learn("image_tokenizer", steps=150, tasks__image_tokenizer__instruction=line, **rows, **FAST)
    assert learned.last < 0.6 * learned.first
    assert learned.values["img/psnr"] > learned.trivial["img/psnr"] + 1
    assert used(learned, "img") > 16


def test_video_generation(learn):
    """Not the bare ground: which of the clips it is can be told."""
    line = "[TEXT:name] -> [VIDEO:clip,size=16,codes=64,channels=32,max_frames=3,fps=4]"
    rows = few("video_generation", emoji=2, colours=2, size=16, frames=3)
    constant = {"clip": {"frames": np.full((3, 16, 16, 3), 128, np.uint8), "fps": 4.0}}
    learned = learn(
        "video_generation", steps=160, constant=constant, tasks__video_generation__instruction=line, **rows, **FAST
    )
    assert learned.last < 0.5 * learned.first
    assert learned.values["clip/psnr"] > learned.trivial["clip/psnr"] + 1
    assert learned.values["clip/nearest_picture"] > learned.trivial["clip/nearest_picture"] + 0.2


def test_a_large_emoji_moves_from_rim_to_rim():
    frames = MovingNamedEmoji("valid", frames=3, sprite=2 / 3)[0]["clip"]["frames"].astype(int)
    inked = np.abs(frames - 255).sum(-1) > 60
    left = [np.nonzero(frame.any(0))[0].min() for frame in inked]
    assert left == sorted(left, reverse=True) and left[0] - left[-1] == 8
    with pytest.raises(ConfigError, match=r"must be in 0\.1\.\.0\.9 of the frame's, but is 1\.5"):
        MovingNamedEmoji("train", sprite=1.5)
