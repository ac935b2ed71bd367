"""From names to working halves: ports that are shared, and sentences for what is missing."""

import pytest

import omniline as ol
from omniline.core.adapter import Adapter
from omniline.core.catalog import catalog_of
from omniline.core.errors import PluginError
from omniline.core.modality import Modality
from omniline.core.parts import PortSpec, bare_spec, declared, kind_of, owner_of, port_of, port_table, working_half
from omniline.core.plan import Part
from omniline.plugins.manager import installed


def plans(*lines):
    return [ol.compile(line) for line in lines]


def names(*lines):
    return [spec.name for spec in port_table(plans(*lines), installed())]


def test_slots_that_shape_the_same_weights_share_a_port():
    assert names("[TEXT:a] [STRUCT:s] [PHONE:p] -> [TEXT:b,max_length=4]") == ["marks", "text"]
    assert names("[IMAGE:a,size=32,patch=8] -> [TEXT:b]", "[IMAGE:a,size=64,patch=8,flip] -> [TEXT:b]") == [
        "marks", "image", "text",
    ]  # fmt: skip
    assert names("[IMAGE:a,patch=8] -> [TEXT:b]", "[IMAGE:a,patch=4] -> [TEXT:b]") == [
        "marks", "image", "image_2", "text",
    ]  # fmt: skip
    assert names("[TEXT:a] -> [CATEGORY:b,closed_set=x|y]", "[TEXT:a] -> [CATEGORY:c,closed_set=x|y]") == [
        "marks", "category", "text",
    ]  # fmt: skip
    assert names("[TEXT:a] -> [CATEGORY:b,closed_set=x|y]", "[TEXT:a] -> [CATEGORY:c,closed_set=x|z]") == [
        "marks", "category", "category_2", "text",
    ]  # fmt: skip


def test_the_order_of_tasks_does_not_matter():
    lines = ["[IMAGE:a,patch=8] -> [TEXT:b]", "[IMAGE:a,patch=4] -> [BOX:b]", "[TEXT:a] -> [CATEGORY:c,closed_set=x|y]"]
    assert port_table(plans(*lines), installed()) == port_table(plans(*reversed(lines)), installed())


def test_known_ports_keep_their_places():
    first = port_table(plans("[TEXT:a] -> [TEXT:b]"), installed())
    grown = port_table(plans("[IMAGE:a] -> [TEXT:b]"), installed(), known=first)
    assert grown[: len(first)] == first and [s.name for s in grown] == ["marks", "text", "image"]


def test_a_port_that_a_model_lacks():
    table = port_table(plans("[TEXT:a] -> [TEXT:b]"), installed())
    wanted = port_of(ol.compile("[IMAGE:a] -> [TEXT:b]").slots[0].adapter, None, installed())
    with pytest.raises(PluginError, match=r"the model has no port for .*:ImagePort .*built for text"):
        kind_of(table, wanted)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "the port is declared, but its working half is not part of this version"),
        ("json", 'the port must be named as "module:Class", but is "json"'),
        ("no_such_module_here:A", "importing `no_such_module_here` failed: No module named"),
        ("json:Decodr", "the module `json` has no `Decodr`; did you mean `decoder`"),
    ],
)
def test_a_working_half_that_is_not_there(target, message):
    with pytest.raises(PluginError, match=message):
        working_half(target, "the port")


def test_a_module_that_fails_on_import_is_reported(tmp_path, monkeypatch):
    (tmp_path / "broken_half.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match="importing `broken_half` failed: division by zero"):
        working_half("broken_half:A", "the port")


class Old(Adapter):
    """Stands for another version of a package."""

    modality = "TEXT"
    codec = "a:B"
    port = "a:BPort"


def test_settings_of_another_version():
    catalog = catalog_of(modalities={"TEXT": Modality(source="old")}, adapters={"old": Old})
    part = Part("adapter", "old", (("gone", 3),), "acme", "1.0")
    with pytest.raises(PluginError, match=r"the adapter `old` was written with acme 1.0 and does not fit .* test 0"):
        declared(part, catalog)


def test_only_declared_ports_have_an_owner():
    catalog = installed()
    for spec in port_table(plans("[IMAGE:a] [TEXT:t] -> [CATEGORY:b,closed_set=x|y]"), catalog)[1:]:
        assert owner_of(spec, catalog) is not None
    assert owner_of(PortSpec(name="x", target="os:system"), catalog) is None
    text = port_table(plans("[TEXT:t] -> [TEXT:b]"), catalog)[1]
    changed = PortSpec(name="text", target=text.target, settings=(("command", "ls"),), assets=text.assets)
    assert owner_of(changed, catalog) is None


def test_a_bare_port_fetches_nothing():
    line = "[IMAGE:a,adapter=timm,model=test_resnet,pretrained,weights=gone.pt] -> [TEXT:b]"
    spec = next(s for s in port_table(plans(line), installed()) if s.name == "timm")
    assert dict(spec.settings)["pretrained"] is True
    bare = bare_spec(spec, installed())
    assert dict(bare.settings) == dict(spec.settings) | {"pretrained": False, "weights": None}
    assert bare.name == spec.name
