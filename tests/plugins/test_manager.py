"""The manager: sound plugins become one frozen catalog, unsound ones a clear report that leaves the rest alone."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from omniline import Adapter, Loss, Modality, Tokens, hookimpl, setting
from omniline.core.catalog import KINDS, Owner
from omniline.core.errors import PluginError
from omniline.plugins.manager import found, installed, load_catalog, offers_of

DEPTH = """
from omniline import Adapter, Modality, Tokens, hookimpl, setting

class Depth(Adapter):
    modality = "DEPTH"; predicts = "values"; aliases = ("range_map",)
    codec = "{module}_parts:Codec"; port = "{module}_parts:Port"
    size: int = setting(64, at_least=8, help="side in pixels")
    def tokens(self): return Tokens((self.size // 8) ** 2)

@hookimpl
def modalities(): return {{"DEPTH": Modality(source="depth", target="depth")}}

@hookimpl
def adapters(): return {{"depth": Depth}}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A maker of installed packages: `package(name, code)` can be imported and found by its entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("OMNILINE_PLUGINS", raising=False)
    made = []

    def make(name: str, code: str, *, version: str = "1.2", point: str | None = None) -> None:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code.format(module=module) if code is DEPTH else code)
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[omniline]\n{point or module} = {module}\n")
        made.append(module)

    yield make
    for module in made:
        sys.modules.pop(module, None)


def causes(catalog) -> dict[str, str]:
    return {lost.name: lost.cause for lost in catalog.broken}


def plugin(**hooks):
    """A module whose functions are hook implementations that return these values."""
    module = ModuleType("stranger")
    for name, value in hooks.items():
        setattr(module, name, hookimpl(lambda value=value: value))
    return module


def test_an_installed_package_is_found_with_its_owner(package):
    package("acme-depth", DEPTH)
    catalog = load_catalog(builtin=())
    assert catalog.broken == ()
    assert catalog.entry("adapters", "depth").owner == Owner("acme-depth", "1.2")
    assert catalog.modality("DEPTH") == Modality(source="depth", target="depth")
    assert catalog.adapter("depth")(size=32).tokens() == Tokens(16)
    assert catalog.adapter("range_map") is catalog.adapter("depth")
    assert catalog.names("adapters") == ("depth",)


def test_the_catalog_is_frozen(package):
    package("acme-depth", DEPTH)
    catalog = load_catalog(builtin=())
    with pytest.raises(TypeError):
        catalog.parts["adapters"]["depth"] = None
    with pytest.raises(TypeError):
        catalog.parts["adapters"] = {}
    assert tuple(catalog.parts) == KINDS


def test_two_catalogs_in_one_process(package):
    package("acme-depth", DEPTH)
    full, empty = load_catalog(builtin=()), load_catalog(builtin=(), outside=())
    assert full.names("adapters") == ("depth",)
    assert empty.names("adapters") == ()


def test_a_name_given_twice_is_an_error_when_used(package):
    package("acme-depth", DEPTH)
    package("bolt-depth", DEPTH)
    catalog = load_catalog(builtin=())
    assert catalog.broken == ()
    entry = catalog.find("adapters", "depth")
    assert entry.owner.package == "acme-depth"
    assert [rival.package for rival in entry.rivals] == ["bolt-depth"]
    with pytest.raises(PluginError, match=r"`depth` is given by more than one package \(acme-depth, bolt-depth\)"):
        catalog.adapter("depth")


def test_a_built_in_name_given_again_names_both(package):
    package("acme-text", "from omniline import hookimpl\n@hookimpl\ndef rewards(): return {'equal': max, 'new': min}\n")
    package("house", "from omniline import hookimpl\n@hookimpl\ndef rewards(): return {'equal': sum}\n", point="zz")
    points, _ = found("acme-text")
    catalog = load_catalog(builtin=("house",), outside=points)
    with pytest.raises(PluginError, match=r"omniline, acme-text"):
        catalog.reward("equal")
    assert catalog.reward("new") is min


def test_an_alias_that_is_anothers_name_is_an_error_when_used(package):
    package("acme-depth", DEPTH)
    package("bolt-range", DEPTH.format(module="bolt_range").replace('"depth": Depth', '"range_map": Depth'))
    catalog = load_catalog(builtin=())
    with pytest.raises(PluginError, match=r"`range_map` is given by more than one package \(bolt-range, acme-depth\)"):
        catalog.adapter("range_map")
    assert catalog.adapter("depth").modality == "DEPTH"


def test_one_part_under_its_name_and_its_alias_is_no_conflict(package):
    package(
        "acme-depth", DEPTH.format(module="acme_depth").replace('"depth": Depth', '"depth": Depth, "range_map": Depth')
    )
    catalog = load_catalog(builtin=())
    assert catalog.adapter("range_map") is catalog.adapter("depth")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import no_such_package_at_all", "ModuleNotFoundError: No module named 'no_such_package_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("import sys\nclass Odd(Exception): pass\nraise Odd", "Odd"),
        (
            "from omniline import hookimpl\n@hookimpl\ndef adaptors(): return {}",
            "`lost` has a hook `adaptors` that does not exist; did you mean `adapters`?",
        ),
        (
            "from omniline import hookimpl\n@hookimpl\ndef zzz(): return {}",
            "`lost` has a hook `zzz` that does not exist; the hooks are modalities, adapters,",
        ),
        (
            "from omniline import hookimpl\n@hookimpl\ndef losses(catalog): return {}",
            "the hooks of `lost` do not fit their specification",
        ),
        (
            "from omniline import hookimpl\n@hookimpl\ndef losses(): return ['focal']",
            "`losses` of `lost` must return a mapping from name to part, but returned ['focal']",
        ),
        (
            "from omniline import hookimpl\n@hookimpl\ndef losses(): pass",
            "`losses` of `lost` must return a mapping from name to part, but returned None",
        ),
        (
            "from omniline import hookimpl\n@hookimpl\ndef losses(): return {1: max}",
            "`losses` of `lost` must name its parts by text, but one name is 1",
        ),
        (
            "from omniline import hookimpl\n@hookimpl\ndef metrics(): raise KeyError('bleu')",
            "`metrics` of `lost` raised KeyError: 'bleu'",
        ),
        (
            "from omniline import Modality, hookimpl\n@hookimpl\ndef modalities(): return {'Depth': Modality()}",
            "a modality's name must be upper case as a slot writes it, but `lost` brings `Depth`",
        ),
    ],
)
def test_a_plugin_that_fails_is_reported_and_the_rest_works(package, code, cause):
    package("lost", code)
    package("acme-depth", DEPTH)
    catalog = load_catalog(builtin=())
    assert [(lost.name, lost.package) for lost in catalog.broken] == [("lost", "lost")]
    assert causes(catalog)["lost"].startswith(cause)
    assert "\n" not in causes(catalog)["lost"]
    assert catalog.names("modalities") == ("DEPTH",)


