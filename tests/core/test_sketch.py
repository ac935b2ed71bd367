"""Rows against wordings: groups, their lengths, and what gives way to the context."""

import pytest

import omniline as ol
from omniline.core.errors import DataError
from omniline.core.sketch import CONTINUE, START, STOP, Item, Sketch, Unroller, fit_context

TEXT, PICTURE = True, False


def unrolled(line, row, side="target"):
    wording = ol.compile(line).alternatives[0]
    (items,) = Unroller(wording).side(wording.steps(side), row, target=side == "target")
    return items


def test_groups_number_their_repetitions():
    items = unrolled("[TEXT:a] -> ( [TEXT:b] is ( [TEXT:c] )* )*", {"b": ["p", "q"], "c": [["1", "2"], []]})
    assert [(i.raw or i.text or i.mark, i.group) for i in items] == [
        (CONTINUE, (1, 0)), ("p", (1, 0)), (" is ", (1, 0)), (CONTINUE, (1, 0)), ("1", (1, 0)), (CONTINUE, (1, 0)),
        ("2", (1, 0)), (STOP, (1, 0)),
        (CONTINUE, (1, 1)), ("q", (1, 1)), (" is ", (1, 1)), (STOP, (1, 1)),
        (STOP, (-1, -1)),
    ]  # fmt: skip


def test_a_source_group_has_no_marks():
    assert [i.mark for i in unrolled("( [TEXT:b] )* -> [TEXT:c]", {"b": ["p", "q"]}, "source")] == [-1, -1]


MISTAKES = [
    ("[TEXT:a] -> [TEXT:capt]", {"caption": "x"}, r"slot `capt`: there is no column `capt`; did you mean `caption`"),
    ("[TEXT:a] -> [TEXT:b]", {"b": None}, r"slot `b`: the column `b` holds None; write `optional`"),
    ("[TEXT:a] -> ( [TEXT:b] )*", {"b": "word"}, r"slot `b`: the column `b` must hold a list, .* but holds 'word'"),
    ("[TEXT:a] -> ( [TEXT:b] )*", {"a": "x"}, r"slot `b`: there is no column `b`"),
    (
        "[TEXT:a] -> ( [TEXT:b] [TEXT:c] )*",
        {"b": ["p"], "c": ["q", "r"]},
        r"the columns `b` \(1 values\) and `c` \(2 values\) stand in one group and must have equally many",
    ),
    ("[TEXT:a] -> ( [TEXT:b] )+", {"b": []}, r"the group of `b` must have 1 to any number repetitions, .* has 0"),
    ("[TEXT:a] -> ( [TEXT:b] ){2,3}", {"b": ["p"]}, r"the group of `b` must have 2 to 3 repetitions, .* has 1"),
    ("[TEXT:a] -> ( [TEXT:b] ){2}", {"b": ["p"] * 3}, r"the group of `b` must have 2 to 2 repetitions, .* has 3"),
    ("[TEXT:a] -> ( ( [TEXT:b] )* )*", {"b": ["word"]}, r"slot `b`: the column `b` must hold a list"),
    (
        "[TEXT:a] -> ( [TEXT:b] [TEXT:c] ){0,1}",
        {"b": "p", "c": None},
        r"the columns `b` \(1 values\) and `c` \(0 values\) stand in one group",
    ),
]


@pytest.mark.parametrize(("line", "row", "message"), MISTAKES, ids=[m[0] + str(m[1]) for m in MISTAKES])
def test_rows_that_do_not_fit(line, row, message):
    with pytest.raises(DataError, match=message):
        unrolled(line, row)


def item(slot, rows, group=(-1, -1)):
    return Item(slot=slot, raw="x", rows=rows, forced=False, group=group)


def rows_of(items):
    return [i.rows for i in items]


def test_what_fits_is_left_alone():
    sketch = Sketch([item(0, 5)], [[Item(mark=START), item(1, 4)]])
    assert fit_context(sketch, (TEXT, TEXT), (5, 5)) == (sketch, False)
    assert fit_context(sketch, (TEXT, TEXT), 10) == (sketch, False)
    assert fit_context(sketch, (TEXT, TEXT), None) == (sketch, False)


def test_texts_share_and_media_do_not_give_way():
    sketch = Sketch([item(0, 50), item(1, 30), item(2, 4)], [[Item(mark=START)]])
    found, cut = fit_context(sketch, (TEXT, PICTURE, TEXT), (60, 8))
    assert rows_of(found.source) == [26, 30, 4] and cut


def test_targets_are_served_first():
    sketch = Sketch([item(0, 50)], [[Item(mark=START), item(1, 20)]])
    found, _ = fit_context(sketch, (TEXT, TEXT), 30)
    assert rows_of(found.targets[0]) == [1, 20] and rows_of(found.source) == [9]


def test_a_target_leaves_the_source_its_least():
    sketch = Sketch([item(0, 10), item(1, 8)], [[Item(mark=START), item(2, 90)]])
    found, _ = fit_context(sketch, (PICTURE, TEXT, TEXT), 30)
    assert rows_of(found.source) == [10, 1] and rows_of(found.targets[0]) == [1, 18]


def test_a_group_loses_whole_repetitions_from_its_end():
    group = [Item(mark=CONTINUE, forced=False, group=(1, 0)), item(1, 4, (1, 0)),
             Item(mark=CONTINUE, forced=False, group=(1, 1)), item(1, 4, (1, 1)),
             Item(mark=STOP, forced=False)]  # fmt: skip
    found, cut = fit_context(Sketch([], [[Item(mark=START), *group]]), (TEXT, TEXT), (9, 11))
    assert rows_of(found.targets[0]) == [1, 1, 4, 1] and cut
    assert found.targets[0][-1].mark == STOP and found.targets[0][-1].forced


def test_only_a_lone_repetition_has_its_text_cut():
    group = [Item(mark=CONTINUE, forced=False, group=(1, 0)), item(1, 40, (1, 0)), Item(mark=STOP, forced=False)]
    found, _ = fit_context(Sketch([], [[Item(mark=START), *group]]), (TEXT, TEXT), (9, 11))
    assert rows_of(found.targets[0]) == [1, 1, 8, 1]
    assert not found.targets[0][-1].forced


def test_a_text_and_a_group_have_equal_shares():
    group = [item(1, 5, (1, n)) for n in range(10)]
    found, _ = fit_context(Sketch([item(0, 100), *group], [[]]), (TEXT, TEXT), (42, 1))
    assert rows_of(found.source) == [22, 5, 5, 5, 5]


@pytest.mark.parametrize("context", [(20, 50), 21])
def test_what_cannot_fit_says_the_arithmetic(context):
    sketch = Sketch([item(0, 30), item(1, 5)], [[Item(mark=START)]])
    with pytest.raises(
        DataError,
        match=r"the source side needs at least 31 tokens \(30 of them cannot be cut\), but the context leaves 20",
    ):
        fit_context(sketch, (PICTURE, TEXT), context)
