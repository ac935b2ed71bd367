"""The compiler's other promises: catalogs, caching, notes about plugins, budgets, and what it returns."""

import pickle
from dataclasses import replace
from types import MappingProxyType

import pytest

from omniline.core.adapter import Adapter
from omniline.core.catalog import Broken, Owner
from omniline.core.errors import InstructionError, PluginError
from omniline.core.modality import Modality, Tokens
from omniline.core.settings import setting
from omniline.instructions.codes import CODES
from omniline.instructions.compiler import check, compile
from omniline.instructions.parser import parse

CAPTION = "[IMAGE:img] what is it? -> [TEXT:cap]"


class Fussy(Adapter):
    modality = "TEXT"
    predicts = "tokens"
    codec = port = "nowhere:None"
    level: int = setting(1)

    def __post_init__(self):
        if self.level > 3:
            raise ValueError("level must be at most 3")

    def tokens(self):
        return Tokens(1 // (self.level - 2))


def test_the_shown_rendering_of_an_unknown_modality(catalog):
    (found,) = check("[IMGE:img] what does the image describe? -> [TEXT:cap]", catalog=catalog)
    assert str(found) == (
        "error[OL103]: unknown modality `IMGE`\n"
        "  | [IMGE:img] what does the image describe? -> [TEXT:cap]\n"
        "  |  ^^^^ no installed plugin provides it\n"
        "  = help: did you mean `IMAGE`?"
    )


def test_the_shown_rendering_of_a_budget_that_cannot_fit(catalog):
    line = "[VIDEO:clip,max_frames=64] summarise -> [TEXT:s,max_length=512]"
    (found,) = check(line, catalog=catalog, backbone="qwen2-0.5b")
    assert str(found) == (
        "error[OL301]: the task cannot fit the context of `qwen2-0.5b`\n"
        "  | [VIDEO:clip,max_frames=64] summarise -> [TEXT:s,max_length=512]\n"
        "  |  ^^^^^^^^^^^^^^^^^^^^^^^^ 64 frames x 196 tokens = 12,544\n"
        "  |                                          ^^^^^^^^^^^^^^^^^^^^^ + 512 > 8,192\n"
        "  = help: max_frames=32 fits (6,272 + 512)"
    )
    (fix,) = found.fixes
    mended = line[: fix.span.start] + fix.text + line[fix.span.end :]
    assert compile(mended, catalog=catalog, backbone="qwen2-0.5b")


def test_a_budget_points_into_the_text_as_it_was_written(catalog):
    line = "[ VIDEO : clip ]what? -> [TEXT:s]"
    (found,) = check(line, catalog=catalog, backbone="ofa-tiny")
    assert line[found.span.start : found.span.end] == " VIDEO : clip "
    assert found.notes == ("its source side takes at most 1,024 tokens",)
    assert found.help == "max_frames=4 fits (784)"


def test_repetition_labels_both_places(catalog):
    (found,) = [d for d in check("[IMAGE:a] -> [TEXT:a]", catalog=catalog) if d.code == "OL130"]
    assert [label.text for label in found.labels] == ["this is IMAGE", "this is TEXT"]
    (found,) = check("[TEXT:a,optional,optional] -> [TEXT:b]", catalog=catalog)
    assert [(label.span.start, label.text) for label in found.labels] == [(8, "first here"), (17, "again here")]


def test_mistakes_of_all_stages_come_in_one_reading(catalog):
    line = "[IMGE:a,] [TEXT:b,mask_ratio=2] => and [TEXT:c,max_lenght=3] -> ( [BOX:d] )** [VIDEO:e]"
    found = check(line, catalog=catalog)
    assert [d.code for d in found] == ["OL103", "OL108", "OL203", "OL200", "OL116", "OL210"]
    with pytest.raises(InstructionError) as caught:
        compile(line, catalog=catalog)
    assert list(caught.value.diagnostics) == found


def test_errors_come_before_warnings(catalog):
    found = check("[TEXT:a] -> ( [BOX:b] ) [TEXT:c,max_lenght=3]", catalog=catalog)
    assert [d.severity for d in found] == ["error", "warning"]


def test_warnings_do_not_stop_a_plan(catalog):
    line = "[TEXT:a] -> ( [BOX:b] )"
    assert [d.code for d in check(line, catalog=catalog)] == ["OL119"]
    assert compile(line, catalog=catalog).alternatives[0].target[0].text == "( "


def test_two_owners_of_one_name_are_both_named(catalog, stand_in):
    entry = replace(catalog.parts["losses"]["mse"], rivals=(Owner("acme", "2"),))
    losses = MappingProxyType({**catalog.parts["losses"], "mse": entry})
    rivals = replace(catalog, parts=MappingProxyType({**catalog.parts, "losses": losses}))
    (found,) = check("[TEXT:a] -> [IMAGE:b,loss=mse]", catalog=rivals)
    assert found.code == "OL208" and "`stand-ins` and `acme`" in found.message and "OMNILINE_PLUGINS" in found.help
    assert check(CAPTION, catalog=rivals) == []


def test_a_plugin_that_did_not_load_is_noted_beside_a_missing_name(catalog):
    broken = replace(catalog, broken=(Broken("depth", "acme-depth", "No module named `zoo`"),))
    (found,) = check("[DEPTH:d] -> [TEXT:t]", catalog=broken)
    assert found.notes == ("the plugin `depth` (acme-depth) did not load: No module named `zoo`",)


def test_a_package_that_would_provide_an_attribute_is_named(catalog):
    (found,) = check("[IMAGE:a,model=resnet50] -> [TEXT:b]", catalog=catalog)
    assert found.help == "`model` is a setting of the adapter `timm` (stand-ins): `adapter=timm`"


def test_a_part_that_fails_is_a_finding_with_its_own_words(stand_in):
    catalog = stand_in.stand_in_catalog(adapters={"fussy": Fussy, "wrong": 7})
    (found,) = check("[TEXT:a,adapter=fussy,level=5] -> [TEXT:b]", catalog=catalog)
    assert found.code == "OL220" and "level must be at most 3" in found.message
    (found,) = check("[TEXT:a,adapter=fussy,level=2] -> [TEXT:b]", catalog=catalog)
    assert found.code == "OL220" and "division" in found.message
    (found,) = check("[TEXT:a,adapter=wrong] -> [TEXT:b]", catalog=catalog)
    assert found.code == "OL220" and "but is 7" in found.message


def test_without_text_a_line_without_prompts_still_compiles(stand_in):
    catalog = stand_in.stand_in_catalog()
    modalities = {k: v for k, v in catalog.parts["modalities"].items() if k != "TEXT"}
    bare = replace(catalog, parts={**catalog.parts, "modalities": modalities})
    assert compile("[IMAGE:a] -> [MOTION:b]", catalog=bare).prompt.name == ""
    (found,) = check("[IMAGE:a] move -> [MOTION:b]", catalog=bare)
    assert found.code == "OL222"


def test_two_catalogs_live_side_by_side(catalog, stand_in):
    class Depth(Adapter):
        modality = "DEPTH"
        predicts = "values"
        codec = port = "nowhere:None"

    more = stand_in.stand_in_catalog(
        modalities={"DEPTH": Modality(source="depth", target="depth")}, adapters={"depth": Depth}
    )
    assert compile("[IMAGE:a] -> [DEPTH:d]", catalog=more).slots[1].predicts == "values"
    with pytest.raises(InstructionError, match="unknown modality `DEPTH`"):
        compile("[IMAGE:a] -> [DEPTH:d]", catalog=catalog)


def test_a_compiled_text_is_kept_for_its_catalog(catalog, stand_in):
    assert compile(CAPTION, catalog=catalog) is compile(CAPTION, catalog=catalog)
    other = compile(CAPTION, catalog=stand_in.stand_in_catalog())
    assert other == compile(CAPTION, catalog=catalog) and other is not compile(CAPTION, catalog=catalog)


def test_what_parse_returned_compiles_with_its_place_and_warnings(catalog):
    nodes = parse("[TEXT:a,zzz] -> [TEXT:b]", name="t", file="tasks.yaml", line=3)
    with pytest.raises(InstructionError, match=r"--> tasks.yaml:3"):
        compile(nodes, catalog=catalog)
    warned = parse("[TEXT:a] -> ( [BOX:b] )")
    assert [d.code for d in check(warned, catalog=catalog)] == ["OL119"]
    changed = replace(parse(CAPTION), wordings=parse("[TEXT:x] -> [TEXT:y]").wordings)
    assert [slot.name for slot in compile(changed, catalog=catalog).slots] == ["x", "y"]


def test_plans_of_equal_texts_are_equal_and_travel(catalog):
    one = compile("[IMAGE:img]  -> [TEXT:cap]", catalog=catalog)
    other = compile("[ IMAGE:img ]->[TEXT:cap]", catalog=catalog)
    assert one == other and hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one


def test_errors_travel_between_processes(catalog):
    with pytest.raises(InstructionError) as caught:
        compile("[IMGE:a] -> [TEXT:b]", catalog=catalog)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.diagnostics == caught.value.diagnostics and str(again) == str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ofa", "needs a size: write `ofa-tiny` or `ofa-base`"),
        ("ofa-tinny", "no size `tinny`; did you mean `ofa-tiny`?"),
        ("ofa-9x", "its sizes are `ofa-tiny`, `ofa-base`"),
        ("ofo-tiny", "did you mean `ofa-tiny`?"),
        ("zzz", "there are: hf:PATH ofa-tiny ofa-base qwen2-0.5b"),
        ("ofa:x", "takes no argument after `:`"),
        ("hf:", "needs an argument, path"),
        ("hf", "write `hf:PATH`"),
    ],
)
def test_a_backbone_that_cannot_be_resolved_says_what_there_is(name, message, catalog):
    with pytest.raises(PluginError) as caught:
        compile(CAPTION, catalog=catalog, backbone=name)
    assert message in str(caught.value)


def test_a_backbone_takes_its_argument(catalog):
    assert compile(CAPTION, catalog=catalog, backbone="hf:some/path")


def test_every_code_is_documented_once_and_in_order():
    assert list(CODES) == sorted(CODES)
    for code, entry in CODES.items():
        assert entry.code == code and entry.title and entry.explanation.endswith(".")
