"""Predicting: rows in, values out, whatever stands in the same batch."""

import pytest
import torch

import omniline as ol
from omniline.core.errors import ConfigError, DataError
from omniline.tasks.guiding import read_tokens
from omniline.tasks.predicting import Predictor

KINDS = ("text", "closed set", "category", "group", "nested", "optional", "given", "two outputs", "ranking", "image")


@pytest.fixture(scope="module", params=["ofa", "decoder"])
def model(small, request):
    """Weights far from zero, so that answers differ from row to row."""
    made = small.build([small.task(kind) for kind in (*KINDS, "match", "language model")], request.param)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_does_not_depend_on_its_batch(small, model, kind):
    line, rows = small.LINES[kind], small.rows(7)
    together = model.predict(line, rows, most_tokens=6)
    alone = [model.predict(line, row, most_tokens=6) for row in rows]
    small_batches = model.predict(line, rows, most_tokens=6, batch_rows=2)
    for a, b, c in zip(together, alone, small_batches, strict=True):
        assert a.to_dict() == b.to_dict() == c.to_dict()
        assert flat(a.scores) == pytest.approx(flat(b.scores), rel=1e-3, abs=1e-6)


def flat(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [x for item in value for x in flat(item)] if isinstance(value, list) else [] if value is None else [value]


def test_answers_differ_from_row_to_row(small, model):
    outs = model.predict(small.LINES["text"], small.rows(7), most_tokens=6)
    assert len({out.word for out in outs}) > 1


def test_values_have_the_shape_of_their_slots(small, model):
    row = small.rows(3)[2]
    nested = model.predict(small.LINES["nested"], row, most_tokens=4)
    assert isinstance(nested.names, list) and len(nested.names) == len(nested.deep)
    assert all(isinstance(inner, list) and len(inner) <= 3 for inner in nested.deep)
    group = model.predict(small.LINES["group"], row, most_tokens=4)
    assert all(len(box) == 4 for box in group.boxes) and len(group.boxes) == len(group.names)
    assert model.predict(small.LINES["closed set"], row).word in small.WORDS
    assert model.predict(small.LINES["category"], row).label in "abc"
    optional = model.predict(small.LINES["optional"], row, most_tokens=4)
    assert optional["maybe"] is None or isinstance(optional["maybe"], str)
    assert model.predict(small.LINES["given"], row, most_tokens=4).other == row["other"]


def test_scores_are_normalised(small, model):
    for kind in KINDS:
        for out in model.predict(small.LINES[kind], small.rows(4), most_tokens=5):
            assert all(0 <= score <= 1 for score in flat(out.scores))


def test_the_score_of_a_class_is_its_probability(small, model):
    line = small.LINES["category"]
    out = model.predict(line, small.rows(1)[0])
    assert 1 / 3 <= out.scores["label"] <= 1


def test_target_columns_are_not_needed(small, model):
    assert model.predict(small.LINES["text"], {"text": "x"}, most_tokens=3).word is not None
    assert model.predict(small.LINES["group"], {"text": "x", "names": []}, most_tokens=3).boxes is not None


def test_one_row_or_many(small, model):
    rows = small.rows(3)
    assert isinstance(model.predict(small.LINES["text"], rows[0], most_tokens=3), ol.Output)
    many = model.predict(small.LINES["text"], (row for row in rows), most_tokens=3)
    assert [type(out) for out in many] == [ol.Output] * 3
    assert model.predict(small.LINES["text"], []) == []


def test_sampling_is_a_function_of_the_seed(small, model):
    line, rows = small.LINES["text"], small.rows(6)

    def drawn(seed, **more):
        return [o.word for o in model.predict(line, rows, decoder="sample", seed=seed, most_tokens=6, **more)]

    assert drawn(1) == drawn(1) == drawn(1, batch_rows=2)
    assert drawn(1) != drawn(2)


def test_open_ended_values_stop(small, model):
    out = model.predict("-> [TEXT:text]", {}, most_tokens=5)
    assert len(model.tokenizer.encode(out.text)) <= 15  # five tokens, of which a stray byte shows as one character
    far = model.predict("-> [TEXT:text]", {})
    assert isinstance(far.text, str)


def test_a_target_never_exceeds_the_context(small):
    task = ol.Task("t", "[TEXT:text] -> so: [TEXT:word] and [TEXT:other]", train=small.rows(3))
    for backbone in ("ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=40",
                     "decoder-tiny,width=16,heads=2,key_heads=2,ffn=16,layers=1,positions=60"):  # fmt: skip
        model = ol.Model.build(backbone=backbone, tasks=task)
        out = model.predict(task.instruction, {"text": "x" * 300})
        assert set(out) == {"word", "other"}


def test_a_joined_context_keeps_what_the_target_may_need(small):
    """A short answer leaves the rest of the context to the source, its prompt included."""
    task = ol.Task("t", "[TEXT:text] -> so: [TEXT:word,max_length=8]", train=small.rows(3))
    model = ol.Model.build(
        backbone="decoder-tiny,width=16,heads=2,key_heads=2,ffn=16,layers=1,positions=60", tasks=task
    )
    reader = model.reader(model.bound(task))
    assert reader.target_room(reader.wordings[0]) == 1 + len("so: ") + 8
    sketch, cut = reader.sketch({"text": "x" * 300}, 0, mode="predict", targets=False)
    assert cut and sketch.rows()[0] == 60 - 13


def test_a_target_that_cannot_fit_is_refused(small):
    task = ol.Task(
        "t", "[TEXT:text] -> [BOX:box] [BOX:second]", train=[{"text": "x", "box": (0, 0, 1, 1), "second": (0, 0, 1, 1)}]
    )
    backbone = "ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1,positions=16"
    model = ol.Model.build(backbone=backbone, tasks=task)
    long = f"[TEXT:text] -> {'very long prompt '} [BOX:box] [BOX:second]"
    with pytest.raises((ConfigError, ol.InstructionError), match="cannot fit|cannot be cut"):
        model.predict(long, {"text": "x"})


def test_match_gives_vectors_and_no_values(small, model):
    outs = model.predict(small.LINES["match"], small.rows(3))
    assert all(len(out) == 0 and out.scores.keys() == {"match"} for out in outs)
    assert outs[0].embeddings.keys() == {"source", "target"}


def test_predicting_leaves_the_mode_and_the_weights_alone(small, model):
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    model.network.train()
    model.predict(small.LINES["text"], small.rows(2), most_tokens=3)
    assert model.network.training
    with pytest.raises(DataError):
        model.predict(small.LINES["text"], {})
    assert model.network.training
    model.network.eval()
    assert all(torch.equal(value, model.network.state_dict()[name]) for name, value in before.items())


@pytest.fixture
def sampled(model):
    """The model as a checkpoint that asks for sampling would be."""
    model.sampling = {"do_sample": True, "temperature": 2.5, "top_k": 40}
    yield model
    model.sampling = {}


def test_a_checkpoint_s_sampling_stands_where_nothing_is_written(small, sampled):
    line, rows = small.LINES["text"], small.rows(5)
    told = {"decoder": "sample", "temperature": 2.5, "top_k": 40, "most_tokens": 6}
    words = [out.word for out in sampled.predict(line, rows, most_tokens=6)]
    sharp = [out.word for out in sampled.predict(line, rows, most_tokens=6, top_k=1)]
    sampled.sampling = {}
    greedy = [out.word for out in sampled.predict(line, rows, most_tokens=6)]
    assert words == [out.word for out in sampled.predict(line, rows, **told)] != greedy
    assert sharp == greedy
    named = line.replace("max_length=6", "max_length=6,decoder=greedy")
    sampled.sampling = {"do_sample": True, "temperature": 50.0}
    assert greedy == [out.word for out in sampled.predict(named, rows, most_tokens=6)]
    assert greedy == [out.word for out in sampled.predict(line, rows, most_tokens=6, decoder="greedy")]
    assert sampled.predict(small.LINES["closed set"], rows[0]).word in small.WORDS


def test_penalties_reach_what_was_read(small, model):
    rows = small.rows(4)
    line = "say [TEXT:text] -> so: [TEXT:word,max_length=20]"
    predictor = Predictor(model, model._reader("predict", model.plan(line)), repetition_penalty=1.5)
    read = []
    examples = [predictor._example(row, n) for n, row in enumerate(rows)]
    given = [predictor._given(row) for row in rows]
    found = read_tokens(examples, given, predictor.program, predictor.searches.values())
    for tokens, row in zip(next(iter(found.values())), rows, strict=True):
        read.append(model.tokenizer.decode(tokens.tolist()))
        assert row["text"] in read[-1] and "so:" in read[-1]
    plain = model.predict(line, rows, min_length=18)
    steered = model.predict(line, rows, min_length=18, repetition_penalty=40.0)
    for text, one, other in zip(read, plain, steered, strict=True):
        seen = set(model.tokenizer.encode(text))
        assert seen & set(model.tokenizer.encode(one.word)) or one.word != other.word
        assert not seen & set(model.tokenizer.encode(other.word)[:9])
