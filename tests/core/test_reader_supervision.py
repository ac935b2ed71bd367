"""What is supervised, written out: every supervised token, end mark and mark of a table of instructions and rows.

A side is written as pieces: {given}, (forced), <supervised>; `$` is an end mark, `^` opens a target side, `+` goes on
with a group, `.` stops it.
"""

import pytest

import omniline as ol
from omniline.core.codec import FORCED, GIVEN, SUPERVISED
from omniline.core.example import RowId
from omniline.core.packing import pack
from omniline.core.sketch import CONTINUE, START, STOP

MARKS = {START: "^", CONTINUE: "+", STOP: "."}
BRACKETS = {GIVEN: "{}", FORCED: "()", SUPERVISED: "<>"}


def written(side, tokenizer):
    """A side as a string, one pair of brackets a piece."""
    out = []
    for piece in side:
        if piece.kind == 0:
            text = MARKS[int(piece.encoded.tensors["tokens"][0])]
        else:
            tokens = [int(t) for t in piece.encoded.tensors["tokens"]]
            ended = bool(tokens) and tokens[-1] == tokenizer.end
            text = tokenizer.decode(tokens[:-1] if ended else tokens) + "$" * ended
        left, right = BRACKETS[piece.role]
        out.append(left + text + right)
    return " ".join(out)


def laid(line, row, *, mode="train", context=None, seed=0, wording=None):
    task = ol.Task("t", line, train=[row])
    model = ol.Model.build(backbone="ofa-tiny,width=16,heads=2,ffn=16,encoder_layers=1,decoder_layers=1", tasks=task)
    reader = model.reader(model.bound(task))
    if context is not None:
        from dataclasses import replace

        reader = replace(reader, context=context)
    return reader.example(row, RowId("t", 0), seed=seed, mode=mode, wording=wording), reader, model


TABLE = [
    ("[TEXT:a] -> [TEXT:b]", {"a": "x", "b": "yes"}, "{x}", ["(^) <yes$>"]),
    ("say [TEXT:a] ! -> [TEXT:b]", {"a": "x", "b": ""}, "{say } {x} { !}", ["(^) <$>"]),
    ("-> [TEXT:b]", {"b": "all of it"}, "", ["(^) <all of it$>"]),
    ("[TEXT:a] -> so: [TEXT:b] !", {"a": "x", "b": "y"}, "{x}", ["(^) (so: ) <y$> ( !)"]),
    ("[TEXT:a] -> [TEXT:b,no_loss] [TEXT:c]", {"a": "x", "b": "y", "c": "z"}, "{x}", ["(^) (y$) <z$>"]),
    ("[TEXT:a] -> [TEXT:b] [TEXT:c]", {"a": "x", "b": "y", "c": "z"}, "{x}", ["(^) <y$> <z$>"]),
    ("[TEXT:a] [TEXT:m,optional] -> [TEXT:b]", {"a": "x", "b": "y"}, "{x} { }", ["(^) <y$>"]),
    ("[TEXT:a] [TEXT:m,optional] -> [TEXT:b]", {"a": "x", "m": "o", "b": "y"}, "{x} { } {o}", ["(^) <y$>"]),
    ("[TEXT:a] -> [TEXT:b,optional] [TEXT:c]", {"a": "x", "b": None, "c": "z"}, "{x}", ["(^) <z$>"]),
    ("[TEXT:a] -> [TEXT:b,optional] [TEXT:c]", {"a": "x", "b": float("nan"), "c": "z"}, "{x}", ["(^) <z$>"]),
    ("[TEXT:a] -> ( [TEXT:b] )*", {"a": "x", "b": ["p", "q"]}, "{x}", ["(^) <+> <p$> <+> <q$> <.>"]),
    ("[TEXT:a] -> ( [TEXT:b] )*", {"a": "x", "b": []}, "{x}", ["(^) <.>"]),
    ("[TEXT:a] -> ( [TEXT:b] )+", {"a": "x", "b": ["p", "q"]}, "{x}", ["(^) (+) <p$> <+> <q$> <.>"]),
    ("[TEXT:a] -> ( [TEXT:b] ){2}", {"a": "x", "b": ["p", "q"]}, "{x}", ["(^) (+) <p$> (+) <q$> (.)"]),
    ("[TEXT:a] -> ( [TEXT:b] ){1,3}", {"a": "x", "b": ["p", "q"]}, "{x}", ["(^) (+) <p$> <+> <q$> <.>"]),
    ("[TEXT:a] -> ( [TEXT:b] ){1,2}", {"a": "x", "b": ["p", "q"]}, "{x}", ["(^) (+) <p$> <+> <q$> (.)"]),
    ("[TEXT:a] -> ( [TEXT:b] ){0,1}", {"a": "x", "b": "p"}, "{x}", ["(^) <+> <p$> (.)"]),
    ("[TEXT:a] -> ( [TEXT:b] ){0,1}", {"a": "x", "b": None}, "{x}", ["(^) <.>"]),
    ("[TEXT:a] -> ( [TEXT:b] ){0,1}", {"a": "x"}, "{x}", ["(^) <.>"]),
    (
        "[TEXT:a] -> ( [TEXT:b] is [TEXT:c] ; )* end",
        {"a": "x", "b": ["p", "q"], "c": ["1", "2"]},
        "{x}",
        ["(^) <+> <p$> ( is ) <1$> ( ;) <+> <q$> ( is ) <2$> ( ;) <.> ( end)"],
    ),
    (
        "[TEXT:a] -> ( [TEXT:b] ( [TEXT:c] )* )*",
        {"a": "x", "b": ["p", "q"], "c": [["1"], []]},
        "{x}",
        ["(^) <+> <p$> <+> <1$> <.> <+> <q$> <.> <.>"],
    ),
    (
        "[TEXT:a] -> ( [TEXT:b,no_loss] [TEXT:c] )*",
        {"a": "x", "b": ["p"], "c": ["1"]},
        "{x}",
        ["(^) <+> (p$) <1$> <.>"],
    ),
    ("( [TEXT:b] , )* -> [TEXT:c]", {"b": ["p", "q"], "c": "z"}, "{p} { ,} {q} { ,}", ["(^) <z$>"]),
    ("[TEXT:a] -> [TEXT:b,closed_set=yes|no]", {"a": "x", "b": "no"}, "{x}", ["(^) <no$>"]),
    ("[TEXT:a] -> [TEXT:b,closed_set=1|2]", {"a": "x", "b": 2}, "{x}", ["(^) <2$>"]),
    ("[TEXT:a] -> [TEXT:b,max_length=3]", {"a": "x", "b": "abcdef"}, "{x}", ["(^) <ab$>"]),
    ("[TEXT:a] -> [TEXT:b,max_length=1]", {"a": "x", "b": "abcdef"}, "{x}", ["(^) <$>"]),
    ("[TEXT:a,max_length=2] -> [TEXT:b]", {"a": "xyz", "b": "y"}, "{xy}", ["(^) <y$>"]),
    ('[TEXT:a] -> [TEXT:b,column="The B"]', {"a": "x", "The B": "y"}, "{x}", ["(^) <y$>"]),
    ("[TEXT:o.a] -> ( [TEXT:o.b.c] )*", {"o": {"a": "x", "b": [{"c": "p"}]}}, "{x}", ["(^) <+> <p$> <.>"]),
]


