"""Reading text: white space, escapes, arrows, brackets, values, and how an instruction is spelled."""

import pickle

import pytest

from omniline.core.errors import InstructionError
from omniline.instructions.nodes import Attribute, Group, Instruction, Ranking, Slot, Text, Value, Wording
from omniline.instructions.parser import parse


def sides(text):
    (wording,) = parse(text).wordings
    return wording.source, wording.target


T = Slot("TEXT")


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("  [TEXT]  ->  [TEXT]  ", (T,), (T,)),
        ("[TEXT][TEXT] -> [TEXT][TEXT]", (T, T), (T, T)),
        ("[TEXT]\n\t [TEXT] -> [TEXT] \n [TEXT]", (T, Text(" "), T), (T, T)),
        ("[TEXT] x  [TEXT] -> a  [TEXT] ,", (T, Text(" x  "), T), (Text("a  "), T, Text(" ,"))),
        ("-> (  [TEXT] , )*", (), (Group((T, Text(" ,")), 0, None),)),
        ("([TEXT])+ -> ([TEXT]){2,} ([TEXT]){3}", (Group((T,), 1, None),), (Group((T,), 2, None), Group((T,), 3, 3))),
        ("-> [TEXT]>[TEXT]  >  [TEXT]", (), (Ranking((T, T, T)),)),
        ("-> a [TEXT] > [TEXT]", (), (Text("a "), Ranking((T, T)))),
        (r"\[\]\(\)\>\\ \-> \<-> \||| -> [TEXT]", (Text("[]()>\\ -> <-> |||"),), (T,)),
        (r"\n \frac C:\new \-x -> [TEXT]", (Text(r"\n \frac C:\new \-x"),), (T,)),
        (r"[TEXT] \> [TEXT] -> [TEXT]", (T, Text(" > "), T), (T,)),
        (r"\([TEXT]\)* -> [TEXT]", (Text("("), T, Text(")*")), (T,)),
        ("([TEXT])? -> [TEXT]", (Text("("), T, Text(")?")), (T,)),
        ("f(x)* [TEXT] -> [TEXT]", (Text("f(x)* "), T), (T,)),
        (":) (a) * :( [TEXT] -> [TEXT]", (Text(":) (a) * :( "), T), (T,)),
        ("a > b --- c => d >= e [TEXT] -> [TEXT]", (Text("a > b --- c => d >= e "), T), (T,)),
        ("a|||b | c || [TEXT] -> [TEXT]", (Text("a|||b | c || "), T), (T,)),
        ("［注意］ [TEXT] -> [TEXT]", (Text("［注意］ "), T), (T,)),
        ("[TEXT] -> ", (T,), ()),
        ("[TEXT] [TEXT] <-> [TEXT] [TEXT]", (T, Text(" "), T), (T, Text(" "), T)),
    ],
)
def test_what_a_side_holds(text, source, target):
    assert sides(text) == (source, target)
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("inside", "slot"),
    [
        ("TEXT", Slot("TEXT")),
        (" TEXT : a ", Slot("TEXT", "a")),
        ("TEXT , k ", Slot("TEXT", None, (Attribute("k"),))),
        ("TEXT:a,k=1", Slot("TEXT", "a", (Attribute("k", (Value("1"),)),))),
        ("TEXT:a, k = a | b |c", Slot("TEXT", "a", (Attribute("k", (Value("a"), Value("b"), Value("c"))),))),
        ('TEXT,k="a ] | , \\" \\\\ \\n"', Slot("TEXT", None, (Attribute("k", (Value('a ] | , " \\ \\n'),)),))),
        ('TEXT,k="a"|b,l', Slot("TEXT", None, (Attribute("k", (Value("a"), Value("b"))), Attribute("l")))),
        ('TEXT,k=""', Slot("TEXT", None, (Attribute("k", (Value(""),)),))),
        ("TEXT,loss.temperature=-1e-3", Slot("TEXT", None, (Attribute("loss.temperature", (Value("-1e-3"),)),))),
        ("TEXT,k=a->b", Slot("TEXT", None, (Attribute("k", (Value("a->b"),)),))),
        ("TEXT,k=a:b(c)\\", Slot("TEXT", None, (Attribute("k", (Value("a:b(c)\\"),)),))),
        ("TEXT:anns.bbox-1", Slot("TEXT", "anns.bbox-1")),
        ("TEXT:\n ключ\t", Slot("TEXT", "ключ")),
    ],
)
def test_what_a_slot_holds(inside, slot):
    source, _ = sides(f"[{inside}] -> [TEXT]")
    assert source == (slot,)
    assert parse(str(parse(f"[{inside}] ->"))) == parse(f"[{inside}] ->")


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("[ TEXT : a , k = 1 ]->[TEXT]", "[TEXT:a,k=1] -> [TEXT]"),
        ("->[TEXT][TEXT]", "-> [TEXT] [TEXT]"),
        ("[TEXT][TEXT]->", "[TEXT][TEXT] ->"),
        ("->([TEXT]){0,1}([TEXT]){2,2}", "-> ( [TEXT] ){0,1} ( [TEXT] ){2}"),
        (r"a \> b [TEXT] \> -> [TEXT]", r"a > b [TEXT] \> -> [TEXT]"),
        (r"\(a\) \( [TEXT] -> [TEXT]", r"(a) \( [TEXT] -> [TEXT]"),
        (r"\a \\a \\\\ \\[TEXT] ->", r"\a \a \\\ \\[TEXT] ->"),
        ('[TEXT,k="a"|"b c"] ->', '[TEXT,k=a|"b c"] ->'),
        ("[TEXT] -> [TEXT]\n|||\n[TEXT]->[TEXT]", "[TEXT] -> [TEXT] ||| [TEXT] -> [TEXT]"),
    ],
)
def test_the_canonical_spelling(text, spelled):
    assert str(parse(text)) == spelled
    assert parse(spelled) == parse(text)


