"""CHAT: a clip in a turn with its own sound beside it, on one clock."""

import numpy as np
import pytest

import omniline as ol
from omniline.core.codec import Reading
from omniline.core.conversing import Held, spread
from omniline.core.errors import DataError, InstructionError
from omniline.core.example import Piece
from omniline.core.interleaving import woven
from omniline.plugins.language.chat import ChatCodec
from omniline.plugins.language.tokenizer import ByteTokenizer
from omniline.plugins.qwen.audio_codec import QwenAudioCodec
from omniline.plugins.qwen.vision_codec import QwenVideoCodec
from omniline.tasks.forcing import refuse_late_clips

SECONDS = 5
CLIP = {"frames": list(np.zeros((2 * SECONDS, 60, 60, 3), np.uint8)), "fps": 2.0}
SOUND = (np.sin(np.arange(16_000 * (SECONDS + 3)) * 0.1).astype(np.float32), 16_000)
KINDS = {"TEXT": 1, "VIDEO": 2, "AUDIO": 3}


def codec(*holds, **settings):
    held = {
        "VIDEO": Held(codec=QwenVideoCodec(min_pixels=56 * 56, max_pixels=56 * 56, clock="seconds")),
        "AUDIO": Held(codec=QwenAudioCodec(bands=16)),
    }
    chosen = {name: held[name] for name in holds or held}
    return ChatCodec(tokenizer=ByteTokenizer(), held=chosen, template="qwen2.5-omni", system="", **settings)


def talk(**more):
    part = {"type": "video", "video": CLIP, **more}
    return [{"role": "user", "content": ["see ", part, part, "?"]}, {"role": "assistant", "content": "yes"}]


def test_a_clip_and_its_sound_share_a_clock_with_their_marks():
    made = codec()
    encoded = made.encode(talk(audio=SOUND), Reading(side="target"))
    assert encoded.rows == made.measure(talk(audio=SOUND), Reading(side="target"))
    kinds = [(kind, part.clock) for kind, part in encoded.parts]
    one = [("TEXT", 0), ("VIDEO", 0), ("AUDIO", 0), ("TEXT", 0)]
    assert kinds == [("TEXT", -1), *one, *((kind, 1) for kind, _ in one), ("TEXT", -1)]
    marks = [bytes(part.tensors["tokens"].tolist()).decode() for kind, part in encoded.parts[1:5] if kind == "TEXT"]
    assert marks == ["<|vision_bos|><|audio_bos|>", "<|audio_eos|><|vision_eos|>"]


def test_the_sound_is_read_for_as_long_as_the_clip():
    encoded = codec().encode(talk(audio=SOUND), Reading())
    assert [part.rows for kind, part in encoded.parts if kind == "AUDIO"] == [25 * SECONDS] * 2


def test_pieces_take_turns_every_two_seconds():
    encoded = codec().encode(talk(audio=SOUND), Reading(side="target"))
    pieces = woven(spread(Piece(1, encoded, 2, slot=0), KINDS), 2.0)
    rows = [(piece.kind, piece.encoded.rows) for piece in pieces if piece.clock == 1 and piece.kind != 1]
    assert rows == [(2, 8), (3, 50), (2, 8), (3, 50), (2, 4), (3, 25)]
    assert [piece.kind for piece in pieces if piece.clock == 1] == [1, 2, 3, 2, 3, 2, 3, 1]


@pytest.mark.parametrize(
    ("settings", "more", "heard"),
    [
        ({}, {}, 0),
        ({}, {"use_audio_in_video": False}, 0),
        ({}, {"audio": SOUND}, 2),
        ({"use_audio_in_video": True}, {"use_audio_in_video": False}, 0),
        ({"use_audio_in_video": True}, {"audio": False}, 0),
        ({"use_audio_in_video": True}, {"audio": SOUND}, 2),
    ],
)
def test_who_says_whether_a_clip_is_heard(settings, more, heard):
    parts = codec(**settings).encode(talk(**more), Reading()).parts
    assert [kind for kind, _ in parts].count("AUDIO") == heard


@pytest.mark.parametrize(
    ("holds", "more", "said"),
    [
        (
            ("VIDEO",),
            {"audio": SOUND},
            r"part 1 is a clip with its sound, but the slot holds no audio; write holds=video",
        ),
        ((), {"use_audio_in_video": True}, "message 0, part 1: a sound must be a path"),
        ((), {"use_audio_in_video": "yes"}, "part 1: `use_audio_in_video` must be true or false, but is str 'yes'"),
        ((), {"audio": "none.wav"}, r"message 0, part 1: the sound file 'none.wav' does not exist"),
        ((), {"audio": "https://a.b/c.wav"}, "part 1: str 'https://a.b/c.wav' is a web address"),
    ],
)
def test_a_sound_that_cannot_be_read_is_named(holds, more, said):
    with pytest.raises((TypeError, ValueError), match=said):
        codec(*holds).encode(talk(**more), Reading())


def test_the_slot_says_so_in_a_line():
    plan = ol.compile("-> [CHAT:talk,holds=video|audio,use_audio_in_video]")
    assert plan.alternatives[0].slots[0].adapter.options()["use_audio_in_video"] is True
    with pytest.raises(InstructionError, match="use_audio_in_video"):
        ol.compile("-> [CHAT:talk,use_audio_in_vidoe]")


def test_a_conversation_behind_an_answer_cannot_be_laid_out_by_time():
    encoded = codec().encode(talk(audio=SOUND), Reading(side="target"))
    refuse_late_clips({0: codec().encode(talk(), Reading(side="target")), 1: None})
    with pytest.raises(DataError, match="must stand before what is found first: put it on the source side"):
        refuse_late_clips({0: [None, encoded]})