def test_a_missing_part_tells_of_the_plugin_that_did_not_load(package):
    package("lost", "import no_such_package_at_all")
    catalog = load_catalog(builtin=())
    with pytest.raises(PluginError, match="the plugin `lost` did not load: ModuleNotFoundError"):
        catalog.adapter("depth")


def test_an_entry_point_of_a_missing_module_is_reported():
    catalog = load_catalog(builtin=(), outside=[EntryPoint("ghost", "no_such_package_at_all.plugin", "omniline")])
    assert [(lost.name, lost.package) for lost in catalog.broken] == [("ghost", "no_such_package_at_all")]


def test_a_failing_plugin_brings_nothing_at_all():
    """Half a plugin would be a trap: one bad hook and none of its parts is there."""
    half = plugin(rewards={"equal": max}, losses=None)
    with pytest.raises(PluginError, match="`losses` of `half` must return a mapping"):
        offers_of(half, name="half")


def test_an_object_may_be_a_plugin():
    class Stranger:
        @hookimpl
        def rewards(self):
            return {"equal": max}

    assert offers_of(Stranger(), name="stranger") == (("rewards", "equal", max),)


def test_a_module_without_hooks_brings_nothing():
    assert offers_of(ModuleType("empty"), name="empty") == ()


def test_a_built_in_plugin_that_fails_is_raised():
    with pytest.raises(
        PluginError, match=r"the built-in plugin `omniline\.plugins\.nothing` does not load: ModuleNotF"
    ):
        load_catalog(builtin=("omniline.plugins.nothing",), outside=())


