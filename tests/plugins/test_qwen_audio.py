"""Sounds as the thinker of Qwen2.5-Omni reads them, beside transformers: features, counts, bad sounds, the tower."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniAudioEncoderConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder

from omniline.core.codec import Reading
from omniline.core.layers import products
from omniline.core.timespan import TimeSpan
from omniline.plugins.qwen.audio_codec import QwenAudioCodec, tokens_of
from omniline.plugins.qwen.audio_features import RATE, frames_of, log_mel, mel_filters
from omniline.plugins.qwen.audio_names import NAMES
from omniline.plugins.qwen.audio_plugin import QwenAudio
from omniline.plugins.qwen.audio_port import AudioPort, blocks_of

BANDS = 16
SHAPE = {"bands": BANDS, "channels": 24, "heads": 3, "ffn": 20, "layers": 2, "block": 20}


def sound(seconds, seed=0, loud=0.1):
    count = round(seconds * RATE)
    noise = np.random.default_rng(seed).standard_normal(count)
    return (loud * noise * np.linspace(0.01, 1, count)).astype(np.float32)


def theirs(samples, *, seconds=30, bands=128):
    """Features [frames, bands] of transformers, those that its mask keeps."""
    made = WhisperFeatureExtractor(feature_size=bands, chunk_length=seconds)
    found = made(samples, sampling_rate=RATE, return_attention_mask=True)
    return found["input_features"][0][:, found["attention_mask"][0] == 1].T


@pytest.mark.parametrize("seconds", [0.02, 0.0251, 0.1, 0.5, 1.234567, 1.999, 2.0])
def test_features_are_those_of_transformers(seconds):
    samples = sound(seconds)
    found, wanted = log_mel(samples, bands=128, most=30 * RATE), theirs(samples)
    assert found.shape == wanted.shape == (frames_of(len(samples)), 128)
    assert np.abs(found - wanted).max() <= 1e-6


@pytest.mark.parametrize("seconds", [0.99, 0.9999, 1.0, 1.3])
def test_features_at_the_longest_length(seconds):
    """Where a sound fills the extractor's length, its end is mirrored; a longer one is cut."""
    samples = sound(seconds)
    found = QwenAudioCodec(max_seconds=1.0).encode((samples, RATE), Reading()).tensors["frames"]
    wanted = theirs(samples, seconds=1)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-6


def test_the_loudest_frame_may_be_the_one_behind_the_end():
    samples = np.zeros(1700, np.float32)
    samples[-40:] = np.sin(np.arange(40))
    found, wanted = log_mel(samples, bands=128, most=30 * RATE), theirs(samples)
    assert np.abs(found - wanted).max() <= 1e-6


def test_long_sounds_are_transformed_in_blocks(monkeypatch):
    whole = log_mel(sound(1), bands=BANDS, most=RATE)
    monkeypatch.setattr("omniline.plugins.qwen.audio_features.BLOCK", 7)
    assert np.abs(log_mel(sound(1), bands=BANDS, most=RATE) - whole).max() <= 1e-6


def test_filters_have_equal_area():
    """Triangles that sum to one over hertz, bins 40 Hz apart; the first bands are narrower than a bin."""
    area = mel_filters(20).double().sum(0) * 40
    assert torch.allclose(area[5:], torch.ones(15, dtype=torch.float64), atol=0.03)


@pytest.mark.parametrize(("seconds", "frames", "tokens"), [(0.5, 50, 12), (1, 100, 25), (2, 200, 50), (10, 1000, 250)])
def test_tokens_of_the_report(seconds, frames, tokens):
    codec = QwenAudioCodec(bands=BANDS)
    value = (np.zeros(round(seconds * RATE), np.float32), RATE)
    encoded = codec.encode(value, Reading())
    assert codec.measure(value, Reading()) == encoded.rows == tokens == tokens_of(frames)
    assert encoded.tensors["frames"].shape == (frames, BANDS)
    assert encoded.tensors["lengths"].tolist() == [frames]
    assert encoded.tensors["frames"].dtype == np.float32


def test_silence_is_minus_one_and_a_half():
    encoded = QwenAudioCodec(bands=BANDS).encode((np.zeros(RATE, np.float32), RATE), Reading())
    assert (encoded.tensors["frames"] == -1.5).all()


def test_silence_is_an_error_where_it_is_asked_to_be():
    codec = QwenAudioCodec(bands=BANDS, silent="error")
    with pytest.raises(ValueError, match="a sound must be heard, but all samples"):
        codec.encode((np.zeros(RATE, np.float32), RATE), Reading())


