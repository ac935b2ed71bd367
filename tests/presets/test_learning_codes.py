"""The presets that make pictures and clips learn within seconds, in small."""

import numpy as np
import torch

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
    line = (
        'what is the complete image of "[IMAGE:img,size=16,patch=8,mask_ratio=0.5]"? -> '
        "[IMAGE:img,size=16,codes=64,channels=32]"
    )
    rows = few("image_infilling", emoji=4, size=16)
    learned = learn("image_infilling", steps=120, tasks__image_infilling__instruction=line, **rows, **FAST)
    assert learned.last < 0.5 * learned.first
    assert learned.values["img/psnr"] > learned.trivial["img/psnr"] + 1


def test_image_tokenizer(learn):
    line = "[IMAGE:img,adapter=image_codes,size=16,codes=64,channels=32] -> [IMAGE:img,size=16,codes=64,channels=32]"
    rows = few("image_tokenizer", emoji=4, size=16)
    learned = learn("image_tokenizer", steps=150, tasks__image_tokenizer__instruction=line, **rows, **FAST)
    assert learned.last < 0.6 * learned.first
    assert learned.values["img/psnr"] > learned.trivial["img/psnr"] + 1
    assert used(learned, "img") > 16


def test_video_generation(learn):
    line = "[TEXT:name] -> [VIDEO:clip,size=16,codes=64,channels=32,max_frames=3,fps=4]"
    rows = few("video_generation", emoji=2, colours=2, size=16, frames=3)
    constant = {"clip": {"frames": np.full((3, 16, 16, 3), 128, np.uint8), "fps": 4.0}}
    learned = learn(
        "video_generation", steps=120, constant=constant, tasks__video_generation__instruction=line, **rows, **FAST
    )
    assert learned.last < 0.5 * learned.first
    assert learned.values["clip/psnr"] > learned.trivial["clip/psnr"] + 1