@pytest.mark.parametrize(
    ("only", "names", "missing"),
    [
        ("acme-depth", ("acme_depth",), ()),
        ("ACME_Depth , bolt", ("acme_depth", "bolt"), ()),
        ("spark", ("spark",), ()),
        ("", (), ()),
        ("acme-depth,zeta", ("acme_depth",), ("zeta",)),
    ],
)
def test_the_environment_limits_outside_packages(package, monkeypatch, only, names, missing):
    empty = "from omniline import hookimpl\n@hookimpl\ndef rewards(): return {}\n"
    package("acme-depth", DEPTH)
    package("bolt", empty)
    package("volt", empty, point="spark")
    points, lost = found(only)
    assert tuple(point.name for point in points) == names
    assert tuple(entry.name for entry in lost) == missing
    monkeypatch.setenv("OMNILINE_PLUGINS", only)
    catalog = load_catalog(builtin=())
    assert catalog.names("modalities") == (("DEPTH",) if "acme_depth" in names else ())
    assert [(entry.name, entry.cause) for entry in catalog.broken] == [
        (name, "OMNILINE_PLUGINS lists it, but no installed package or plugin has that name") for name in missing
    ]


def test_a_plugin_left_out_is_not_imported(package, monkeypatch):
    package("acme-depth", DEPTH)
    package("lost", "import no_such_package_at_all")
    monkeypatch.setenv("OMNILINE_PLUGINS", "acme-depth")
    assert load_catalog(builtin=()).broken == ()


@pytest.mark.parametrize(("code", "heavy"), [("import torch\n", "('greedy',)"), ("import json\n", "()")])
def test_a_plugin_that_imports_torch_works_and_is_named(tmp_path, code, heavy):
    """Seen in a fresh process, where nothing else has brought torch."""
    hook = "from omniline import hookimpl\n@hookimpl\ndef rewards(): return {'r': max}\n"
    (tmp_path / "greedy_plugin.py").write_text(code + hook)
    asked = (
        "from importlib.metadata import EntryPoint\nfrom omniline.plugins.manager import load_catalog\n"
        "c = load_catalog(builtin=(), outside=[EntryPoint('greedy', 'greedy_plugin', 'omniline')])\n"
        "print(c.heavy, c.reward('r') is max)"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{heavy} True"


def test_torch_is_seen_in_a_plugin_even_when_it_is_there_already(package):
    import torch

    assert torch is not None
    package("heavy-one", "from torch import nn\n" + DEPTH.format(module="heavy_one"))
    package("light-one", "from omniline import hookimpl\n@hookimpl\ndef rewards(): return {}\n")
    assert load_catalog(builtin=()).heavy == ("heavy_one",)


def test_the_installed_catalog_is_read_once():
    assert installed() is installed()


def test_a_declaration_from_outside_is_whole():
    """The public names that a plugin needs are enough to write one."""

    class Focal(Loss):
        build = "acme.parts:Focal"
        needs = ("tokens",)
        gamma: float = setting(2.0, at_least=0.0)

    offers = offers_of(plugin(losses={"focal": Focal}), name="acme")
    assert offers == (("losses", "focal", Focal),)
    assert issubclass(Focal, Loss) and not issubclass(Focal, Adapter)
    assert Focal().settings() == {"gamma": 2.0}