def test_a_list_joins_alternatives():
    both = parse(["[TEXT:a] -> [TEXT:b]", "do [TEXT:a] -> [TEXT:b]"])
    assert both == parse("[TEXT:a] -> [TEXT:b] ||| do [TEXT:a] -> [TEXT:b]") and len(both.wordings) == 2


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        (None, "NoneType"),
        (b"[TEXT:a] ->", "bytes; decode it first"),
        (7, "int"),
        ([], "an empty list"),
        (["[TEXT:a] ->", 3], "a list that holds int"),
        ({"a": 1}, "dict"),
    ],
)
def test_what_is_not_text_is_named(wrong, shown):
    with pytest.raises(TypeError, match=f"an instruction must be text or a list of texts, but is {shown}"):
        parse(wrong)


def test_the_place_of_a_task_file_is_printed():
    with pytest.raises(InstructionError) as caught:
        parse("[TEXT:a] => [TEXT:b]", name="caption", file="tasks.yaml", line=7)
    assert " --> tasks.yaml:7\n" in str(caught.value)
    with pytest.raises(InstructionError) as caught:
        parse("[TEXT:a] => [TEXT:b]", name="caption")
    assert " --> caption\n" in str(caught.value)


def test_all_mistakes_of_one_reading_are_reported_and_ten_are_printed():
    with pytest.raises(InstructionError) as caught:
        parse("[text:a] [TEXT:] [TEXT:a,=] ] => [TEXT:b")
    assert [d.code for d in caught.value.diagnostics] == ["OL106", "OL107", "OL108", "OL104", "OL100", "OL102"]
    with pytest.raises(InstructionError, match=r"\.\.\. and 6 more$") as caught:
        parse("]" * 15 + " [TEXT] ->" + "]")
    assert len(caught.value.diagnostics) == 16 and str(caught.value).count("closes nothing") == 10


def test_too_long_a_text_is_refused_without_being_read():
    at_most = "x" * (16_384 - len("[TEXT:a] -> ")) + "[TEXT:a] -> "
    assert parse(at_most)
    with pytest.raises(InstructionError, match="at most 16,384 characters, but this one has 16,385") as caught:
        parse(at_most + "]")
    assert [d.code for d in caught.value.diagnostics] == ["OL115"]


@pytest.mark.parametrize(
    "unit", ["[", "(", '[A,x="', "(((", "[[A]", "\\", "<", "[TEXT] > ", "( [TEXT:a] ", ") ", "［A:", "- "]
)
def test_hostile_repetition_is_read_to_its_end(unit):
    text = unit * (16_384 // len(unit))
    with pytest.raises(InstructionError) as caught:
        parse(text)
    assert caught.value.diagnostics


def test_nodes_are_values():
    one, other = parse("[TEXT:a]  -> [TEXT:b]"), parse(" [TEXT: a] -> [TEXT:b]", name="x")
    assert one == other and hash(one) == hash(other) and len({one, other}) == 1
    assert one != parse("[TEXT:a] -> [TEXT:c]")
    again = pickle.loads(pickle.dumps(one))
    assert again == one and again.source == one.source
    with pytest.raises(AttributeError):
        one.wordings = ()


def test_an_instruction_made_by_hand_is_spelled():
    made = Instruction((Wording("->", (Text("a -> b ["),), (Slot("TEXT", "c"),)),))
    assert str(made) == r"a \-> b \[ -> [TEXT:c]" and parse(str(made)) == made
