"""The presets of clips learn: in seconds, on a smaller choice of drawings and movements than their own."""

import numpy as np
import pytest

from omniline.core.errors import ConfigError
from omniline.tasks.presets.video.clips import MOTIONS, STEPS, MovingEmoji
from omniline.tasks.presets.video.films import SHOWN, FilmedEmoji, make_samples

SMALL = "ofa-tiny,width=64,ffn=128,heads=4,encoder_layers=2,decoder_layers=1,dropout=0"
WIDE = "ofa-tiny,width=192,ffn=384,heads=4,encoder_layers=1,decoder_layers=1,dropout=0"


def few(name, **rows):
    """Overrides that choose other rows for both splits."""
    keys = {f"tasks.{name}.{split}.{key}": value for split in ("train", "valid") for key, value in rows.items()}
    return {**keys, "backbone": SMALL, "fit.batch_tokens": 1500}


def test_classification(learn):
    """All eight movements, of drawings that training did not show."""
    settings = {"backbone": WIDE, "fit.learning_rate": 2e-3, "fit.batch_tokens": 1500}
    learned = learn("video_classification", steps=120, rows=128, **settings)
    assert learned.last < 0.9 * learned.first
    assert learned.values["label_name/accuracy"] > learned.trivial["label_name/accuracy"] + 0.06


def test_captioning(learn):
    rows = few("video_captioning", motions=3, emoji=5) | few("movements", motions=3, emoji=5)
    learned = learn("video_captioning", steps=110, tasks__movements__weight=1, predict={"most_tokens": 16}, **rows)
    assert learned.last < 0.5 * learned.first
    assert learned.values["cap/cider"] > learned.trivial["cap/cider"] + 0.5


def test_qa(learn):
    learned = learn("video_qa", steps=60, **few("video_qa", motions=3, emoji=5))
    assert learned.last < 0.6 * learned.first
    assert learned.values["answer/vqa_score"] > learned.trivial["answer/vqa_score"] + 0.1


def test_clips_are_functions_of_split_and_index():
    first, again, other = MovingEmoji("train", 9), MovingEmoji("train", 9), MovingEmoji("train", 9, seed=1)
    for index in (0, 8):
        assert np.array_equal(first[index]["video"].frames, again[index]["video"].frames)
        assert not np.array_equal(first[index]["video"].frames, other[index]["video"].frames)
    assert first[0]["video"].frames.shape == (4, 32, 32, 3)
    assert list(first.column("cap")) == [first[i]["cap"] for i in range(9)]
    with pytest.raises(IndexError):
        first[9]


@pytest.mark.parametrize("held", ["sprites", "pairs"])
def test_the_splits_share_nothing_that_is_held(held):
    train, valid = (MovingEmoji(split, held=held) for split in ("train", "valid"))
    names = [{sprite.name for sprite, _ in rows.pairs} for rows in (train, valid)]
    pairs = [{(sprite.name, motion) for sprite, motion in rows.pairs} for rows in (train, valid)]
    assert not pairs[0] & pairs[1] and len(pairs[0] | pairs[1]) == 8 * 190
    assert bool(names[0] & names[1]) is (held == "pairs")
    assert 0.15 < len(pairs[1]) / (8 * 190) < 0.25


def test_what_is_said_is_what_is_seen():
    """The middle of what differs from the ground goes the way that the words say."""
    rows = MovingEmoji("train", 400, motions=12, size=48, frames=3)
    for index in range(40):
        row = rows[index]
        frames = row["video"].frames.astype(int)
        places = []
        for frame in frames[[0, -1]]:
            ground = np.median(frames, 0)
            y, x = np.nonzero(np.abs(frame - ground).sum(-1) > 60)
            places.append((x.mean(), y.mean()) if len(x) else (0.0, 0.0))
        went = np.subtract(places[1], places[0])
        wanted = STEPS.get(row["label_name"])
        if wanted is not None:
            for axis, go in enumerate(wanted):
                assert go == 0 or np.sign(went[axis]) == go, (index, row["cap"], went)
        elif row["label_name"] == "stands still":
            assert (frames == frames[0]).all()
        else:
            assert not (frames == frames[0]).all()


def test_questions_have_their_answers():
    rows = MovingEmoji("train", 300)
    asked = [rows.words(index) for index in range(300)]
    assert {row["question"].split()[0] for row in asked} == {"what", "does", "is"}
    for row in asked:
        if row["question"] == "what is it?":
            assert row["answer"] == row["name"]
        elif row["question"] == "what does it do?":
            assert row["answer"] == row["label_name"] in MOTIONS
        else:
            assert row["answer"] in ("yes", "no")


def test_films_hold_the_same_clips(tmp_path):
    rows = FilmedEmoji("valid", 4, folder=tmp_path, size=48, frames=6)
    path = rows[2]["video"]
    assert path.endswith(".mp4") and len(list(tmp_path.iterdir())) == 1
    from omniline.core.opening.video_reading import open_clip

    with open_clip(path) as clip:
        frames = clip.footage.frames([0.1, 0.9, 1.4], None, "bilinear").pixels
    plain = MovingEmoji("valid", 4, size=48, frames=6)[2]["video"].frames[[0, 3, 5]]
    assert np.abs(frames.astype(int) - plain).mean() < 12
    assert rows[2]["video"] == path
    with pytest.raises(ConfigError, match="must be even, but is 33"):
        FilmedEmoji("valid", folder=tmp_path, size=33)


def test_the_shipped_films_are_those_that_are_made(tmp_path):
    assert [path.stem for path in make_samples(tmp_path)] == [cap.replace(" ", "-") for cap in SHOWN]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"motions": 13}, r"`motions` of the moving emoji must be in 2\.\.12, but is 13"),
        ({"emoji": 3}, r"`emoji` .* 5\.\.190, but is 3"),
        ({"frames": 1}, "`frames` .* but is 1"),
    ],
)
def test_numbers_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError, match=message):
        MovingEmoji("train", **settings)
