"""Conversations from rows to answers: with pictures in their turns, beside other tasks, on both backbones."""

import json
import math

import pytest
from PIL import Image

import omniline as ol
from omniline.core.errors import DataError
from omniline.core.example import RowId
from omniline.core.packing import pack
from omniline.tasks.evaluation import evaluate

BACKBONES = {
    "ofa": "ofa-tiny,width=48,heads=4,ffn=96,encoder_layers=1,decoder_layers=2,positions=200,dropout=0",
    "decoder": "decoder-tiny,width=48,heads=4,key_heads=2,ffn=96,layers=2,positions=200",
}
LINE = '-> [CHAT:talk,template=plain,holds="image,size=8,patch=4"]'
READ = 'which? [CHAT:talk,template=plain,holds="image,size=8,patch=4"] -> [TEXT:colour]'
QUIET = {"enable_progress_bar": False, "batch_tokens": 400, "learning_rate": 8e-3, "warmup": 0.1}
COLOURS = ("red", "blue", "lime")


def user(content):
    return {"role": "user", "content": content}


def assistant(content):
    return {"role": "assistant", "content": content}


def picture(colour):
    return {"type": "image", "image": Image.new("RGB", (8, 8), colour)}


def rows():
    """Of each colour a conversation with one picture, and a longer one with a turn more."""
    out = []
    for colour in COLOURS:
        talk = [user(["hue? ", picture(colour)]), assistant(colour)]
        out.append({"talk": talk, "colour": colour})
        out.append({"talk": [*talk, user("sure?"), assistant("yes")], "colour": colour})
    return out


@pytest.fixture(scope="module", params=BACKBONES)
def trained(request):
    tasks = [ol.Task("talk", LINE, train=rows() * 4, valid=rows()), ol.Task("read", READ, train=rows() * 4)]
    return ol.fit(tasks, backbone=BACKBONES[request.param], max_steps=220, **QUIET), tasks


def test_answers_that_were_learnt(trained, tmp_path):
    model, tasks = trained
    asked = [
        {"talk": [user(["hue? ", picture("red")])]},
        {"talk": [user(["hue? ", picture("lime")]), assistant("lime"), user("sure?")]},
        {"talk": json.dumps([user("sure?")])},
        rows()[2],
    ]
    together = model.predict(LINE, asked)
    assert [together[i].talk[-1] for i in (0, 1, 3)] == [assistant(text) for text in ("red", "yes", "blue")]
    assert [len(out.talk) for out in together] == [2, 4, 2, 2]
    for row, out in zip(asked, together, strict=True):
        alone = model.predict(LINE, row)
        assert alone.talk[-1] == out.talk[-1] and alone.scores["talk"] == pytest.approx(out.scores["talk"], rel=1e-3)
    (path,) = together[1].save(tmp_path / "out")
    found = json.loads(path.read_text())
    assert found[-1] == assistant("yes") and (tmp_path / "out" / found[0]["content"][1]["image"]).is_file()
    result = evaluate(model, tasks)[0]
    assert set(result.values) == {"talk/exact_match", "talk/rouge_l"} and result.values["talk/exact_match"] >= 0.8
    assert model.predict(READ, rows()[0]).colour == "red"


def test_the_score_of_an_answer_is_its_loss_in_training(trained):
    """What is forced and fed step by step sees the same as the same conversation laid out whole."""
    model, tasks = trained
    last = ol.Task("talk", LINE.replace("plain", "plain,train_on=last"), train=rows())
    reader = model.reader(model.bound(last))
    for row in rows():
        out = model.predict(LINE, row)
        example = reader.example({"talk": out.talk}, RowId("talk", 0), mode="valid")
        losses = model.network.eval().loss(pack([example], {"talk": reader}))
        assert math.exp(-float(losses.total.detach())) == pytest.approx(out.scores["talk"], rel=1e-3)


def test_a_bundle_answers_the_same(trained, tmp_path):
    model, _ = trained
    loaded = ol.load(model.save(tmp_path / "m"))
    asked = [{"talk": row["talk"][:-1]} for row in rows()]
    before, after = (one.predict(LINE, asked) for one in (model, loaded))
    assert [out.talk[-1] for out in before] == [out.talk[-1] for out in after]
    searched = loaded.predict(LINE, asked, decoder="beam", beams=2)
    assert searched[0].talk[-1] == assistant("red")