@pytest.mark.parametrize(("line", "row", "source", "targets"), TABLE, ids=[f"{i}: {t[0]}" for i, t in enumerate(TABLE)])
def test_supervised_is_exactly_what_the_language_says(line, row, source, targets):
    example, reader, model = laid(line, row)
    assert written(example.streams[0].source, model.tokenizer) == source
    assert [written(stream.target, model.tokenizer) for stream in example.streams] == targets
    supervised = sum(p.encoded.rows for s in example.streams for p in s.target if p.role == SUPERVISED)
    batch = pack([example], {"t": reader})
    predicted = sum(len(target.rows) for target in batch.targets)
    assert predicted == supervised
    for target in batch.targets:
        assert target.labels["tokens"].tolist() == expected(example, target.kind, target.choices)


def expected(example, kind, choices):
    """The supervised tokens of one port, in order."""
    return [
        int(token)
        for stream in example.streams
        for piece in stream.target
        if piece.role == SUPERVISED and piece.kind == kind and (piece.nodes is None) == (choices is None)
        for token in piece.encoded.tensors["tokens"]
    ]


def test_a_match_is_read_on_both_sides():
    example, reader, model = laid("see [TEXT:a] <-> [TEXT:b] too", {"a": "x", "b": "y"})
    assert [written(s.source, model.tokenizer) for s in example.streams] == ["{see } {x}", "{y} { too}"]
    assert [s.target for s in example.streams] == [[], []]
    batch = pack([example], {"t": reader})
    assert batch.targets == () and batch.counts == {"t/match": 1}


def test_a_ranking_supervises_no_token():
    row = {"a": "x", "b": "good", "c": "bad"}
    example, reader, model = laid("[TEXT:a] -> it: [TEXT:b] > [TEXT:c]", row)
    sides = [written(s.target, model.tokenizer).translate(str.maketrans("<>()", "    ")) for s in example.streams]
    assert [side.split() for side in sides] == [["^", "it:", "good$"], ["^", "it:", "bad$"]]
    batch = pack([example], {"t": reader})
    assert batch.targets == () and batch.counts == {"t/rank": 1}
    assert batch.pairs[0].streams.tolist() == [0, 1]


