"""TEXT: tokenizers, the codec with its corruptions, and the port."""

import json
import pickle

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omniline.core.codec import Reading
from omniline.core.errors import ConfigError
from omniline.plugins.language.masking import hide_spans
from omniline.plugins.language.pieces import WORD
from omniline.plugins.language.recent import REMEMBERED, Recent
from omniline.plugins.language.text import TextCodec
from omniline.plugins.language.text_port import TextPort
from omniline.plugins.language.tokenizer import ByteTokenizer, Tokenizer, train_bpe

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "a lazy cat sleeps in the warm sun of the garden",
    "naïve café: 10 birds, 3 dogs!",
]
BPE = train_bpe(TEXTS * 20, size=330)
BYTES = ByteTokenizer()
BOTH = pytest.mark.parametrize("tokenizer", [BYTES, BPE], ids=["bytes", "bpe"])
TARGET = Reading(side="target")


def words_tokenizer(**special: str) -> str:
    """The content of a tokenizer.json of whole words, with special tokens."""
    vocab = {word: i for i, word in enumerate(["<unk>", "the", "cat", "sat", *special.values()])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, unk_token="<unk>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.add_special_tokens(list(special.values()))
    inner.enable_truncation(2)
    return inner.to_str()


@BOTH
@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text_survives_tokens(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=st.text(st.sampled_from(list(" \t\n\r\x0b\x1c\x85\u00a0\u2028\u3000\u200bab1'sé世😀.,٣_\u0301"))))
@settings(max_examples=300)
def test_remembering_words_changes_no_token(text):
    assert "".join(WORD.findall(text)) == text
    assert BPE.encode(text) == BPE._inner.encode(text, add_special_tokens=False).ids


@BOTH
def test_json_and_pickle_give_an_equal_tokenizer(tokenizer):
    text = "the fox, naïve"
    for twin in (Tokenizer.from_json(tokenizer.to_json()), pickle.loads(pickle.dumps(tokenizer))):
        assert twin == tokenizer
        assert hash(twin) == hash(tokenizer)
        assert twin.encode(text) == tokenizer.encode(text)
        assert (twin.end, twin.mask, twin.vocabulary) == (tokenizer.end, tokenizer.mask, tokenizer.vocabulary)
    assert BYTES != BPE


@BOTH
def test_marks_are_the_last_ids_and_leave_no_text(tokenizer):
    assert sorted((tokenizer.end, tokenizer.mask)) == [tokenizer.vocabulary - 2, tokenizer.vocabulary - 1]
    assert tokenizer.decode([tokenizer.mask, *tokenizer.encode("fox"), tokenizer.end]) == "fox"
    assert len(tokenizer.starts) == tokenizer.vocabulary
    assert not {tokenizer.end, tokenizer.mask} & set(tokenizer.plain.tolist())


def test_encode_batch_is_encode_of_each():
    assert BPE.encode_batch(TEXTS) == [BPE.encode(text) for text in TEXTS]


def test_bpe_is_shorter_than_bytes_and_deterministic():
    assert len(BPE.encode(TEXTS[0])) < len(BYTES.encode(TEXTS[0])) // 2
    assert train_bpe(iter(TEXTS * 20), size=330).to_json() == BPE.to_json()
    assert BPE.vocabulary <= 330


def test_a_tokenizer_json_keeps_its_own_marks_and_gets_those_it_lacks():
    own = Tokenizer.from_json(words_tokenizer(end="</s>", mask="<mask>"))
    assert (own.end, own.mask, own.vocabulary) == (4, 5, 6)
    lacking = Tokenizer.from_json(words_tokenizer())
    assert (lacking.end, lacking.mask, lacking.vocabulary) == (4, 5, 6)
    assert lacking.encode("the cat sat the cat") == [1, 2, 3, 1, 2], "truncation of the file must not act"


def test_a_special_token_written_in_a_text_is_only_text():
    own = Tokenizer.from_json(words_tokenizer(end="</s>", mask="<mask>"))
    assert own.end not in own.encode("the </s> cat")


def test_wordpieces_begin_words_where_they_do_not_continue():
    inner = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0, "play": 1, "##ing": 2}, unk_token="[UNK]"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    assert Tokenizer.from_json(inner.to_str()).starts.tolist() == [True, True, False, True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be JSON, but its text is broken"),
        ("[1]", "must be a JSON object, but is list"),
        ('{"kind": "bytes", "format": 7}', "format must be 1, but is 7"),
        ('{"kind": "words", "format": 1}', 'kind must be "bytes" or "pieces" with its content'),
        ('{"model": {"type": "Nope"}}', "the tokenizers library cannot read this tokenizer"),
    ],
)
def test_broken_tokenizers_say_what_is_wrong(text, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        Tokenizer.from_json(text)
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ConfigError, match=r"tokenizer\.json'.*" + message):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