def test_a_conversation_that_exceeds_the_context_loses_its_oldest_exchanges(trained):
    model, _ = trained
    long = [{"role": "system", "content": "be kind"}, *[user("hue? "), assistant("red")] * 30, user("sure?")]
    out = model.predict(LINE, {"talk": long})
    assert out.talk[:-1] == long
    with pytest.raises(DataError, match=r"slot `talk`: the last exchange of the conversation takes 31\d tokens"):
        model.predict(LINE, {"talk": [user("x" * 300)]})


@pytest.mark.parametrize(
    ("talk", "message"),
    [
        ([user("Hi")], "nothing of it is supervised: it must have a turn of the assistant"),
        ([], "must have at least one message"),
        ([user(["x", {"type": "audio", "audio": "a.wav"}]), assistant("y")], r"write holds=image\|audio"),
        ([{"role": "boss", "content": "x"}], "the role must be one of system, user, assistant, tool"),
        ([user(["x", {"type": "image", "image": "gone.png"}]), assistant("y")], r"message 0, part 1: .*gone.png"),
    ],
)
def test_rows_that_cannot_be_learnt_from(talk, message):
    with pytest.raises(ol.InstructionError, match=message) as caught:
        ol.Model.build(backbone=BACKBONES["decoder"], tasks=ol.Task("t", LINE, train=[{"talk": talk}]))
    assert "slot `talk`" in str(caught.value) and "^^^" in str(caught.value)


def test_what_holds_may_not_name():
    for line, message in (
        ("-> [CHAT:m,holds=category]", "it needs a closed set"),
        ('-> [CHAT:m,holds="image,sise=8"]', "did you mean `size`"),
        ("-> [CHAT:m,holds=imgae]", "did you mean `IMAGE`"),
        ('-> [CHAT:m,holds="image,size=big"]', "must be a whole number, but is `big`"),
        ('-> [CHAT:m,holds="image,size=8"|"image,size=4"]', "twice"),
        ('-> [CHAT:m,holds="image,adapter=text"]', "which serves TEXT"),
    ):
        with pytest.raises(ol.InstructionError, match=message):
            ol.compile(line)


def test_conversations_in_groups_given_and_matched(small):
    """In every place that a slot may have."""
    talks = [row["talk"] for row in rows()]
    data = [{"talks": talks[:2], "talk": talks[1], "word": "a"}, {"talks": [], "talk": talks[2], "word": "b"}]
    held = 'template=plain,holds="image,size=8,patch=4"'
    lines = {
        "group": f"[TEXT:word] -> ( [CHAT:talks,{held}] )*",
        "given": f"-> [CHAT:talk,no_loss,{held}] so: [TEXT:word]",
        "match": f"[CHAT:talk,{held}] <-> [TEXT:word]",
        "two": f"[CHAT:talk,{held}] -> [CHAT:talk,{held}] [TEXT:word]",
    }
    tasks = [ol.Task(name, line, train=data) for name, line in lines.items()]
    model = small.build(tasks, "decoder")
    small.loss_and_gradient(model, tasks, small.examples(model, tasks), padded=False)
    outs = model.predict(lines["group"], data, most_tokens=4)
    assert [len(out.talks) for out in outs] == [2, 0]
    assert outs[0].talks[1][:-1] == talks[1][:-1] and outs[0].talks[1][-1]["role"] == "assistant"
    given = model.predict(lines["given"], data, most_tokens=4)
    assert given[0].talk == talks[1] and isinstance(given[0].word, str)
    assert len(model.predict(lines["two"], data[0], most_tokens=4).talk) == len(talks[1])
    assert model.predict(lines["match"], data[0]).embeddings["source"].ndim == 1


def test_a_conversation_must_be_given_to_be_continued(trained):
    model, _ = trained
    with pytest.raises(DataError, match="slot `talk`: what is to be continued must be given: there is no column"):
        model.predict(LINE, {"tlk": []})


def test_rows_that_cannot_be_answered_are_named_or_skipped(trained):
    model, tasks = trained
    bad = {"talk": [user([{"type": "image", "image": "gone.png"}]), assistant("red")], "colour": "red"}
    with pytest.raises(DataError, match=r"row 1: slot `talk`: message 0, part 0: .*gone.png"):
        model.predict(LINE, [rows()[0], bad])
    task = ol.Task("talk", LINE, train=rows(), valid=[bad, rows()[0]], on_error="skip")
    result = evaluate(model, task)[0]
    assert result.rows == 1 and len(result.failures) == 1


def test_tokenizers_learn_from_conversations():
    task = ol.Task("t", "-> [CHAT:talk]", train=[{"talk": [user("banana banana"), assistant("banana")]}] * 9)
    model = ol.Model.build(backbone=BACKBONES["decoder"], tasks=task, tokenizer="bpe:280")
    assert len(model.tokenizer.encode("banana")) == 1
