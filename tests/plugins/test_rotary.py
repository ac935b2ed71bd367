"""Rotary places: speeds of every scaling against transformers' own, sections, and the factors of queries."""

import pytest
import torch
from transformers import Qwen2Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from omniline.plugins.qwen.rotary import Rotary, log_n, rotate, temperature, turn

CASES = {
    "linear": ({"factor": 3.0}, {"factor": 3.0}),
    "dynamic": ({"factor": 2.5}, {"factor": 2.5, "original": 512}),
    "yarn": ({"factor": 4.0, "original_max_position_embeddings": 512}, {"factor": 4.0, "original": 512}),
    "yarn whole": (
        {
            "factor": 4.0,
            "original_max_position_embeddings": 512,
            "truncate": False,
            "beta_fast": 16.0,
            "beta_slow": 2.0,
        },
        {"factor": 4.0, "original": 512, "whole": False, "fast": 16.0, "slow": 2.0},
    ),
    "yarn gain": (
        {"factor": 2.0, "original_max_position_embeddings": 8, "attention_factor": 1.5},
        {"factor": 2.0, "original": 8, "gain": 1.5},
    ),
    "llama3": (
        {"factor": 8.0, "original_max_position_embeddings": 512, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
        {"factor": 8.0, "original": 512},
    ),
    "llama3 wide": (
        {"factor": 3.0, "original_max_position_embeddings": 96, "low_freq_factor": 2.0, "high_freq_factor": 16.0},
        {"factor": 3.0, "original": 96, "low": 2.0, "high": 16.0},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("size", "base"), [(128, 1e6), (32, 1e4)])
def test_the_speeds_of_transformers(case, size, base):
    kind = case.split()[0]
    theirs, ours = CASES[case]
    config = Qwen2Config(
        hidden_size=2 * size,
        num_attention_heads=2,
        max_position_embeddings=512,
        rope_parameters={"rope_type": kind, "rope_theta": base, **theirs},
    )
    rotary = Rotary(size=size, base=base, scaling=kind, **ours)
    for length in (100, 512, 700, 4096):
        wanted, gain = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length)
        found = rotary.speeds(torch.tensor([length])).reshape(-1)
        assert float(((found - wanted) / wanted).abs().max()) <= 2e-7
        assert abs(rotary.gained - gain) <= 1e-7


def test_yarn_of_the_report():
    """Which pairs keep their speed with four times 32,768 tokens, and the gain of cosines and sines."""
    rotary = Rotary(size=128, base=1e6, scaling="yarn", factor=4.0, original=32_768)
    shares = rotary.speeds() / Rotary(size=128, base=1e6).speeds()
    wanted = {0: 1, 23: 1, 24: 0.955882, 25: 0.911765, 28: 0.779412, 32: 0.602941, 36: 0.426471, 39: 0.294118}
    for pair, share in {**wanted, 40: 0.25, 63: 0.25}.items():
        assert float(shares[pair]) == pytest.approx(share, abs=1e-6)
    assert rotary.gained == pytest.approx(1.138629436, abs=1e-9)


def test_the_first_report_grows_in_steps():
    rotary = Rotary(size=128, scaling="ntk", original=2048)
    found = rotary._grown(torch.tensor([7, 2048, 2049, 4096, 4097, 8192, 16_384])).tolist()
    wanted = [1e4, 1e4, 30_527.74, 30_527.74, 72_195.86, 72_195.86, 156_588.32]
    assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("scaling", ["dynamic", "ntk"])
def test_growing_leaves_short_streams_alone(scaling):
    """Each stream has the speeds of its own length, whatever stands beside it."""
    rotary = Rotary(size=16, scaling=scaling, factor=2.0, original=32)
    places, lengths = torch.arange(6), torch.tensor([6, 6, 32, 99, 99, 6])
    mixed, plain = turn(places, rotary, lengths), turn(places, Rotary(size=16))
    short = lengths <= 32
    assert torch.equal(mixed.sin[short], plain.sin[short])
    alone = turn(places[3:5], rotary, lengths[3:5])
    assert torch.equal(mixed.cos[3:5], alone.cos) and not torch.allclose(mixed.sin[3:5], plain.sin[3:5])


def test_sections_of_text_are_one_number():
    places = torch.randint(0, 5000, (40,), generator=torch.Generator().manual_seed(0))
    wide = turn(places.expand(3, -1), Rotary(size=128, base=1e6, sections=(16, 24, 24)))
    flat = turn(places, Rotary(size=128, base=1e6))
    assert torch.equal(wide.cos, flat.cos) and torch.equal(wide.sin, flat.sin)


def test_sections_of_transformers():
    """Pairs 0 to 15 turn by time, 16 to 39 by height, 40 to 63 by width."""
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRotaryEmbedding, apply_rotary_pos_emb

    config = Qwen2_5_VLTextConfig(
        hidden_size=256,
        num_attention_heads=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    )
    g = torch.Generator().manual_seed(1)
    places, q = torch.randint(0, 300, (3, 9), generator=g), torch.randn(9, 2, 128, generator=g)
    cos, sin = Qwen2_5_VLRotaryEmbedding(config)(q, places[:, None])
    wanted, _ = apply_rotary_pos_emb(q.transpose(0, 1)[None], q.transpose(0, 1)[None], cos, sin)
    found = rotate(q, turn(places, Rotary(size=128, base=1e6, sections=(16, 24, 24))))
    torch.testing.assert_close(found, wanted[0].transpose(0, 1), rtol=0, atol=1e-5)


def test_a_turn_by_hand():
    found = rotate(torch.tensor([[[1.0, 0.0, 0.0, 1.0]]]), turn(torch.tensor([3]), Rotary(size=4)))
    wanted = torch.tensor([-0.989992, -0.029995, 0.141120, 0.999550])
    torch.testing.assert_close(found.flatten(), wanted, atol=1e-6, rtol=0)


def test_factors_of_queries():
    places = torch.tensor([0, 2047, 4095, 8191, 16_383])
    assert log_n(places, 2048).tolist() == pytest.approx([1, 1, 1.090909, 1.181818, 1.272727], abs=1e-6)
    long = torch.tensor([5, 262_143, 524_287, 999_999])
    assert temperature(long, 262_144).tolist() == pytest.approx([1, 1, 1.143434, 1.285698], abs=2e-6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sections": (2, 2, 2)}, r"must sum to half a head's size, 8, but are 2\|2\|2"),
        ({"scaling": "yarn", "factor": 2.0}, "the scaling yarn needs the length of contexts in training"),
        ({"scaling": "linear", "factor": 0.5}, "must be at least 1, but is 0.5"),
    ],
)
def test_mistakes(settings, words):
    with pytest.raises(ValueError, match=words):
        Rotary(size=16, **settings)
