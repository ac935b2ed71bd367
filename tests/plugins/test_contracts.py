"""Every part of the installed catalog that has working halves keeps its contract, by being there."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from omniline import testing
from omniline.core.codec import Reading
from omniline.plugins.language.chat_turns import messages_of
from omniline.plugins.manager import installed
from omniline.plugins.vision.box_values import BoxValuesPort

PICTURES = (
    Image.fromarray(np.arange(48 * 40 * 3, dtype=np.uint8).reshape(48, 40, 3)),
    Image.fromarray(np.arange(9 * 30, dtype=np.uint8).reshape(9, 30)),
)
SOUNDS = ((np.sin(np.arange(3001, dtype=np.float32) / 20), 8000), np.cos(np.arange(16_123, dtype=np.float32) / 9))


def spin(frames):
    """A person who turns."""
    angle = np.linspace(0, 2, frames)
    turns = np.tile(np.eye(3), (frames, 22, 1, 1))
    turns[:, 0, 0, 0] = turns[:, 0, 2, 2] = np.cos(angle)
    turns[:, 0, 0, 2], turns[:, 0, 2, 0] = np.sin(angle), -np.sin(angle)
    return {"root": np.ones((frames, 3)) * angle[:, None], "rotations": turns, "fps": 30}


TABLE = [["name", "legs"], ["cat", "4"], ["hen", "2"]]
CLIPS = (
    np.arange(5 * 20 * 24 * 3, dtype=np.uint8).reshape(5, 20, 24, 3),
    {"frames": [PICTURES[0], PICTURES[1], PICTURES[0]], "fps": 2.0},
)
TALKS = (
    [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b."}],
    json.dumps([{"role": r, "content": c} for r, c in (("system", "Be brief."), ("user", "Hi"), ("assistant", "Ho"))]),
)


def chat_says_when_it_cannot_be_cut(contract):
    """A conversation loses whole exchanges; what has only one cannot be cut, and says so."""
    codec = contract._codec()
    for raw in contract.raws:
        with pytest.raises(ValueError, match=r"the last exchange .* there is room for 3;"):
            codec.encode(raw, Reading(side="target", limit=3))


CASES = {
    "text": ({}, ("a cat, a dog!", "", "Ünïcode 猫"), {}),
    "struct": ({}, (TABLE, [["a"], ["b"]]), {}),
    "chat": (
        {},
        TALKS,
        {
            "same": lambda raw, found: found["content"].endswith(messages_of(raw)[0][-1]["content"]),
            "test_a_cuttable_value_keeps_to_its_limit": chat_says_when_it_cannot_be_cut,
        },
    ),
    "phone": ({}, ("HH AH0 L OW1", "K AE1 T"), {}),
    "category": ({}, ("cat", "dog"), {"closed_set": ("cat", "dog", "hen")}),
    "box": ({}, ((0.1, 0.2, 0.5, 0.75), (0.0, 0.0, 1.0, 1.0)), {"same": lambda a, b: np.allclose(a, b, atol=1e-3)}),
    "box_values": ({"unit": "relative"}, ((0.1, 0.2, 0.5, 0.75), (0.0, 0.0, 1.0, 1.0)), {"same": np.allclose}),
    "audio": ({"bands": 16}, SOUNDS, {"lossy": True}),
    "qwen_audio": ({"bands": 16, "channels": 16, "heads": 2, "ffn": 16, "layers": 1, "block": 20}, SOUNDS, {}),
    "image": ({"size": 16, "patch": 8}, PICTURES, {}),
    "image_codes": ({"size": 16, "factor": 4, "codes": 64, "channels": 16}, PICTURES, {"lossy": True}),
    "motion": (
        {"min_length": 2, "mask_ratio": 0.5, "soft_trim": 0.3},
        (spin(12), spin(5)),
        {"same": lambda a, b: np.allclose(a["rotations"], b.rotations, atol=1e-5)},
    ),
    "timm": ({"model": "test_resnet", "size": 32, "stride": 16}, PICTURES, {}),
    "video": ({"size": 16, "patch": 8, "max_frames": 4, "augment": "light"}, CLIPS, {}),
    "video_codes": ({"size": 16, "max_frames": 2, "codes": 64, "channels": 16}, CLIPS, {"lossy": True}),
    "timm_video": ({"model": "test_resnet", "size": 32, "stride": 16, "max_frames": 3}, CLIPS, {}),
}
TOWER = {"depth": 2, "tower_width": 16, "heads": 2, "ffn": 24, "patch": 4, "min_pixels": 64, "max_pixels": 1024}
CASES |= {
    "box_text": (
        {"style": "pairs"},
        ((0.1, 0.2, 0.5, 0.75), (0.0, 0.0, 1.0, 1.0)),
        {"same": lambda a, b: np.allclose(a, b, atol=6e-4)},
    ),
    "qwen_image": (TOWER, PICTURES, {}),
    "qwen_video": (
        TOWER | {"design": "window", "window": 16, "full_layers": ("1",), "fps": 8.0, "slowest_fps": 2.0},
        CLIPS,
        {},
    ),
}
LOSSES = {
    "box_regression": {
        "port": lambda self: BoxValuesPort(width=16),
        "labels": lambda self, rows: {"values": torch.tensor([[0.1, 0.2, 0.4, 0.9]]).repeat(rows, 1)},
    },
}
SMALL = {
    "ofa": {"width": 32, "heads": 4, "ffn": 32, "encoder_layers": 1, "decoder_layers": 2, "positions": 32},
    "decoder": {"width": 32, "heads": 4, "key_heads": 2, "ffn": 32, "layers": 2, "positions": 64},
    "hf": {"config": json.dumps({"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 8})},
}
FAMILIES = ("qwen1.5", "qwen2", "qwen2.5", "qwen3")
"""Sizes of `decoder` under names of their own."""
HALVES = {"adapters": "codec", "backbones": "build", "losses": "build", "decoders": "build"}


def parts(kind):
    """The parts of one kind that have working halves."""
    found = {name: entry.part for name, entry in installed().parts[kind].items()}
    return {name: part for name, part in sorted(found.items()) if getattr(part, HALVES[kind])}


def made(contract, name, **attributes):
    return type(f"{contract.__name__}_{name}", (contract,), attributes)()


def adapter(name, part):
    settings, raws, more = CASES[name]
    same = more.pop("same", None) if (more := dict(more)) else None
    attributes = {"adapter": part(**settings), "raws": raws, **more}
    if same:
        attributes["same"] = lambda self, a, b: same(a, b)
    return made(testing.AdapterContract, name, **attributes)


def contracts():
    for name, part in parts("adapters").items():
        yield f"adapter {name}", adapter(name, part)
    for name, part in parts("backbones").items():
        if name in FAMILIES:
            continue
        yield f"backbone {name}", made(testing.BackboneContract, name, backbone=part(**SMALL[name]))
    for name, part in parts("losses").items():
        yield f"loss {name}", made(testing.LossContract, name, loss=part(), **LOSSES.get(name, {}))
    for name, part in parts("decoders").items():
        yield f"decoder {name}", made(testing.DecoderContract, name, decoder=part(), closed=name == "closed_set")


def promises():
    for part, contract in contracts():
        for name in sorted(dir(contract)):
            if name.startswith("test_"):
                yield pytest.param(contract, name, id=f"{part}: {name.removeprefix('test_')}")


@pytest.mark.parametrize(("contract", "name"), list(promises()))
def test_contract(contract, name):
    getattr(contract, name)()


def test_every_part_is_tried():
    """What is installed and has halves has a case here."""
    assert set(parts("adapters")) <= set(CASES)
    assert set(parts("backbones")) <= set(SMALL) | set(FAMILIES)
    assert len(parts("losses")) > 2 and len(parts("decoders")) > 2
