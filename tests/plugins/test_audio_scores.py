"""The metrics of speech: `mcd` of what was said, `cer` of what was understood."""

import numpy as np
import pytest

from omniline.core.sound import Audio
from omniline.plugins.audio.distortion import MelCepstralDistortion, cosines, warped_mean
from omniline.plugins.scores.speech import CharacterErrorRate

RATE = 16_000


def glide(low, high, seconds=0.5):
    pitch = np.linspace(low, high, int(RATE * seconds))
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) / 2
    return (tone + np.random.default_rng(0).normal(0, 0.05, len(tone))).astype(np.float32)


def mcd(made, true):
    metric = MelCepstralDistortion()
    metric.update([made], [true])
    return metric.compute()


def test_the_same_sound_has_no_distance_at_any_loudness():
    sound = glide(300, 900)
    assert mcd((sound, RATE), (sound, RATE)) < 1e-4
    assert mcd(Audio(sound, RATE), {"array": sound / 2, "sampling_rate": RATE}) < 0.1


def test_tempo_matters_little_and_sound_much():
    sound = glide(300, 900)
    slower, other = glide(300, 900, seconds=0.8), glide(3000, 5000)
    assert mcd((slower, RATE), (sound, RATE)) < 0.4 * mcd((other, RATE), (sound, RATE))


def test_a_missing_answer_is_silence():
    sound = glide(300, 900)
    silent = mcd((np.zeros(RATE // 2, np.float32), RATE), (sound, RATE))
    assert mcd(None, (sound, RATE)) == mcd(Audio(np.zeros(0, np.float32), RATE), (sound, RATE))
    assert abs(mcd(None, (sound, RATE)) - silent) < 0.1 * silent


def test_the_number_is_the_formula():
    rng = np.random.default_rng(0)
    mel = rng.normal(size=(2, 80))
    amplitudes = [
        2 / 80 * sum(m * np.cos(np.pi * d * (b + 0.5) / 80) for b, m in enumerate(mel[0])) for d in range(1, 14)
    ]
    assert np.allclose(mel[0] @ cosines(80), amplitudes, atol=1e-5)


def test_warping_finds_the_cheapest_path():
    rng = np.random.default_rng(1)
    for n, m in ((1, 1), (1, 4), (3, 2), (4, 4)):
        costs = rng.random((n, m))
        paths = all_paths(n, m)
        sums = [sum(costs[place] for place in path) for path in paths]
        best = int(np.argmin(sums))
        assert np.isclose(warped_mean(costs), sums[best] / len(paths[best]))


def all_paths(n, m):
    """Every path from (0, 0) to (n - 1, m - 1), by brute force."""
    found, open_ = [], [[(0, 0)]]
    while open_:
        path = open_.pop()
        if path[-1] == (n - 1, m - 1):
            found.append(path)
        for i, j in ((1, 0), (0, 1), (1, 1)):
            place = (path[-1][0] + i, path[-1][1] + j)
            if place[0] < n and place[1] < m:
                open_.append([*path, place])
    return found


def test_what_cannot_be_judged():
    with pytest.raises(ValueError, match="one truth for each prediction, but got 1 for 2"):
        MelCepstralDistortion().update([None, None], [(glide(1, 2), RATE)])
    with pytest.raises(ValueError, match="has seen no rows"):
        MelCepstralDistortion().compute()
    with pytest.raises(ValueError, match="the sound file 'nowhere.wav' does not exist"):
        mcd(None, "nowhere.wav")


@pytest.mark.parametrize(
    ("predicted", "truth", "rate"),
    [(["cats"], ["cats"], 0.0), (["cart", None], ["cats", ["ab"]], 4 / 6), (["aaaa"], ["a"], 3.0)],
)
def test_character_errors(predicted, truth, rate):
    metric = CharacterErrorRate()
    metric.update(predicted, truth)
    assert np.isclose(metric.compute(), rate)


def test_character_errors_need_a_reference():
    for truth in ("", ["a", "b"]):
        with pytest.raises(ValueError, match="one reference with at least one character"):
            CharacterErrorRate().update(["a"], [truth])