def test_each_hidden_row_predicts_the_next():
    example, reader, model = laid("[TEXT:a] -> so [TEXT:b]", {"a": "xyz", "b": "no"})
    batch = pack([example], {"t": reader})
    (target,) = batch.targets
    assert target.rows.tolist() == [3 + 3, 3 + 4, 3 + 5]  # the last of `^so `, then `n`, then `o`
    assert model.tokenizer.decode(target.labels["tokens"].tolist()[:-1]) == "no"


def test_marks_are_counted_beside_the_slots():
    example, reader, _ = laid("[TEXT:a] -> ( [TEXT:b] )+", {"a": "x", "b": ["p", "qq"]})
    assert pack([example], {"t": reader}).counts == {"t/b": 2 + 3, "t/marks": 2}


@pytest.mark.parametrize("length", range(2, 8))
def test_the_end_mark_is_never_cut(length):
    """Whatever the room, the target ends with its end mark and the source gives way too."""
    example, _, model = laid("[TEXT:a] -> [TEXT:b]", {"a": "abcdefgh", "b": "ijklmnop"}, context=(length, length))
    assert written(example.streams[0].target, model.tokenizer) == f"(^) <{'ijklmnop'[: length - 2]}$>"
    assert written(example.streams[0].source, model.tokenizer) == f"{{{'abcdefgh'[:length]}}}"


def test_a_group_is_cut_at_whole_repetitions():
    row = {"a": "x", "b": ["pp", "qq", "rr"]}
    example, _, model = laid("[TEXT:a] -> ( [TEXT:b,max_length=3] now )*", row, context=(4, 20))
    assert written(example.streams[0].target, model.tokenizer) == "(^) <+> <pp$> ( now) <+> <qq$> ( now) (.)"


MASKED = "[TEXT:a,mask_ratio=0.6,noise_ratio=0.3] -> [TEXT:b]"
LONG = {"a": "one two three four five six seven eight", "b": "y"}


def test_corruption_acts_in_training_and_validation_and_never_at_predicting():
    seen = {
        mode: written(laid(MASKED, LONG, mode=mode)[0].streams[0].source, laid(MASKED, LONG)[2].tokenizer)
        for mode in ("train", "valid", "predict")
    }
    assert seen["predict"] == "{" + LONG["a"] + "}"
    assert seen["train"] != seen["predict"] != seen["valid"]


def test_corruption_is_a_function_of_seed_row_and_epoch():
    task = ol.Task("t", MASKED, train=[LONG, LONG])
    model = ol.Model.build(tasks=task)
    reader = model.reader(model.bound(task))

    def tokens(row, epoch, seed=0, mode="train"):
        example = reader.example(LONG, RowId("t", row, epoch), seed=seed, mode=mode)
        return example.streams[0].source[0].encoded.tensors["tokens"].tolist()

    assert tokens(0, 0) == tokens(0, 0)
    assert tokens(0, 0, mode="valid") == tokens(0, 0, mode="valid")
    assert len({tuple(tokens(r, e, s)) for r in (0, 1) for e in (0, 1) for s in (0, 1)}) == 8


WORDINGS = ["first [TEXT:a] -> [TEXT:b]", "second [TEXT:a] -> [TEXT:b]", "third [TEXT:a] -> [TEXT:b]"]


def test_alternatives_are_drawn_by_seed_row_and_epoch():
    task = ol.Task("t", WORDINGS, train=[{"a": "x", "b": "y"}] * 60)
    model = ol.Model.build(tasks=task)
    reader = model.reader(model.bound(task))

    def drawn(seed, epoch, mode="train"):
        return [
            reader.example({"a": "x", "b": "y"}, RowId("t", r, epoch), seed=seed, mode=mode).wording for r in range(60)
        ]

    assert set(drawn(0, 0)) == {0, 1, 2}
    assert min(drawn(0, 0).count(w) for w in range(3)) >= 10
    assert drawn(0, 0) == drawn(0, 0)
    assert drawn(0, 0) != drawn(0, 1) and drawn(0, 0) != drawn(1, 0)
    assert set(drawn(0, 0, "valid")) == {0} and set(drawn(3, 2, "predict")) == {0}


@pytest.mark.parametrize(("wording", "start"), list(enumerate(("first ", "second ", "third "))))
def test_each_alternative_lays_out_its_own_words(wording, start):
    example, _, model = laid(" ||| ".join(WORDINGS), {"a": "x", "b": "y"}, wording=wording)
    assert written(example.streams[0].source, model.tokenizer) == f"{{{start}}} {{x}}"
