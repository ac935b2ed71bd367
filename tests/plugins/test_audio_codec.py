"""AUDIO's codec: what is read of a sound, its frames, and how near a made sound is to the true one."""

import numpy as np
import pytest
import soundfile
import torch

from omniline.core.codec import Reading
from omniline.core.opening import resampling
from omniline.core.opening.resampling import resample, resampled_length
from omniline.core.sound import Audio
from omniline.core.timespan import TimeSpan
from omniline.plugins.audio import features
from omniline.plugins.audio.codec import AudioCodec
from omniline.plugins.audio.features import Spectrum, hidden, mel_filters, standardised

RATE = 16_000
PREDICT = Reading(mode="predict")
TARGET = Reading(side="target", mode="predict")


def speechlike(seconds=1.0, rate=RATE, seed=0):
    """A gliding buzz with formants and pauses, and a little noise."""
    at = np.arange(int(seconds * rate)) / rate
    turns = np.cumsum(110 + 40 * np.sin(2 * np.pi * at / 0.7)) / rate
    wave = sum(np.sin(2 * np.pi * n * turns) / n for n in range(1, 20) if n * 150 < rate / 2)
    noise = np.random.default_rng(seed).normal(0, 0.01, len(at))
    return (0.2 * wave * (np.sin(2 * np.pi * at / 0.5) > -0.5) + noise).astype(np.float32)


@pytest.mark.parametrize("settings", [{}, {"features": "fbank"}, {"n_frames_per_step": 3, "hop": 0.0125, "bands": 40}])
@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_tokens_are_what_measure_says(settings, rate):
    codec = AudioCodec(**settings)
    step = codec.step * codec.spectrum.hop / RATE
    for seconds in (0.001, 0.3, 1.0, 1.003):
        raw = (speechlike(seconds, rate), rate)
        encoded = codec.encode(raw, PREDICT)
        assert encoded.rows == codec.measure(raw, PREDICT) == max(1, int(np.ceil(round(seconds / step, 6))))
        frames = encoded.tensors["frames"]
        assert frames.dtype == np.float16 and encoded.tensors["lengths"].tolist() == [len(frames)]
        assert np.allclose(encoded.grid[:, 0], np.arange(encoded.rows) * step, atol=1e-5)


def test_frames_are_standardised_and_silence_is_zero():
    codec = AudioCodec()
    frames = codec.encode((speechlike(), RATE), PREDICT).tensors["frames"].astype(np.float32)
    assert np.abs(frames.mean(0)).max() < 0.01 and np.abs(frames.std(0) - 1).max() < 0.01
    for features_ in ("log_mel", "fbank"):
        silent = AudioCodec(features=features_, silent="keep").encode(np.zeros(RATE, np.float32), PREDICT)
        assert np.abs(silent.tensors["frames"]).max() < 1e-3
    loud = AudioCodec(normalise="fixed").encode((speechlike(), RATE), PREDICT).tensors["frames"]
    assert (
        abs(float(loud.mean())) < 1.5 and AudioCodec(normalise="none").encode((speechlike(), RATE), PREDICT).rows == 25
    )


