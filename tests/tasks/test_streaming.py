"""Texts piece by piece: together they are the answer, characters stay whole, and closing stops the search."""

import subprocess
import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import omniline as ol
from omniline.core.errors import ConfigError, DataError
from omniline.core.outputs import Output, Piece
from omniline.core.spelling import Unfolding
from omniline.plugins.language.tokenizer import ByteTokenizer, Tokenizer, train_bpe

TOKENIZERS: dict[str, Tokenizer] = {
    "bytes": ByteTokenizer(),
    "bpe": train_bpe(["naïve café 東京 🙂 the dog"] * 9, size=300),
}


@pytest.fixture(scope="module", params=["ofa", "decoder"])
def model(small, request):
    made = small.build([small.task(kind) for kind in ("text", "group", "two outputs", "chat")], request.param)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return made


@given(st.sampled_from(sorted(TOKENIZERS)), st.lists(st.integers(0, 255), max_size=30), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_pieces_are_the_whole_text(name, tokens, step):
    """Of any tokens, those of no character too."""
    tool = TOKENIZERS[name]
    text = Unfolding(tool.decode)
    pieces = [text.add(tokens[i : i + step]) for i in range(0, len(tokens), step)]
    assert all(not piece.endswith("\ufffd") for piece in pieces)
    assert "".join([*pieces, text.end()]) == tool.decode(tokens)


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_characters_come_whole(name):
    said = "naïve 東京 🙂 ok"
    text = Unfolding(TOKENIZERS[name].decode)
    pieces = [text.add([token]) for token in TOKENIZERS[name].encode(said)]
    assert "".join(pieces) == said and text.end() == ""
    assert set("".join(pieces)) <= set(said)


@pytest.mark.parametrize("how", [{}, {"decoder": "sample", "temperature": 2.0}, {"decoder": "beam", "beams": 3}])
@pytest.mark.parametrize("kind", ["text", "group", "two outputs"])
def test_a_stream_is_its_answer_in_pieces(small, model, kind, how):
    line, row = small.LINES[kind], small.rows(3)[2]
    expected = model.predict(line, row, most_tokens=9, **how)
    *pieces, output = model.stream(line, row, most_tokens=9, **how)
    assert isinstance(output, Output) and output.to_dict() == expected.to_dict()
    assert output.scores == expected.scores
    found: dict[tuple[str, tuple[int, ...]], str] = {}
    for piece in pieces:
        assert isinstance(piece, Piece)
        found[piece.slot, piece.place] = found.get((piece.slot, piece.place), "") + piece
    for (slot, place), text in found.items():
        value = output[slot]
        for number in place:
            value = value[number]
        assert text == value
    assert found or kind == "group"


def test_a_conversation_streams_what_the_assistant_says(small, model):
    line, row = small.LINES["chat"], small.rows(3)[2]
    *pieces, output = model.stream(line, row, most_tokens=12)
    assert "".join(pieces).strip() == output["talk"][-1]["content"].strip()


def test_closing_stops_the_search(small, model):
    before = threading.active_count()
    seen = []
    extend = model.network.backbone.extend
    model.network.backbone.extend = lambda rows, cache: (seen.append(1), extend(rows, cache))[1]
    try:
        pieces = model.stream("say [TEXT:text] -> [TEXT:word]", small.rows(1)[0], min_length=150, most_tokens=200)
        next(pieces)
        pieces.close()
    finally:
        del model.network.backbone.extend
    assert threading.active_count() == before
    assert 0 < len(seen) < 150


def test_mistakes_come_out_of_the_stream(small, model):
    line = small.LINES["text"]
    with pytest.raises(DataError, match="there is no column `text`"):
        list(model.stream(line, {"word": "one"}))
    with pytest.raises(ConfigError, match="the row must be a mapping from column to value, but is list"):
        model.stream(line, [])
    with pytest.raises(ConfigError, match="has no setting `heat`"):
        model.stream(line, small.rows(1)[0], heat=3)


def test_a_program_may_end_while_a_stream_is_open(tmp_path):
    """The search is stopped first: a thread that is cut off within torch takes the whole process with it."""
    task = ol.Task("t", "say [TEXT:a] -> [TEXT:b]", train=[{"a": "x", "b": "y"}])
    ol.Model.build(backbone="ofa-tiny,width=16,heads=2", tasks=task).save(tmp_path / "m")
    code = f"""
import omniline
from omniline.tasks.asking import _Stream
model, watch = omniline.load({str(tmp_path / "m")!r}), _Stream._watch
_Stream._watch = lambda self, *at: (self.said.put("a token"), watch(self, *at))
stream = model.stream("t", {{"a": "x"}}, most_tokens=900, min_length=900)
print(next(stream))
"""
    code = code.replace('"t", {"a"', f'{task.instruction!r}, {{"a"')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a token\n", "")
