"""Answers that must be something, from line to value: patterns, schemas and grammars in slots and in calls."""

import json
import re

import pytest

import omniline as ol
from omniline.core.errors import ConfigError, InstructionError
from omniline.core.outputs import Output
from omniline.core.pattern import text
from omniline.plugins.vision.box import BoxCodec

LINE = "say [TEXT:text] -> so: [TEXT:word]"
PATTERN = "(yes|no), [a-z ]{1,9}[.é]"
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 4},
        "n": {"type": "integer", "minimum": 0, "maximum": 300},
        "tags": {"type": "array", "items": {"enum": ["a", 1, None]}, "minItems": 1, "maxItems": 2},
    },
    "required": ["name", "n", "tags"],
    "additionalProperties": False,
}
GRAMMAR = 'start: term ("+" term){1,3}\nterm: /[0-9]{1,2}/ | "(" "x" ")"\n'
HOWS = {
    "greedy": {},
    "sample": {"decoder": "sample", "temperature": 2.0, "seed": 5},
    "few": {"decoder": "sample", "top_p": 0.5, "repetition_penalty": 1.5, "no_repeat_ngram": 3, "min_length": 9},
    "beam": {"decoder": "beam", "beams": 3},
}
BY_HOW = pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)


@pytest.fixture(scope="module", params=["ofa", "decoder"])
def model(small, request):
    kinds = ("text", "group", "two outputs", "chat", "box", "closed set", "struct", "phone")
    return small.build([small.task(kind) for kind in kinds], request.param)


def is_of_schema(text):
    found = json.loads(text)
    assert list(found) == ["name", "n", "tags"] and isinstance(found["name"], str) and len(found["name"]) <= 4
    assert type(found["n"]) is int and 0 <= found["n"] <= 300
    assert 1 <= len(found["tags"]) <= 2 and all(tag in ("a", 1, None) for tag in found["tags"])
    return True


@BY_HOW
def test_answers_match_whatever_stands_beside_them(small, model, how):
    rows = small.rows(5)
    found = model.predict(LINE, rows, regex=PATTERN, **how)
    assert all(re.fullmatch(PATTERN, out.word) and 0 < out.scores["word"] <= 1 for out in found)
    for size in (1, 2):
        apart = model.predict(LINE, rows, regex=PATTERN, batch_rows=size, **how)
        assert [out.word for out in apart] == [out.word for out in found]
        for one, other in zip(apart, found, strict=True):
            assert one.scores["word"] == pytest.approx(other.scores["word"], rel=1e-3)


@BY_HOW
def test_json_parses_and_is_of_its_schema(small, model, how, tmp_path):
    rows = small.rows(3)
    found = model.predict(LINE, rows, json_schema=SCHEMA, **how)
    assert all(is_of_schema(out.word) for out in found)
    (tmp_path / "shape.json").write_text(json.dumps(SCHEMA))
    line = f'say [TEXT:text] -> so: [TEXT:word,json_schema="{tmp_path / "shape.json"}"]'
    assert [out.word for out in model.predict(line, rows, **how)] == [out.word for out in found]


@BY_HOW
def test_grammars(small, model, how):
    for out in model.predict(LINE, small.rows(3), grammar=GRAMMAR, **how):
        terms = out.word.split("+")
        assert 2 <= len(terms) <= 4 and all(re.fullmatch(r"\d{1,2}|\(x\)", term) for term in terms)


@BY_HOW
def test_each_repetition_is_a_match_and_what_stands_around_is_free(small, model, how):
    line = 'list [TEXT:text] -> ( [BOX:boxes] is [TEXT:names,regex="[ab]{2}|x"] ){1,3} so [TEXT:word,regex="[0-9]{3}"]'
    for out in model.predict(line, small.rows(4), **how):
        assert len(out.names) == len(out.boxes) >= 1
        assert all(re.fullmatch("[ab]{2}|x", name) for name in out.names)
        assert re.fullmatch("[0-9]{3}", out.word)


