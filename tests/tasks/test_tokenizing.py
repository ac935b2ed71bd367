"""The tokenizer of a model counts texts as its slots write them."""

import omniline as ol
from omniline.tasks.binding import bind
from omniline.tasks.tokenizing import texts_of

TABLE = [["name", "age"], ["Ann", 31]]


def texts(line, *rows):
    return list(texts_of([bind(ol.Task("t", line, train=list(rows)))]))


def test_structured_values_are_counted_as_they_are_written():
    line = "[TEXT:q] of [STRUCT:table] -> [TEXT:a]"
    found = texts(line, {"q": "age", "table": TABLE, "a": "31"}, {"q": "name", "table": {"name": "Bo"}, "a": "Bo"})
    assert found[:2] == [" of "] * 2 and sorted(found[2:]) == sorted(
        ["31", "Bo", "age", "name", "name : age | Ann : 31", "name = Bo"]
    )
    assert (
        texts("[STRUCT:table,uncased,cell_sign=;] -> [TEXT:a]", {"table": TABLE, "a": "x"})[-1]
        == "name ; age | ann ; 31"
    )


def test_groups_absent_and_unreadable_values():
    line = "( [STRUCT:tables] )* -> [TEXT:a]"
    found = texts(line, {"tables": [TABLE, {"name": "Bo"}], "a": "1"}, {"tables": [None, "no.csv", TABLE], "a": "2"})
    assert found == ["1", "2", "name : age | Ann : 31", "name = Bo", "name : age | Ann : 31"]
    assert texts("[TEXT:q] -> [STRUCT:t,optional]", {"q": "a"}, {"q": "b", "t": ["x = 1"]}) == ["a", "b"]


def test_the_pieces_of_a_table_are_those_of_its_cells_in_a_question():
    rows = [
        {"q": f"how old is {name} ?", "t": [["name", "age"], [name, age]]} for name, age in (("Ann", 31), ("Bo", 4))
    ]
    line = "[TEXT:q] [STRUCT:t] -> [TEXT:q]"
    model = ol.Model.build(backbone="decoder-tiny", tasks=ol.Task("t", line, train=rows * 9), tokenizer="bpe:400")
    pieces = [model.tokenizer.decode([piece]) for piece in model.tokenizer.encode("name : age | Ann : 31")]
    assert pieces == ["name", " :", " age", " |", " Ann", " :", " 31"]