def test_places_are_times():
    """A token's time gives its number and its piece of two seconds whatever float32 does to it."""
    grid = QwenAudioCodec(bands=BANDS).encode((np.zeros(300 * RATE, np.float32), RATE), Reading()).grid
    assert grid.shape == (7500, 3) and grid.dtype == np.float32
    assert np.array_equal(np.floor(grid[:, 0] * np.float32(25)), np.arange(7500))
    assert np.array_equal(grid[:, 0] // 2.0, np.arange(7500) // 50)
    assert (grid[:, 1:] == -1).all()


@pytest.mark.parametrize("count", [1, 159, 320])
def test_a_click_is_one_token(count):
    codec = QwenAudioCodec(bands=BANDS)
    value = (np.full(count, 0.5, np.float32), RATE)
    assert codec.measure(value, Reading()) == codec.encode(value, Reading()).rows == 1


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_other_rates_are_resampled_and_measured(rate):
    codec = QwenAudioCodec(bands=BANDS)
    value = (np.sin(np.arange(rate * 3 // 2) / 7).astype(np.float32), rate)
    assert codec.encode(value, Reading()).rows == codec.measure(value, Reading()) == 37


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ((np.zeros(0, np.float32), RATE), "must hold samples, but the array is empty"),
        ((np.full(RATE, np.nan, np.float32), RATE), "must hold finite numbers, but sample 0"),
        ((np.full(RATE, 1e5, np.float32), RATE), "must be fractions -1 to 1"),
        ("missing.wav", "does not exist"),
    ],
)
def test_bad_sounds_are_one_sentence(value, says):
    with pytest.raises(ValueError, match=says):
        QwenAudioCodec(bands=BANDS).encode(value, Reading())


def test_an_endless_sound_is_cut(monkeypatch):
    """A source whose header knows no end is read up to `max_seconds` and no further."""
    asked = []

    def blocks(first, count):
        while True:
            asked.append(count)
            yield np.zeros(min(count, 1000), np.float32)
            count -= 1000
            if count <= 0:
                return

    endless = SimpleNamespace(name="endless", rate=RATE, frames=None, seconds=None, blocks=blocks)
    monkeypatch.setattr("omniline.plugins.qwen.audio_codec.open_sound", lambda raw, rate: endless)
    codec = QwenAudioCodec(bands=BANDS, max_seconds=1.0)
    assert codec.measure("x", Reading()) == codec.encode("x", Reading()).rows == 25
    assert asked[0] == RATE and len(asked) == RATE // 1000


def test_a_sound_follows_its_clip():
    """Synced to a clip it reads the clip's seconds, and its own time starts there."""
    codec = QwenAudioCodec(bands=BANDS)
    value = (sound(4), RATE)
    follows = Reading(leader=TimeSpan(1.0, 3.5))
    encoded = codec.encode(value, follows)
    assert encoded.rows == 62 <= codec.measure(value, follows)
    alone = codec.encode((sound(4)[RATE : RATE * 7 // 2], RATE), Reading())
    assert np.array_equal(encoded.tensors["frames"], alone.tensors["frames"])
    assert np.array_equal(encoded.grid, alone.grid)


def test_a_random_piece_in_training_alone():
    codec = QwenAudioCodec(bands=BANDS, max_seconds=1.0, sampling="clip")
    spans = {
        mode: [codec.lead((sound(4), RATE), Reading(mode=mode, seed=i)) for i in range(3)]
        for mode in ("train", "valid")
    }
    assert len(set(spans["train"])) == 3 and set(spans["valid"]) == {TimeSpan(1.5, 2.5)}


def test_the_codec_travels_and_makes_no_sounds():
    codec = pickle.loads(pickle.dumps(QwenAudioCodec(bands=BANDS)))
    with pytest.raises(TypeError, match="makes none: on the target side use adapter=audio"):
        codec.decode({})


def test_the_declaration_has_the_sizes_of_the_report():
    known = QwenAudio()
    assert (known.channels, known.layers, known.heads, known.ffn, known.block, known.bands) == (
        1280,
        32,
        20,
        5120,
        200,
        128,
    )
    assert (known.tokens().least, known.tokens().most) == (1, 7500)
    assert known.tensors()[0].shape == ("n", 128)
    assert "sampling" not in known.port_settings() and known.port_settings()["block"] == 200


# The tower.


@pytest.fixture(scope="module")
def pair():
    """A random tower of transformers and ours with its weights."""
    torch.manual_seed(0)
    config = Qwen2_5OmniAudioEncoderConfig(
        num_mel_bins=BANDS,
        d_model=24,
        encoder_attention_heads=3,
        encoder_ffn_dim=20,
        encoder_layers=2,
        n_window=10,
        output_dim=8,
    )
    wanted = Qwen2_5OmniAudioEncoder(config).eval()
    with torch.no_grad():
        for weight in wanted.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    ours = AudioPort(width=8, **SHAPE).eval()
    ours.load_state_dict(renamed(wanted.state_dict()), strict=True)
    return ours, wanted


def renamed(state):
    """The weights of transformers under our names; each is used once."""
    state, out = dict(state), {}
    for ours, other in NAMES:
        numbers = range(2) if "{n}" in ours else [0]
        out |= {ours.format(n=n): state.pop(other.format(n=n)) for n in numbers}
    assert not state
    return out


def batch(*counts, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {"frames": torch.randn(sum(counts), BANDS, generator=generator), "lengths": torch.tensor(counts)}


@pytest.mark.parametrize("counts", [(20,), (7,), (3,), (45, 20), (60, 1, 2, 33), (5, 100, 41, 19)])
def test_the_tower_is_that_of_transformers(pair, counts):
    ours, wanted = pair
    given = batch(*counts)
    with torch.no_grad():
        found = ours.embed(**given)
        other = wanted(input_features=given["frames"].T, feature_lens=given["lengths"]).last_hidden_state
    assert found.shape == other.shape == (sum(tokens_of(count) for count in counts), 8)
    assert torch.allclose(found, other, atol=1e-5)


def test_every_weight_has_a_name_and_all_are_written_back(pair):
    ours, wanted = pair
    names = {ours.format(n=n) for ours, _ in NAMES for n in range(2)}
    assert names == set(ours.state_dict())
    for name, other in renamed(wanted.state_dict()).items():
        assert torch.equal(ours.state_dict()[name], other)


def test_a_block_knows_itself_alone(pair):
    """What is heard in one block moves the tokens of no other."""
    ours, _ = pair
    given = batch(60)
    changed = {**given, "frames": given["frames"].clone()}
    changed["frames"][20:40] += 1
    with torch.no_grad():
        one, two = ours.embed(**given), ours.embed(**changed)
    assert torch.allclose(one[:5], two[:5], atol=1e-6) and torch.allclose(one[10:], two[10:], atol=1e-6)
    assert ((one - two)[5:10].abs().amax(1) > 1e-3).all()


def test_blocks_that_come_one_by_one_are_the_whole(pair):
    ours, _ = pair
    given = batch(50)
    with torch.no_grad():
        whole = ours.embed(**given)
        parts = [ours.embed(frames=part, lengths=torch.tensor([len(part)])) for part in given["frames"].split(20)]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)


def test_sounds_side_by_side_are_each_alone(pair):
    ours, _ = pair
    given = batch(33, 8, 61)
    with torch.no_grad():
        both = ours.embed(**given)
        alone = [
            ours.embed(frames=part, lengths=torch.tensor([len(part)])) for part in given["frames"].split([33, 8, 61])
        ]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)


def test_no_sounds_take_part_in_the_graph():
    port = AudioPort(width=8, **SHAPE)
    empty = port.embed(**batch())
    assert empty.shape == (0, 8)
    empty.sum().backward()
    assert port.layers[0].inner.weight.grad is not None


def test_recomputing_gives_the_same_gradients():
    grads = []
    for checkpoint in (False, True):
        torch.manual_seed(1)
        port = AudioPort(width=8, **SHAPE, checkpoint=checkpoint).train()
        port.embed(**batch(33, 8)).square().sum().backward()
        grads.append([weight.grad for weight in port.parameters()])
    assert all(one is not None and torch.allclose(one, two, atol=1e-6) for one, two in zip(*grads, strict=True))


def test_gradients_are_those_of_transformers(pair):
    ours, wanted = pair
    given = batch(33, 8)
    ours.embed(**given).square().sum().backward()
    wanted(input_features=given["frames"].T, feature_lens=given["lengths"]).last_hidden_state.square().sum().backward()
    grads = {name: weight.grad for name, weight in wanted.named_parameters() if weight.grad is not None}
    found = dict(ours.named_parameters())
    other = {o.format(n=n): t.format(n=n) for o, t in NAMES for n in range(2)}
    assert len(grads) == len(found)
    for name, weight in found.items():
        assert torch.allclose(weight.grad, grads[other[name]], rtol=1e-4, atol=1e-4), name
    ours.zero_grad()


def test_products_in_bfloat16_stay_close(pair):
    ours, _ = pair
    with torch.no_grad():
        exact = ours.embed(**batch(45))
        with products(torch.bfloat16):
            rounded = ours.embed(**batch(45))
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.1 * exact.abs().max()


def test_blocks_of_sounds():
    assert blocks_of([450, 200, 0, 3], 200) == [200, 200, 50, 200, 3]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"block": 7}, "an even number of frames, at least 2, but is 7"),
        ({"heads": 5}, "a multiple of its heads, but are 24 for 5"),
        ({"channels": 9, "heads": 3}, "must be even"),
    ],
)
def test_shapes_that_cannot_be(change, says):
    with pytest.raises(ValueError, match=says):
        AudioPort(width=8, **{**SHAPE, **change})


def test_lengths_must_be_those_of_the_frames():
    with pytest.raises(ValueError, match="the lengths ask for 5 frames, but there are 4"):
        AudioPort(width=8, **SHAPE).embed(frames=torch.zeros(4, BANDS), lengths=torch.tensor([5]))