@BY_HOW
def test_boxes_of_bins_are_four_numbers_of_the_picture(small, model, how):
    for out in model.predict(small.LINES["box"], small.rows(4), **how):
        assert len(out.box) == 4 and all(0 <= number <= 1 for number in out.box)


@BY_HOW
def test_a_stream_is_the_answer_in_pieces(small, model, how):
    row = small.rows(3)[2]
    *pieces, output = model.stream(LINE, row, regex=PATTERN, **how)
    assert isinstance(output, Output) and "".join(pieces) == output.word
    assert output.to_dict() == model.predict(LINE, row, regex=PATTERN, **how).to_dict()


@BY_HOW
def test_what_most_tokens_cuts_begins_a_match_and_has_no_confidence(small, model, how):
    for out in model.predict(LINE, small.rows(3), regex="(ab){9}", most_tokens=6, **how):
        assert out.word == "ababa" and out.scores["word"] == 0.0


def test_a_conversation_answers_so(small, model):
    how = {"decoder": "sample", "temperature": 2.0}
    for out in model.predict(small.LINES["chat"], small.rows(4), regex=PATTERN, **how):
        assert re.fullmatch(PATTERN, out.talk[-1]["content"])


def test_other_slots_that_are_text(small, model):
    row = small.rows(1)[0]
    grown = '[STRUCT:table] -> [STRUCT:table,regex="[a-z]{2} : [0-9] \\| [a-z]{2} : [0-9]"]'
    table = model.predict(grown, row).table
    assert len(table) == 2 and all(re.fullmatch("[a-z]{2}", a) and b.isdigit() for a, b in table)
    assert re.fullmatch("(AH0|K) (AH0|K)", model.predict(small.LINES["phone"], row, regex="(AH0|K) (AH0|K)").phones)


def test_samples_differ_and_repeat(small, model):
    row = small.rows(1)[0]
    drawn = [model.predict(LINE, row, regex="[a-z]{6}", decoder="sample", seed=seed).word for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1] and len(set(drawn)) == 3


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("text", {"regex": "("}, "`regex` cannot be used: unclosed group"),
        ("text", {"regex": "a", "json_schema": SCHEMA}, "`regex` and `json_schema` both say what the answer must be"),
        ("text", {"grammar": "start: <|nope|>"}, "cannot be said with this tokenizer: unknown special token"),
        (
            "closed set",
            {"decoder": "greedy", "regex": "a"},
            "slot `word`: its closed set says what the answer may be, ",
        ),
        ("closed set", {"regex": "a"}, "the decoder `closed_set` has no setting `regex`"),
        ("box", {"regex": "a"}, "slot `box`: `regex`, .* need a slot that is written as text, but BOX is not"),
        ("two outputs", {"regex": "a"}, "slot `label`: its closed set says what the answer may be"),
    ],
)
def test_mistakes_are_told_before_a_weight_is_asked(small, model, kind, settings, message, monkeypatch):
    monkeypatch.setattr(model.network.network, "prefill", None)
    with pytest.raises(ConfigError, match=message) as caught:
        model.predict(small.LINES[kind], small.rows(1)[0], **settings)
    assert "\n" not in str(caught.value)


def test_a_pattern_of_what_is_no_text(small, model, monkeypatch):
    monkeypatch.setattr(BoxCodec, "pattern", text("a"), raising=False)
    with pytest.raises(
        ConfigError, match="slot `box`: a codec with a `pattern` must write tokens of .* that of the ad"
    ):
        model.predict(small.LINES["box"], small.rows(1)[0])


def test_two_in_one_slot_are_found_when_the_line_is_read():
    with pytest.raises(InstructionError, match="`regex` and `grammar` both say what the answer must be: leave one out"):
        ol.compile('[TEXT:a] -> [TEXT:b,regex="a|b",grammar="start: c"]')
    plan = ol.compile(r'[TEXT:a] -> [TEXT:b,regex="(\d+|[a-z]), \"x\""]')
    assert plan.alternatives[0].slots[1].decoder.options()["regex"] == r'(\d+|[a-z]), "x"'
