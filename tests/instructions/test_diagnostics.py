"""Findings as values: carets, colours, JSON, fixes; and every code is documented."""

import json
import re
from pathlib import Path

import pytest

import omniline.core
import omniline.instructions
from omniline.core.errors import Diagnostic, Label, Source, Span
from omniline.instructions.codes import CODES
from omniline.instructions.compiler import check, compile
from omniline.instructions.diagnostics import apply_fixes, as_json, as_rich


def finding(text, start, end, *labels):
    marks = tuple(Label(Span(a, b), words) for a, b, words in labels)
    return Diagnostic(
        code="OL100", severity="error", message="wrong", source=Source(text), span=Span(start, end), labels=marks
    )


def test_each_label_has_its_caret_line():
    shown = str(finding("ab cd\nef", 0, 2, (0, 2, "one"), (3, 5, "two"), (6, 8, "three")))
    assert shown.split("\n")[1:] == [
        "  | ab cd",
        "  | ^^ one",
        "  |    ^^ two",
        "  | ef",
        "  | ^^ three",
    ]


def test_carets_stand_under_wide_letters_and_skip_combining_marks():
    assert str(finding("日本 ab", 3, 5)).split("\n")[2] == "  |      ^^"
    assert str(finding("e\u0301 ab", 3, 5)).split("\n")[2] == "  |   ^^"
    assert str(finding("日本", 0, 2)).split("\n")[2] == "  | ^^^^"


def test_control_characters_do_not_reach_the_terminal():
    assert str(finding("a\x07\tb", 3, 4)).split("\n")[1:] == ["  | a\ufffd b", "  |    ^"]


def test_a_long_line_is_cut_around_its_mark():
    text = "x" * 5_000 + "[bad]" + "y" * 5_000
    line, caret = str(finding(text, 5_000, 5_005)).split("\n")[1:]
    assert len(line) < 200 and line.startswith("  | …x") and line.endswith("y…")
    assert line[caret.index("^") : caret.rindex("^") + 1] == "[bad]"


def test_an_empty_text_still_has_a_caret(catalog):
    (found,) = check("", catalog=catalog)
    assert str(found).split("\n")[1:3] == ["  | ", "  | ^"] and found.span == Span(0, 0)


def test_json_has_every_part(catalog):
    (entry,) = json.loads(as_json(check("[IMGE:a] -> [TEXT:b]", catalog=catalog)))
    assert entry == {
        "code": "OL103",
        "severity": "error",
        "message": "unknown modality `IMGE`",
        "file": None,
        "line": None,
        "name": "",
        "text": "[IMGE:a] -> [TEXT:b]",
        "span": [1, 5],
        "labels": [{"span": [1, 5], "text": "no installed plugin provides it"}],
        "notes": [],
        "help": "did you mean `IMAGE`?",
        "fixes": [{"span": [1, 5], "text": "IMAGE"}],
    }


def test_colours_change_no_character(catalog):
    for found in check("[IMGE:a] -> ( [TEXT:b] )", catalog=catalog):
        text = as_rich(found)
        assert text.plain == str(found) and text.spans


@pytest.mark.parametrize(
    ("wrong", "mended"),
    [
        ("[IMGE:a] => [TEXT:b]", "[IMAGE:a] -> [TEXT:b]"),
        ("[text:a -> [TEXT:b,closed_set=yes,]", None),
        ("［TEXT：a］ -> [TEXT：b，max_length=5]", "[TEXT:a] -> [TEXT:b,max_length=5]"),
        ("[TEXT:a max_length=5] -> ( [BOX:b] ) *", "[TEXT:a,max_length=5] -> ( [BOX:b] )*"),
        ("[IMAGE:a] -> [[BOX:b] [TEXT:c]]*", "[IMAGE:a] -> ( [BOX:b] [TEXT:c] )*"),
        ("[IMAGE:img|TEXT:cap] <-> ", None),
        ("[TEXT:a,column=Question Text] - > [TEXT:b]", '[TEXT:a,column="Question Text"] -> [TEXT:b]'),
        ("[TEXT:a] > [TEXT:b] -> [TEXT:c]", r"[TEXT:a] \> [TEXT:b] -> [TEXT:c]"),
        ("[TEXT:a] -> b|||x [TEXT:a] -> b", None),
        ("[TEXT:a] -> [TEXT:b,samples=4]", "[TEXT:a] -> [TEXT:b,reward=equal,samples=4]"),
        ("[TEXT:a] -> ( [BOX:b] )", "[TEXT:a] -> ( [BOX:b] )*"),
        ("[TEXT:a] -> ( [BOX:b]*", "[TEXT:a] -> ( [BOX:b] )*"),
        ("[TEXT:a,\x07optional] -> [BOX:b]*", "[TEXT:a,optional] -> ( [BOX:b] )*"),
    ],
)
def test_mechanical_repairs_mend_the_text(wrong, mended, catalog):
    found = check(wrong, catalog=catalog)
    assert found
    repaired = apply_fixes(found, wrong)
    if mended is not None:
        assert repaired == mended
        assert compile(repaired, catalog=catalog)
    else:
        assert repaired != wrong and len(check(repaired, catalog=catalog)) < len(found) + 1


def test_every_code_that_is_raised_is_documented_and_none_besides():
    rooms = [Path(omniline.core.__file__).parent, Path(omniline.instructions.__file__).parent]
    rooms.append(rooms[0].parent / "tasks")
    raised = {
        code
        for room in rooms
        for file in room.glob("*.py")
        if file.name != "codes.py"
        for code in re.findall(r'"(OL\d{3})"', file.read_text(encoding="utf-8"))
    }
    assert raised == set(CODES)
