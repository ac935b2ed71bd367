"""Guidance of token decoders: streams that run with their source and without it, or with a negative one."""

import pytest
import torch

import omniline as ol
from omniline.core.errors import ConfigError
from omniline.core.example import RowId
from omniline.core.packing import pack

BACKBONES = {
    "ofa": "ofa-tiny,width=32,heads=2,ffn=48,encoder_layers=1,decoder_layers=2,positions=64",
    "decoder": "decoder-tiny,width=32,heads=2,key_heads=1,ffn=48,layers=2,positions=96",
}
ROWS = [{"a": text, "b": text[::-1], "c": "xyz"[i % 3]} for i, text in enumerate(("one two", "three", "44 four four"))]
LINE = "say [TEXT:a] -> [TEXT:b,max_length=6]"


@pytest.fixture(scope="module", params=BACKBONES)
def model(request):
    """Weights at random, spread so that sources matter."""
    tasks = [ol.Task("say", LINE, train=ROWS), ol.Task("class", "[TEXT:a] -> [CATEGORY:c]", train=ROWS)]
    model = ol.Model.build(backbone=BACKBONES[request.param], tasks=tasks, seed=3)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return model


def said(model, rows=ROWS, line=LINE, **settings):
    name = "c" if "CATEGORY" in line else "b"
    return [(output[name], round(output.scores[name], 4)) for output in model.predict(line, rows, **settings)]


def test_without_guidance_nothing_changes(model):
    assert said(model, guidance=1.0) == said(model) and len(set(said(model))) == 3


def test_no_weight_of_the_source_makes_all_rows_alike(model):
    """The streams without their source are the same for every row, also for a class."""
    assert len(set(said(model, guidance=0.0))) == 1
    assert len(set(said(model, line="[TEXT:a] -> [CATEGORY:c]", guidance=0.0))) == 1


@pytest.mark.parametrize("settings", [{}, {"decoder": "sample", "seed": 5}])
def test_led_away_from_itself_a_row_stays_where_it_is(model, settings):
    """With its own source as the negative one, whatever the weight."""
    for row in ROWS:
        plain = said(model, [row], **settings)
        assert said(model, [row], guidance=3.5, negative=row["a"], **settings) == plain
        assert said(model, [row], guidance=0.5, negative={"a": row["a"]}, **settings) == plain


def test_the_first_token_is_that_of_the_guided_logits(model):
    reader = model.reader(model.bound(ol.Task("say", LINE, train=ROWS)))
    row = {"a": "three", "b": "q"}
    network, answers = model.network.eval(), {}
    for kind, source in (("with", True), ("without", False)):
        example = reader.example(row, RowId("say", 0), mode="valid")
        stream = example.streams[0] if source else example.streams[0]._replace(source=[])
        batch = pack([type(example)(example.id, 0, (stream,))], {"say": reader})
        with torch.no_grad():
            hidden = network(batch)[batch.targets[0].rows[:1]]
            answers[kind] = network.port(batch.targets[0].kind).project(hidden)[0]
    for weight in (0.0, 0.4, 2.5, 6.0):
        wanted = int((answers["without"] + weight * (answers["with"] - answers["without"])).argmax())
        found = model.predict(LINE, {"a": "three"}, guidance=weight).b.encode()
        assert (found[:1] or b"") == (bytes([wanted]) if wanted < 128 else found[:1])


def test_sources_are_dropped_in_training_alone():
    task = ol.Task("say", "[TEXT:a] -> [TEXT:b,drop=0.5]", train=ROWS)
    model = ol.Model.build(backbone=BACKBONES["ofa"], tasks=task)
    reader = model.reader(model.bound(task))
    kept = [bool(reader.example(ROWS[0], RowId("say", n), mode="train").streams[0].source) for n in range(60)]
    assert 15 < sum(kept) < 45
    assert kept == [bool(reader.example(ROWS[0], RowId("say", n), mode="train").streams[0].source) for n in range(60)]
    assert all(reader.example(ROWS[0], RowId("say", n), mode="valid").streams[0].source for n in range(20))


def test_what_cannot_be_negative_says_so(model):
    with pytest.raises(ConfigError, match="`negative` names `z`, which is no source slot .slots: a."):
        model.predict(LINE, ROWS[0], guidance=2.0, negative={"z": "1"})
    with pytest.raises(ConfigError, match="no setting `guidence`"):
        model.predict(LINE, ROWS[0], guidence=2.0)
