"""What each token writes: put together it is what the tokenizer reads, and answers match through any tokenizer."""

import json
import pickle
import re

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

import omniline as ol
from omniline.plugins.language.tokenizer import ByteTokenizer, PieceTokenizer, train_bpe

PIECES = ["\u2581", *"abcdehlnorsty,. 0", "\u2581no", "yes", "\u2581yes", "no", "\u2581\u2581", "es", "\u2581a"]
SPACE = pre_tokenizers.Metaspace()


def sentence_pieces(*, bytewise):
    """A tokenizer as Llama's: a space before each text, spaces as `▁`, unknown characters byte by byte."""
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256 if bytewise else 0)), *PIECES]
    vocab = {name: id for id, name in enumerate(names)}
    inner = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=bytewise))
    if bytewise:
        inner.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
        steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        inner.decoder = decoders.Sequence(steps)
    else:
        inner.pre_tokenizer, inner.decoder = SPACE, decoders.Metaspace()
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    return PieceTokenizer(inner.to_str())


def word_pieces():
    """A tokenizer as Bert's."""
    vocab = {
        name: id for id, name in enumerate(["[UNK]", "[SEP]", *"abnoyes,.", *(f"##{c}" for c in "abnoyes"), "yes"])
    }
    inner = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    inner.add_special_tokens(["[UNK]", "[SEP]"])
    return PieceTokenizer(inner.to_str())


def of_bytes():
    return train_bpe(["yes, no, hello there, naïve café 東京 🙂"] * 9, size=300)


MADE = {
    "bytes": ByteTokenizer(),
    "bpe": of_bytes(),
    "sentence": sentence_pieces(bytewise=True),
    "metaspace": sentence_pieces(bytewise=False),
    "words": word_pieces(),
}
BY_NAME = pytest.mark.parametrize("name", MADE)
PATTERNS = dict.fromkeys(MADE, "(yes|no), [a-z]{2,4}") | {"words": "(yes|no), [a-e]{2,4} yes"}


@given(st.sampled_from(sorted(set(MADE) - {"words"})), st.data())
@settings(max_examples=150, deadline=None)
def test_bytes_of_tokens_are_the_text(name, data):
    tool = MADE[name]
    some = [id for id, token in enumerate(tool.inventory.tokens) if token]
    ids = data.draw(st.lists(st.sampled_from(some), max_size=12))
    written = tool.inventory.text(ids)
    broken = "\ufffd" in written.decode("utf-8", errors="replace")  # is told in more ways than one
    if not broken and not set(ids[:1]) & set(tool.inventory.late):
        assert tool.decode(ids) == written.removeprefix(tool.inventory.drops).decode("utf-8")


def test_texts_come_back():
    for name, tool in MADE.items():
        for text in ("yes, no", "no", "a"):
            ids = tool.encode(text)
            assert tool.inventory.text(ids) == tool.inventory.drops + text.encode(), name
    assert [tool.inventory.drops for tool in MADE.values()] == [b"", b"", b" ", b" ", b" "]
    assert MADE["sentence"].inventory.text(MADE["sentence"].encode("é")) == " é".encode()


@BY_NAME
def test_marks_write_nothing_and_pickles_leave_it_out(name):
    tool = pickle.loads(pickle.dumps(MADE[name]))
    assert tool == MADE[name] and not any(isinstance(v, type(tool.inventory)) for v in tool.__getstate__().values())
    assert len(tool.inventory.tokens) == tool.vocabulary and tool.inventory.tokens[tool.end] == b""
    assert tool.inventory is tool.inventory


def test_a_decoder_that_joins_by_neighbours():
    inner = json.loads(MADE["metaspace"].to_json())["content"]
    inner["decoder"] = {"type": "CTC", "pad_token": "a", "word_delimiter_token": "b", "cleanup": True}
    with pytest.raises(ValueError, match="must have a decoder by which each piece writes its own text, .* but has CTC"):
        _ = PieceTokenizer(json.dumps(inner)).inventory
    inner["decoder"] = None
    with pytest.raises(ValueError, match="but has none"):
        _ = PieceTokenizer(json.dumps(inner)).inventory


@BY_NAME
def test_answers_match_through_any_tokenizer(name):
    rows = [{"q": "yes", "a": "no"}, {"q": "no, a", "a": "yes"}]
    task = ol.Task("t", "[TEXT:q] -> [TEXT:a]", train=rows)
    model = ol.Model.build(
        backbone="decoder-tiny,width=16,heads=2,key_heads=1,ffn=16,layers=1", tasks=task, tokenizer=MADE[name]
    )
    for how in ({}, {"decoder": "beam"}, {"decoder": "sample", "temperature": 3.0}):
        for out in model.predict(task.instruction, rows, regex=PATTERNS[name], **how):
            assert re.fullmatch(PATTERNS[name], out.a) and out.scores["a"] > 0


@pytest.mark.parametrize("name", ["qwen2", "qwen3", "llama"])
def test_checkpoints_of_qwen_answer_so(name, folders):
    """Text and conversations, drawn as the checkpoint says."""
    model = ol.load(folders(name)[0])
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    schema["additionalProperties"] = False
    for seed in range(3):
        out = model.predict("[TEXT:q] -> [TEXT:a]", {"q": "say"}, json_schema=schema, seed=seed)
        assert set(json.loads(out.a)) == {"a"}
    talk = {"talk": [{"role": "user", "content": "say"}]}
    thought = set()
    for more in ("", ",thinking=off"):
        line = rf'-> [CHAT:talk,template=qwen3{more},regex="(yes|no) \d+\.",decoder=sample,temperature=2.5]'
        for seed in range(12):
            out = model.predict(line, talk, seed=seed, most_tokens=60, top_k=0)
            said = out.talk[-1]
            assert out.scores["talk"] == 0 or re.fullmatch(r"(yes|no) [0-9]+\.", said["content"])
            thought |= {(more, "reasoning_content" in said and out.scores["talk"] > 0)}
    assert ("", False) in thought and (",thinking=off", True) not in thought
