"""Every value that is read comes back as what it was, within the error that docs/values.md states; its file too."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from omniline.core.codec import SUPERVISED, Reading
from omniline.core.view import View
from omniline.plugins.audio.codec import AudioCodec
from omniline.plugins.audio.features import SCALE
from omniline.plugins.language.box_text import BoxTextCodec
from omniline.plugins.language.category import CategoryCodec
from omniline.plugins.language.chat import ChatCodec
from omniline.plugins.language.phone import PhoneCodec
from omniline.plugins.language.struct import StructCodec
from omniline.plugins.language.text import TextCodec
from omniline.plugins.language.tokenizer import ByteTokenizer
from omniline.plugins.manager import installed
from omniline.plugins.motion.codec import MotionCodec
from omniline.plugins.motion.skeleton import human
from omniline.plugins.motion.value import Motion
from omniline.plugins.vision.box import BoxCodec
from omniline.plugins.vision.box_values import BoxValuesCodec
from omniline.plugins.vision.codes import ImageCodesCodec
from omniline.plugins.vision.codes_video import VideoCodesCodec
from omniline.tasks.presets.placements import SAMPLES

BYTES = ByteTokenizer()
TARGET = Reading(side="target", mode="predict")
DRAW = np.random.default_rng(0)
SEEN = View(size=(1000, 500), made=(1008, 504))
GRID = [[1, 0, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 0]]
CALL = {"name": "add", "arguments": '{"a": 1}'}
ANSWER = {
    "role": "assistant",
    "content": "It is 3.",
    "reasoning_content": "one and two",
    "tool_calls": [{"type": "function", "function": CALL}],
}


def back(codec, raw, **more):
    """A value that is read as a target, and what its labels are decoded to."""
    encoded = codec.encode(raw, TARGET if not more else Reading(side="target", mode="predict", leader=more["leader"]))
    name = next(iter(encoded.labels))
    found = torch.as_tensor(encoded.labels[name])
    roles = encoded.roles
    if roles is not None:
        found = found[torch.as_tensor(roles) == SUPERVISED]
    ends = name == "tokens" and hasattr(codec, "tokenizer") or isinstance(codec, (TextCodec, StructCodec, PhoneCodec))
    return codec.decode({name: found[:-1] if ends or isinstance(codec, ChatCodec) else found}, **more)


def whirl(frames=20):
    """A motion whose joints turn unevenly."""
    angle = np.linspace(0, 3, frames)[:, None] * np.linspace(0.2, 1, human().joints)
    turns = np.tile(np.eye(3), (frames, human().joints, 1, 1))
    turns[..., 0, 0] = turns[..., 1, 1] = np.cos(angle)
    turns[..., 0, 1], turns[..., 1, 0] = -np.sin(angle), np.sin(angle)
    root = np.stack([angle[:, 0], np.ones(frames), angle[:, 1]], 1)
    return Motion(root=root, rotations=turns, fps=30, skeleton=human())


def squares(codec, raw, factor=4):
    """What a codec of pixels reads, put together again."""
    patches = codec.encode(raw, TARGET).labels["patches"]
    side = 16 // factor
    cut = np.asarray(patches).reshape(-1, side, side, factor, factor, 3)
    return codec.decode({"pixels": torch.from_numpy(cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 16, 16, 3).copy())})


def text(folder):
    raw = "Zwölf  Boxkämpfer\n\t– 猫 🐈 <|im_end|> "
    assert back(TextCodec(tokenizer=BYTES), raw) == raw


def category(folder):
    codec = CategoryCodec(closed_set=("no", "yes"))
    assert [back(codec, raw) for raw in ("yes", "no")] == ["yes", "no"]


def struct(folder):
    codec = StructCodec(tokenizer=BYTES)
    mapping = {"name": "Ann", "home": {"city": "Rome | : = ,"}, "pets": ["Rex", "Mia"]}
    table = [["name", "age"], ["Ann", ""], ["B | o", "4"]]
    for value, suffix in ((table, ".csv"), (mapping, ".json"), (GRID, ".txt")):
        assert back(codec, value) == value
        path = codec.save(value, folder / "x")
        assert path.suffix == suffix
        read = path.read_text() if suffix == ".txt" else str(path)
        assert back(StructCodec(tokenizer=BYTES, form="grid") if suffix == ".txt" else codec, read) == value


def phone(folder):
    assert back(PhoneCodec(tokenizer=BYTES), " HH AH0  L OW1") == "HH AH0 L OW1"


def box(folder):
    for bins in (10, 1000):
        raw = (0.123, 0.2, 0.777, 0.9999)
        assert np.abs(np.subtract(back(BoxCodec(bins=bins), raw), raw)).max() <= 0.5 / bins + 1e-9


def box_values(folder):
    assert back(BoxValuesCodec(), (0.123, 0.2, 0.777, 0.9999)) == pytest.approx((0.123, 0.2, 0.777, 0.9999), abs=1e-6)


def box_text(folder):
    raw = (123.4, 77.7, 901.2, 444.4)
    for style, error in (("json", (0.5, 0.5)), ("pairs", (0.5, 0.25))):
        codec = BoxTextCodec(tokenizer=BYTES, style=style, unit="pixels")
        off = np.abs(np.subtract(back(codec, raw, leader=SEEN), raw))
        assert off[::2].max() <= error[0] + 1e-6 and off[1::2].max() <= error[1] + 1e-6


def audio(folder):
    with soundfile.SoundFile(SAMPLES / "speech" / "words.opus") as file:
        voice = file.read(24_000, dtype="float32")
    codec = AudioCodec()
    made = back(codec, (voice, 16_000))
    first, again = (codec.encode(x, TARGET).labels["values"] for x in ((voice, 16_000), made))
    count = min(len(first), len(again))
    assert abs(made.seconds - 1.5) <= 0.04
    assert SCALE * np.abs(np.asarray(first)[:count] - np.asarray(again)[:count]).mean() < 0.1
    path = codec.save(made, folder / "x")
    read, rate = soundfile.read(path)
    assert path.suffix == ".wav" and rate == 16_000 and np.abs(read - made.samples).max() <= 1 / 32_768


def motion(folder):
    codec, raw = MotionCodec(), whirl()
    found = back(codec, raw)
    assert np.abs(found.places() - raw.places()).max() < 1e-4 * human().height
    path = codec.save(found, folder / "x")
    assert (
        path.suffix == ".bvh" and np.abs(back(codec, str(path)).places() - raw.places()).max() < 2e-4 * human().height
    )


def image_codes(folder):
    raw = DRAW.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    found = squares(ImageCodesCodec(size=16, factor=4), raw)
    assert np.array_equal(np.asarray(found), raw)
    found.save(folder / "x.png")
    assert np.array_equal(np.asarray(squares(ImageCodesCodec(size=16, factor=4), folder / "x.png")), raw)


def video_codes(folder):
    frames = np.repeat(np.repeat(DRAW.integers(60, 200, (4, 2, 2, 3), dtype=np.uint8), 8, 1), 8, 2)
    codec = VideoCodesCodec(max_frames=4, fps=4.0, size=16, factor=4)
    found = squares(codec, {"frames": frames, "fps": 4.0})
    assert np.array_equal(np.asarray(found.frames), frames) and found.fps == 4.0
    path = codec.save(found, folder / "x")
    read = np.asarray(squares(codec, str(path)).frames).astype(int)
    assert path.suffix == ".mp4" and np.abs(read - frames).mean() < 0.05 * 255


def chat(folder):
    codec = ChatCodec(tokenizer=BYTES, template="qwen3")
    found = back(codec, [{"role": "user", "content": "1 + 2?"}, ANSWER])
    assert found == ANSWER
    path = codec.save([{"role": "user", "content": Image.new("RGB", (2, 2))}, found], folder / "x")
    assert path.name == "x.json" and (folder / "x_0.png").is_file()


TRIPS = (text, category, struct, phone, box, box_values, box_text, audio, motion, image_codes, video_codes, chat)


@pytest.mark.parametrize("trip", TRIPS, ids=lambda trip: trip.__name__)
def test_there_and_back(trip, tmp_path):
    trip(tmp_path)


def test_every_adapter_that_makes_something_has_a_trip_and_a_stated_error():
    """A new one must say in docs/values.md how well its values come back, and show it here."""
    catalog = installed()
    made = {
        name
        for name in catalog.names("adapters")
        if catalog.adapter(name).predicts is not None and catalog.entry("adapters", name).owner.package == "omniline"
    }
    page = (Path(__file__).parents[2] / "docs" / "values.md").read_text(encoding="utf-8")
    table = page.partition("## There and back")[2].partition("\n## ")[0]
    stated = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert made == stated == {trip.__name__ for trip in TRIPS}
