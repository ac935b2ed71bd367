"""The presets of speech learn: in seconds, on single words where sentences would take minutes."""

import pickle

import numpy as np
import pytest

from omniline.core.errors import ConfigError
from omniline.tasks.presets.audio.speech import Commands, Pronunciations, Words

ROOM = "omniline.tasks.presets.audio.speech"


def words(name, **more):
    """Overrides that put single words in the place of a preset's own rows."""
    call = {"call": f"{ROOM}:Words", **more}
    return {f"tasks.{name}.{split}": {**call, "split": split} for split in ("train", "valid")}


def test_spoken_words_of_a_voice_that_was_never_heard(learn):
    learned = learn("audio_classification", steps=240)
    assert learned.last < 0.8 * learned.first
    assert learned.values["text/accuracy"] > learned.trivial["text/accuracy"] + 0.1


def test_recognition(learn):
    """Words, open-ended, at a speed that was never heard."""
    learned = learn(
        "speech_recognition", steps=300, predict={"most_tokens": 8}, **words("speech_recognition", held="speed")
    )
    assert learned.last < 0.6 * learned.first
    assert learned.values["text/wer"] < learned.trivial["text/wer"] - 0.2


def test_synthesis(learn):
    """Words of one voice, at a speed that was never heard, against the best constant sound."""
    rows = words("text_to_speech", held="speed", voices=["slt"])
    learned = learn("text_to_speech", steps=120, rows=10, **rows, **{"fit.batch_tokens": 300})
    assert learned.last < 0.5 * learned.first
    assert learned.values["wav/mcd"] < learned.trivial["wav/mcd"] - 0.5
    made = [output.wav.seconds for output in learned.results["text_to_speech"].outputs]
    assert max(made) < 2, "sounds stop by themselves"


@pytest.mark.parametrize(
    ("name", "metric", "margin"), [("text_to_phone", "phones/wer", 0.08), ("phone_to_text", "word/cer", 0.05)]
)
def test_pronunciation(learn, name, metric, margin):
    learned = learn(name, steps=240, predict={"most_tokens": 24})
    assert learned.last < 0.8 * learned.first
    assert learned.values[metric] < learned.trivial[metric] - margin


def test_rows_are_split_as_they_say():
    for rows in (Commands, Pronunciations):
        train, valid = ({tuple(sorted(item.items())) for item in rows(split).items} for split in ("train", "valid"))
        assert len(train) > 4 * len(valid) > 0 and not train & valid
    texts = [set(Commands(split).column("text")) for split in ("train", "valid")]
    assert len(texts[0]) == 240 and len(texts[1]) == 48 and not texts[0] & texts[1]
    assert {word for text in texts[1] for word in text.split()} <= {word for text in texts[0] for word in text.split()}
    assert {item["voice"] for item in Words("train").items}.isdisjoint({i["voice"] for i in Words("valid").items})
    assert len(Words("valid", held="speed")) == 40
    with pytest.raises(ConfigError, match="the voices of words are awb, kal16, rms, slt, but one is 'bob'"):
        Words("train", voices=["bob"])
    with pytest.raises(ConfigError, match="`held` must be voice or speed"):
        Words("train", held="word")


def test_rows_travel_without_their_samples():
    rows = Words("valid")
    sound = rows[3]["wav"]["array"]
    assert 3000 < len(sound) < 20_000 and 0.1 < np.abs(sound).max() <= 1
    again = pickle.loads(pickle.dumps(rows))
    assert len(pickle.dumps(rows)) < 100_000 and np.array_equal(again[3]["wav"]["array"], sound)