def test_a_missing_file_a_small_size_and_no_text_are_errors(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Tokenizer.from_file(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="at least 258, but is 100"):
        train_bpe(TEXTS, size=100)
    with pytest.raises(ConfigError, match="at least one text, but there is none"):
        train_bpe([])


def test_what_is_remembered_is_bounded():
    recent: Recent[int] = Recent()
    for i in range(100):
        recent.put(str(i) * (REMEMBERED // 20), i)
    assert len(recent._young) + len(recent._old) < 45
    assert recent.get("99" * (REMEMBERED // 20)) == 99
    assert recent.get("0" * (REMEMBERED // 20)) is None


@BOTH
def test_a_target_has_labels_and_an_end_mark(tokenizer):
    encoded = TextCodec(tokenizer=tokenizer).encode("the fox", TARGET)
    wanted = [*tokenizer.encode("the fox"), tokenizer.end]
    assert encoded.labels["tokens"].tolist() == encoded.tensors["tokens"].tolist() == wanted
    assert encoded.rows == len(wanted)
    source = TextCodec(tokenizer=tokenizer).encode("the fox", Reading())
    assert source.tensors["tokens"].tolist() == wanted[:-1]
    assert not source.labels


@BOTH
def test_a_limit_never_cuts_the_end_mark(tokenizer):
    codec = TextCodec(tokenizer=tokenizer)
    reading = Reading(side="target", limit=3)
    encoded = codec.encode(TEXTS[0], reading)
    assert encoded.labels["tokens"].tolist() == [*tokenizer.encode(TEXTS[0])[:2], tokenizer.end]
    assert codec.measure(TEXTS[0], reading) == encoded.rows == 3
    assert codec.encode(TEXTS[0], Reading(limit=3)).rows == 3
    with pytest.raises(ValueError, match="room for the end mark"):
        codec.encode("a", Reading(side="target", limit=0))


def test_empty_text_has_no_rows_but_its_end_mark():
    codec = TextCodec(tokenizer=BYTES, mask_ratio=0.5)
    assert codec.encode("", Reading()).rows == codec.measure("", Reading()) == 0
    assert codec.encode("", Reading()).tensors["tokens"].dtype == np.int64
    assert TextCodec(tokenizer=BYTES, noise_ratio=0.5).encode("", TARGET).tensors["tokens"].tolist() == [256]


def test_case_and_punctuation():
    codec = TextCodec(tokenizer=BYTES, uncased=True, no_punctuation=True)
    tokens = codec.encode("Well — it's “OK”, $5 (five)!", Reading()).tensors["tokens"]
    assert BYTES.decode(tokens.tolist()) == "well its ok 5 five"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (3, r"must be a string, but is int 3; convert the column to text, str\(3\)"),
        (b"a", r"but is bytes b'a'; decode it"),
        (["a"], r"but is list \['a'\]; join it"),
        (None, "must be a string, but is NoneType None"),
    ],
)
def test_what_is_no_string_is_a_type_error_with_the_remedy(raw, message):
    with pytest.raises(TypeError, match=message):
        TextCodec(tokenizer=BYTES).measure(raw, Reading())


@BOTH
def test_half_a_surrogate_pair_is_an_error(tokenizer):
    with pytest.raises(ValueError, match="character 1 is half of a surrogate pair"):
        TextCodec(tokenizer=tokenizer).encode("a\ud800", Reading())


@BOTH
def test_decode_gives_the_text_back(tokenizer):
    codec = TextCodec(tokenizer=tokenizer)
    assert codec.decode({"tokens": torch.tensor(tokenizer.encode(TEXTS[2]))}) == TEXTS[2]
    assert BYTES.decode([0xC3]) == "\ufffd"


@given(seed=st.integers(0, 2**32), ratio=st.floats(0, 1), flags=st.lists(st.booleans(), min_size=1, max_size=60))
@settings(max_examples=300)
def test_hidden_spans_are_whole_words_of_the_exact_budget(seed, ratio, flags):
    starts = np.array(flags)
    ids = np.arange(len(flags))
    out = hide_spans(ids, starts, mask=-1, ratio=ratio, random=np.random.default_rng(seed))
    assert len(out) <= len(ids)
    seen = out[out >= 0]
    assert (np.diff(seen) > 0).all(), "what stays keeps its order"
    word = np.cumsum(starts | (ids == 0)) - 1
    words = word[-1] + 1
    hidden = set(word[np.setdiff1d(ids, seen)].tolist())
    assert not hidden & set(word[seen].tolist()), "a word is hidden whole or not at all"
    assert abs(len(hidden) - ratio * words) < 1
    assert bool((out == -1).any()) or not hidden


def test_spans_have_a_mean_of_three_words_and_the_budget_is_met_on_average():
    words, ones = np.arange(100), np.ones(100, dtype=bool)
    runs, kept = [], []
    for seed in range(300):
        out = hide_spans(words, ones, mask=-1, ratio=0.3, random=np.random.default_rng(seed))
        seen = np.concatenate(([-1], out[out >= 0], [100]))
        runs += (np.diff(seen)[np.diff(seen) > 1] - 1).tolist()
        kept.append((out >= 0).sum())
    assert np.mean(kept) == pytest.approx(70, abs=0.01)
    assert 2.8 < np.mean(runs) < 4.5, "runs of touching spans look longer than the mean of 3.16 of filled spans"


@BOTH
def test_masking_acts_on_the_source_in_training_and_validation_and_is_a_function_of_the_seed(tokenizer):
    codec = TextCodec(tokenizer=tokenizer, mask_ratio=0.4)
    clean = tokenizer.encode(TEXTS[1])

    def tokens(mode, seed):
        return codec.encode(TEXTS[1], Reading(mode=mode, seed=seed)).tensors["tokens"].tolist()

    assert tokens("predict", 1) == clean
    assert tokenizer.mask in tokens("train", 1)
    assert tokens("train", 1) == tokens("valid", 1) != tokens("train", 2)
    assert all(codec.encode(TEXTS[1], Reading(seed=s)).rows <= codec.measure(TEXTS[1], Reading()) for s in range(50))
    with pytest.raises(ValueError, match="`mask_ratio` hides what is read"):
        codec.encode(TEXTS[1], TARGET)


@BOTH
def test_noise_replaces_inputs_and_never_labels(tokenizer):
    codec = TextCodec(tokenizer=tokenizer, noise_ratio=0.5)
    text = " ".join(TEXTS[:2] * 4)
    encoded = codec.encode(text, TARGET)
    clean = np.array([*tokenizer.encode(text), tokenizer.end])
    assert (encoded.labels["tokens"] == clean).all()
    changed = (encoded.tensors["tokens"] != clean).mean()
    assert 0.3 < changed < 0.6
    assert encoded.tensors["tokens"][-1] == tokenizer.end
    assert (codec.encode(text, Reading(mode="predict")).tensors["tokens"] == clean[:-1]).all()


@BOTH
def test_what_a_codec_gives_may_be_written_to(tokenizer):
    codec = TextCodec(tokenizer=tokenizer)
    torch.from_numpy(codec.encode("the fox", Reading()).tensors["tokens"])[:] = 0
    assert codec.encode("the fox", Reading()).tensors["tokens"].tolist() == tokenizer.encode("the fox")


@BOTH
def test_a_codec_is_picklable_and_unchanged(tokenizer):
    codec = TextCodec(tokenizer=tokenizer, mask_ratio=0.3, no_punctuation=True)
    codec.encode(TEXTS[0], Reading())
    twin = pickle.loads(pickle.dumps(codec))
    one, two = (c.encode(TEXTS[0], Reading(seed=5)).tensors["tokens"] for c in (codec, twin))
    assert (one == two).all()


def test_port_is_tied_starts_small_and_accepts_zero_rows():
    torch.manual_seed(0)
    port = TextPort(width=64, tokenizer=BPE)
    assert (port.vocabulary, port.end) == (BPE.vocabulary, BPE.end)
    hidden = torch.nn.functional.layer_norm(torch.randn(9, 64), (64,))
    head = port.head()
    assert head.weight is port.embedding.weight
    assert torch.equal(port.project(hidden), hidden @ head.weight.T)
    assert port.project(hidden).std() < 0.5
    empty = port.embed(tokens=torch.zeros(0, dtype=torch.long))
    assert empty.shape == (0, 64)
    empty.sum().backward()
    assert port.embedding.weight.grad.abs().sum() == 0


def test_a_bpe_content_is_a_plain_tokenizer_json():
    content = json.loads(BPE.to_json())["content"]
    assert tokenizers.Tokenizer.from_str(json.dumps(content)).encode("the fox").ids == BPE.encode("the fox")