@pytest.mark.parametrize("level", [0.0, 0.25])
@pytest.mark.parametrize("reading", [PREDICT, TARGET])
def test_a_silent_sound_is_a_mistake(level, reading):
    silent = np.full(RATE // 4, level, np.float32)
    with pytest.raises(
        ValueError, match=rf"a sound must be heard.* the sound array of \[4000\] are {level:g}; write `silent=keep`"
    ):
        AudioCodec().encode(silent, reading)
    assert AudioCodec(silent="keep").encode(silent, reading).rows == 7


def test_loudness_does_not_matter_when_standardised():
    codec, sound = AudioCodec(), speechlike()
    a, b = (codec.encode((factor * sound, RATE), PREDICT).tensors["frames"] for factor in (1.0, 0.5))
    assert np.abs(a.astype(np.float32) - b).max() < 0.05


def test_features_are_those_of_torchaudio():
    import torchaudio

    sound = speechlike(0.5)
    spectrum = Spectrum(rate=RATE, window=400, hop=160, bands=80, kind="log_mel")
    theirs = torchaudio.transforms.MelSpectrogram(
        RATE, n_fft=512, win_length=400, hop_length=160, n_mels=80, power=1.0, pad_mode="constant"
    )(torch.from_numpy(sound))
    assert np.allclose(spectrum(sound), theirs.clamp(min=1e-5).log().T[:50], atol=1e-4)
    bank = Spectrum(rate=RATE, window=400, hop=160, bands=40, kind="fbank")(sound)
    kaldi = torchaudio.compliance.kaldi.fbank(
        torch.from_numpy(sound)[None] * 32768, num_mel_bins=40, snip_edges=False, energy_floor=1.0
    )
    assert np.allclose(bank[2:-2], kaldi[2:-2], atol=1e-3)


def test_blocks_change_nothing(monkeypatch):
    sound = speechlike(2.0)
    whole = [Spectrum(rate=RATE, window=400, hop=160, bands=40, kind=kind)(sound) for kind in ("log_mel", "fbank")]
    monkeypatch.setattr(features, "BLOCK", 17)
    for kind, frames in zip(("log_mel", "fbank"), whole, strict=True):
        again = Spectrum(rate=RATE, window=400, hop=160, bands=40, kind=kind)(sound)
        assert np.allclose(again, frames, atol=1e-4)


@pytest.mark.parametrize(("old", "new"), [(44_100, 16_000), (8000, 16_000), (48_000, 16_000), (22_050, 8000)])
def test_resampling_in_blocks_is_resampling_at_once(monkeypatch, old, new):
    import torchaudio

    sound = speechlike(0.7, old)
    monkeypatch.setattr(resampling, "GATHERED", 3000)
    pieces = (sound[at : at + 1111] for at in range(0, len(sound), 1111))
    theirs = torchaudio.functional.resample(torch.from_numpy(sound), old, new).numpy()
    found = resample(pieces, old, new)
    assert len(found) == len(theirs) == resampled_length(len(sound), old, new)
    assert np.abs(found - theirs).max() < 1e-5


def test_too_many_bands_say_so():
    with pytest.raises(ValueError, match="512 bands are too many for frames of 16 samples at 1600 Hz"):
        mel_filters(Spectrum(rate=1600, window=16, hop=16, bands=512, kind="log_mel"))
    with pytest.raises(ValueError, match="`window` must span at least 2 samples, but spans 1"):
        AudioCodec(sample_rate=1000, window=0.001)


def test_a_long_sound_is_cut_to_its_start_or_a_piece():
    sound = np.repeat(np.arange(10, dtype=np.float32) / 20, RATE) * speechlike(10.0)
    start = AudioCodec(max_seconds=2.0)
    assert start.lead((sound, RATE), PREDICT) == TimeSpan(0.0, 2.0)
    assert start.measure((sound, RATE), PREDICT) == start.encode((sound, RATE), PREDICT).rows == 50
    clip = AudioCodec(max_seconds=2.0, sampling="clip")
    assert clip.lead((sound, RATE), PREDICT) == TimeSpan(4.0, 6.0)
    drawn = {clip.lead((sound, RATE), Reading(seed=seed)).start for seed in range(20)}
    assert len(drawn) == 20 and min(drawn) >= 0 and max(drawn) <= 8
    assert clip.lead((sound, RATE), Reading(seed=3)) == clip.lead((sound, RATE), Reading(seed=3))


def test_a_follower_reads_its_leaders_span():
    codec, ramp = AudioCodec(normalise="fixed"), np.linspace(0, 0.5, 4 * RATE, dtype=np.float32) * speechlike(4.0)
    reading = Reading(mode="predict", leader=TimeSpan(1.0, 2.5))
    encoded = codec.encode((ramp, RATE), reading)
    assert encoded.rows == 38 <= codec.measure((ramp, RATE), reading)
    alone = codec.encode((ramp[RATE : int(2.5 * RATE)], RATE), PREDICT)
    assert np.array_equal(encoded.tensors["frames"], alone.tensors["frames"]) and encoded.grid[0, 0] == 0
    with pytest.raises(ValueError, match="lasts 4.00 s, but the slot that it follows is read from 5.00 s on"):
        codec.encode((ramp, RATE), Reading(mode="predict", leader=TimeSpan(5.0, 6.0)))


def test_augmentation_acts_in_training_alone():
    codec, raw = AudioCodec(use_mask=True, speeds=("0.8", "1.25")), (speechlike(), RATE)
    rows = {seed: codec.encode(raw, Reading(seed=seed)).rows for seed in range(12)}
    assert set(rows.values()) == {20, 32} and codec.measure(raw, Reading()) == 32
    for mode in ("valid", "predict"):
        plain = codec.encode(raw, Reading(mode=mode, seed=5))
        assert np.array_equal(plain.tensors["frames"], AudioCodec().encode(raw, PREDICT).tensors["frames"])


def test_masks_hide_runs_of_bands_and_times():
    frames = standardised(np.random.default_rng(0).normal(size=(200, 40)).astype(np.float32))
    masked = hidden(frames, np.random.default_rng(1))
    gone = np.isclose(masked, frames.mean())
    assert 0.02 < gone.mean() < 0.8
    assert np.array_equal(masked[~gone], frames[~gone])


def test_speech_comes_back_within_the_stated_error():
    """0.1 of each log magnitude on average; a little more for this buzz than for speech."""
    codec, sound = AudioCodec(), speechlike(1.5)
    encoded = codec.encode((sound, RATE), TARGET)
    made = codec.decode({"values": torch.from_numpy(encoded.labels["values"])})
    assert isinstance(made, Audio) and made.rate == RATE and abs(made.seconds - 1.5) <= 0.04
    again = codec.encode(made, TARGET).labels["values"]
    count = min(len(again), encoded.rows)
    error = features.SCALE * np.abs(again[:count] - encoded.labels["values"][:count]).mean()
    assert error < 0.2
    assert codec.decode({"values": torch.from_numpy(encoded.labels["values"])}) == made


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_very_short_predictions_are_sounds(rows):
    made = AudioCodec().decode({"values": torch.zeros(rows, 4, 80)})
    assert len(made) == rows * 640 and np.isfinite(made.samples).all()


def test_targets_stop_at_their_last_row():
    encoded = AudioCodec().encode((speechlike(0.5), RATE), Reading(side="target"))
    assert encoded.labels["stop"].tolist() == [0.0] * 12 + [1.0]
    assert encoded.labels["values"].shape == (13, 4, 80) and encoded.labels["values"].dtype == np.float32
    assert encoded.tensors["frames"].shape == (52, 80) and encoded.tensors["written"].tolist() == [1]
    assert encoded.grid is None


@pytest.mark.parametrize(
    ("settings", "reading", "words"),
    [
        (
            {"max_seconds": 0.5},
            TARGET,
            r"must last at most 0\.5 s, but the sound .* lasts 1\.00 s: raise `max_seconds`",
        ),
        ({"features": "fbank"}, TARGET, "write features=log_mel"),
        ({}, Reading(side="target", limit=20), "takes 25 tokens, but `max_length` is 20"),
    ],
)
def test_what_cannot_be_made(settings, reading, words):
    with pytest.raises(ValueError, match=words):
        AudioCodec(**settings).encode((speechlike(), RATE), reading)


def test_a_vocoder_of_another_package_is_an_override(tmp_path):
    class Tone(AudioCodec):
        """Stands for a neural vocoder."""

        def vocode(self, mel):
            return np.full(len(mel) * self.spectrum.hop, 0.25, np.float32)

    made = Tone().decode({"values": torch.zeros(2, 4, 80)})
    assert made == Audio(np.full(1280, 0.25, np.float32), RATE)
    path = Tone().save(made, tmp_path / "speech")
    assert path == tmp_path / "speech.wav" and soundfile.info(path).frames == 1280


def test_a_long_file_costs_what_is_read_of_it(tmp_path, monkeypatch):
    """Ten minutes of which two seconds are used: only their samples are decoded."""
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile((speechlike(1.0, 8000) * 32767).astype(np.int16), 600), 8000)
    decoded = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, count, **more: decoded.append(count) or read(self, count, **more)
    )
    codec = AudioCodec(max_seconds=2.0, sampling="clip")
    assert codec.measure(str(path), PREDICT) == 50 and decoded == []
    assert codec.encode(str(path), Reading(seed=1)).rows == 50 and sum(decoded) == 16_000
